//! Retained messages: the last of each topic, for those who subscribe later (5.0 section 3.3.1.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::search::{self, LevelKey, Seen};
use crate::message::Message;
use crate::topic::{TopicFilterRef, TopicName, TopicNameRef};

/// The most that [`Retained::remove_expired`] removes at once: some milliseconds of work.
pub const EXPIRY_SLICE: usize = 1_024;

/// How many topics are looked at for each message that a slice may hold: a filter that matches next
/// to nothing must not hold up those who publish.
const LOOKED_AT_FOR_ONE: usize = 4;

/// Some of the messages that a filter matches.
#[derive(Debug)]
pub struct Slice {
    /// In the order of their topics.
    pub messages: Vec<Arc<Message>>,
    /// Where the next slice begins; absent after the last.
    pub after: Option<TopicName>,
    /// How many topics were looked at: what the slice has cost.
    pub looked_at: usize,
}

/// At most one message per topic, bounded by number and bytes.
pub struct Retained {
    messages: BTreeMap<LevelKey, Arc<Message>>,
    /// Those that expire, soonest first.
    expiring: BTreeSet<(Instant, TopicName)>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
}

/// Why a message is not retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// There is no room for one more topic.
    #[error("as many messages are retained as broker.max_retained_messages allows")]
    Messages,
    /// There is no room for its bytes.
    #[error("retaining the message would exceed broker.max_retained_bytes")]
    Bytes,
}

