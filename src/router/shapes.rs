//! The shapes of wildcard filters: where their wildcards are, whatever their texts.
//!
//! Filters are many, but their shapes are few: `devices/+/state` and `meters/+/state` have the same
//! one. Of all filters of a shape, one text alone can match a given topic, so that one hash lookup
//! per shape finds what a walk through a tree finds in many.

use std::ops::Range;

use foldhash::{HashMap, HashMapExt};
use smallvec::SmallVec;

use crate::topic::{TopicFilterRef, TopicNameRef};

/// Shapes that are looked up one by one: for more of them, a tree is quicker.
const MOST_LISTED: usize = 16;

/// A filter as bytes.
pub(super) type Text = SmallVec<[u8; 128]>;

/// Where a filter has its wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// Bit by bit, which levels are `+`.
    plus: u64,
    /// How many levels there are, a last `#` not counted.
    levels: u8,
    ends_in_hash: bool,
}

impl Shape {
    /// The shape of `filter`, if it has no more levels than a shape can tell.
    pub(super) fn of(filter: TopicFilterRef<'_>) -> Option<Self> {
        let mut shape = Self { plus: 0, levels: 0, ends_in_hash: false };
        for level in filter.levels() {
            match level {
                "#" => shape.ends_in_hash = true,
                _ if u32::from(shape.levels) == u64::BITS => return None,
                level => {
                    shape.plus |= u64::from(level == "+") << shape.levels;
                    shape.levels += 1;
                }
            }
        }
        Some(shape)
    }

    /// Whether a filter of this shape can match `topic` at all.
    fn admits(self, topic: &Levels<'_>) -> bool {
        let begins_with_wildcard = self.levels == 0 || self.plus & 1 == 1;
        let levels = usize::from(self.levels);
        // `#` matches the level above it, too [MQTT-4.7.1-2].
        let has_length = topic.count == levels || self.ends_in_hash && topic.count > levels;
        // `$` topics are for filters that begin with `$` too [MQTT-4.7.2-1].
        has_length && !(begins_with_wildcard && topic.is_reserved)
    }

    /// The only filter of this shape that can match `topic`.
    fn write(self, topic: &Levels<'_>, filter: &mut Text) {
        filter.clear();
        let (mut from, mut plus) = (0, self.plus);
        while plus != 0 {
            let level = topic.place(plus.trailing_zeros() as usize);
            filter.extend_from_slice(&topic.text[from..level.start]);
            filter.push(b'+');
            from = level.end;
            plus &= plus - 1;
        }
        let levels = usize::from(self.levels);
        let to = levels.checked_sub(1).map_or(0, |last| topic.place(last).end);
        filter.extend_from_slice(&topic.text[from..to]);
        if self.ends_in_hash {
            filter.extend_from_slice(if levels == 0 { b"#" } else { b"/#" });
        }
    }
}

/// A topic, taken apart.
struct Levels<'a> {
    text: &'a [u8],
    /// Where those levels end that a shape can tell.
    ends: SmallVec<[usize; 16]>,
    count: usize,
    is_reserved: bool,
}

impl<'a> Levels<'a> {
    fn of(topic: TopicNameRef<'a>) -> Self {
        let text = topic.as_str().as_bytes();
        let slashes = text.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let (mut ends, mut count) = (SmallVec::new(), 0);
        for end in slashes.map(|(place, _)| place).chain([text.len()]) {
            count += 1;
            if count <= u64::BITS as usize {
                ends.push(end);
            }
        }
        Self { text, ends, count, is_reserved: topic.is_reserved() }
    }

    /// Where a level is.
    fn place(&self, level: usize) -> Range<usize> {
        let start = level.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
        start..self.ends[level]
    }
}

/// The shapes of all filters of an index, each with the number of its filters. A shape stays listed,
/// or stays out, as long as there is a filter of it.
pub(super) struct Shapes {
    listed: Vec<(Shape, usize)>,
    others: HashMap<Shape, usize>,
}

impl Shapes {
    pub(super) fn new() -> Self {
        Self { listed: Vec::new(), others: HashMap::new() }
    }

    pub(super) fn is_listed(&self, shape: Shape) -> bool {
        self.listed.iter().any(|(listed, _)| *listed == shape)
    }

