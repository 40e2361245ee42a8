//! What is written down: security decisions, and who they were about. Never a payload, never a secret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use serde_json::Value;

use super::bounds::as_recorded;
use super::chain::Keys;

/// What of the key of an alert names a client or its place.
const MASKED: [&str; 3] = ["client", "address", "prefix"];

/// Something that the audit log tells of. Its name is the `event` of the line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The broker has started.
    Started {
        /// Its version.
        version: &'static str,
    },
    /// The broker stops in order.
    Stopped,
    /// A client was let in.
    Connected {
        /// Who it is.
        #[serde(flatten)]
        who: Subject,
        /// Whether it goes on with an earlier session.
        resumed: bool,
    },
    /// A client has proven who it is, and is let in: only where the log is strict, and before it happens.
    Admitted {
        /// Who it is.
        #[serde(flatten)]
        who: Subject,
    },
    /// A connection of a client that had been let in has ended.
    Disconnected {
        /// Who it was.
        #[serde(flatten)]
        who: Subject,
        /// Why.
        why: String,
    },
    /// A login was refused.
    LoginRefused {
        /// Who the client claims to be, where it does.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// The client identifier that it asks for.
        client_id: String,
        /// Where it connects from.
        address: String,
        /// The URL of the listener.
        listener: String,
        /// Which authenticator has refused it.
        #[serde(skip_serializing_if = "Option::is_none")]
        authenticator: Option<&'static str>,
        /// What it was told.
        reason: String,
        /// Why, which it was not told.
        why: String,
    },
    /// The policy does not allow what a client has asked for.
    Denied {
        /// Who it is.
        #[serde(flatten)]
        who: Subject,
        /// `publish`, `subscribe`, `receive` or `will`.
        action: &'static str,
        /// The topic name or filter, the beginning of a long one.
        topic: String,
        /// What decided.
        rule: String,
    },
    /// What a client has proven itself by does not hold any more.
    Revoked {
        /// Who it was.
        #[serde(flatten)]
        who: Subject,
        /// What has become of it.
        why: String,
    },
    /// Somebody is banned.
    Banned {
        /// What is banned: `principal`, `client_id`, `address`, `prefix` or `certificate`.
        kind: &'static str,
        /// Whom it is about.
        subject: String,
        /// Who has banned it: `operator:` or `rule:` and a name.
        by: String,
        /// Why.
        why: String,
        /// For how long; for good where there is nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// A ban was taken back.
    BanLifted {
        /// As of [`Event::Banned`].
        kind: &'static str,
        /// Whom it was about.
        subject: String,
        /// Who has lifted it.
        by: String,
    },
    /// The time of a ban is over.
    BanExpired {
        /// As of [`Event::Banned`].
        kind: &'static str,
        /// Whom it was about.
        subject: String,
    },
    /// Somebody was refused who is banned.
    BanRefused {
        /// As of [`Event::Banned`].
        kind: &'static str,
        /// Whom the ban is about.
        subject: String,
        /// How often, since this was last written of the same ban: a minute ago at the soonest.
        count: u64,
    },
    /// Somebody is in quarantine: what it publishes goes to `$bastion/quarantine`.
    Quarantined {
        /// As of [`Event::Banned`].
        kind: &'static str,
        /// Whom it is about.
        subject: String,
        /// Who has put it there: `operator:` or `rule:` and a name.
        by: String,
        /// Why.
        why: String,
        /// For how long; for good where there is nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// Somebody is out of quarantine.
    QuarantineEnded {
        /// As of [`Event::Banned`].
        kind: &'static str,
        /// Whom it was about.
        subject: String,
        /// Who has let it out; `time`, where that was over.
        by: String,
    },
    /// Somebody may publish only so much for a time.
    SlowedDown {
        /// As of [`Event::Banned`].
        kind: &'static str,
        /// Whom it is about.
        subject: String,
        /// Who has seen to that: `rule:` and a name.
        by: String,
        /// Why.
        why: String,
        /// For how long.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// Somebody may publish as before.
    SlowedDownEnded {
        /// As of [`Event::Banned`].
        kind: &'static str,
        /// Whom it was about.
        subject: String,
        /// Who has lifted it; `time`, where that was over.
        by: String,
    },
    /// A rule of the sentinel is broken.
    Alert {
        /// Which.
        rule: String,
        /// How bad that is.
        severity: &'static str,
        /// What the events have in common that have broken it.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        key: BTreeMap<&'static str, String>,
        /// What was measured, and from which value on the rule is broken.
        value: f64,
        /// The same.
        threshold: f64,
        /// The kind of the last of them.
        what: String,
        /// Who it was, as far as that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        principal: Option<String>,
        /// Its client identifier.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// Where it connects from.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        /// What was done about it, beyond telling of it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        responses: Vec<Responded>,
        /// Whether nothing is done about it, since the rule is only tried.
        dry_run: bool,
        /// How many findings of the rule were not written since the last one, because there were too many.
        untold: u64,
    },
    /// Something is done to somebody who has broken a rule of the sentinel: only where the log is strict, and
    /// before it happens.
    Responding {
        /// Which rule.
        rule: String,
        /// `disconnect`, `quarantine`, `ban`.
        response: &'static str,
        /// To what of it, as of [`Responded::target`].
        kind: &'static str,
        /// Which that is.
        subject: String,
    },
    /// A limit of what may come has closed connections, or refused logins.
    Limited {
        /// Which: a `reason` of refused connections, or `logins_under_way`.
        limit: String,
        /// How often since this was last written of the same limit: a minute ago at the soonest.
        count: u64,
        /// Where the last of them came from.
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// A client has done more than a rule of `[[throttle]]` lets it.
    Throttled {
        /// The name of the rule.
        rule: String,
        /// How often since this was last written of the same rule, whoever it was: a minute ago at the
        /// soonest.
        count: u64,
        /// Who did the last of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        principal: Option<String>,
        /// Its client identifier.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    /// A user, or an address, has failed to log in too often.
    LockedOut {
        /// Which user; all that have not logged in from there before where there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Where.
        address: String,
        /// After so many failures.
        failures: u32,
        /// For how long.
        seconds: u64,
    },
    /// An operator commands something, which is then done.
    Operator {
        /// The name of its user.
        user: String,
        /// Its number.
        uid: u32,
        /// Its process, where the kernel tells it.
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
        /// What it asks for, as `bastionmq ctl` calls it.
        command: &'static str,
        /// The request as it came.
        #[serde(skip_serializing_if = "Value::is_null")]
        request: Value,
    },
    /// An operator has proven who it is, and sees the administrative page.
    OperatorLogin {
        /// Its name in the password file of operators.
        user: String,
        /// Where it comes from.
        address: String,
    },
    /// Somebody is not let in to the administrative page.
    OperatorRefused {
        /// Who it claims to be.
        user: String,
        /// Where it comes from.
        address: String,
    },
    /// Files are read anew: only where the log is strict, and before it happens.
    Reloading {
        /// Which: `config`, `policy`, `passwords` and so on.
        what: &'static str,
    },
    /// Files were read anew.
    Reloaded {
        /// Which: `config`, `policy`, `passwords` and so on.
        what: &'static str,
        /// Whether they are in force.
        in_force: bool,
        /// What has changed, or why they are not.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        said: Vec<String>,
    },
    /// A listener accepts connections.
    ListenerOpened {
        /// Its URL.
        listener: String,
    },
    /// A listener accepts none any more.
    ListenerClosed {
        /// Its URL.
        listener: String,
    },
    /// Events that were not written, because more happened than could be.
    Lost {
        /// How many.
        count: u64,
    },
}

/// Whom an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// As logs show it: `user:ann`.
    pub principal: String,
    /// Its client identifier.
    pub client_id: String,
    /// Where it connects from.
    pub address: String,
    /// The URL of the listener.
    pub listener: String,
    /// When it connected, in seconds since the Unix epoch.
    pub since: u64,
}

/// What was done to somebody who has broken a rule of the sentinel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Responded {
    /// `disconnect`, `quarantine`, `ban`, `tighten`.
    pub response: &'static str,
    /// To what of it: `principal`, `client`, `address`, `prefix` or `certificate`.
    pub target: &'static str,
    /// Which that is, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// For how long, where it is for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// `done`; or why it was not: `dry_run`, `allowed` by the allow-list, `full`, `nobody`.
    pub outcome: &'static str,
    /// How many connections it concerned at once.
    pub connections: usize,
}

impl fmt::Display for Responded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.subject.as_deref().unwrap_or(self.target);
        write!(f, "{} {subject}: {}", self.response, self.outcome)
    }
}

