//! What a broker has to do, in as few lines as will say it: sessions, subscriptions, retained
//! messages, wills and rules, without packets, queues or acknowledgements.

use std::collections::BTreeMap;

use super::ledger::{Copy, Debt, Ledger, Why};
use super::step::{Content, Ending, Hello, Name, TOPICS, VERSIONS};
use crate::codec::{ReasonCode, RetainHandling, SubscriptionOptions, Version};
use crate::message::QoS;

/// Tells the sessions of one client from each other.
pub(super) type SessionId = u64;

/// Seconds that a session without a bound of its own is kept.
const LONGEST: u64 = 7 * 24 * 3_600;

#[derive(Debug)]
pub(super) struct Oracle {
    pub(super) rules: Rules,
    /// Seconds since the beginning.
    pub(super) now: u64,
    /// One at most for each client.
    pub(super) sessions: BTreeMap<Name, Session>,
    pub(super) retained: BTreeMap<&'static str, Message>,
    pub(super) ledger: Ledger,
    next_session: SessionId,
    next_number: u32,
}

/// What the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// Everybody may do everything.
    Open,
    /// Nobody may write or read secrets.
    NoSecrets,
    /// Nobody may read secrets.
    Unreadable,
    /// Client 1 may not read secrets.
    OneIsBlind,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) subscriptions: BTreeMap<&'static str, Subscription>,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Here { expiry: u64, will: Option<(u32, Will)> },
    Away { ends: u64, will: Option<(u64, u32, Will)> },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    pub(super) options: SubscriptionOptions,
    /// 5.0 has one for each, so that a copy tells what it is for.
    pub(super) id: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Will {
    pub(super) content: Content,
    /// Seconds; 5.0 alone.
    pub(super) delay: u64,
}

/// A message that the broker has taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// Tells it from all others.
    pub(super) number: u32,
    pub(super) content: Content,
    expires: Option<u64>,
}

impl Message {
    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// What it says of that to a client `[MQTT-3.3.2-6]`: nothing to one of 3.1.1.
    pub(super) fn seconds_left(&self, name: Name, now: u64) -> Option<u64> {
        let expires = self.expires.filter(|_| VERSIONS[name] == Version::V5);
        expires.map(|expires| expires.saturating_sub(now))
    }
}

impl Rules {
    fn may_publish(self, topic: &str) -> bool {
        self != Self::NoSecrets || !is_secret(topic)
    }

    pub(super) fn may_receive(self, name: Name, topic: &str) -> bool {
        let is_blind = match self {
            Self::Open => false,
            Self::NoSecrets | Self::Unreadable => true,
            Self::OneIsBlind => name == 1,
        };
        !is_blind || !is_secret(topic)
    }

    /// A filter is granted if anything of it may be received.
    fn may_subscribe(self, name: Name, filter: &str) -> bool {
        self.may_receive(name, unshared(filter))
    }
}

fn is_secret(topic: &str) -> bool {
    topic.starts_with("secret/")
}

/// The filter within `$share/{name}/`.
fn unshared(filter: &str) -> &str {
    match filter.strip_prefix("$share/") {
        Some(shared) => shared.split_once('/').map_or("", |(_, filter)| filter),
        None => filter,
    }
}

fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}

fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (one, other) if one == other => {}
            _ => return false,
        }
    }
}

impl Oracle {
    pub(super) fn new() -> Self {
        Self {
            rules: Rules::Open,
            now: 0,
            sessions: BTreeMap::new(),
            retained: BTreeMap::new(),
            ledger: Ledger::default(),
            next_session: 0,
            next_number: 0,
        }
    }

