//! Wildcard search in a map that is ordered by topic level.
//!
//! A key is a topic with NUL for each `/`. No topic holds a NUL, and nothing sorts before it, so
//! that whatever lies below a topic follows it without a gap. The search walks the keys in their
//! order and leaps over every stretch in which nothing can match.

use std::cmp::Ordering;
use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;
use std::ops::Bound;

use crate::topic::{TopicFilterRef, TopicNameRef};

/// A topic with NUL between its levels.
pub(super) type LevelKey = Box<str>;

const SEPARATOR: char = '\0';
/// The first character after NUL: with it at the end, a key is past all that lies below.
const PAST: &str = "\u{1}";
/// The first key after those of `$` topics.
const PAST_RESERVED: &str = "%";
/// Up to this many steps are cheaper than one search from the root of the map.
const STRIDE: usize = 8;

/// The key of `topic`.
pub(super) fn level_key(topic: TopicNameRef<'_>) -> LevelKey {
    topic.as_str().replace('/', "\0").into_boxed_str()
}

/// The values of all topics that a filter matches, in the order of their keys, and of those that it
/// had to look at in between.
pub(super) struct Search<'a, 'f, V> {
    map: &'a BTreeMap<LevelKey, V>,
    ahead: Peekable<btree_map::Range<'a, LevelKey, V>>,
    filter: TopicFilterRef<'f>,
    /// Where to leap to: kept, so that a leap allocates nothing.
    target: String,
}

/// What a key means for the search.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Matches,
    /// Neither it nor anything before the target matches.
    Leap,
    /// Neither it nor anything after it matches.
    Finished,
}

impl<'a, 'f, V> Search<'a, 'f, V> {
    /// Searches for `filter` (or what it shares), past the topic `after` where one is given.
    pub(super) fn new(
        map: &'a BTreeMap<LevelKey, V>,
        filter: TopicFilterRef<'f>,
        after: Option<TopicNameRef<'_>>,
    ) -> Self {
        let after = after.map(level_key);
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let ahead = map.range::<str, _>((from, Bound::Unbounded)).peekable();
        Self { map, ahead, filter: filter.unshared(), target: String::new() }
    }

    fn leap(&mut self) {
        let target = self.target.as_str();
        for _ in 0..STRIDE {
            if self.ahead.next_if(|(key, _)| &***key < target).is_none() {
                return;
            }
        }
        let rest = (Bound::Included(target), Bound::Unbounded);
        self.ahead = self.map.range::<str, _>(rest).peekable();
    }
}

/// One value that a search has looked at.
pub(super) struct Seen<'a, V> {
    pub(super) value: &'a V,
    pub(super) matches: bool,
}

/// Each step is little work; only the filter and the topics decide how many lead to a match.
impl<'a, V> Iterator for Search<'a, '_, V> {
    type Item = Seen<'a, V>;

    fn next(&mut self) -> Option<Seen<'a, V>> {
        let &(key, value) = self.ahead.peek()?;
        let matches = match judge(self.filter, key, &mut self.target) {
            Verdict::Matches => self.ahead.next().is_some(),
            Verdict::Leap => {
                self.leap();
                false
            }
            Verdict::Finished => return None,
        };
        Some(Seen { value, matches })
    }
}

/// Compares `key` with `filter` level by level. For a leap, `target` becomes a key past this one
/// that nothing between the two matches.
fn judge(filter: TopicFilterRef<'_>, key: &str, target: &mut String) -> Verdict {
    if key.starts_with('$') && filter.as_str().starts_with(['+', '#']) {
        return leap(target, PAST_RESERVED, "");
    }
    let mut levels = key.split(SEPARATOR);
    let mut start = 0;
    // The part of the key that ends with the last level taken by a `+`.
    let mut last_choice = None;
    for wanted in filter.levels() {
        if wanted == "#" {
            return Verdict::Matches;
        }
        let Some(level) = levels.next() else {
            return leap(target, key, "\0");
        };
        let end = start + level.len();
        if wanted == "+" {
            last_choice = Some(&key[..end]);
        } else {
            match level.cmp(wanted) {
                Ordering::Less => return leap(target, &key[..start], beyond(level, wanted)),
                Ordering::Greater => return leap_past(target, last_choice),
                Ordering::Equal => {}
            }
        }
        start = end + SEPARATOR.len_utf8();
    }
    if levels.next().is_none() { Verdict::Matches } else { leap_past(target, last_choice) }
}

