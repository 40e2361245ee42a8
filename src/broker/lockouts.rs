//! Lock-out of those who fail to log in again and again: the engine, with the clock, the log and the
//! counters around it.

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

/// Who has failed to log in, and may not try again yet.
#[derive(Debug)]
pub(super) struct Lockouts {
    engine: Mutex<Lockout>,
    /// The last of them that a strict audit log was told of.
    told: Mutex<Option<Told>>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Told {
    ticket: Ticket,
    event: Event,
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
                user: user.as_deref().map(|user| excerpt(user).to_string()),
                address: origin.to_string(),
                failures,
                seconds: until.saturating_duration_since(now).as_secs(),
            };
            if let Some(ticket) = self.counts.audit(event) {
                *self.told.lock() = Some(Told { ticket, event: event() });
            }
        }
    }

    /// Whether a strict audit log has on disk by then whom there is to refuse: nobody is, before that.
    pub(super) async fn are_written_by(&self, deadline: Instant) -> bool {
        let ticket = self.told.lock().as_mut().map(|Told { ticket, event }| {
            // There was no place for it: it is told again.
            if ticket.is_lost()
                && let Some(again) = self.counts.audit(|| event.clone())
            {
                *ticket = again;
            }
            *ticket
        });
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
