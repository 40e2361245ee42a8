//! Topics of Mosquitto's permissions as a policy writes them, and what two of them have in common.

/// A filter whose `%u` and `%c` are names of the client; none where it cannot be written.
pub(super) fn pattern(text: &str) -> Option<String> {
    let topic = literal(text)?;
    Some(topic.replace("%u", "${username}").replace("%c", "${client_id}"))
}

/// A filter that means itself; none where it would be taken for one with a name in it.
pub(super) fn literal(text: &str) -> Option<String> {
    (!text.contains("${")).then(|| text.to_owned())
}

/// `text` with `+` in place of each level that cannot be written: at least as wide.
pub(super) fn widened(text: &str) -> String {
    let is_odd = |level: &str| ["${", "%u", "%c"].iter().any(|sign| level.contains(sign));
    let levels = text.split('/').map(|level| if is_odd(level) { "+" } else { level });
    levels.collect::<Vec<_>>().join("/")
}

/// The filter of the topics that both filters match; none where there is none, or where it depends
/// on the names of the client.
pub(super) fn common(one: &str, other: &str) -> Option<String> {
    if one.starts_with('$') != other.starts_with('$') {
        return None;
    }
    let (mut these, mut those) = (one.split('/').peekable(), other.split('/').peekable());
    let mut levels: Vec<&str> = Vec::new();
    loop {
        match (these.peek().copied(), those.peek().copied()) {
            (None | Some("#"), None | Some("#")) => {
                if let (Some(rest), Some(_)) = (these.peek(), those.peek()) {
                    levels.push(rest);
                }
                return Some(levels.join("/"));
            }
            (Some("#"), _) => {
                levels.extend(those);
                return Some(levels.join("/"));
            }
            (_, Some("#")) => {
                levels.extend(these);
                return Some(levels.join("/"));
            }
            (Some(level), Some("+")) | (Some("+"), Some(level)) => levels.push(level),
            (Some(level), Some(same)) if level == same => levels.push(level),
            _ => return None,
        }
        these.next();
        those.next();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topic::{TopicFilterRef, TopicNameRef, matches};

    #[test]
    fn names_are_put_where_the_percent_signs_were() {
        assert_eq!(pattern("a/%u/%c/%d").as_deref(), Some("a/${username}/${client_id}/%d"));
        assert_eq!(literal("a/%u").as_deref(), Some("a/%u"));
        assert_eq!((literal("a/${x}"), pattern("${username}")), (None, None));
        assert_eq!(widened("a/${x}/b/#"), "a/+/b/#");
    }

    #[test]
    fn what_depends_on_a_name_is_not_common() {
        assert_eq!(common("a/${username}", "a/b"), None);
        assert_eq!(common("a/${username}/#", "a/+/x").as_deref(), Some("a/${username}/x"));
        assert_eq!(common("#", "$SYS/#"), None);
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "+", ""]);
        (prop::collection::vec(level, 0..4), any::<bool>())
            .prop_map(|(mut levels, hash)| {
                if hash {
                    levels.push("#");
                }
                levels.join("/")
            })
            .prop_filter("not empty", |text| !text.is_empty())
    }

    proptest! {
        #[test]
        fn the_common_filter_matches_what_both_match(
            one in filter(),
            other in filter(),
            name in prop::collection::vec(prop::sample::select(vec!["a", "b", ""]), 1..5),
        ) {
            let name = name.join("/");
            prop_assume!(!name.is_empty());
            let name = TopicNameRef::parse(&name).expect("a name");
            let matched =
                |text: &String| matches(TopicFilterRef::parse(text).expect("a filter"), name);
            let both = matched(&one) && matched(&other);
            prop_assert_eq!(common(&one, &other).is_some_and(|text| !text.is_empty() && matched(&text)), both);
        }
    }
}
