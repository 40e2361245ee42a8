//! A topic filter prepared for being asked about topic after topic.

use crate::topic::{self, TopicFilter, TopicFilterRef, TopicNameRef};

/// What a clause of a permit is about.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// Every topic, those that begin with `$` included: a deny rule that could not be narrowed.
    Every,
    /// The topics of a filter.
    Filter(TopicFilter, Shape),
}

/// How a filter is compared most cheaply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `#`: every topic but the reserved ones.
    Root,
    /// No wildcard: one topic.
    Exact,
    /// Its only wildcard is the `/#` at its end: a topic and all below it.
    Tree,
    /// Anything else: `+` is its first wildcard, and all that stands before it stands in a name too.
    Mixed {
        /// How many bytes that is.
        literal: u16,
    },
}

impl From<TopicFilter> for Pattern {
    fn from(filter: TopicFilter) -> Self {
        let text = filter.as_str();
        let shape = match text.find(['+', '#']) {
            None => Shape::Exact,
            Some(0) if text == "#" => Shape::Root,
            Some(place) if text.get(place..) == Some("#") => Shape::Tree,
            Some(place) => Shape::Mixed { literal: u16::try_from(place).unwrap_or_default() },
        };
        Self::Filter(filter, shape)
    }
}

impl Pattern {
    /// Whether `name` is one of its topics.
    pub(super) fn matches(&self, name: TopicNameRef<'_>) -> bool {
        let Self::Filter(filter, shape) = self else { return true };
        match shape {
            Shape::Root => !name.is_reserved(),
            Shape::Exact => filter.as_str() == name.as_str(),
            Shape::Tree => is_in_tree(filter.as_str(), name.as_str()),
            Shape::Mixed { literal } => {
                let before = filter.as_str().get(..usize::from(*literal)).unwrap_or_default();
                name.as_str().starts_with(before) && topic::matches(filter.borrowed(), name)
            }
        }
    }

    /// Whether all that `filter` matches is among its topics.
    pub(super) fn covers(&self, filter: TopicFilterRef<'_>) -> bool {
        match self {
            Self::Every => true,
            Self::Filter(own, _) => topic::covers(own.borrowed(), filter),
        }
    }

    /// Whether something that `filter` matches is among its topics.
    pub(super) fn overlaps(&self, filter: TopicFilterRef<'_>) -> bool {
        match self {
            Self::Every => true,
            Self::Filter(own, _) => topic::overlaps(own.borrowed(), filter),
        }
    }
}

fn is_in_tree(tree: &str, name: &str) -> bool {
    let rest = tree.strip_suffix("/#").and_then(|root| name.strip_prefix(root));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_shape_matches_as_its_filter_does(
            levels in prop::collection::vec(prop_oneof![Just("a"), Just(""), Just("$x"), Just("+")], 0..4),
            hash in any::<bool>(),
            name in prop::collection::vec(prop_oneof![Just("a"), Just(""), Just("$x"), Just("ab")], 1..5),
        ) {
            let mut levels = levels;
            if hash {
                levels.push("#");
            }
            let (text, name) = (levels.join("/"), name.join("/"));
            prop_assume!(!text.is_empty() && !name.is_empty());
            let filter = TopicFilter::parse(&text).expect("a filter");
            let name = TopicNameRef::parse(&name).expect("a name");
            let wanted = topic::matches(filter.borrowed(), name);
            prop_assert_eq!(Pattern::from(filter).matches(name), wanted);
        }
    }

    #[test]
    fn a_deny_that_could_not_be_narrowed_holds_every_topic() {
        let filter = TopicFilterRef::parse("$SYS/#").expect("a filter");
        assert!(Pattern::Every.matches(TopicNameRef::parse("$SYS/x").expect("a name")));
        assert!(Pattern::Every.covers(filter) && Pattern::Every.overlaps(filter));
    }
}
