//! Requests and answers, as they travel: one JSON object a line.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::answers::{
    FileStatus, KickOutcome, LockoutRow, LogLevelRow, RuleRow, SanctionKept, SanctionRow,
    SessionRow, Status,
};

/// The version of the protocol that is spoken here. Another one is refused, and told this.
pub(super) const VERSION: u32 = 1;
/// Bytes of the longest request.
pub(super) const MAX_REQUEST_BYTES: usize = 16 << 10;
/// Bytes of the longest line of an answer: one session with all that is told of it.
pub(super) const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How the broker is: [`Answer::Status`].
    Status,
    /// Read all files anew: [`Answer::Reloaded`].
    Reload,
    /// The sessions that there are: any number of [`Answer::Session`], then [`Answer::Listed`].
    Sessions(SessionQuery),
    /// End a connection: [`Answer::Kicked`].
    Kick {
        /// Whose.
        client_id: String,
        /// Whether the session ends as well.
        forget: bool,
    },
    /// Who is locked out: any number of [`Answer::Lockout`], then [`Answer::Listed`].
    Lockouts {
        /// The most that are shown.
        limit: u32,
    },
    /// Let them in again: [`Answer::Lifted`].
    Lift(Lifted),
    /// Ban somebody: [`Answer::Sanctioned`].
    Ban(SanctionRequest),
    /// Who is banned: any number of [`Answer::Sanction`], then [`Answer::Listed`].
    Bans {
        /// The most that are shown.
        limit: u32,
    },
    /// Lift the ban of somebody, or all: [`Answer::SanctionsLifted`].
    LiftBan {
        /// As of [`SanctionRequest`]; all where there is nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
    },
    /// Put somebody in quarantine: [`Answer::Sanctioned`].
    Quarantine(SanctionRequest),
    /// Who is in quarantine: any number of [`Answer::Sanction`], then [`Answer::Listed`].
    Quarantines {
        /// The most that are shown.
        limit: u32,
    },
    /// Let somebody out of quarantine, or all: [`Answer::SanctionsLifted`].
    LiftQuarantine {
        /// As of [`SanctionRequest`]; all where there is nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
    },
    /// The rules of the sentinel that are in force: any number of [`Answer::Rule`], then [`Answer::Listed`].
    SentinelRules,
    /// The last alerts: any number of [`Answer::Alert`], then [`Answer::Listed`].
    SentinelAlerts {
        /// The most that are shown.
        limit: u32,
    },
    /// Have a rule of the sentinel only tried, or not: [`Answer::Rule`].
    SentinelDryRun {
        /// Its name.
        rule: String,
        /// Whether it is only tried.
        dry_run: bool,
    },
    /// Who may publish less for a time: any number of [`Answer::Sanction`], then [`Answer::Listed`].
    SentinelTightened {
        /// The most that are shown.
        limit: u32,
    },
    /// Let somebody publish as before, or all: [`Answer::SanctionsLifted`].
    SentinelLoosen {
        /// As of [`SanctionRequest`]; all where there is nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
    },
    /// What is logged: [`Answer::LogLevel`].
    LogLevel,
    /// Log something else, until the configuration is read anew: [`Answer::LogLevel`].
    SetLogLevel {
        /// As `level` in `[log]`.
        level: String,
        /// For how long; until then where there is nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<NonZeroU32>,
    },
    /// Log what the configuration says: [`Answer::LogLevel`].
    RestoreLogLevel,
    /// Copy the store: any number of [`Answer::Copying`], then [`Answer::BackedUp`] and
    /// [`Answer::Listed`].
    BackUp {
        /// An absolute path: a directory that is made, or is empty.
        path: PathBuf,
    },
}

/// Who is to be banned, or put in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SanctionRequest {
    /// Whom: `192.0.2.1`, `2001:db8::/56`, `user:anna`, `client:pump-7`, `fingerprint:` or `serial:` and
    /// hexadecimal digits.
    pub subject: String,
    /// For how long; for good where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<NonZeroU32>,
    /// Why, for people.
    #[serde(default)]
    pub why: String,
}

/// Which sessions are asked for. In order of their client identifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionQuery {
    /// A pattern of their client identifiers: `*` is any text, `?` any character.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// A pattern of their principals, such as `user:*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Only those behind this client identifier: the last one of an earlier answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most that are shown.
    pub limit: u32,
    /// Whether to show what they use, and what is known of their clients.
    pub with_topics: bool,
}

/// Whose lock-outs are lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifted {
    /// Those of a user, wherever it failed.
    User(String),
    /// Those of an address, or of the /64 of one, whoever failed there.
    Address(String),
    /// All.
    All,
}