impl Event {
    /// Whom it is about, where that is somebody who was let in.
    pub(super) fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Admitted { who }
            | Self::Connected { who, .. }
            | Self::Disconnected { who, .. }
            | Self::Denied { who, .. }
            | Self::Revoked { who, .. } => Some(who),
            Self::Started { .. }
            | Self::Stopped
            | Self::LoginRefused { .. }
            | Self::Banned { .. }
            | Self::BanLifted { .. }
            | Self::BanExpired { .. }
            | Self::BanRefused { .. }
            | Self::Quarantined { .. }
            | Self::QuarantineEnded { .. }
            | Self::SlowedDown { .. }
            | Self::SlowedDownEnded { .. }
            | Self::Alert { .. }
            | Self::Responding { .. }
            | Self::Limited { .. }
            | Self::Throttled { .. }
            | Self::LockedOut { .. }
            | Self::Operator { .. }
            | Self::OperatorLogin { .. }
            | Self::OperatorRefused { .. }
            | Self::Reloading { .. }
            | Self::Reloaded { .. }
            | Self::ListenerOpened { .. }
            | Self::ListenerClosed { .. }
            | Self::Lost { .. } => None,
        }
    }

    /// Has what names a client and its place replaced.
    pub(super) fn mask(&mut self, hide: impl Fn(&str) -> String) {
        match self {
            Self::Admitted { who }
            | Self::Connected { who, .. }
            | Self::Disconnected { who, .. }
            | Self::Denied { who, .. }
            | Self::Revoked { who, .. } => {
                who.client_id = hide(&who.client_id);
                who.address = hide(&place_of(&who.address));
            }
            Self::LoginRefused { client_id, address, .. } => {
                *client_id = hide(client_id);
                *address = hide(&place_of(address));
            }
            Self::Banned { kind, subject, .. }
            | Self::BanLifted { kind, subject, .. }
            | Self::BanExpired { kind, subject }
            | Self::BanRefused { kind, subject, .. }
            | Self::Quarantined { kind, subject, .. }
            | Self::QuarantineEnded { kind, subject, .. }
            | Self::SlowedDown { kind, subject, .. }
            | Self::SlowedDownEnded { kind, subject, .. }
            | Self::Responding { kind, subject, .. } => {
                hide_subject(kind, subject, hide);
            }
            Self::Alert { key, client_id, address, responses, .. } => {
                for Responded { target, subject, .. } in responses {
                    if let Some(subject) = subject {
                        hide_subject(target, subject, &hide);
                    }
                }
                for (name, value) in key.iter_mut().filter(|(name, _)| MASKED.contains(name)) {
                    *value = if *name == "client" { hide(value) } else { hide(&place_of(value)) };
                }
                if let Some(client_id) = client_id {
                    *client_id = hide(client_id);
                }
                if let Some(address) = address {
                    *address = hide(&place_of(address));
                }
            }
            Self::Limited { address: Some(name), .. }
            | Self::LockedOut { address: name, .. }
            | Self::OperatorLogin { address: name, .. }
            | Self::OperatorRefused { address: name, .. } => *name = hide(&place_of(name)),
            Self::Throttled { client_id: Some(name), .. } => *name = hide(name),
            // It may name whom it is about.
            Self::Operator { request, .. } => *request = Value::Null,
            Self::Started { .. }
            | Self::Stopped
            | Self::Limited { .. }
            | Self::Throttled { .. }
            | Self::Reloading { .. }
            | Self::Reloaded { .. }
            | Self::ListenerOpened { .. }
            | Self::ListenerClosed { .. }
            | Self::Lost { .. } => {}
        }
    }
}