/// As much of `wanted` as is surely greater than `level`, and some more: a hostile filter of 64 KiB
/// is not copied for each key.
fn beyond<'f>(level: &str, wanted: &'f str) -> &'f str {
    const MORE: usize = 64;
    &wanted[..wanted.ceil_char_boundary(level.len() + MORE)]
}

fn leap(target: &mut String, start: &str, end: &str) -> Verdict {
    target.clear();
    target.push_str(start);
    target.push_str(end);
    Verdict::Leap
}

/// Everything below this choice of a `+` is done: on to its next choice.
fn leap_past(target: &mut String, last_choice: Option<&str>) -> Verdict {
    last_choice.map_or(Verdict::Finished, |choice| leap(target, choice, PAST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic;

    /// How many keys of `topics` a search for `filter` looks at; it finds what it should.
    fn looked_at(topics: &[&str], filter: &str) -> usize {
        let filter = TopicFilterRef::parse(filter).expect("a filter");
        let map = topics
            .iter()
            .map(|text| (level_key(TopicNameRef::parse(text).expect("a name")), ()))
            .collect::<BTreeMap<_, _>>();
        let mut search = Search::new(&map, filter, None);
        let (mut looked_at, mut found) = (0, 0);
        while let Some((key, ())) = search.ahead.peek() {
            looked_at += 1;
            match judge(filter, key, &mut search.target) {
                Verdict::Matches => {
                    found += 1;
                    search.ahead.next();
                }
                Verdict::Leap => search.leap(),
                Verdict::Finished => break,
            }
        }
        let name = |text| TopicNameRef::parse(text).expect("a name");
        let wanted = topics.iter().filter(|text| topic::matches(filter, name(text)));
        assert_eq!(found, wanted.count(), "{filter}");
        looked_at
    }

    #[test]
    fn a_leap_goes_forward_however_long_the_filter_is() {
        let long = "é".repeat(20_000);
        let filter = format!("+/{long}");
        let filter = TopicFilterRef::parse(&filter).expect("a filter");
        let mut target = String::new();
        for key in ["a", "a\0", "a\0é", "a\0z", "a\0ée"] {
            assert_eq!(judge(filter, key, &mut target), Verdict::Leap, "{key:?}");
            assert!(&*target > key && target.len() < 200, "{key:?} {target:?}");
        }
    }

    #[test]
    fn a_search_looks_at_little_more_than_what_matches() {
        let topics = (0..100)
            .flat_map(|device| (0..100).map(move |value| format!("sensors/{device}/{value:02}")))
            .collect::<Vec<_>>();
        let topics = topics.iter().map(String::as_str).collect::<Vec<_>>();
        assert!(looked_at(&topics, "sensors/7/50") <= 4);
        assert!(looked_at(&topics, "sensors/7/#") <= 104);
        assert!(looked_at(&topics, "sensors/+/50") <= 304);
        assert!(looked_at(&topics, "other/#") <= 2);
        assert!(looked_at(&topics, "zoo/#") <= 2);
    }

    #[test]
    fn topics_of_65_535_levels_are_found_without_recursion() {
        let topic = "/".repeat(65_534);
        assert_eq!(looked_at(&[&topic, "a"], &topic), 1 + 1);
        assert_eq!(looked_at(&[&topic], &format!("{}+", "/".repeat(65_534))), 1);
        assert_eq!(looked_at(&[&topic], "#"), 1);
    }
}
