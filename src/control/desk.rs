//! What is done with a request: one function each.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::answers::{KickOutcome, LockoutRow, SanctionKept, SanctionRow, SessionRow, Status};
use super::files::Files;
use super::glob;
use super::log_level::LogDesk;
use super::protocol::{Answer, Lifted, Request, SanctionRequest, SessionQuery, write_answer};
use super::watch;
use crate::audit::Event;
use crate::auth::{Lift, LockedOut};
use crate::broker::{Broker, Fate, Kept, SanctionOrder, Sanctioned};
use crate::identity::{ClientId, Principal, UnixPeer};
use crate::sanctions::{Author, PutError, Standing, Subject, SubjectError};
use crate::store::Copied;

/// How long an operator may take to read what is written to it.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How long an operator waits for files that are read, and for a connection that ends.
const RELOAD_PATIENCE: Duration = Duration::from_secs(60);
const KICK_PATIENCE: Duration = Duration::from_secs(5);
/// How long an operator waits for the disk to have a ban, which holds meanwhile.
const KEEP_PATIENCE: Duration = Duration::from_secs(5);
/// After how long an operator is told that the store is still being copied.
const COPY_PATIENCE: Duration = Duration::from_secs(20);
/// How long a command waits for a strict audit log.
const AUDIT_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the longest pattern.
const MAX_PATTERN_BYTES: usize = 1_024;

/// Everything that operators can ask about.
#[derive(Debug)]
pub struct Desk<F> {
    broker: Arc<Broker>,
    files: F,
    /// Where metrics are served.
    metrics: Option<String>,
    log: LogDesk,
    /// Sessions are listed for one operator at a time: each connection has room for one question.
    listing: Mutex<()>,
}

/// Where the lines of an answer go.
pub(super) struct Replies<W>(pub(super) W);