impl Keys {
    /// What stands for a client identifier in a log that is masked.
    #[must_use]
    pub fn masked(&self, client_id: &str) -> String {
        self.name(&[&as_recorded(client_id)])
    }

    /// What stands for an address, or a network, in a log that is masked.
    #[must_use]
    pub fn masked_address(&self, address: &str) -> String {
        self.name(&[&place_of(&as_recorded(address))])
    }
}

/// Has the subject of a sanction replaced where it is a client identifier or a place.
fn hide_subject(kind: &str, subject: &mut String, hide: impl Fn(&str) -> String) {
    if let Some(name) = subject.strip_prefix("client:") {
        *subject = hide(name);
    } else if ["address", "prefix"].contains(&kind) {
        *subject = hide(&place_of(subject));
    }
}

/// What a place is hidden by: its address alone, in one form, so that it has one name from whichever port a
/// client comes, and wherever it is told of. Of the other end of a Unix socket that is all but its process.
/// What is no address is hidden as it is.
fn place_of(text: &str) -> Cow<'_, str> {
    if text.starts_with("unix:") {
        return Cow::Borrowed(text.split_once(",pid=").map_or(text, |(place, _)| place));
    }
    let address = text.parse::<SocketAddr>().map(|it| it.ip()).or_else(|_| text.parse());
    address.map_or(Cow::Borrowed(text), |it: IpAddr| it.to_canonical().to_string().into())
}
