//! How long the proof of an identity lasts: a connection ends with it, unless whoever has let the client
//! in says again that it may stay.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::clock::Now;
use crate::identity_service::{Answer, Failure, Revalidation};

/// When a client has to prove anew who it is, and when somebody else is asked whether it still may be
/// inside.
#[derive(Debug, Default)]
pub(super) struct Lease {
    ends: Option<Instant>,
    /// Boxed: most leases are of proofs that nobody is asked about.
    renewal: Option<Box<Renewal>>,
}

/// Of a client that is asked about again.
#[derive(Debug)]
struct Renewal {
    /// Until when the last answer counts.
    stale: Instant,
    next: Next,
}

#[derive(Debug)]
enum Next {
    AskAt(Instant),
    Answer(oneshot::Receiver<Reply>),
}

/// What has come of asking.
pub(super) type Reply = Result<Answer, Failure>;

impl Lease {
    /// Until `end`, since the Unix epoch, or until a time that no clock shows.
    pub(super) fn until(now: Now, end: Option<Duration>) -> Self {
        let after = end.map(|end| end.saturating_sub(now.unix));
        Self { ends: after.and_then(|after| now.instant.checked_add(after)), renewal: None }
    }

    /// This one, or `other` where that ends first.
    pub(super) fn or_sooner(mut self, other: Self) -> Self {
        self.ends = self.ends.into_iter().chain(other.ends).min();
        self
    }

    /// The client is asked about again, for the first time after `delay`.
    pub(super) fn renewed_by(mut self, now: Instant, by: &Revalidation, delay: Duration) -> Self {
        let stale = now + by.after + by.max_stale;
        self.renewal = Some(Box::new(Renewal { stale, next: Next::AskAt(now + delay) }));
        self
    }

    /// Where it says anything.
    pub(super) fn if_any(self) -> Option<Box<Self>> {
        (self.ends.is_some() || self.renewal.is_some()).then(|| Box::new(self))
    }

    /// Whether it has ended at `now`, and how.
    pub(super) fn ended(&self, now: Instant) -> Option<Ended> {
        if self.ends.is_some_and(|ends| ends <= now) {
            return Some(Ended::Expired);
        }
        let renewal = self.renewal.as_ref()?;
        (renewal.stale <= now).then_some(Ended::Stale)
    }

    /// When there is something to do for it.
    pub(super) fn due(&self) -> Option<Instant> {
        let renewal = self.renewal.as_ref();
        let stale = renewal.map(|renewal| renewal.stale);
        let next = renewal.and_then(|renewal| match renewal.next {
            Next::AskAt(at) => Some(at),
            Next::Answer(_) => None,
        });
        self.ends.into_iter().chain(stale).chain(next).min()
    }

    /// Where the client is to be asked about at `now`: who waits for the answer.
    pub(super) fn ask(&mut self, now: Instant) -> Option<oneshot::Sender<Reply>> {
        let Renewal { next, .. } = &mut **self.renewal.as_mut()?;
        match next {
            Next::AskAt(at) if *at <= now => {
                let (reply, answer) = oneshot::channel();
                *next = Next::Answer(answer);
                Some(reply)
            }
            Next::AskAt(_) | Next::Answer(_) => None,
        }
    }

    /// What has been answered, once. Whoever takes it says how it goes on.
    pub(super) fn answer(&mut self) -> Option<Reply> {
        let Renewal { next: Next::Answer(answer), .. } = &mut **self.renewal.as_mut()? else {
            return None;
        };
        match answer.try_recv() {
            Ok(reply) => Some(reply),
            Err(TryRecvError::Empty) => None,
            // Whoever was to ask has failed to.
            Err(TryRecvError::Closed) => Some(Err(Failure::Busy)),
        }
    }

    /// Nobody is asked about the client any more: it stays for as long as its proof lasts.
    pub(super) fn ask_no_more(&mut self) {
        self.renewal = None;
    }

    /// There was no answer: the client is asked about again at `at`.
    pub(super) fn retry_at(&mut self, at: Instant) {
        if let Some(renewal) = &mut self.renewal {
            renewal.next = Next::AskAt(at);
        }
    }
}

/// How a lease has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    /// The proof has.
    #[error("its proof has expired")]
    Expired,
    /// Nobody has said for too long that the client may stay.
    #[error("the HTTP service has not said for too long whether it may stay")]
    Stale,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Revalidation = Revalidation {
        after: Duration::from_secs(60),
        max_stale: Duration::from_secs(600),
        retry: Duration::from_secs(10),
        most_at_once: 1,
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_proof_that_lasts_needs_no_lease() {
        let now = Now::read();
        assert!(Lease::until(now, None).if_any().is_none());
        assert!(Lease::until(now, Some(Duration::MAX)).if_any().is_none());
        let lease = Lease::until(now, Some(now.unix + seconds(9)));
        let lease = lease.or_sooner(Lease::until(now, Some(now.unix + seconds(5))));
        let lease = lease.or_sooner(Lease::default()).if_any().expect("one");
        let ends = now.instant + seconds(5);
        assert_eq!((lease.due(), lease.ended(now.instant)), (Some(ends), None));
        assert_eq!(lease.ended(ends), Some(Ended::Expired));
    }

    #[test]
    fn who_is_asked_about_stays_as_long_as_the_last_answer_counts() {
        let now = Now::read();
        let start = now.instant;
        let mut lease = Lease::default().renewed_by(start, &BY, seconds(50));
        assert_eq!(lease.due(), Some(start + seconds(50)));
        assert!(lease.ask(start + seconds(49)).is_none());
        let reply = lease.ask(start + seconds(50)).expect("it is due");
        assert!(lease.ask(start + seconds(50)).is_none(), "it is asked once at a time");
        assert_eq!(lease.due(), Some(start + seconds(660)));
        assert!(lease.answer().is_none());
        reply.send(Err(Failure::Timeout)).expect("it is awaited");
        assert!(matches!(lease.answer(), Some(Err(Failure::Timeout))));
        lease.retry_at(start + seconds(70));
        assert_eq!(lease.due(), Some(start + seconds(70)));
        assert_eq!(lease.ended(start + seconds(659)), None);
        assert_eq!(lease.ended(start + seconds(660)), Some(Ended::Stale));
    }
}