impl Retained {
    /// A store of at most `max_messages`, whose [`Message::cost`] is `max_bytes` at most in all.
    #[must_use]
    pub fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            messages: BTreeMap::new(),
            expiring: BTreeSet::new(),
            bytes: 0,
            max_messages,
            max_bytes,
        }
    }

    /// Other bounds, as those of [`Self::new`]. Nothing is forgotten for them: where there is more than
    /// they allow, nothing is added until there is less.
    pub fn set_bounds(&mut self, max_messages: usize, max_bytes: usize) {
        self.max_messages = max_messages;
        self.max_bytes = max_bytes;
    }

    /// Retains `message` in place of what its topic has. One without payload is not retained, and
    /// only removes `[MQTT-3.3.1-6]`, `[MQTT-3.3.1-7]`.
    ///
    /// # Errors
    /// When there is no room. The topic then keeps the message it has.
    pub fn set(&mut self, message: Arc<Message>) -> Result<(), Full> {
        if message.payload.is_empty() {
            self.remove(message.topic.borrowed());
            return Ok(());
        }
        let key = search::level_key(message.topic.borrowed());
        let bytes = self.room_for(self.messages.get(&key), &message)?;
        if let Some(expiry) = message.expiry {
            self.expiring.insert((expiry, message.topic.clone()));
        }
        let replaced = self.messages.insert(key, Arc::clone(&message));
        if let Some(old) = replaced.filter(|old| old.expiry != message.expiry) {
            self.forget_expiry(&old);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// The bytes in use once `new` has taken the place of `old`.
    fn room_for(&self, old: Option<&Arc<Message>>, new: &Message) -> Result<usize, Full> {
        if old.is_none() && self.messages.len() >= self.max_messages {
            return Err(Full::Messages);
        }
        let others = self.bytes - old.map_or(0, |old| old.cost());
        let bytes = others.saturating_add(new.cost());
        if bytes > self.max_bytes { Err(Full::Bytes) } else { Ok(bytes) }
    }

    /// Forgets the message of `topic`, and returns it.
    pub fn remove(&mut self, topic: TopicNameRef<'_>) -> Option<Arc<Message>> {
        let removed = self.messages.remove(&search::level_key(topic))?;
        self.forget_expiry(&removed);
        self.bytes -= removed.cost();
        Some(removed)
    }

    fn forget_expiry(&mut self, message: &Message) {
        if let Some(expiry) = message.expiry {
            self.expiring.remove(&(expiry, message.topic.clone()));
        }
    }

    /// The message of `topic`, expired or not.
    #[must_use]
    pub fn get(&self, topic: TopicNameRef<'_>) -> Option<&Arc<Message>> {
        self.messages.get(&search::level_key(topic))
    }

    /// The live messages of all topics that `filter` matches, level by level in the order of their
    /// topics. Costs what matches, not what is there.
    #[must_use]
    pub fn matching(&self, filter: TopicFilterRef<'_>, now: Instant) -> Vec<Arc<Message>> {
        self.matching_after(None, filter, now, usize::MAX).messages
    }

    /// As [`Self::matching`], in slices: at most `limit` messages, those after the topic `after`. A
    /// slice is short where few topics match among many that might.
    #[must_use]
    pub fn matching_after(
        &self,
        after: Option<TopicNameRef<'_>>,
        filter: TopicFilterRef<'_>,
        now: Instant,
        limit: usize,
    ) -> Slice {
        let mut slice = Slice { messages: Vec::new(), after: None, looked_at: 0 };
        let most = limit.saturating_mul(LOOKED_AT_FOR_ONE);
        for Seen { value: message, matches } in search::Search::new(&self.messages, filter, after) {
            slice.looked_at += 1;
            if matches && !message.is_expired(now) {
                slice.messages.push(Arc::clone(message));
            }
            if slice.messages.len() >= limit || slice.looked_at >= most {
                slice.after = Some(message.topic.clone());
                break;
            }
        }
        slice
    }

    /// Removes messages that have expired, [`EXPIRY_SLICE`] at most, shows each to `seen`, and says how
    /// many.
    pub fn remove_expired(&mut self, now: Instant, mut seen: impl FnMut(&Message)) -> usize {
        for removed in 0..EXPIRY_SLICE {
            let due = self.expiring.first().filter(|(expiry, _)| *expiry <= now);
            let Some((_, topic)) = due.cloned() else { return removed };
            if let Some(removed) = self.remove(topic.borrowed()) {
                seen(&removed);
            }
        }
        EXPIRY_SLICE
    }

    /// How many messages are retained, expired ones included until they are removed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing is retained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The cost of all that is retained, in bytes as [`Message::cost`] counts them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::message::QoS;
    use crate::topic;

    fn message(topic: &str, size: usize, expiry: Option<Instant>) -> Arc<Message> {
        Arc::new(Message {
            topic: TopicName::parse(topic).expect("a name"),
            payload: Bytes::from(vec![b'x'; size]),
            properties: Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: true,
            expiry,
            arrived: None,
            publisher: None,
            trace: None,
        })
    }

    fn filter(text: &str) -> TopicFilterRef<'_> {
        TopicFilterRef::parse(text).expect("a filter")
    }

    fn topics(messages: &[Arc<Message>]) -> Vec<&str> {
        messages.iter().map(|message| message.topic.as_str()).collect()
    }

    #[test]
    fn a_full_store_still_replaces_and_removes() {
        let mut store = Retained::new(2, 1_000);
        assert_eq!(store.set(message("a", 100, None)), Ok(()));
        assert_eq!(store.set(message("b", 100, None)), Ok(()));
        assert_eq!(store.set(message("c", 1, None)), Err(Full::Messages));
        assert_eq!(store.set(message("a", 700, None)), Err(Full::Bytes));
        let kept = store.get(TopicNameRef::parse("a").expect("a name"));
        assert_eq!(kept.map(|message| message.payload.len()), Some(100));
        assert_eq!(store.set(message("a", 600, None)), Ok(()));
        assert_eq!(store.set(message("b", 0, None)), Ok(()));
        assert_eq!((store.len(), store.bytes()), (1, 1 + 600 + 128));
    }

    #[test]
    fn siblings_whose_names_sort_before_a_slash_do_not_hide_what_lies_below() {
        let now = Instant::now();
        let mut store = Retained::new(10, 10_000);
        for topic in ["a", "a-b", "a/b", "a b/c", "a/b/c", "$a/b", "b"] {
            store.set(message(topic, 1, None)).expect("room");
        }
        assert_eq!(topics(&store.matching(filter("a/#"), now)), ["a", "a/b", "a/b/c"]);
        assert_eq!(topics(&store.matching(filter("+"), now)), ["a", "a-b", "b"]);
        assert_eq!(topics(&store.matching(filter("+/b"), now)), ["a/b"]);
        assert_eq!(topics(&store.matching(filter("$a/+"), now)), ["$a/b"]);
        assert_eq!(store.matching(filter("#"), now).len(), 6);
    }

    #[test]
    fn slices_together_are_the_whole() {
        let now = Instant::now();
        let mut store = Retained::new(1_000, 1_000_000);
        for n in 0..100 {
            store.set(message(&format!("a/{n}/b"), 1, None)).expect("room");
            store.set(message(&format!("a/{n}/c"), 1, None)).expect("room");
        }
        let wanted = filter("a/+/b");
        let found = in_slices(&store, wanted, now, 7).concat();
        assert_eq!(topics(&found), topics(&store.matching(wanted, now)));
        assert_eq!(found.len(), 100);
    }

    #[test]
    fn a_filter_that_matches_next_to_nothing_is_searched_in_slices_too() {
        let now = Instant::now();
        let mut store = Retained::new(10_000, 10_000_000);
        for n in 0..5_000 {
            store.set(message(&format!("{n}/a"), 1, None)).expect("room");
        }
        store.set(message("4999/b", 1, None)).expect("room");
        let slices = in_slices(&store, filter("+/b"), now, 10);
        assert!(slices.len() >= 5_000 / (10 * LOOKED_AT_FOR_ONE), "{} slices", slices.len());
        assert_eq!(topics(&slices.concat()), ["4999/b"]);
    }

    fn in_slices(
        store: &Retained,
        wanted: TopicFilterRef<'_>,
        now: Instant,
        limit: usize,
    ) -> Vec<Vec<Arc<Message>>> {
        let mut after = None::<TopicName>;
        let mut slices = Vec::new();
        loop {
            let from = after.as_ref().map(TopicName::borrowed);
            let slice = store.matching_after(from, wanted, now, limit);
            assert!(slice.looked_at <= limit * LOOKED_AT_FOR_ONE);
            slices.push(slice.messages);
            after = slice.after;
            if after.is_none() {
                return slices;
            }
        }
    }

    #[test]
    fn the_expired_are_removed_slice_by_slice() {
        let now = Instant::now();
        let soon = now + Duration::from_secs(1);
        let mut store = Retained::new(10_000, 10_000_000);
        for n in 0..EXPIRY_SLICE + 5 {
            store.set(message(&format!("t/{n}"), 1, Some(soon))).expect("room");
        }
        store.set(message("for ever", 1, None)).expect("room");
        assert_eq!(store.remove_expired(now, |_| ()), 0);
        assert_eq!(store.remove_expired(soon, |_| ()), EXPIRY_SLICE);
        assert_eq!(store.remove_expired(soon, |_| ()), 5);
        assert_eq!((store.len(), store.remove_expired(soon, |_| ())), (1, 0));
    }

    #[test]
    fn a_replaced_message_takes_its_expiry_along() {
        let now = Instant::now();
        let mut store = Retained::new(10, 10_000);
        store.set(message("a", 1, Some(now))).expect("room");
        store.set(message("a", 1, None)).expect("room");
        assert_eq!((store.remove_expired(now, |_| ()), store.len()), (0, 1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(String, usize, Option<u64>),
        Remove(String),
        Match(String, u64),
        Expire(u64),
    }

    fn texts(any: &'static str) -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "", "$x", "a-", "\u{1}", "é", any]);
        prop::collection::vec(level, 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("a topic is not empty", |text| !text.is_empty())
    }

    fn filters() -> impl Strategy<Value = String> {
        (texts("+"), 0..3).prop_map(|(text, hash)| match hash {
            0 => format!("{text}/#"),
            1 => "#".to_owned(),
            _ => text,
        })
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => (texts("c"), 0..300usize, prop::option::of(0..5u64))
                .prop_map(|(topic, size, expiry)| Step::Set(topic, size, expiry)),
            1 => texts("c").prop_map(Step::Remove),
            3 => (filters(), 0..5u64).prop_map(|(filter, now)| Step::Match(filter, now)),
            1 => (0..5u64).prop_map(Step::Expire),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        #[test]
        fn the_store_does_what_a_naive_list_does(steps in steps()) {
            let start = Instant::now();
            let at = |seconds| start + Duration::from_secs(seconds);
            let (max_messages, max_bytes) = (20, 4_000);
            let mut store = Retained::new(max_messages, max_bytes);
            let mut model = Vec::<Arc<Message>>::new();
            for step in steps {
                match step {
                    Step::Set(topic, size, expiry) => {
                        let new = message(&topic, size, expiry.map(at));
                        let mut others = model.clone();
                        others.retain(|message| message.topic != new.topic);
                        if size > 0 {
                            others.push(Arc::clone(&new));
                        }
                        let bytes = others.iter().map(|message| message.cost()).sum::<usize>();
                        let fits = others.len() <= max_messages && bytes <= max_bytes;
                        prop_assert_eq!(store.set(new).is_ok(), fits);
                        if fits {
                            model = others;
                        }
                    }
                    Step::Remove(topic) => {
                        let name = TopicNameRef::parse(&topic).expect("a name");
                        let there = model.iter().any(|message| message.topic.as_str() == topic);
                        prop_assert_eq!(store.get(name).is_some(), there);
                        prop_assert_eq!(store.remove(name).is_some(), there);
                        model.retain(|message| message.topic.as_str() != topic);
                    }
                    Step::Match(text, now) => {
                        let live = model.iter().filter(|message| {
                            !message.is_expired(at(now))
                                && topic::matches(filter(&text), message.topic.borrowed())
                        });
                        let mut expected = live.map(|live| live.topic.as_str()).collect::<Vec<_>>();
                        expected.sort_unstable_by_key(|topic| topic.replace('/', "\0"));
                        let found = store.matching(filter(&text), at(now));
                        prop_assert_eq!(topics(&found), expected);
                    }
                    Step::Expire(now) => {
                        let before = model.len();
                        model.retain(|message| !message.is_expired(at(now)));
                        prop_assert_eq!(store.remove_expired(at(now), |_| ()), before - model.len());
                    }
                }
                prop_assert_eq!(store.len(), model.len());
                let bytes = model.iter().map(|message| message.cost()).sum::<usize>();
                prop_assert_eq!(store.bytes(), bytes);
            }
        }
    }
}
