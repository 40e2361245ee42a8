//! The router against a naive list of subscriptions, and at its extremes.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::{Grant, Matches, Router};
use crate::codec::{RetainHandling, SubscriptionOptions};
use crate::message::{QoS, SessionKey};
use crate::topic::{self, TopicFilterRef, TopicNameRef};

/// What any of the two can be asked to do.
#[derive(Clone, Debug)]
enum Step {
    Subscribe(String, SessionKey, Grant),
    Unsubscribe(String, SessionKey),
    Match(String, Option<SessionKey>),
}

/// Every subscription there is, searched from end to end.
#[derive(Default)]
struct Model(Vec<(String, SessionKey, Grant)>);

/// A route with its identifiers in order.
type Copy = (SessionKey, QoS, bool, Vec<u32>);
/// A group and its members in order.
type Group = (String, Vec<(SessionKey, Grant)>);

impl Model {
    fn subscribe(&mut self, filter: &str, session: SessionKey, grant: Grant) -> bool {
        let is_new = !self.unsubscribe(filter, session);
        self.0.push((filter.to_owned(), session, grant));
        is_new
    }

    fn unsubscribe(&mut self, filter: &str, session: SessionKey) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, owner, _)| known != filter || *owner != session);
        self.0.len() < before
    }

    fn matches(&self, name: &str, publisher: Option<SessionKey>) -> (Vec<Copy>, Vec<Group>) {
        let (mut copies, mut groups) = (Vec::<Copy>::new(), Vec::<Group>::new());
        for (text, session, grant) in &self.0 {
            if !topic::matches(filter(text), self::name(name)) {
                continue;
            }
            if text.starts_with("$share/") {
                match groups.iter_mut().find(|group| group.0 == *text) {
                    Some(group) => group.1.push((*session, *grant)),
                    None => groups.push((text.clone(), vec![(*session, *grant)])),
                }
                continue;
            }
            let options = grant.options;
            if options.no_local && publisher == Some(*session) {
                continue;
            }
            let ids = grant.id.map(NonZeroU32::get);
            match copies.iter_mut().find(|copy| copy.0 == *session) {
                Some(copy) => {
                    copy.1 = copy.1.max(options.maximum_qos);
                    copy.2 |= options.retain_as_published;
                    copy.3.extend(ids);
                }
                None => {
                    let ids = ids.into_iter().collect();
                    copies.push((*session, options.maximum_qos, options.retain_as_published, ids));
                }
            }
        }
        in_order(copies, groups)
    }
}

fn in_order(mut copies: Vec<Copy>, mut groups: Vec<Group>) -> (Vec<Copy>, Vec<Group>) {
    copies.iter_mut().for_each(|copy| copy.3.sort_unstable());
    copies.sort_unstable();
    groups.iter_mut().for_each(|group| group.1.sort_unstable_by_key(|member| member.0));
    groups.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    (copies, groups)
}

fn found(matches: &Matches<SessionKey>) -> (Vec<Copy>, Vec<Group>) {
    let copies = matches.routes.iter().map(|route| {
        let ids = route.subscription_ids.to_vec();
        (route.recipient, route.qos, route.retain_as_published, ids)
    });
    let groups = matches.shares.iter().map(|group| {
        let members = group.members().iter().map(|member| (member.recipient, member.grant));
        (group.filter().to_string(), members.collect())
    });
    in_order(copies.collect(), groups.collect())
}

fn filter(text: &str) -> TopicFilterRef<'_> {
    TopicFilterRef::parse(text).expect("a filter")
}

fn name(text: &str) -> TopicNameRef<'_> {
    TopicNameRef::parse(text).expect("a name")
}

fn names() -> impl Strategy<Value = String> {
    let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("$x"), Just("-")];
    prop::collection::vec(level, 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic is not empty", |text| !text.is_empty())
}

fn filters() -> impl Strategy<Value = String> {
    let level =
        prop_oneof![1 => Just("a"), 1 => Just("b"), 1 => Just(""), 1 => Just("$x"), 3 => Just("+")];
    let group = prop_oneof![3 => Just(""), 1 => Just("$share/g/"), 1 => Just("$share/h/")];
    (prop::collection::vec(level, 0..5), any::<bool>(), group)
        .prop_map(|(mut levels, hash, group)| {
            levels.extend(hash.then_some("#"));
            (levels.join("/"), group)
        })
        .prop_filter("a filter is not empty", |(text, _)| !text.is_empty())
        .prop_map(|(text, group)| format!("{group}{text}"))
}

