//! What has been found out about the latest topics of one connection.

use std::hash::BuildHasher;

use crate::topic::TopicName;

/// Slots of a memo that remembers something.
const FEWEST_SLOTS: usize = 8;
/// Of so many questions at least one must be about a topic that is known, or remembering costs more
/// than it saves.
const WORTHWHILE: usize = 8;
/// For so many rounds of questions nothing is remembered then.
const PAUSE: usize = 16;

/// One value per topic, for the topics of late. Each topic has one slot, where it takes the place of
/// whichever topic was there before. Empty, it takes no memory; it doubles while topics keep
/// displacing each other, up to a bound. A connection that goes round more topics than that has all
/// of them displaced before they come again: its memo then rests for a while, and touches no memory
/// in vain.
#[derive(Debug)]
pub(super) struct TopicMemo<V, const MOST_SLOTS: usize> {
    slots: Vec<Option<(TopicName, V)>>,
    /// Of the last question: mostly it is that of the next one, too.
    last: Last,
    /// How often a topic has displaced another since the memo grew.
    displaced: usize,
    /// Questions since the last look at whether it is worthwhile, and how many topics were known.
    asked: usize,
    known: usize,
    /// How many more questions are not remembered, and what the last one of them was about.
    resting: usize,
    passing: Option<(TopicName, V)>,
    hasher: foldhash::fast::RandomState,
}

#[derive(Clone, Copy, Debug)]
enum Last {
    Slot(usize),
    Passing,
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
        Self {
            slots: Vec::new(),
            last: Last::Passing,
            displaced: 0,
            asked: 0,
            known: 0,
            resting: 0,
            passing: None,
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

impl<V: Default, const MOST_SLOTS: usize> TopicMemo<V, MOST_SLOTS> {
    /// What is remembered of `topic`, which is remembered from now on.
    pub(super) fn recall(&mut self, topic: &TopicName) -> Recalled<'_, V> {
        let is_last = self.is_last(topic);
        if !is_last {
            self.last = self.place(topic);
        }
        let (slot, is_kept) = match self.last {
            Last::Slot(place) => (&mut self.slots[place], true),
            Last::Passing => (&mut self.passing, false),
        };
        let is_empty = slot.is_none();
        let (known, value) = slot.get_or_insert_with(|| (topic.clone(), V::default()));
        if is_last {
            return Recalled::Known(value);
        }
        if !is_empty && known == topic {
            self.known += usize::from(is_kept);
            return Recalled::Known(value);
        }
        if !is_empty {
            self.displaced += usize::from(is_kept);
            *known = topic.clone();
        }
        Recalled::Displaced(value)
    }

    /// Whether it was asked for just before.
    pub(super) fn is_last(&self, topic: &TopicName) -> bool {
        let slot = match self.last {
            Last::Slot(place) => self.slots.get(place).and_then(Option::as_ref),
            Last::Passing => self.passing.as_ref(),
        };
        slot.is_some_and(|(last, _)| last.is_clone_of(topic))
    }

    fn place(&mut self, topic: &TopicName) -> Last {
        if self.resting > 0 {
            self.resting -= 1;
            return Last::Passing;
        }
        if self.displaced >= self.slots.len() && self.slots.len() < MOST_SLOTS {
            self.grow();
        }
        self.asked += 1;
        if self.asked > MOST_SLOTS {
            let is_worthwhile = self.known >= MOST_SLOTS / WORTHWHILE;
            self.resting = if is_worthwhile { 0 } else { MOST_SLOTS * PAUSE };
            (self.asked, self.known) = (0, 0);
        }
        Last::Slot(self.hash(topic) & (self.slots.len() - 1))
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

    /// Every topic that something is remembered of.
    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.slots.iter().chain([&self.passing]).flatten().map(|(topic, _)| topic)
    }

    #[cfg(test)]
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.iter().chain([&self.passing]).flatten().map(|(_, value)| value)
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
    fn it_grows_while_topics_displace_each_other_and_no_further() {
        let mut memo = Memo::default();
        for number in [0; 1_000] {
            ask(&mut memo, number);
        }
        assert_eq!(memo.slots.len(), FEWEST_SLOTS);
        for number in (0..200).cycle().take(10_000) {
            ask(&mut memo, number);
        }
        assert_eq!(memo.slots.len(), 64);
    }

    #[test]
    fn more_topics_than_there_is_room_for_are_never_confused() {
        let mut memo = Memo::default();
        for number in (0..200).cycle().take(10_000) {
            ask(&mut memo, number);
            assert!(ask(&mut memo, number));
        }
    }

    #[test]
    fn a_memo_that_remembers_in_vain_rests_and_then_tries_again() {
        let mut memo = Memo::default();
        let mut in_turn = (0..200).cycle();
        while memo.resting == 0 {
            ask(&mut memo, in_turn.next().expect("endless"));
        }
        let resting = (0..10_000).take_while(|number| {
            ask(&mut memo, number % 7);
            memo.resting > 0
        });
        assert_eq!(resting.count(), 64 * PAUSE - 1);
        // One alone: of several, two may have the same place.
        let known = (0..1_000).filter(|_| ask(&mut memo, 0)).count();
        assert!(known >= 500, "{known}");
    }
}
