//! What has been found out about the latest topics of one connection.

use std::hash::BuildHasher;

use crate::topic::TopicName;

/// Slots of a memo that remembers something.
const FEWEST_SLOTS: usize = 8;

/// One value per topic, for the topics of late. Each topic has one slot, where it takes the place of
/// whichever topic was there before: so a connection that goes round more topics than are remembered
/// pays one comparison for each, and nothing for forgetting. Empty, it takes no memory; it doubles
/// while topics keep displacing each other, up to a bound.
#[derive(Debug)]
pub(super) struct TopicMemo<V, const MOST_SLOTS: usize> {
    slots: Vec<Option<(TopicName, V)>>,
    /// Where the topic of the last question is: mostly it is that of the next one, too.
    last: usize,
    /// How often a topic has displaced another since the memo grew.
    displaced: usize,
    hasher: foldhash::fast::RandomState,
}

/// What is remembered of a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recalled<'a, V> {
    /// What was written here when the topic was last asked for.
    Known(&'a mut V),
    /// Nothing: this is of another topic, or the default, and to be overwritten.
    Displaced(&'a mut V),
}

impl<V, const MOST_SLOTS: usize> Default for TopicMemo<V, MOST_SLOTS> {
    fn default() -> Self {
        Self { slots: Vec::new(), last: 0, displaced: 0, hasher: Default::default() }
    }
}

impl<V: Default, const MOST_SLOTS: usize> TopicMemo<V, MOST_SLOTS> {
    /// What is remembered of `topic`, which is remembered from now on.
    pub(super) fn recall(&mut self, topic: &TopicName) -> Recalled<'_, V> {
        if !self.is_last(topic) {
            self.last = self.place(topic);
        }
        let slot = &mut self.slots[self.last];
        let is_empty = slot.is_none();
        let (known, value) = slot.get_or_insert_with(|| (topic.clone(), V::default()));
        if is_empty {
            Recalled::Displaced(value)
        } else if known == topic {
            Recalled::Known(value)
        } else {
            self.displaced += 1;
            *known = topic.clone();
            Recalled::Displaced(value)
        }
    }

    /// Whether it was asked for just before.
    pub(super) fn is_last(&self, topic: &TopicName) -> bool {
        matches!(self.slots.get(self.last), Some(Some((last, _))) if last.is_clone_of(topic))
    }

    fn place(&mut self, topic: &TopicName) -> usize {
        if self.displaced >= self.slots.len() && self.slots.len() < MOST_SLOTS {
            self.grow();
        }
        self.hash(topic) & (self.slots.len() - 1)
    }

    fn hash(&self, topic: &TopicName) -> usize {
        self.hasher.hash_one(topic) as usize
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).clamp(FEWEST_SLOTS, MOST_SLOTS);
        let slots = std::mem::take(&mut self.slots);
        self.slots.resize_with(size, || None);
        self.displaced = 0;
        for (topic, value) in slots.into_iter().flatten() {
            let place = self.hash(&topic) & (size - 1);
            self.slots[place] = Some((topic, value));
        }
    }

    #[cfg(test)]
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().flatten().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Memo = TopicMemo<u32, 64>;

    fn topic(number: u32) -> TopicName {
        TopicName::parse(&format!("t/{number}")).expect("a topic")
    }

    /// Asks for a topic, and whether what it was told before is still known.
    fn ask(memo: &mut Memo, number: u32) -> bool {
        match memo.recall(&topic(number)) {
            Recalled::Known(value) => {
                assert_eq!(*value, number, "told of another topic");
                true
            }
            Recalled::Displaced(value) => {
                *value = number;
                false
            }
        }
    }

    #[test]
    fn an_empty_memo_takes_no_memory() {
        assert_eq!(Memo::default().slots.capacity(), 0);
    }

    #[test]
    fn a_few_topics_in_turn_are_soon_all_known() {
        let mut memo = Memo::default();
        let known = |memo: &mut Memo| (0..8).filter(|number| ask(memo, *number)).count();
        let rounds = (0..1_000).take_while(|_| known(&mut memo) < 8).count();
        assert!(rounds < 1_000 || memo.slots.len() == 64, "{} slots", memo.slots.len());
        assert!(memo.slots.len() <= 64);
    }

    #[test]
    fn more_topics_than_there_is_room_for_are_never_confused() {
        let mut memo = Memo::default();
        for number in (0..200).cycle().take(10_000) {
            ask(&mut memo, number);
            assert!(ask(&mut memo, number));
        }
        assert_eq!(memo.slots.len(), 64);
    }
}
