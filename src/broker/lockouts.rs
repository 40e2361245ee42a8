//! Lock-out of those who fail to log in again and again: the engine, with the clock, the log and the
//! counters around it.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::Broker;
use super::authenticators::{Offer, Verdict};
use super::counts::Counts;
use super::login::Patience;
use crate::audit::{Event, Ticket};
use crate::auth::{
    self, Authenticators, Judgement, Lift, LockedOut, Lockout, LockoutRules, Origin,
};
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::identity::{Peer, PeerAddress};
use crate::session::Refusal;
use crate::telemetry::LockoutScope;
use crate::telemetry::logging::excerpt;

/// Lock-outs that found no place in a strict audit log and are told again. Of more than these that log knows
/// how many were lost.
const MOST_LOST: usize = 256;

/// Who has failed to log in, and may not try again yet.
#[derive(Debug)]
pub(super) struct Lockouts {
    engine: Mutex<Lockout>,
    told: Mutex<Told>,
    counts: Arc<Counts>,
}

/// What a strict audit log was told.
#[derive(Debug, Default)]
struct Told {
    /// The last of what it took.
    last: Option<Ticket>,
    /// For which there was no place, the first of them in front.
    lost: VecDeque<Event>,
}

/// Somebody claims to be a user.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) user: Arc<str>,
    pub(super) origin: Origin,
}

/// The attempt is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyFailures;

impl Attempt {
    /// One without a user name is that of the user `""`.
    pub(super) fn new(user: Option<Arc<str>>, peer: &Peer) -> Self {
        let origin = match &peer.address {
            PeerAddress::Network(address) => Origin::from(address.ip()),
            PeerAddress::Unix(peer) => Origin::Local(peer.uid),
        };
        Self { user: user.unwrap_or_default(), origin }
    }
}

impl Lockouts {
    /// Nobody has failed yet. `seed` is random.
    pub(super) fn new(settings: &auth::Settings, seed: u64, counts: Arc<Counts>) -> Self {
        let engine = Mutex::new(Lockout::new(LockoutRules::from(settings), seed));
        Self { engine, told: Mutex::default(), counts }
    }

    /// Goes by other rules from now on. What was counted stays.
    pub(super) fn follow(&self, rules: LockoutRules) {
        self.engine.lock().follow(rules);
    }

    pub(super) fn judge(&self, attempt: &Attempt) -> Judgement {
        self.engine.lock().judge(Now::read().instant, &attempt.user, attempt.origin)
    }

    /// Waits, where the attempt is to wait, and as long as `patience` lasts.
    async fn admit(
        &self,
        attempt: &Attempt,
        patience: Patience<Pin<&mut impl Future<Output = ()>>>,
    ) -> Result<(), TooManyFailures> {
        match self.judge(attempt) {
            Judgement::Admit => Ok(()),
            Judgement::LockedOut(_) => Err(TooManyFailures),
            Judgement::Delay(delay) => {
                let end = (Now::read().instant + delay).min(patience.deadline);
                tokio::select! {
                    () = tokio::time::sleep_until(end.into()) => {}
                    () = patience.departure => {}
                }
                Ok(())
            }
        }
    }

    /// Counts an attempt that was wrong. Who is locked out by it shows in the log, once.
    pub(super) fn failed(&self, attempt: &Attempt) {
        let now = Now::read().instant;
        let brought = self.engine.lock().failed(now, &attempt.user, attempt.origin);
        for LockedOut { user, origin, failures, until } in brought {
            let scope = if user.is_some() { LockoutScope::User } else { LockoutScope::Address };
            self.counts.metrics.lockouts.increment(scope);
            tracing::warn!(
                user = user.as_deref().map(excerpt),
                address = %origin,
                failures,
                seconds = until.saturating_duration_since(now).as_secs(),
                "locked out after too many failed logins"
            );
            let event = || Event::LockedOut {
                user: user.as_deref().map(str::to_owned),
                address: origin.to_string(),
                failures,
                seconds: until.saturating_duration_since(now).as_secs(),
            };
            self.told.lock().tell(event(), |it| self.counts.audit(|| it.clone()));
        }
    }

    /// Tells the audit log of those for which it had no place.
    fn tell_again(&self) {
        self.told.lock().tell_again(|it| self.counts.audit(|| it.clone()));
    }

    /// Whether a strict audit log has on disk by then whom there is to refuse: nobody is, before that.
    pub(super) async fn are_written_by(&self, deadline: Instant) -> bool {
        let ticket = {
            let mut told = self.told.lock();
            if !told.tell_again(|it| self.counts.audit(|| it.clone())) {
                return false;
            }
            told.last
        };
        self.counts.is_written_by(deadline, ticket).await
    }

    pub(super) fn succeeded(&self, attempt: &Attempt) {
        self.engine.lock().succeeded(&attempt.user, attempt.origin);
    }

    /// How many lock-outs there are now.
    pub(super) fn count(&self) -> usize {
        self.engine.lock().count(Now::read().instant)
    }

    fn list(&self) -> Vec<LockedOut> {
        self.engine.lock().list(Now::read().instant)
    }

    fn lift(&self, lift: &Lift) -> usize {
        self.engine.lock().lift(Now::read().instant, lift)
    }
}

impl Told {
    /// Has `record` take `event`, behind those that it has not taken yet.
    fn tell(&mut self, event: Event, record: impl Fn(&Event) -> Option<Ticket>) {
        if self.tell_again(&record) || self.lost.len() < MOST_LOST {
            self.lost.push_back(event);
            self.tell_again(record);
        } else {
            // Most likely only to be counted there.
            self.last = record(&event).filter(|ticket| !ticket.is_lost()).or(self.last);
        }
    }