    pub(super) fn next_number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number
    }

    pub(super) fn is_here(&self, name: Name) -> bool {
        let state = self.sessions.get(&name).map(|session| &session.state);
        matches!(state, Some(State::Here { .. }))
    }

    pub(super) fn ends_with_connection(&self, name: Name) -> bool {
        let state = self.sessions.get(&name).map(|session| &session.state);
        matches!(state, Some(State::Here { expiry: 0, .. }))
    }

    /// Whether the client is let in.
    pub(super) fn lets_in(&self, hello: &Hello) -> bool {
        hello.will.is_none_or(|will| self.rules.may_publish(will.content.topic))
    }

    /// The client is let in, and its will has that number: whether it finds its session.
    pub(super) fn connect(&mut self, name: Name, hello: &Hello, will: u32) -> bool {
        if self.is_here(name) {
            self.end_connection(name, Ending::Lost);
        }
        if hello.clean_start {
            self.end_session(name);
        }
        let expiry = match VERSIONS[name] {
            Version::V5 => u64::from(hello.expiry).min(LONGEST),
            _ if hello.clean_start => 0,
            _ => LONGEST,
        };
        let state = State::Here { expiry, will: hello.will.map(|it| (will, it)) };
        let Some(session) = self.sessions.get_mut(&name) else {
            self.next_session += 1;
            let (id, subscriptions) = (self.next_session, BTreeMap::new());
            self.sessions.insert(name, Session { id, subscriptions, state });
            return false;
        };
        session.state = state;
        true
    }

    /// The connection has ended: the will is sent now, or later, or not at all.
    pub(super) fn end_connection(&mut self, name: Name, ending: Ending) {
        let session = self.sessions.get_mut(&name).expect("a session");
        let State::Here { mut expiry, mut will } = session.state else { panic!("it is away") };
        if let Ending::Disconnect(other) = ending {
            will = None;
            expiry = other.map_or(expiry, u64::from);
        }
        let id = session.id;
        let due = will.map(|(number, will)| (self.now + will.delay.min(expiry), number, will));
        session.state = State::Away { ends: self.now + expiry, will: due };
        self.ledger.on_connection_end(id);
        self.do_what_is_due();
    }

    /// The will that still waits is sent, and nothing is owed to the session any more.
    fn end_session(&mut self, name: Name) {
        if let Some(Session { state: State::Away { will, .. }, .. }) = self.sessions.get_mut(&name)
            && let Some((_, number, will)) = will.take()
        {
            self.publish_will(name, number, will);
        }
        if let Some(Session { id, .. }) = self.sessions.remove(&name) {
            let sessions = &self.sessions;
            self.ledger.on_session_end(id, |group, message| members(sessions, group, message));
            self.ledger.on_time(self.now);
            self.ledger.on_rules(|name, topic| self.rules.may_receive(name, topic));
        }
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += seconds;
        let now = self.now;
        self.do_what_is_due();
        self.retained.retain(|_, message| !message.is_expired(now));
        self.ledger.on_time(now);
    }

    /// Wills and ends of sessions, in the order of their times.
    fn do_what_is_due(&mut self) {
        while let Some((_, _, is_end, name)) = self.next_due() {
            if is_end {
                self.end_session(name);
            } else if let Some(Session { state: State::Away { will, .. }, .. }) =
                self.sessions.get_mut(&name)
                && let Some((_, number, will)) = will.take()
            {
                self.publish_will(name, number, will);
            }
        }
    }

    fn next_due(&self) -> Option<(u64, SessionId, bool, Name)> {
        let due = self.sessions.iter().flat_map(|(&name, session)| {
            let State::Away { ends, will } = &session.state else { return Vec::new() };
            let will = will.iter().map(|(at, ..)| (*at, session.id, false, name));
            will.chain([(*ends, session.id, true, name)]).collect()
        });
        due.filter(|(at, ..)| *at <= self.now).min()
    }

    fn publish_will(&mut self, name: Name, number: u32, will: Will) {
        self.publish(name, number, will.content);
    }

    /// The broker is sent a message: what it answers.
    pub(super) fn publish(&mut self, name: Name, number: u32, content: Content) -> ReasonCode {
        if !self.rules.may_publish(content.topic) {
            return ReasonCode::NotAuthorized;
        }
        let expires = content.expiry.map(|seconds| self.now + seconds);
        let message = Message { number, content, expires };
        if content.retain {
            let kept = (!content.is_empty).then_some(&message);
            self.ledger.on_retained(content.topic, kept);
            match kept {
                Some(_) => self.retained.insert(content.topic, message),
                None => self.retained.remove(content.topic),
            };
        }
        let live = self.recipients(name, &message);
        let groups = self.groups(content.topic);
        if live.is_empty() && groups.is_empty() {
            return ReasonCode::NoMatchingSubscribers;
        }
        for copy in live {
            // QoS 0 does not wait for a client that is away.
            if copy.qos(&message) != QoS::AtMostOnce || self.is_here(copy.name) {
                self.owe(Debt::new(Why::Live, &message, vec![copy]));
            }
        }
        for group in groups {
            let copies = members(&self.sessions, group, &message);
            self.owe(Debt::new(Why::Share(group), &message, copies));
        }
        ReasonCode::Success
    }

    /// What may not be received now may be dropped.
    fn owe(&mut self, mut debt: Debt) {
        let rules = self.rules;
        debt.is_due &= debt.copies.iter().all(|copy| rules.may_receive(copy.name, debt.topic));
        self.ledger.add(debt);
    }

    /// One copy for each session, however many of its subscriptions match.
    fn recipients(&self, publisher: Name, message: &Message) -> Vec<Copy> {
        let mut copies = Vec::new();
        for (&name, session) in &self.sessions {
            let hits = session.subscriptions.iter().filter(|(filter, subscription)| {
                let is_own = subscription.options.no_local && name == publisher;
                !is_shared(filter) && !is_own && matches(filter, message.content.topic)
            });
            let copy = hits
                .map(|(_, subscription)| subscription.copy(name, session.id, message))
                .reduce(Copy::merge);
            copies.extend(copy);
        }
        copies
    }

    /// The share groups that match, each once.
    fn groups(&self, topic: &str) -> Vec<&'static str> {
        let filters = self.sessions.values().flat_map(|session| session.subscriptions.keys());
        let mut groups = filters
            .filter(|filter| is_shared(filter) && matches(unshared(filter), topic))
            .copied()
            .collect::<Vec<_>>();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// Whether the subscription is granted.
    pub(super) fn subscribe(
        &mut self,
        name: Name,
        filter: &'static str,
        subscription: Subscription,
    ) -> bool {
        if !self.rules.may_subscribe(name, filter) {
            return false;
        }
        let Subscription { options, id } = subscription;
        let session = self.sessions.get_mut(&name).expect("a session");
        let session_id = session.id;
        let is_new = session.subscriptions.insert(filter, subscription).is_none();
        let is_wanted = match options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        if is_shared(filter) {
            return true;
        }
        if !is_wanted {
            self.ledger.on_replaced(session_id, filter, options, id);
            return true;
        }
        self.ledger.forget_retained(session_id, filter);
        for topic in TOPICS.into_iter().filter(|topic| matches(filter, topic)) {
            let ids = id.into_iter().collect();
            let maximum_qos = options.maximum_qos;
            let copy = Copy { name, session: session_id, maximum_qos, retain: true, ids };
            self.owe(match self.retained.get(topic) {
                Some(message) => Debt::new(Why::Retained(filter), message, vec![copy]),
                None => Debt::of_nothing_yet(filter, topic, copy),
            });
        }
        true
    }

    /// Whether there was such a subscription.
    pub(super) fn unsubscribe(&mut self, name: Name, filter: &'static str) -> bool {
        let session = self.sessions.get_mut(&name).expect("a session");
        self.ledger.forget_retained(session.id, filter);
        session.subscriptions.remove(filter).is_some()
    }

    /// Subscriptions that the new rules do not allow end at once.
    pub(super) fn reload(&mut self, rules: Rules) {
        self.rules = rules;
        let mut left = Vec::new();
        for (&name, session) in &mut self.sessions {
            let ledger = &mut self.ledger;
            session.subscriptions.retain(|filter, _| {
                let is_allowed = rules.may_subscribe(name, filter);
                if !is_allowed {
                    ledger.forget_retained(session.id, filter);
                    left.push((session.id, *filter));
                }
                is_allowed
            });
        }
        for (session, group) in left.into_iter().filter(|(_, filter)| is_shared(filter)) {
            self.ledger.on_share_left(session, group, |it| members(&self.sessions, group, it));
        }
        self.ledger.on_rules(|name, topic| rules.may_receive(name, topic));
    }
}

fn members(sessions: &BTreeMap<Name, Session>, group: &str, message: &Message) -> Vec<Copy> {
    let member = |(&name, session): (&Name, &Session)| {
        let subscription = session.subscriptions.get(group)?;
        Some(subscription.copy(name, session.id, message))
    };
    sessions.iter().filter_map(member).collect()
}

impl Subscription {
    fn copy(&self, name: Name, session: SessionId, message: &Message) -> Copy {
        Copy {
            name,
            session,
            maximum_qos: self.options.maximum_qos,
            retain: message.content.retain && self.options.retain_as_published,
            ids: self.id.into_iter().collect(),
        }
    }
}

impl Copy {
    fn merge(mut self, other: Self) -> Self {
        self.maximum_qos = self.maximum_qos.max(other.maximum_qos);
        self.retain |= other.retain;
        self.ids.extend(other.ids);
        self.ids.sort_unstable();
        self
    }
}
