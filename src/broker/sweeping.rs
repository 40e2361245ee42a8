//! Messages that have expired while their clients are away, taken out from time to time: they free memory
//! and disk before anybody asks for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::yield_now;
use tokio::time::MissedTickBehavior;

use super::Broker;
use super::registry::Holding;
use super::round::Round;
use crate::identity::ClientId;
use crate::telemetry::DropReason;

/// How often.
const INTERVAL: Duration = Duration::from_secs(60);
/// Messages that are looked at in one go.
const MESSAGES_AT_ONCE: u64 = 1_024;
/// Sessions that are looked at in one go.
const SESSIONS_AT_ONCE: usize = 32;

impl Broker {
    /// Looks for what has expired, every minute. Never returns.
    pub async fn sweep_queues(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.drop_expired(Instant::now()).await;
        }
    }

    /// Takes out what has expired by `now` of all that waits for clients that are away, a few sessions at
    /// a time.
    pub(super) async fn drop_expired(&self, now: Instant) {
        for (number, client_id) in (1..).zip(self.registry.client_ids()) {
            let mut next = Some(0);
            while let Some(from) = next {
                next = self.drop_expired_of(&client_id, from, now);
                if next.is_some() {
                    yield_now().await;
                }
            }
            if number % SESSIONS_AT_ONCE == 0 {
                yield_now().await;
            }
        }
    }

    /// Looks at what has come to a session since `from`, and says where to go on.
    fn drop_expired_of(&self, client_id: &ClientId, from: u64, now: Instant) -> Option<u64> {
        let Some(Holding::Parked(_, key)) = self.registry.holding(client_id.as_str()) else {
            return None;
        };
        let mut round = Round::default();
        let slice = self.registry.with_parked(client_id, key, |parked| {
            parked.session.mailbox.take_expired(from, MESSAGES_AT_ONCE, now)
        })?;
        self.counts.dropped(DropReason::Expired, slice.removed.len());
        slice.removed.iter().for_each(|entry| round.drop_kept(key, entry.kept()));
        self.finish_round(&mut round);
        slice.next
    }
}