    /// Has `record` take what it has not taken yet; whether that was all.
    fn tell_again(&mut self, record: impl Fn(&Event) -> Option<Ticket>) -> bool {
        while let Some(event) = self.lost.front() {
            match record(event) {
                Some(ticket) if ticket.is_lost() => return false,
                ticket => self.last = ticket,
            }
            self.lost.pop_front();
        }
        true
    }
}

impl From<TooManyFailures> for Refusal {
    /// Neither "bad user name or password", since nobody has looked at them, nor "banned", since it
    /// passes: clients that hear of a rate come back later (0x9F; 3 in 3.x, server unavailable).
    fn from(_: TooManyFailures) -> Self {
        Self::new(ReasonCode::ConnectionRateExceeded, "too many failed logins")
    }
}

impl From<&auth::Settings> for LockoutRules {
    fn from(settings: &auth::Settings) -> Self {
        let seconds = |seconds: u32| std::time::Duration::from_secs(seconds.into());
        Self {
            failures: settings.lockout_failures,
            origin_failures: settings.lockout_address_failures,
            first: seconds(settings.lockout_seconds),
            longest: seconds(settings.lockout_max_seconds),
        }
    }
}

impl Broker {
    /// Finds out who makes this offer, unless who offers it is locked out. Wrong credentials are
    /// counted; a client that offers none is none of our business.
    pub(super) async fn find_out_unless_locked_out(
        &self,
        offer: Offer<'_>,
        authenticators: &Authenticators,
        patience: Patience<impl Future<Output = ()>>,
    ) -> Verdict {
        let Patience { deadline, departure } = patience;
        let mut departure = pin!(departure);
        let Some(attempt) = offer.attempt() else {
            return self.find_out(offer, authenticators, Patience { deadline, departure }).await;
        };
        let patience = Patience { deadline, departure: departure.as_mut() };
        if let Err(locked_out) = self.lockouts.admit(&attempt, patience).await {
            return Verdict { by: None, outcome: Err(locked_out.into()) };
        }
        // Whoever is banned costs no hash.
        if let Some(refused) = offer.claim_to_be_judged().and_then(|it| self.refusal_of_claim(it)) {
            return Verdict { by: None, outcome: Err(refused) };
        }
        let patience = Patience { deadline, departure };
        let verdict = self.find_out(offer, authenticators, patience).await;
        match &verdict.outcome {
            Ok(_) => self.lockouts.succeeded(&attempt),
            Err(refused) if refused.reason() == ReasonCode::BadUserNameOrPassword => {
                self.lockouts.failed(&attempt);
            }
            Err(_) => {}
        }
        verdict
    }

    /// Tells the audit log of the lock-outs for which it had no place.
    pub(super) fn tell_lockouts_again(&self) {
        self.lockouts.tell_again();
        self.operators.lockouts.tell_again();
        // No client that this thread serves next waits for them.
        let _ = Ticket::take_last_here();
    }

    /// Who is locked out now after failed logins, operators among them.
    #[must_use]
    pub fn lockouts(&self) -> Vec<LockedOut> {
        [self.lockouts.list(), self.operators.lockouts.list()].concat()
    }

    /// Lets those in again whom `lift` means, and forgets what they have failed. Says how many
    /// lock-outs that ended.
    pub fn lift_lockout(&self, lift: &Lift) -> usize {
        let lifted = self.lockouts.lift(lift) + self.operators.lockouts.lift(lift);
        tracing::info!(?lift, lifted, "lock-outs lifted");
        lifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditLog, Keys, Settings};
    use crate::keys::MasterKeySource;

    fn strict_log(place: &std::path::Path) -> AuditLog {
        let source = MasterKeySource::File(place.join("master"));
        let (master, _) = source.read_or_make().expect("a master key");
        let directory = place.join("audit");
        let keys = Keys::open_or_make(&directory, &master).expect("keys");
        let settings = Settings { strict: true, ..Settings::default() };
        AuditLog::open(&directory, keys, &settings, Now::read()).expect("a log")
    }

    fn locked_out(user: &str) -> Event {
        let user = Some(user.to_owned());
        Event::LockedOut { user, address: "192.0.2.1".to_owned(), failures: 5, seconds: 60 }
    }

    #[test]
    fn every_lock_out_that_found_no_place_is_told_again_in_its_order() {
        let place = tempfile::tempdir().expect("a directory");
        let log = strict_log(place.path());
        let full = strict_log(&place.path().join("full"));
        full.close();
        let no_place = |event: &Event| full.record(Now::read(), event.clone());
        let mut told = Told::default();
        told.tell(locked_out("first"), no_place);
        told.tell(locked_out("second"), no_place);
        assert!(!told.tell_again(no_place) && told.last.is_none());
        told.tell(locked_out("third"), |event| log.record(Now::read(), event.clone()));
        assert!(told.lost.is_empty());
        assert!(
            log.is_written_within(told.last.expect("a ticket"), std::time::Duration::from_secs(60))
        );
        log.close();
        let text = std::fs::read_to_string(place.path().join("audit/audit.00000001.jsonl"));
        let text = text.expect("a file");
        let at = ["first", "second", "third"].map(|user| text.find(user).expect(user));
        assert!(at.is_sorted(), "{text}");
    }

    #[test]
    fn no_more_than_so_many_lock_outs_wait_to_be_told_again() {
        let place = tempfile::tempdir().expect("a directory");
        let full = strict_log(place.path());
        full.close();
        let mut told = Told::default();
        for number in 0..MOST_LOST + 10 {
            told.tell(locked_out(&number.to_string()), |it| full.record(Now::read(), it.clone()));
        }
        assert_eq!(told.lost.len(), MOST_LOST);
    }
}