/// What the broker says to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How it is.
    Status(Box<Status>),
    /// What has come of reading each kind of file.
    Reloaded(Vec<FileStatus>),
    /// One session.
    Session(Box<SessionRow>),
    /// One lock-out.
    Lockout(LockoutRow),
    /// The end of a list.
    Listed {
        /// How many there were in it.
        shown: u64,
        /// How many there would have been without the limit.
        of: u64,
    },
    /// What has become of a client.
    Kicked(KickOutcome),
    /// How many lock-outs have ended.
    Lifted {
        /// As many.
        count: u64,
    },
    /// One ban, or one quarantine.
    Sanction(SanctionRow),
    /// Somebody is banned, or in quarantine.
    Sanctioned {
        /// The sanction that holds now.
        sanction: SanctionRow,
        /// How many connections it concerned at once.
        connections: u64,
        /// Where it is kept.
        kept: SanctionKept,
    },
    /// How many bans or quarantines have ended.
    SanctionsLifted {
        /// As many.
        count: u64,
        /// Where it is kept that they have.
        kept: SanctionKept,
    },
    /// One rule of the sentinel.
    Rule(RuleRow),
    /// One alert, as it was published.
    Alert(serde_json::Value),
    /// What is logged.
    LogLevel(LogLevelRow),
    /// The store is still being copied.
    Copying,
    /// The store was copied.
    BackedUp {
        /// Segments of its log.
        segments: u64,
        /// What they have.
        bytes: u64,
    },
    /// It cannot be done, and why.
    Error(String),
}

/// A request as it travels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) version: u32,
    pub(super) request: Request,
}

/// An answer as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) version: u32,
    pub(super) answer: Answer,
}

/// All that versions have in common.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

impl Request {
    /// Its name, for the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Reload => "reload",
            Self::Sessions(_) => "sessions",
            Self::Kick { .. } => "kick",
            Self::Lockouts { .. } => "lockouts",
            Self::Lift(_) => "lift",
            Self::Ban(_) => "ban add",
            Self::Bans { .. } => "ban list",
            Self::LiftBan { .. } => "ban lift",
            Self::Quarantine(_) => "quarantine add",
            Self::Quarantines { .. } => "quarantine list",
            Self::LiftQuarantine { .. } => "quarantine lift",
            Self::SentinelRules => "sentinel rules",
            Self::SentinelAlerts { .. } => "sentinel alerts",
            Self::SentinelDryRun { .. } => "sentinel dry-run",
            Self::SentinelTightened { .. } => "sentinel tightened",
            Self::SentinelLoosen { .. } => "sentinel loosen",
            Self::LogLevel => "log",
            Self::SetLogLevel { .. } => "log set",
            Self::RestoreLogLevel => "log restore",
            Self::BackUp { .. } => "store backup",
        }
    }
}

/// The request of one line.
///
/// # Errors
/// What to tell whoever has sent it.
pub(super) fn read_request(line: &[u8]) -> Result<Request, String> {
    let versioned: Versioned =
        serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))?;
    if versioned.version != VERSION {
        return Err(format!(
            "this broker speaks version {VERSION} of the control protocol, and was asked in version \
             {}: use the bastionmq of the same release",
            versioned.version
        ));
    }
    let asked: Asked =
        serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))?;
    Ok(asked.request)
}

/// A line that carries `request`.
pub(super) fn write_request(request: Request) -> serde_json::Result<Vec<u8>> {
    line_of(&Asked { version: VERSION, request })
}

/// A line that carries `answer`.
pub(super) fn write_answer(answer: Answer) -> serde_json::Result<Vec<u8>> {
    line_of(&Answered { version: VERSION, answer })
}

fn line_of(what: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written_on_one_line() {
        let sessions = SessionQuery { client_id: Some("a\n*".to_owned()), ..Default::default() };
        for request in [
            Request::Status,
            Request::Reload,
            Request::Sessions(sessions),
            Request::Kick { client_id: "x\"".to_owned(), forget: true },
            Request::Lockouts { limit: 7 },
            Request::Lift(Lifted::All),
            Request::Lift(Lifted::Address("2001:db8::/64".to_owned())),
            Request::Ban(SanctionRequest {
                subject: "user:a".to_owned(),
                seconds: None,
                why: "\n".to_owned(),
            }),
            Request::LiftBan { subject: Some("client:x".to_owned()) },
            Request::SetLogLevel { level: "off".to_owned(), seconds: NonZeroU32::new(9) },
        ] {
            let line = write_request(request.clone()).unwrap();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(read_request(&line), Ok(request));
        }
    }

    #[test]
    fn a_request_looks_as_it_is_documented() {
        let kick = Request::Kick { client_id: "pump-7".to_owned(), forget: false };
        let line = String::from_utf8(write_request(kick).unwrap()).unwrap();
        let wanted =
            "{\"version\":1,\"request\":{\"kick\":{\"client_id\":\"pump-7\",\"forget\":false}}}\n";
        assert_eq!(line, wanted);
        assert_eq!(
            write_request(Request::Status).unwrap(),
            b"{\"version\":1,\"request\":\"status\"}\n"
        );
    }

    #[test]
    fn what_is_no_request_is_told_why() {
        for (line, told) in [
            ("", "no request"),
            ("{}", "missing field `version`"),
            ("{\"version\":2,\"request\":\"new\"}", "was asked in version 2"),
            ("{\"version\":1,\"request\":\"stop\"}", "unknown variant `stop`"),
            ("{\"version\":1,\"request\":\"status\",\"more\":1}", "unknown field `more`"),
            ("{\"version\":1,\"request\":{\"lockouts\":{\"limit\":-1}}}", "invalid value"),
        ] {
            let error = read_request(line.as_bytes()).unwrap_err();
            assert!(error.contains(told), "{line}: {error}");
        }
        let deep = [b"{\"version\":1,\"request\":".to_vec(), vec![b'['; 10_000]].concat();
        assert!(read_request(&deep).is_err());
    }
}
