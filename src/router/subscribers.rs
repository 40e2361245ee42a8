//! Who subscribes to one filter: usually one session, sometimes all of them.

use std::collections::BTreeMap;

use super::subscription::{Recipient, Subscriber};
use crate::message::SessionKey;

/// The subscribers of one filter, each session at most once, in the order of their keys.
#[derive(Default)]
pub(super) enum Subscribers<R> {
    #[default]
    None,
    One(Subscriber<R>),
    /// Ordered, so that a topic which everybody subscribes to costs a logarithm per change.
    #[allow(clippy::box_collection, reason = "a lone subscriber shall take 16 bytes, not 32")]
    Many(Box<BTreeMap<SessionKey, Subscriber<R>>>),
}

impl<R: Recipient> Subscribers<R> {
    /// Adds `subscriber` in place of what its session had. True: it had nothing.
    pub(super) fn insert(&mut self, subscriber: Subscriber<R>) -> bool {
        let key = subscriber.recipient.key();
        match std::mem::take(self) {
            Self::None => {
                *self = Self::One(subscriber);
                true
            }
            Self::One(other) if other.recipient.key() == key => {
                *self = Self::One(subscriber);
                false
            }
            Self::One(other) => {
                let pair = [(other.recipient.key(), other), (key, subscriber)];
                *self = Self::Many(Box::new(BTreeMap::from(pair)));
                true
            }
            Self::Many(mut all) => {
                let is_new = all.insert(key, subscriber).is_none();
                *self = Self::Many(all);
                is_new
            }
        }
    }

    /// Removes what `session` has. False: it has nothing.
    pub(super) fn remove(&mut self, session: SessionKey) -> bool {
        match self {
            Self::One(subscriber) if subscriber.recipient.key() == session => {
                *self = Self::None;
                true
            }
            Self::None | Self::One(_) => false,
            Self::Many(all) => {
                let was_there = all.remove(&session).is_some();
                if all.len() == 1 {
                    *self = all.pop_first().map_or(Self::None, |(_, last)| Self::One(last));
                }
                was_there
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn for_each(&self, visit: impl FnMut(&Subscriber<R>)) {
        match self {
            Self::None => {}
            Self::One(subscriber) => std::iter::once(subscriber).for_each(visit),
            Self::Many(all) => all.values().for_each(visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::router::Grant;

    #[test]
    fn a_lone_subscriber_takes_16_bytes() {
        assert_eq!(size_of::<Subscribers<Arc<()>>>(), 16);
    }

    #[test]
    fn the_last_of_many_is_one_again() {
        let mut subscribers = Subscribers::None;
        let of = |key| Subscriber { recipient: SessionKey(key), grant: Grant::default() };
        assert!((0..100).all(|key| subscribers.insert(of(key))));
        assert!(!subscribers.insert(of(50)));
        assert!(!subscribers.remove(SessionKey(100)));
        assert!((1..100).all(|key| subscribers.remove(SessionKey(key))));
        assert!(matches!(&subscribers, Subscribers::One(last) if last.recipient == SessionKey(0)));
        assert!(subscribers.remove(SessionKey(0)) && subscribers.is_empty());
    }
}