impl<W: AsyncWrite + Unpin> Replies<W> {
    /// Writes one line.
    ///
    /// # Errors
    /// When the operator has gone, or does not read.
    pub(super) async fn say(&mut self, answer: Answer) -> io::Result<()> {
        let line = write_answer(answer).map_err(io::Error::other)?;
        timeout(WRITE_PATIENCE, self.0.write_all(&line))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// The sessions that were asked for, in order, as many as are shown.
struct Selected {
    shown: Vec<(ClientId, Principal)>,
    of: usize,
}

impl<F: Files> Desk<F> {
    /// For a broker whose metrics are served at `metrics`.
    #[must_use]
    pub fn new(broker: Arc<Broker>, files: F, metrics: Option<String>) -> Self {
        Self { broker, files, metrics, log: LogDesk::default(), listing: Mutex::default() }
    }

    /// Does what `operator` asks for, and says in the log that it has.
    ///
    /// # Errors
    /// When nobody reads the answer.
    pub(super) async fn serve<W: AsyncWrite + Unpin>(
        &self,
        request: Request,
        operator: &UnixPeer,
        replies: &mut Replies<W>,
    ) -> io::Result<()> {
        let by = By { operator, command: request.name() };
        let by_then = Instant::now().into_std() + AUDIT_PATIENCE;
        let command = || Event::Operator {
            user: operator.user.to_string(),
            uid: operator.uid,
            pid: operator.pid,
            command: request.name(),
            request: serde_json::to_value(&request).unwrap_or_default(),
        };
        if !self.broker.may_do(by_then, command).await {
            let told = "the audit log, which is strict, cannot be written: nothing is done";
            return replies.say(Answer::Error(told.to_owned())).await;
        }
        match request {
            Request::Status => {
                by.report("");
                replies.say(Answer::Status(Box::new(self.status()))).await
            }
            Request::Reload => {
                by.report("all files are read anew");
                replies.say(self.reload().await).await
            }
            Request::Sessions(query) => {
                by.report("");
                self.list_sessions(query, replies).await
            }
            Request::Kick { client_id, forget } => {
                let outcome = self.kick(&client_id, forget).await;
                by.report(&format!("client {client_id:?}: {outcome:?}"));
                replies.say(Answer::Kicked(outcome)).await
            }
            Request::Lockouts { limit } => {
                by.report("");
                self.list_lockouts(limit, replies).await
            }
            Request::Lift(whom) => {
                let answer = self.lift(&whom);
                by.report(&format!("{whom:?}: {answer:?}"));
                replies.say(answer).await
            }
            Request::Ban(asked) => {
                let answer = self.sanction(&asked, operator, Broker::ban).await;
                by.report(&format!("{asked:?}: {answer:?}"));
                replies.say(answer).await
            }
            Request::Bans { limit } => {
                by.report("");
                list_sanctions(&self.broker.bans(), limit, replies).await
            }
            Request::LiftBan { subject } => {
                let answer = self.lift_sanction(&subject, operator, Broker::lift_bans).await;
                by.report(&format!("{subject:?}: {answer:?}"));
                replies.say(answer).await
            }
            Request::Quarantine(asked) => {
                let answer = self.sanction(&asked, operator, Broker::quarantine).await;
                by.report(&format!("{asked:?}: {answer:?}"));
                replies.say(answer).await
            }
            Request::Quarantines { limit } => {
                by.report("");
                list_sanctions(&self.broker.quarantined(), limit, replies).await
            }
            Request::LiftQuarantine { subject } => {
                let answer = self.lift_sanction(&subject, operator, Broker::lift_quarantine).await;
                by.report(&format!("{subject:?}: {answer:?}"));
                replies.say(answer).await
            }
            Request::SentinelRules => {
                by.report("");
                watch::list_rules(&self.broker, replies).await
            }
            Request::SentinelAlerts { limit } => {
                by.report("");
                watch::list_alerts(&self.broker, limit, replies).await
            }
            Request::SentinelDryRun { rule, dry_run } => {
                let answer = watch::set_dry_run(&self.broker, &rule, dry_run);
                by.report(&format!("{rule:?}, dry_run = {dry_run}: {answer:?}"));
                replies.say(answer).await
            }
            Request::SentinelTightened { limit } => {
                by.report("");
                list_sanctions(&self.broker.tightened(), limit, replies).await
            }
            Request::SentinelLoosen { subject } => {
                let answer = self.lift_sanction(&subject, operator, Broker::lift_tightening).await;
                by.report(&format!("{subject:?}: {answer:?}"));
                replies.say(answer).await
            }
            Request::LogLevel => {
                by.report("");
                replies.say(self.log.level()).await
            }
            Request::SetLogLevel { level, seconds } => {
                // Before and after: one of the two levels may have it, and the other not.
                by.report(&format!("{level:?} is asked for"));
                let answer = self.log.set(&level, seconds);
                by.report(&format!("{answer:?}"));
                replies.say(answer).await
            }
            Request::RestoreLogLevel => {
                let answer = self.log.restore();
                by.report(&format!("{answer:?}"));
                replies.say(answer).await
            }
            Request::BackUp { path } => {
                by.report(&format!("the store is copied to {path:?}"));
                self.back_up(path, replies).await
            }
        }
    }

    async fn back_up<W: AsyncWrite + Unpin>(
        &self,
        path: PathBuf,
        replies: &mut Replies<W>,
    ) -> io::Result<()> {
        let Some(store) = self.broker.store().cloned() else {
            let told = "this broker keeps nothing on disk: see `dir` in [store]";
            return replies.say(Answer::Error(told.to_owned())).await;
        };
        if !path.is_absolute() {
            return replies.say(Answer::Error("the path must be absolute".to_owned())).await;
        }
        // It runs to its end, whether the operator waits for it or not.
        let mut copying = spawn_blocking(move || store.backup(&path));
        let copied = loop {
            match timeout(COPY_PATIENCE, &mut copying).await {
                Ok(copied) => break copied.map_err(io::Error::other)?,
                Err(_) => replies.say(Answer::Copying).await?,
            }
        };
        match copied {
            Ok(Copied { segments, bytes }) => {
                replies.say(Answer::BackedUp { segments: segments as u64, bytes }).await?;
                replies.say(Answer::Listed { shown: 1, of: 1 }).await
            }
            Err(error) => replies.say(Answer::Error(error.to_string())).await,
        }
    }

    fn status(&self) -> Status {
        let report = self.broker.report();
        let (retained_messages, retained_bytes) = report.retained;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: report.uptime.as_secs(),
            stopping: report.is_stopping,
            listeners: self.files.listeners(),
            metrics: self.metrics.clone(),
            connected: report.connected,
            sessions: report.sessions as u64,
            subscriptions: report.subscriptions as u64,
            retained_messages: retained_messages as u64,
            retained_bytes: retained_bytes as u64,
            lockouts: report.lockouts as u64,
            files: self.files.standing(),
        }
    }

    async fn reload(&self) -> Answer {
        match timeout(RELOAD_PATIENCE, self.files.reload()).await {
            Ok(Some(files)) => Answer::Reloaded(files),
            Ok(None) => Answer::Error("the broker is stopping, and reads no files".to_owned()),
            Err(_) => Answer::Error(
                "the files are still being read: the disk is slow; `ctl status` shows what comes of it"
                    .to_owned(),
            ),
        }
    }

    async fn list_sessions<W: AsyncWrite + Unpin>(
        &self,
        query: SessionQuery,
        replies: &mut Replies<W>,
    ) -> io::Result<()> {
        let patterns = [&query.client_id, &query.principal].into_iter().flatten();
        if patterns.map(String::len).any(|bytes| bytes > MAX_PATTERN_BYTES) {
            let text = format!("a pattern has at most {MAX_PATTERN_BYTES} bytes");
            return replies.say(Answer::Error(text)).await;
        }
        let _listing = self.listing.lock().await;
        let (broker, with_topics) = (Arc::clone(&self.broker), query.with_topics);
        // With very many sessions it takes a while, in which messages have their turn elsewhere.
        let selected = spawn_blocking(move || select(broker.sessions(), &query));
        let Selected { shown, of } = selected.await.map_err(io::Error::other)?;
        let mut count = 0;
        for (client_id, owner) in shown {
            let reported = self.broker.report_session(&client_id, with_topics).await;
            if let Some(row) = SessionRow::of(&client_id, &owner, reported) {
                replies.say(Answer::Session(Box::new(row))).await?;
                count += 1;
            }
        }
        replies.say(Answer::Listed { shown: count, of: of as u64 }).await
    }

    async fn kick(&self, client_id: &str, forget: bool) -> KickOutcome {
        let fate = if forget { Fate::Forgotten } else { Fate::Kept };
        let (broker, client_id) = (Arc::clone(&self.broker), ClientId::new(client_id));
        // It runs to its end, whether the operator waits for it or not.
        let kick = tokio::spawn(async move { broker.kick(&client_id, fate).await });
        match timeout(KICK_PATIENCE, kick).await {
            Ok(Ok(kicked)) => kicked.into(),
            Ok(Err(_)) | Err(_) => KickOutcome::Pending,
        }
    }

    async fn list_lockouts<W: AsyncWrite + Unpin>(
        &self,
        limit: u32,
        replies: &mut Replies<W>,
    ) -> io::Result<()> {
        let now = Instant::now().into_std();
        let mut lockouts = self.broker.lockouts();
        lockouts.sort_by(|one, other| (&one.user, one.origin).cmp(&(&other.user, other.origin)));
        let of = lockouts.len() as u64;
        let mut shown = 0;
        for LockedOut { user, origin, failures, until } in lockouts.into_iter().take(limit as usize)
        {
            let row = LockoutRow {
                user: user.map(|user| user.to_string()),
                address: origin.to_string(),
                failures,
                seconds: until.saturating_duration_since(now).as_secs(),
            };
            replies.say(Answer::Lockout(row)).await?;
            shown += 1;
        }
        replies.say(Answer::Listed { shown, of }).await
    }

    fn lift(&self, whom: &Lifted) -> Answer {
        let lift = match whom {
            Lifted::User(user) => Lift::User(user.as_str().into()),
            Lifted::Address(text) => match text.parse() {
                Ok(origin) => Lift::Origin(origin),
                Err(error) => return Answer::Error(format!("{text:?} is no address: {error}")),
            },
            Lifted::All => Lift::All,
        };
        Answer::Lifted { count: self.broker.lift_lockout(&lift) as u64 }
    }

    async fn sanction(
        &self,
        asked: &SanctionRequest,
        operator: &UnixPeer,
        sanction: impl FnOnce(&Broker, SanctionOrder) -> Result<Sanctioned, PutError>,
    ) -> Answer {
        let SanctionRequest { subject, seconds, why } = asked;
        let subject = match subject.parse() {
            Ok(subject) => subject,
            Err(error) => return no_subject(&error),
        };
        let lasts = seconds.map(|seconds| Duration::from_secs(seconds.get().into()));
        let order = SanctionOrder { subject, by: author(operator), why: why.clone(), lasts };
        match sanction(&self.broker, order) {
            Ok(Sanctioned { sanction, connections, kept }) => Answer::Sanctioned {
                sanction: SanctionRow::of(&sanction, 0),
                connections: connections as u64,
                kept: self.until_kept(kept).await,
            },
            Err(refused) => Answer::Error(refused.to_string()),
        }
    }

    async fn lift_sanction(
        &self,
        whom: &Option<String>,
        operator: &UnixPeer,
        lift: impl FnOnce(&Broker, Option<&Subject>, &Author) -> (usize, Kept),
    ) -> Answer {
        let subject = match whom.as_deref().map(str::parse).transpose() {
            Ok(subject) => subject,
            Err(error) => return no_subject(&error),
        };
        let (count, kept) = lift(&self.broker, subject.as_ref(), &author(operator));
        Answer::SanctionsLifted { count: count as u64, kept: self.until_kept(kept).await }
    }

    async fn until_kept(&self, kept: Kept) -> SanctionKept {
        match kept {
            Kept::InMemory => SanctionKept::InMemory,
            on_disk => match timeout(KEEP_PATIENCE, self.broker.until_kept(on_disk)).await {
                Ok(()) => SanctionKept::OnDisk,
                Err(_) => SanctionKept::SoonOnDisk,
            },
        }
    }
}

async fn list_sanctions<W: AsyncWrite + Unpin>(
    standings: &[Standing],
    limit: u32,
    replies: &mut Replies<W>,
) -> io::Result<()> {
    let mut rows: Vec<_> = standings.iter().map(row).collect();
    rows.sort_unstable_by(|one, other| {
        (&one.kind, &one.subject).cmp(&(&other.kind, &other.subject))
    });
    let of = rows.len() as u64;
    rows.truncate(limit as usize);
    let shown = rows.len() as u64;
    for row in rows {
        replies.say(Answer::Sanction(row)).await?;
    }
    replies.say(Answer::Listed { shown, of }).await
}

fn row(standing: &Standing) -> SanctionRow {
    SanctionRow::of(&standing.sanction, standing.refused)
}

fn no_subject(error: &SubjectError) -> Answer {
    Answer::Error(error.to_string())
}

fn author(operator: &UnixPeer) -> Author {
    Author::Operator(Arc::clone(&operator.user))
}

/// Who asks for what.
struct By<'a> {
    operator: &'a UnixPeer,
    command: &'static str,
}

