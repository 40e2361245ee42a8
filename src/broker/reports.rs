//! What an operator is told of sessions. Each connection tells of itself when it is asked, so that
//! nothing has to be kept where others could read it; sessions without one are looked at one by one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Broker;
use super::gate::Who;
use super::mailbox::Mailbox;
use super::parked::Parked;
use super::registry::Holding;
use crate::acl::ClientRules;
use crate::identity::{Attributes, ClientId, PeerAddress, Principal, TransportSecurity};
use crate::session::Subscriptions;

/// How long a connection may take to answer. It does as soon as it has its turn; only one that waits
/// for its session has none.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a session is asked for that changes hands meanwhile.
const TRIES: usize = 3;
/// Filters, and topics, that are told of one session, and bytes of either.
const MOST_TOPICS: usize = 256;
const MOST_TOPIC_BYTES: usize = 64 << 10;

/// The broker as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerReport {
    /// Since it was started.
    pub uptime: Duration,
    /// Clients that are connected now.
    pub connected: u64,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Subscriptions of all of them.
    pub subscriptions: usize,
    /// Retained messages, and their bytes.
    pub retained: (usize, usize),
    /// Lock-outs after failed logins.
    pub lockouts: usize,
    /// Whether it lets nobody in any more.
    pub is_stopping: bool,
}

/// One session.
#[derive(Clone, Debug)]
pub struct SessionReport {
    /// Its client identifier.
    pub client_id: ClientId,
    /// Whose it is.
    pub principal: Principal,
    /// What the proof of that says beyond the name.
    pub attributes: Attributes,
    /// Rules that it has to itself.
    pub rules: Option<ClientRules>,
    /// Where the client connects from, or last did.
    pub address: PeerAddress,
    /// The URL of the listener that it came by.
    pub listener: Arc<str>,
    /// What protects its transport.
    pub security: TransportSecurity,
    /// Whether it is connected now.
    pub is_connected: bool,
    /// When it connected last, in seconds since the Unix epoch.
    pub connected_at: u64,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// Messages that wait for it.
    pub queued: usize,
    /// What it uses, where that was asked for.
    pub topics: Option<TopicsInUse>,
}

/// Topics that a client uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicsInUse {
    /// The filters that it is subscribed to.
    pub filters: Vec<String>,
    /// Those that it has lately published to over this connection.
    pub published: Vec<String>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// What has come of asking for a session.
#[derive(Clone, Debug)]
pub enum Reported {
    /// This is it.
    Known(Box<SessionReport>),
    /// It is there, but its connection does not answer: it waits itself.
    Silent,
    /// It has ended.
    Gone,
}

/// A question to a connection.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) with_topics: bool,
    pub(super) answer: oneshot::Sender<Box<SessionReport>>,
}

impl Broker {
    /// How the broker is.
    #[must_use]
    pub fn report(&self) -> BrokerReport {
        BrokerReport {
            uptime: self.started.elapsed(),
            connected: self.counts.totals.clients_connected.load(Ordering::Relaxed),
            sessions: self.registry.len(),
            subscriptions: self.routes.len(),
            retained: self.retained.size(),
            lockouts: self.lockouts().len(),
            is_stopping: self.is_shutting_down(),
        }
    }

    /// Every session there is now, and whose it is, in no order. Takes a part of the sessions at a
    /// time, and holds up nobody who is connected; yet with very many it is long work.
    #[must_use]
    pub fn sessions(&self) -> Vec<(ClientId, Principal)> {
        self.registry.owners()
    }

    /// Asks for the session of `client_id`.
    pub async fn report_session(&self, client_id: &ClientId, with_topics: bool) -> Reported {
        for _ in 0..TRIES {
            match self.registry.holding(client_id.as_str()) {
                None => return Reported::Gone,
                Some(Holding::Connected(seat)) => {
                    let (answer, answered) = oneshot::channel();
                    seat.ask(Question { with_topics, answer });
                    match timeout(PATIENCE, answered).await {
                        Ok(Ok(report)) => return Reported::Known(report),
                        // The connection ends: somebody else has the session next.
                        Ok(Err(_)) => {}
                        Err(_) => return Reported::Silent,
                    }
                }
                Some(Holding::Parked(_, key)) => {
                    let report = |parked: &mut Parked| parked.report(with_topics);
                    if let Some(report) = self.registry.with_parked(client_id, key, report) {
                        return Reported::Known(Box::new(report));
                    }
                }
            }
        }
        Reported::Silent
    }
}

impl SessionReport {
    /// Without what it uses.
    pub(super) fn of(who: &Who, mailbox: &Mailbox, subscriptions: usize) -> Self {
        Self {
            client_id: who.client_id.clone(),
            principal: who.principal.clone(),
            attributes: who.attributes.clone(),
            rules: who.rules.clone(),
            address: who.address.clone(),
            listener: Arc::clone(&who.listener),
            security: who.security,
            is_connected: false,
            connected_at: who.connected_at,
            subscriptions,
            queued: mailbox.waiting(),
            topics: None,
        }
    }
}

impl Parked {
    fn report(&self, with_topics: bool) -> SessionReport {
        let subscriptions = &self.image.subscriptions;
        let report = SessionReport::of(&self.who, &self.session.mailbox, subscriptions.len());
        let topics = with_topics.then(|| TopicsInUse::of(subscriptions, std::iter::empty()));
        SessionReport { topics, ..report }
    }
}

impl TopicsInUse {
    pub(super) fn of<'a>(
        subscriptions: &Subscriptions,
        published: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut topics = Self::default();
        let filters = subscriptions.iter().map(|(filter, _)| filter.as_str());
        topics.filters = take_some(filters, &mut topics.is_cut);
        topics.published = take_some(published, &mut topics.is_cut);
        topics
    }
}

/// As many as are told, and whether there are more.
fn take_some<'a>(texts: impl Iterator<Item = &'a str>, is_cut: &mut bool) -> Vec<String> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    for text in texts {
        bytes += text.len();
        if taken.len() >= MOST_TOPICS || bytes > MOST_TOPIC_BYTES {
            *is_cut = true;
            break;
        }
        taken.push(text.to_owned());
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_topics_are_told_than_there_is_room_for() {
        let mut is_cut = false;
        assert_eq!(take_some(["a", "b"].into_iter(), &mut is_cut), ["a", "b"]);
        assert!(!is_cut);
        let many = vec!["t"; MOST_TOPICS + 1];
        assert_eq!(take_some(many.into_iter(), &mut is_cut).len(), MOST_TOPICS);
        assert!(is_cut);
        let long = "l".repeat(MOST_TOPIC_BYTES / 2);
        is_cut = false;
        assert_eq!(take_some([&*long, &*long, "m"].into_iter(), &mut is_cut).len(), 2);
        assert!(is_cut);
    }
}
