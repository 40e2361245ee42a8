//! How the retained messages are shared, and kept where there is a store.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;

use super::durable::Keeper;
use crate::message::{Message, QoS};
use crate::router::{EXPIRY_SLICE, Retained, Slice};
use crate::store::Batch;
use crate::topic::{TopicFilterRef, TopicNameRef};

/// The retained messages of the broker. The store has its changes in the order in which they were made
/// here, because they are appended to it under the lock.
pub(super) struct RetainedMessages {
    retained: RwLock<Retained>,
    keeper: Option<Keeper>,
}

impl fmt::Debug for RetainedMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetainedMessages").finish_non_exhaustive()
    }
}

/// A change of the retained messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Updated {
    /// What is to be waited for before anybody is told of it.
    pub(super) waits_for: WaitsFor,
    /// Whether there is a message less now, or another one.
    pub(super) has_overwritten: bool,
}

/// What is to be waited for before anybody is told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    Nothing,
    /// All that the store has been given by now.
    TheStore,
}

/// The store of retained messages is full, or cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl RetainedMessages {
    pub(super) fn new(retained: Retained, keeper: Option<Keeper>) -> Self {
        Self { retained: RwLock::new(retained), keeper }
    }

    /// Other bounds from now on: see [`Retained::set_bounds`].
    pub(super) fn set_bounds(&self, max_messages: usize, max_bytes: usize) {
        self.retained.write().set_bounds(max_messages, max_bytes);
    }

    /// Keeps `message` in place of any earlier one on its topic; an empty payload only removes that
    /// `[MQTT-3.3.1-5]`, `[MQTT-3.3.1-6]`. Nobody hears that there was no room for one of QoS 0, so
    /// it takes the place of the earlier one even then (3.1.1 `[MQTT-3.3.1-7]`).
    pub(super) fn update(&self, message: &Arc<Message>) -> Result<Updated, Full> {
        match self.keeper_of(message) {
            None => {
                let has_overwritten = change(&mut self.retained.write(), message)?;
                Ok(Updated { waits_for: WaitsFor::Nothing, has_overwritten })
            }
            Some(keeper) => self.update_and_keep(message, keeper),
        }
    }

    fn update_and_keep(&self, message: &Arc<Message>, keeper: &Keeper) -> Result<Updated, Full> {
        keeper.admit().map_err(|_| Full)?;
        let topic = message.topic.borrowed();
        // Encoded before the lock is taken.
        let retaining = match message.payload.is_empty() {
            true => Batch::default(),
            false => keeper.retaining(message),
        };
        let mut retained = self.retained.write();
        let had_one = retained.get(topic).is_some();
        let outcome = change(&mut retained, message);
        let has_one = retained.get(topic).is_some();
        if has_one && outcome.is_ok() {
            keeper.keep(retaining);
        } else if had_one && !has_one {
            let mut forgetting = Batch::default();
            keeper.forget(&mut forgetting, topic);
            keeper.keep(forgetting);
        }
        // Where nothing has changed, somebody else's change has made it so, and may still be on its way to
        // the disk.
        let waits_for = WaitsFor::TheStore;
        outcome.map(|has_overwritten| Updated { waits_for, has_overwritten })
    }

    /// What the broker says of itself is not kept: it says it anew.
    fn keeper_of(&self, message: &Message) -> Option<&Keeper> {
        self.keeper.as_ref().filter(|_| message.publisher.is_some())
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
        self.retained.read().matching_after(after, filter, now, limit)
    }

    /// Whether there may be any that matches.
    pub(super) fn has_any(&self, filter: TopicFilterRef<'_>, now: Instant) -> bool {
        let slice = self.matching_after(None, filter, now, 1);
        !slice.messages.is_empty() || slice.after.is_some()
    }

    /// Forgets those that have expired, in slices between which others get their turn.
    pub(super) async fn remove_expired(&self, now: Instant) {
        while self.remove_some_expired(now) == EXPIRY_SLICE {
            tokio::task::yield_now().await;
        }
    }

    fn remove_some_expired(&self, now: Instant) -> usize {
        let mut retained = self.retained.write();
        let mut forgetting = Batch::default();
        let removed = retained.remove_expired(now, |message| {
            if let Some(keeper) = self.keeper_of(message) {
                keeper.forget(&mut forgetting, message.topic.borrowed());
            }
        });
        if let Some(keeper) = self.keeper.as_ref().filter(|_| !forgetting.is_empty()) {
            keeper.keep(forgetting);
        }
        removed
    }

    /// How many there are, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let retained = self.retained.read();
        (retained.len(), retained.bytes())
    }
}

/// Whether there is a message less then, or another one.
fn change(retained: &mut Retained, message: &Arc<Message>) -> Result<bool, Full> {
    if message.payload.is_empty() {
        return Ok(retained.remove(message.topic.borrowed()).is_some());
    }
    let before = retained.len();
    let outcome = retained.set(Arc::clone(message));
    if outcome.is_err() && message.qos == QoS::AtMostOnce {
        retained.remove(message.topic.borrowed());
    }
    outcome.map(|()| retained.len() == before).map_err(|_| Full)
}
