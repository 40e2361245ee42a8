//! r12, the choke-point matrix: every way by which a message enters or leaves a client, under every
//! way to have no permission, for every kind of principal in every version. No cell lets it pass.
//!
//! Roles that are removed and denials that are added are columns. Where the identity itself is taken back
//! (users who are deleted, passwords that change), the session ends: see `judging.rs`, and
//! `tests/regressions/matrix` for every kind of identity and files that change on disk.

mod paths;
mod people;
mod service;

use self::paths::{Outcome, Scene, Way};
use self::people::Person;
use crate::codec::{ReasonCode, Version};

/// The topic that it is all about.
const SECRET: &str = "secret/a";

/// Whether the client may publish and receive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Granted,
    DeniedByRule,
    DeniedByDefault,
    /// Granted first, and then replaced by one of the two above.
    WithdrawnByRule,
    WithdrawnByDefault,
}

/// `rules` for the person in question, however it proves who it is.
fn policy_of(rules: &str) -> String {
    format!(
        r##"
[[role]]
name = "person"
rules = [{rules}]
[[role]]
name = "other"
rules = [{GRANTED}]
[[assign]]
users = ["ann"]
certificates = ["ann"]
anonymous = true
roles = ["person"]
[[assign]]
http = {{ user = ["ann"] }}
roles = ["person"]
[[assign]]
certificates = ["other"]
roles = ["other"]
"##
    )
}

const GRANTED: &str = r##"
    { allow = ["publish", "subscribe"], topics = ["#"] },
    { allow = ["subscribe"], topics = ["$SYS/#"] },
"##;
const DENIED_BY_RULE: &str = r##"
    { allow = ["publish", "subscribe"], topics = ["#"] },
    { allow = ["subscribe"], topics = ["$SYS/#"] },
    { deny = ["publish", "subscribe"], topics = ["secret/#"] },
    { deny = ["subscribe"], topics = ["$SYS/#"] },
"##;
const DENIED_BY_DEFAULT: &str = r##"
    { allow = ["publish", "subscribe"], topics = ["open/#"] },
"##;

impl Column {
    const ALL: [Self; 5] = [
        Self::Granted,
        Self::DeniedByRule,
        Self::DeniedByDefault,
        Self::WithdrawnByRule,
        Self::WithdrawnByDefault,
    ];

    /// The policy at first.
    fn before(self) -> &'static str {
        match self {
            Self::Granted | Self::WithdrawnByRule | Self::WithdrawnByDefault => GRANTED,
            Self::DeniedByRule => DENIED_BY_RULE,
            Self::DeniedByDefault => DENIED_BY_DEFAULT,
        }
    }

    /// The policy that takes its place.
    fn after(self) -> Option<&'static str> {
        match self {
            Self::Granted | Self::DeniedByRule | Self::DeniedByDefault => None,
            Self::WithdrawnByRule => Some(DENIED_BY_RULE),
            Self::WithdrawnByDefault => Some(DENIED_BY_DEFAULT),
        }
    }
}