fn grants() -> impl Strategy<Value = Grant> {
    (0..3u8, any::<bool>(), any::<bool>(), 0..4u32).prop_map(|(qos, no_local, rap, id)| Grant {
        options: SubscriptionOptions {
            maximum_qos: QoS::from_bits(qos).expect("a QoS"),
            no_local,
            retain_as_published: rap,
            retain_handling: RetainHandling::Send,
        },
        id: NonZeroU32::new(id),
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sessions = || (0..6u64).prop_map(SessionKey);
    let step = prop_oneof![
        3 => (filters(), sessions(), grants()).prop_map(|(f, s, g)| Step::Subscribe(f, s, g)),
        2 => (filters(), sessions()).prop_map(|(f, s)| Step::Unsubscribe(f, s)),
        2 => (names(), prop::option::of(sessions())).prop_map(|(n, p)| Step::Match(n, p)),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    /// Row r15 of the regressions: plain and shared filters never get mixed up.
    #[test]
    fn r15_the_router_does_what_a_naive_list_does(steps in steps()) {
        let (mut router, mut model) = (Router::new(), Model::default());
        let mut matches = Matches::new();
        for step in steps {
            match step {
                Step::Subscribe(text, session, grant) => {
                    let is_new = router.subscribe(filter(&text), session, grant);
                    prop_assert_eq!(is_new, model.subscribe(&text, session, grant));
                }
                Step::Unsubscribe(text, session) => {
                    let was_there = router.unsubscribe(filter(&text), session);
                    prop_assert_eq!(was_there, model.unsubscribe(&text, session));
                }
                Step::Match(text, publisher) => {
                    router.matches(name(&text), publisher, &mut matches);
                    prop_assert_eq!(found(&matches), model.matches(&text, publisher));
                }
            }
            prop_assert_eq!(router.len(), model.0.len());
        }
        for (text, session, _) in std::mem::take(&mut model.0) {
            prop_assert!(router.unsubscribe(filter(&text), session));
        }
        prop_assert_eq!(router.plain.capacity() + router.shared.capacity(), 0);
    }
}

#[test]
fn overlapping_subscriptions_are_one_copy_with_the_highest_qos_and_all_identifiers() {
    let mut router = Router::new();
    let mut matches = Matches::new();
    for (text, qos, id) in [("a/b", 0, 1), ("a/+", 2, 2), ("#", 1, 0)] {
        let mut grant = Grant { id: NonZeroU32::new(id), ..Grant::default() };
        grant.options.maximum_qos = QoS::from_bits(qos).expect("a QoS");
        assert!(router.subscribe(filter(text), SessionKey(7), grant));
    }
    router.matches(name("a/b"), None, &mut matches);
    let copy = (SessionKey(7), QoS::ExactlyOnce, false, vec![1, 2]);
    assert_eq!(found(&matches), (vec![copy], vec![]));
}

#[test]
fn no_local_silences_one_subscription_and_not_its_overlap() {
    let mut router = Router::new();
    let mut matches = Matches::new();
    let mut deaf = Grant { id: NonZeroU32::new(1), ..Grant::default() };
    deaf.options.no_local = true;
    let hearing = Grant { id: NonZeroU32::new(2), ..Grant::default() };
    router.subscribe(filter("a"), SessionKey(1), deaf);
    router.matches(name("a"), Some(SessionKey(1)), &mut matches);
    assert!(matches.is_empty());
    router.subscribe(filter("+"), SessionKey(1), hearing);
    router.matches(name("a"), Some(SessionKey(1)), &mut matches);
    assert_eq!(matches.routes.len(), 1);
    assert_eq!(matches.routes[0].subscription_ids[..], [2]);
}

#[test]
fn ten_thousand_overlapping_sessions_get_one_copy_each() {
    let mut router = Router::new();
    let mut matches = Matches::new();
    for session in (0..10_000).map(SessionKey) {
        for text in ["a/b", "a/#", "+/b"] {
            router.subscribe(filter(text), session, Grant::default());
        }
    }
    router.matches(name("a/b"), None, &mut matches);
    assert_eq!(matches.routes.len(), 10_000);
}

/// Row r08 of the regressions. Debug builds have 2 MiB of stack in tests: recursion would end them.
#[test]
fn topics_of_65_535_levels_overflow_no_stack() {
    let (exact, plus) = ("/".repeat(65_534), "+/".repeat(32_767));
    let (hash, slashes) = (format!("{}#", "/".repeat(65_534)), "/".repeat(65_535));
    let late_plus = format!("{}+", "/".repeat(65_534));
    let mut router = Router::new();
    let mut matches = Matches::new();
    let all = [&exact, &plus, &hash, &late_plus, &slashes];
    for text in all {
        assert!(router.subscribe(filter(text), SessionKey(1), Grant::default()));
    }
    router.matches(name(&slashes), None, &mut matches);
    assert_eq!(matches.routes.len(), 1);
    for text in all {
        assert!(router.unsubscribe(filter(text), SessionKey(1)));
    }
    assert_eq!(router.plain.capacity(), 0);
    router.subscribe(filter(&hash), SessionKey(1), Grant::default());
    drop(router);
}

#[test]
fn memory_is_given_back_while_some_subscriptions_stay() {
    let (mut router, mut matches) = (Router::new(), Matches::new());
    let filters = (0..10_000)
        .map(|n| match n % 3 {
            0 => format!("device/{n}"),
            1 => format!("device/{n}/+/{n}"),
            _ => format!("device/{n}/#"),
        })
        .collect::<Vec<_>>();
    let (gone, kept) = filters.split_at(9_990);
    for text in &filters {
        router.subscribe(filter(text), SessionKey(1), Grant::default());
    }
    let full = router.plain.capacity();
    for text in gone {
        assert!(router.unsubscribe(filter(text), SessionKey(1)));
    }
    assert!(router.plain.capacity() < full / 100, "{full} {}", router.plain.capacity());
    for text in filters.iter() {
        let topic = text.replace('+', "x").replace("/#", "");
        router.matches(name(&topic), None, &mut matches);
        assert_eq!(matches.routes.len(), usize::from(kept.contains(text)), "{text}");
    }
}