impl By<'_> {
    fn report(&self, what: &str) {
        let UnixPeer { uid, pid, user, .. } = self.operator;
        tracing::info!(uid, %user, pid, command = self.command, what, "an operator");
    }
}

fn select(mut sessions: Vec<(ClientId, Principal)>, query: &SessionQuery) -> Selected {
    let SessionQuery { client_id, principal, after, limit, .. } = query;
    sessions.retain(|(id, owner)| {
        after.as_ref().is_none_or(|after| id.as_str() > after.as_str())
            && client_id.as_ref().is_none_or(|pattern| glob::matches(pattern, id.as_str()))
            && principal.as_ref().is_none_or(|it| glob::matches(it, &owner.to_string()))
    });
    sessions.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let of = sessions.len();
    sessions.truncate(*limit as usize);
    Selected { shown: sessions, of }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(query: &SessionQuery) -> (Vec<String>, usize) {
        let session = |id: &str, user: &str| (ClientId::new(id), Principal::User(user.into()));
        let sessions = vec![session("c", "anna"), session("a", "anna"), session("b", "bert")];
        let Selected { shown, of } = select(sessions, query);
        (shown.iter().map(|(id, _)| id.to_string()).collect(), of)
    }

    #[test]
    fn sessions_are_in_order_and_a_page_goes_on_where_the_last_one_ended() {
        let query = SessionQuery { limit: 2, ..SessionQuery::default() };
        assert_eq!(selected(&query), (vec!["a".to_owned(), "b".to_owned()], 3));
        let query = SessionQuery { after: Some("b".to_owned()), ..query };
        assert_eq!(selected(&query), (vec!["c".to_owned()], 1));
    }

    #[test]
    fn patterns_narrow_the_list() {
        let of_anna = SessionQuery {
            principal: Some("user:a*".to_owned()),
            limit: 9,
            ..SessionQuery::default()
        };
        assert_eq!(selected(&of_anna), (vec!["a".to_owned(), "c".to_owned()], 2));
        let one = SessionQuery { client_id: Some("?".to_owned()), ..of_anna.clone() };
        assert_eq!(selected(&one).1, 2);
        let none = SessionQuery { client_id: Some("x*".to_owned()), ..of_anna };
        assert_eq!(selected(&none).1, 0);
    }
}
