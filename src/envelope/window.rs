//! Which sequence numbers of a stream have been seen: a sliding bitmap after RFC 6479.

/// How far behind the highest number a number may be and still be told from a replay.
pub const PLACES: u64 = 1024;

/// One more word than the places take up, so that a word is cleared before it is used again.
pub(super) const WORDS: usize = (PLACES / 64) as usize + 1;

/// How many of the last numbers keep a fingerprint of their envelope.
const RECENT: usize = 64;

/// The window of one stream.
#[derive(Clone, Debug)]
pub(super) struct Window {
    highest: u64,
    seen: [u64; WORDS],
    /// Of the last numbers; 0 where it is not known.
    fingerprints: [u32; RECENT],
}

/// What a window knows of a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has not been seen.
    New,
    /// It has been seen, in an envelope of this fingerprint where that is known.
    Seen(Option<u32>),
    /// It is left of the window: it may have been seen.
    Forgotten,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { highest: 0, seen: [0; WORDS], fingerprints: [0; RECENT] }
    }

    /// One that has seen what an exported one had.
    pub(super) fn restored(highest: u64, seen: [u64; WORDS]) -> Self {
        Self { highest, seen, ..Self::new() }
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    pub(super) fn seen(&self) -> &[u64; WORDS] {
        &self.seen
    }

    /// What is known of `seq`, which is not 0.
    pub(super) fn look(&self, seq: u64) -> Place {
        if seq > self.highest {
            return Place::New;
        }
        if self.highest - seq >= PLACES {
            return Place::Forgotten;
        }
        if self.seen[word(seq)] & bit(seq) == 0 {
            return Place::New;
        }
        let fingerprint = self.is_recent(seq).then_some(self.fingerprints[recent(seq)]);
        Place::Seen(fingerprint.filter(|fingerprint| *fingerprint != 0))
    }

    /// Notes that `seq` has been seen, in an envelope of that fingerprint where that is known. The
    /// window never moves back.
    pub(super) fn mark(&mut self, seq: u64, fingerprint: Option<u32>) {
        if seq > self.highest {
            self.advance(seq);
        }
        if self.highest - seq >= PLACES {
            return;
        }
        self.seen[word(seq)] |= bit(seq);
        if self.is_recent(seq) {
            self.fingerprints[recent(seq)] = fingerprint.unwrap_or(0);
        }
    }

    /// Notes all that `other` has seen.
    pub(super) fn merge(&mut self, other: &Self) {
        let oldest = other.highest.saturating_sub(PLACES - 1).max(1);
        for seq in oldest..=other.highest {
            if other.look(seq) != Place::New && self.look(seq) == Place::New {
                self.mark(seq, None);
            }
        }
        if other.highest > self.highest {
            self.advance(other.highest);
        }
    }

    /// Clears the words that come into use.
    fn advance(&mut self, to: u64) {
        let new_words = (to / 64 - self.highest / 64).min(WORDS as u64);
        for step in 0..new_words {
            self.seen[word(to - step * 64)] = 0;
        }
        self.highest = to;
    }

    fn is_recent(&self, seq: u64) -> bool {
        self.highest - seq < RECENT as u64
    }
}

fn word(seq: u64) -> usize {
    (seq / 64 % WORDS as u64) as usize
}

fn bit(seq: u64) -> u64 {
    1 << (seq % 64)
}

fn recent(seq: u64) -> usize {
    (seq % RECENT as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_new_once() {
        let mut window = Window::new();
        for seq in [1, 5, 3, 1_000, 1_024] {
            assert_eq!(window.look(seq), Place::New, "{seq}");
            window.mark(seq, Some(7));
            assert!(matches!(window.look(seq), Place::Seen(_)), "{seq}");
        }
        assert_eq!(window.look(2), Place::New);
    }

    #[test]
    fn what_is_1024_behind_is_forgotten() {
        let mut window = Window::new();
        window.mark(5_000, None);
        assert_eq!(window.look(5_000 - 1_023), Place::New);
        assert_eq!(window.look(5_000 - 1_024), Place::Forgotten);
        window.mark(5_000 - 1_024, None);
        assert_eq!(window.look(5_000 - 1_023), Place::New);
    }

    #[test]
    fn a_jump_to_the_end_forgets_everything_and_breaks_nothing() {
        let mut window = Window::new();
        (1..=2_000).for_each(|seq| window.mark(seq, None));
        window.mark(u64::MAX, None);
        assert_eq!(window.look(u64::MAX), Place::Seen(None));
        assert_eq!(window.look(u64::MAX - 1), Place::New);
        assert_eq!(window.look(2_000), Place::Forgotten);
    }

    #[test]
    fn fingerprints_are_of_the_last_64_numbers() {
        let mut window = Window::new();
        (1..=200).for_each(|seq| window.mark(seq, Some(seq as u32)));
        assert_eq!(window.look(200), Place::Seen(Some(200)));
        assert_eq!(window.look(137), Place::Seen(Some(137)));
        assert_eq!(window.look(136), Place::Seen(None));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set(steps in prop::collection::vec((0_u64..400, any::<bool>()), 1..300)) {
            let (mut window, mut seen, mut highest) = (Window::new(), BTreeSet::new(), 0_u64);
            for (step, back) in steps {
                let seq = if back { highest.saturating_sub(step * 4).max(1) } else { highest + step + 1 };
                let expected = match () {
                    () if highest >= seq && highest - seq >= PLACES => Place::Forgotten,
                    () if seen.contains(&seq) => Place::Seen(None),
                    () => Place::New,
                };
                prop_assert_eq!(window.look(seq), expected);
                if expected == Place::New {
                    window.mark(seq, None);
                    seen.insert(seq);
                    highest = highest.max(seq);
                }
            }
        }

        #[test]
        fn merging_is_having_seen_both(
            ones in prop::collection::vec(1_u64..3_000, 0..200),
            others in prop::collection::vec(1_u64..3_000, 0..200),
        ) {
            let window_of = |seqs: &[u64]| {
                let mut window = Window::new();
                seqs.iter().for_each(|seq| window.mark(*seq, None));
                window
            };
            let (mut one, other) = (window_of(&ones), window_of(&others));
            one.merge(&other);
            let both = window_of(&[ones, others].concat());
            for seq in 1..3_000 {
                prop_assert_eq!(one.look(seq), both.look(seq), "{}", seq);
            }
        }
    }
}