    /// Whether a filter of `shape` that is added now belongs to a listed one.
    pub(super) fn would_list(&self, shape: Shape) -> bool {
        let has_room = self.listed.len() < MOST_LISTED && !self.others.contains_key(&shape);
        has_room || self.is_listed(shape)
    }

    /// Counts a filter that has been added.
    pub(super) fn add(&mut self, shape: Shape) {
        if let Some((_, count)) = self.listed.iter_mut().find(|(listed, _)| *listed == shape) {
            *count += 1;
        } else if self.would_list(shape) {
            self.listed.push((shape, 1));
        } else {
            *self.others.entry(shape).or_default() += 1;
        }
    }

    /// Counts a filter that has been removed.
    pub(super) fn remove(&mut self, shape: Shape) {
        if let Some((_, count)) = self.listed.iter_mut().find(|(listed, _)| *listed == shape) {
            *count -= 1;
            self.listed.retain(|(_, count)| *count > 0);
            self.listed.shrink_to(self.listed.len() * 2);
        } else if let Some(count) = self.others.get_mut(&shape) {
            *count -= 1;
            if *count == 0 {
                self.others.remove(&shape);
                super::shrink::release_spare(&mut self.others);
            }
        }
    }

    /// Visits the one filter of each listed shape that can match `topic`.
    pub(super) fn candidates(&self, topic: TopicNameRef<'_>, mut visit: impl FnMut(&[u8])) {
        if self.listed.is_empty() {
            return;
        }
        let topic = Levels::of(topic);
        let mut filter = Text::new();
        for (shape, _) in self.listed.iter().filter(|(shape, _)| shape.admits(&topic)) {
            shape.write(&topic, &mut filter);
            visit(&filter);
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.listed.capacity() + self.others.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilterRef<'_> {
        TopicFilterRef::parse(text).expect("a filter")
    }

    fn candidates(filters: &[&str], topic: &str) -> Vec<String> {
        let mut shapes = Shapes::new();
        for text in filters {
            shapes.add(Shape::of(filter(text)).expect("a shape"));
        }
        let mut candidates = Vec::new();
        shapes.candidates(TopicNameRef::parse(topic).expect("a topic"), |candidate| {
            candidates.push(String::from_utf8(candidate.to_vec()).expect("text"));
        });
        candidates
    }

    #[test]
    fn a_topic_in_a_shape_is_the_filter_that_matches_it() {
        let filters = ["x/+/y", "p/#", "+/+/+/#", "#", "+", "//+", "x/y/z/#", "+/q/#"];
        let expected = ["a/+/c", "a/#", "+/+/+/#", "#", "a/b/+", "a/b/c/#", "+/b/#"];
        assert_eq!(candidates(&filters, "a/b/c"), expected);
        assert_eq!(candidates(&["+", "+/+", "/+"], "/"), ["+/+", "/+"]);
        assert_eq!(candidates(&["#", "+/a", "$a/+", "b/#"], "$SYS/a"), ["$SYS/+", "$SYS/#"]);
    }

    #[test]
    fn a_filter_of_more_than_64_levels_has_no_shape() {
        assert!(Shape::of(filter(&format!("+{}", "/+".repeat(63)))).is_some());
        assert!(Shape::of(filter(&format!("+{}/#", "/+".repeat(63)))).is_some());
        assert!(Shape::of(filter(&format!("+{}", "/+".repeat(64)))).is_none());
    }

    #[test]
    fn a_shape_stays_where_it_is_as_long_as_there_is_a_filter_of_it() {
        let mut shapes = Shapes::new();
        let shape = |number: usize| {
            Shape::of(filter(&format!("{}#", "a/".repeat(number)))).expect("a shape")
        };
        for number in (0..=MOST_LISTED).chain([0, MOST_LISTED]) {
            shapes.add(shape(number));
        }
        shapes.remove(shape(1));
        shapes.remove(shape(0));
        shapes.remove(shape(MOST_LISTED));
        assert!(shapes.is_listed(shape(0)) && !shapes.would_list(shape(MOST_LISTED)));
        shapes.remove(shape(MOST_LISTED));
        assert!(shapes.would_list(shape(MOST_LISTED)) && !shapes.is_listed(shape(1)));
        for number in (0..MOST_LISTED).filter(|number| *number != 1) {
            shapes.remove(shape(number));
        }
        assert_eq!(shapes.capacity(), 0);
    }
}