/// What a way comes to. Nothing has passed but in the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// The message got where it was to get, and nothing was counted as denied.
    Passes,
    /// The client is told, as far as its version has words for it; counted as this action.
    Refused(&'static str),
    /// Not delivered, or not sent: the client is told nothing; counted as this action.
    Withheld(&'static str),
    /// Taken out of the session when it was judged again; counted as messages dropped.
    Dropped,
}
use Cell::{Dropped, Passes, Refused, Withheld};

/// A way, and what it comes to: granted, denied from the beginning, withdrawn on the way.
type Row = (&'static str, Way, Cell, Cell, Cell);

const MATRIX: [Row; 23] = [
    // into the broker           granted  denied                withdrawn
    ("PUBLISH, QoS 0", paths::publish_qos_0, Passes, Withheld("publish"), Withheld("publish")),
    ("PUBLISH, QoS 1", paths::publish_qos_1, Passes, Refused("publish"), Refused("publish")),
    ("PUBLISH, QoS 2", paths::publish_qos_2, Passes, Refused("publish"), Refused("publish")),
    (BY_ALIAS, paths::publish_by_alias, Passes, Refused("publish"), Refused("publish")),
    ("replace retained", paths::replace_retained, Passes, Refused("publish"), Refused("publish")),
    ("clear retained", paths::clear_retained, Passes, Refused("publish"), Refused("publish")),
    (
        "PUBLISH to $SYS",
        paths::publish_to_sys,
        Refused("publish"),
        Refused("publish"),
        Refused("publish"),
    ),
    ("will at CONNECT", paths::will_at_connect, Passes, Refused("will"), Refused("will")),
    ("will when sent", paths::will_when_sent, Passes, Refused("will"), Withheld("will")),
    (DELAYED, paths::delayed_will, Passes, Refused("will"), Withheld("will")),
    // subscriptions
    ("SUBSCRIBE", paths::subscribe, Passes, Refused("subscribe"), Refused("subscribe")),
    ("to $share", paths::subscribe_to_share, Passes, Refused("subscribe"), Refused("subscribe")),
    ("to $SYS", paths::subscribe_to_sys, Passes, Refused("subscribe"), Refused("subscribe")),
    (WILDCARD, paths::subscribe_with_wildcard, Passes, Withheld("receive"), Withheld("receive")),
    ("resumed", paths::subscription_resumed, Passes, Withheld("subscribe"), Withheld("subscribe")),
    // out of the broker
    ("live", paths::live, Passes, Withheld("receive"), Dropped),
    ("live, $share", paths::live_to_share, Passes, Withheld("receive"), Dropped),
    ("live, $SYS", paths::live_sys, Passes, Withheld("subscribe"), Withheld("subscribe")),
    ("waiting", paths::waiting_in_the_mailbox, Passes, Withheld("receive"), Dropped),
    ("retained", paths::retained, Passes, Withheld("receive"), Withheld("receive")),
    ("queued while away", paths::queued_while_away, Passes, Dropped, Dropped),
    ("queued, $share", paths::queued_for_share, Passes, Dropped, Dropped),
    ("in flight", paths::in_flight_and_resumed, Passes, Withheld("receive"), Dropped),
];

const BY_ALIAS: &str = "PUBLISH by alias";
const DELAYED: &str = "delayed will";
const WILDCARD: &str = "to +/a";

/// What only 5.0 has.
const OF_5_ALONE: [&str; 2] = [BY_ALIAS, DELAYED];

#[test]
fn r12_no_message_passes_without_permission_by_any_way_of_anybody() {
    let (mut cells, mut wrong) = (0, Vec::new());
    for (name, way, granted, denied, withdrawn) in MATRIX {
        for person in Person::all() {
            if OF_5_ALONE.contains(&name) && person.version != Version::V5 {
                continue;
            }
            for column in Column::ALL {
                let cell = match column {
                    Column::Granted => granted,
                    Column::DeniedByRule | Column::DeniedByDefault => denied,
                    Column::WithdrawnByRule | Column::WithdrawnByDefault => withdrawn,
                };
                let mut scene = Scene::new(person, column);
                let outcome = way(&mut scene);
                let counted = Counted::read(&scene.broker.metrics().render());
                if !is_right(cell, person.version, outcome, &counted) {
                    wrong.push(format!("{name}, {person:?}, {column:?}: {outcome:?}, {counted:?}"));
                }
                cells += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(cells, (21 * 13 + 2 * 5) * 5);
}

/// Whether it came to what it should.
fn is_right(cell: Cell, version: Version, outcome: Outcome, counted: &Counted) -> bool {
    let is_answer_good = outcome.answer.is_none_or(|answer| !answer.is_error());
    let (denied, dropped): (&[_], _) = match cell {
        Passes | Dropped => (&[], u32::from(cell == Dropped)),
        // What is not delivered is dropped as well.
        Refused(action) | Withheld(action) => (&[action], counted.dropped),
    };
    let is_told = match cell {
        Refused(action) => outcome.answer == Some(refusal(version, action)),
        Passes | Withheld(_) | Dropped => is_answer_good,
    };
    is_told
        && outcome.has_passed == (cell == Passes)
        && counted.denied == denied
        && counted.dropped == dropped
}

/// How the version says that an action is not authorized. 3.x has no negative PUBACK or PUBREC.
fn refusal(version: Version, action: &str) -> ReasonCode {
    match (version, action) {
        (Version::V5, _) | (_, "will") => ReasonCode::NotAuthorized,
        (_, "publish") => ReasonCode::Success,
        _ => ReasonCode::UnspecifiedError,
    }
}

/// What the metrics say.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    /// The actions that were denied at least once.
    denied: Vec<String>,
    /// Messages dropped because they were denied.
    dropped: u32,
}

impl Counted {
    fn read(metrics: &str) -> Self {
        let lines = || metrics.lines().filter_map(|line| line.rsplit_once(' '));
        let denied = lines()
            .filter(|(_, count)| *count != "0")
            .filter_map(|(series, _)| {
                series.strip_prefix("bastionmq_acl_decisions_total{action=\"")
            })
            .filter_map(|rest| rest.strip_suffix("\",decision=\"denied\"}"))
            .map(str::to_owned)
            .collect();
        let dropped = lines()
            .find(|(series, _)| *series == "bastionmq_messages_dropped_total{reason=\"denied\"}")
            .map(|(_, count)| count.parse().expect("a count"));
        Self { denied, dropped: dropped.expect("a counter of what is dropped") }
    }
}
