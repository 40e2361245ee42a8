//! Filters in one line, parted by spaces, and a topic name in the next: the router, the matcher and a
//! naive matcher agree.

use bastionmq::message::SessionKey;
use bastionmq::router::{Grant, Matches, Router};
use bastionmq::topic::{TopicFilterRef, TopicNameRef, covers, matches, overlaps};

use crate::text::text_of;

pub(crate) fn check(bytes: &[u8]) {
    let text = text_of(bytes);
    let Some((filters, name)) = text.split_once('\n') else { return };
    let Ok(name) = TopicNameRef::parse(name) else { return };
    let filters: Vec<_> =
        filters.split(' ').filter_map(|filter| TopicFilterRef::parse(filter).ok()).collect();
    let mut router = Router::new();
    let mut wanted = Vec::new();
    for (key, filter) in (0..).map(SessionKey).zip(&filters) {
        router.subscribe(*filter, key, Grant::default());
        let is_match = naive(filter.unshared().as_str(), name.as_str());
        assert_eq!(matches(*filter, name), is_match, "{filter} {name}");
        if is_match && filter.share().is_none() {
            wanted.push(key);
        }
    }
    let mut found = Matches::new();
    router.matches(name, None, &mut found);
    let mut routed: Vec<_> = found.routes.iter().map(|route| route.recipient).collect();
    routed.sort();
    assert_eq!(routed, wanted);
    for pair in filters.windows(2) {
        let (one, other) = (pair[0], pair[1]);
        if matches(one, name) && matches(other, name) {
            assert!(overlaps(one, other), "{one} {other} {name}");
        }
        if covers(one, other) && matches(other, name) {
            assert!(matches(one, name), "{one} covers {other}, but not {name}");
        }
    }
    for (key, filter) in (0..).map(SessionKey).zip(&filters) {
        assert!(router.unsubscribe(*filter, key));
    }
    assert!(router.is_empty());
}

fn naive(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let filter: Vec<_> = filter.split('/').collect();
    let name: Vec<_> = name.split('/').collect();
    let (levels, is_open) = match filter.split_last() {
        Some((&"#", levels)) => (levels, true),
        _ => (&filter[..], false),
    };
    (name.len() == levels.len() || is_open && name.len() > levels.len())
        && levels.iter().zip(&name).all(|(level, name)| *level == "+" || level == name)
}
