//! How much a subscription is of.

use crate::topic::TopicFilterRef;

/// How much of the topics a filter matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// Each level is a wildcard: it matches all topics, or all of some depth.
    Everything,
    /// The first level is a wildcard: it matches topics of everybody.
    Broad,
    /// There is a wildcard further down.
    Narrow,
    /// It is one topic.
    Topic,
}

impl Breadth {
    pub(super) const NAMES: [&str; 4] = ["everything", "broad", "narrow", "topic"];

    /// That of `filter`, which may be shared.
    #[must_use]
    pub fn of(filter: TopicFilterRef<'_>) -> Self {
        let is_wildcard = |level: &str| matches!(level, "+" | "#");
        let levels = || filter.unshared().levels();
        match (levels().all(is_wildcard), levels().next().is_some_and(is_wildcard)) {
            (true, _) => Self::Everything,
            (false, true) => Self::Broad,
            (false, false) if levels().any(is_wildcard) => Self::Narrow,
            (false, false) => Self::Topic,
        }
    }

    /// As the reason of an event.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Broad => "broad",
            Self::Narrow => "narrow",
            Self::Topic => "topic",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::TopicFilter;

    #[test]
    fn a_filter_is_as_broad_as_its_wildcards_are_high() {
        for (filter, breadth) in [
            ("#", Breadth::Everything),
            ("+/#", Breadth::Everything),
            ("$share/g/#", Breadth::Everything),
            ("+/state", Breadth::Broad),
            ("a/#", Breadth::Narrow),
            ("a/+/b", Breadth::Narrow),
            ("$share/g/a/b", Breadth::Topic),
            ("a/b", Breadth::Topic),
        ] {
            let parsed = TopicFilter::parse(filter).expect("a filter");
            let found = Breadth::of(parsed.borrowed());
            assert_eq!(found, breadth, "{filter}");
            assert!(Breadth::NAMES.contains(&found.name()));
        }
    }
}
