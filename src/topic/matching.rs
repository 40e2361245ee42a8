//! How filters relate to names and to each other. `$` topics are matched by no wildcard at the root.

use super::{TopicFilterRef, TopicNameRef};

/// Whether `filter` matches `name` `[MQTT-4.7.1-2]`, `[MQTT-4.7.1-3]`, `[MQTT-4.7.2-1]`.
#[must_use]
pub fn matches(filter: TopicFilterRef<'_>, name: TopicNameRef<'_>) -> bool {
    let filter = filter.unshared();
    if name.is_reserved() && starts_with_wildcard(filter) {
        return false;
    }
    let mut names = name.levels();
    for level in filter.levels() {
        match (level, names.next()) {
            ("#", _) => return true,
            (_, None) => return false,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// Whether every name that `inner` matches is matched by `outer` too.
#[must_use]
pub fn covers(outer: TopicFilterRef<'_>, inner: TopicFilterRef<'_>) -> bool {
    let (outer, inner) = (outer.unshared(), inner.unshared());
    if inner.as_str().starts_with('$') && starts_with_wildcard(outer) {
        return false;
    }
    let mut inners = inner.levels();
    for level in outer.levels() {
        match (level, inners.next()) {
            ("#", _) => return true,
            (_, None | Some("#")) => return false,
            ("+", Some(_)) => {}
            (level, Some(inner)) if level == inner => {}
            _ => return false,
        }
    }
    inners.next().is_none()
}

/// Whether some name is matched by both filters.
#[must_use]
pub fn overlaps(one: TopicFilterRef<'_>, other: TopicFilterRef<'_>) -> bool {
    let (one, other) = (one.unshared(), other.unshared());
    if one.as_str().starts_with('$') && starts_with_wildcard(other)
        || other.as_str().starts_with('$') && starts_with_wildcard(one)
    {
        return false;
    }
    let (mut ones, mut others) = (one.levels(), other.levels());
    loop {
        match (ones.next(), others.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (None, _) | (_, None) => return false,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

fn starts_with_wildcard(filter: TopicFilterRef<'_>) -> bool {
    filter.as_str().starts_with(['+', '#'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilterRef<'_> {
        TopicFilterRef::parse(text).expect("a filter")
    }

    fn name(text: &str) -> TopicNameRef<'_> {
        TopicNameRef::parse(text).expect("a name")
    }

    #[test]
    fn the_examples_of_the_standard_match_as_it_says() {
        for (wanted, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/#", "sport"),
            ("#", "a/b"),
            ("sport/tennis/+", "sport/tennis/player1"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("$SYS/#", "$SYS/broker"),
            ("$share/g/a/+", "a/b"),
        ] {
            assert!(matches(filter(wanted), name(topic)), "{wanted} {topic}");
        }
        for (wanted, topic) in [
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("#", "$SYS/broker"),
            ("+/broker", "$SYS/broker"),
            ("ACCOUNTS", "Accounts"),
            ("/finance", "finance"),
        ] {
            assert!(!matches(filter(wanted), name(topic)), "{wanted} {topic}");
        }
    }

    #[test]
    fn a_hash_covers_its_parent_and_is_covered_only_by_a_hash() {
        assert!(covers(filter("a/#"), filter("a")));
        assert!(covers(filter("a/#"), filter("a/+/#")));
        assert!(!covers(filter("a/+"), filter("a/#")));
        assert!(!covers(filter("#"), filter("$SYS/#")));
        assert!(covers(filter("$SYS/#"), filter("$SYS/+/x")));
    }

    fn levels(wildcards: bool) -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("$x"), Just("+")];
        (prop::collection::vec(level, 1..5), any::<bool>()).prop_map(move |(mut levels, hash)| {
            if wildcards {
                if hash {
                    levels.push("#");
                }
            } else {
                levels.iter_mut().filter(|level| **level == "+").for_each(|level| *level = "c");
            }
            levels.join("/")
        })
    }

    proptest! {
        #[test]
        fn what_a_covered_filter_matches_its_cover_matches(
            outer in levels(true), inner in levels(true), topic in levels(false),
        ) {
            prop_assume!(!outer.is_empty() && !inner.is_empty() && !topic.is_empty());
            let (outer, inner, topic) = (filter(&outer), filter(&inner), name(&topic));
            if covers(outer, inner) && matches(inner, topic) {
                prop_assert!(matches(outer, topic));
            }
            if matches(outer, topic) && matches(inner, topic) {
                prop_assert!(overlaps(outer, inner));
            }
            prop_assert_eq!(overlaps(outer, inner), overlaps(inner, outer));
            prop_assert!(covers(inner, inner));
        }
    }
}
