//! How the retained messages are shared.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;

use crate::message::{Message, QoS};
use crate::router::{EXPIRY_SLICE, Retained, Slice};
use crate::topic::{TopicFilterRef, TopicNameRef};

/// The retained messages of the broker.
pub(super) struct RetainedMessages(RwLock<Retained>);

impl fmt::Debug for RetainedMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RetainedMessages").finish_non_exhaustive()
    }
}

/// The store of retained messages is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl RetainedMessages {
    pub(super) fn new(retained: Retained) -> Self {
        Self(RwLock::new(retained))
    }

    /// Keeps `message` in place of any earlier one on its topic; an empty payload only removes that
    /// `[MQTT-3.3.1-5]`, `[MQTT-3.3.1-6]`. Nobody hears that there was no room for one of QoS 0, so
    /// it takes the place of the earlier one even then (3.1.1 `[MQTT-3.3.1-7]`).
    pub(super) fn update(&self, message: &Arc<Message>) -> Result<(), Full> {
        let mut retained = self.0.write();
        if message.payload.is_empty() {
            retained.remove(message.topic.borrowed());
            return Ok(());
        }
        let outcome = retained.set(Arc::clone(message));
        if outcome.is_err() && message.qos == QoS::AtMostOnce {
            retained.remove(message.topic.borrowed());
        }
        outcome.map_err(|_| Full)
    }

    /// Some of those that match and have not expired, at most `limit`, in the order of their topics
    /// after `after`.
    pub(super) fn matching_after(
        &self,
        after: Option<TopicNameRef<'_>>,
        filter: TopicFilterRef<'_>,
        now: Instant,
        limit: usize,
    ) -> Slice {
        self.0.read().matching_after(after, filter, now, limit)
    }

    /// Forgets those that have expired, in slices between which others get their turn.
    pub(super) async fn remove_expired(&self, now: Instant) {
        while self.0.write().remove_expired(now) == EXPIRY_SLICE {
            tokio::task::yield_now().await;
        }
    }

    /// How many there are, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let retained = self.0.read();
        (retained.len(), retained.bytes())
    }
}
