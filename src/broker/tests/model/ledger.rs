//! What the broker owes to whom: each message that it has taken, for each recipient.

use super::oracle::{Message, SessionId};
use super::step::Name;
use super::wire::Published;
use crate::codec::SubscriptionOptions;
use crate::message::QoS;

/// Everything that was ever owed, in the order in which it was.
#[derive(Debug, Default)]
pub(super) struct Ledger(pub(super) Vec<Debt>);

/// One message, owed to a session or to one member of a share group.
#[derive(Debug)]
pub(super) struct Debt {
    pub(super) why: Why,
    pub(super) topic: &'static str,
    /// Any of them pays it: a retained message may be replaced before it is looked up.
    pub(super) messages: Vec<Message>,
    /// Whom to, and how. More than one only where it is shared.
    pub(super) copies: Vec<Copy>,
    /// Whether the test fails if it is never paid.
    pub(super) is_due: bool,
    /// Whether it may still be paid.
    pub(super) is_open: bool,
    pub(super) sent: Option<Sent>,
    /// How often the application got it.
    pub(super) heard: usize,
    pub(super) is_acknowledged: bool,
}

/// What it is owed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The subscriptions of a session.
    Live,
    /// A shared subscription.
    Share(&'static str),
    /// A new subscription, for which there was a retained message.
    Retained(&'static str),
}

/// What one recipient would be sent.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) name: Name,
    pub(super) session: SessionId,
    pub(super) maximum_qos: QoS,
    pub(super) retain: bool,
    /// In ascending order.
    pub(super) ids: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) session: SessionId,
    pub(super) qos: QoS,
}

impl Debt {
    pub(super) fn new(why: Why, message: &Message, copies: Vec<Copy>) -> Self {
        // Nobody knows which member is chosen: QoS 0 is lost with its connection.
        let is_due = match why {
            Why::Share(_) => copies.iter().all(|copy| copy.qos(message) != QoS::AtMostOnce),
            Why::Live | Why::Retained(_) => true,
        };
        let is_due = is_due && !message.content.is_empty;
        let messages = vec![*message];
        Self { is_due, ..Self::none(why, message.content.topic, messages, copies) }
    }

    /// A retained message that may come to be before it is looked up.
    pub(super) fn of_nothing_yet(filter: &'static str, topic: &'static str, copy: Copy) -> Self {
        Self::none(Why::Retained(filter), topic, Vec::new(), vec![copy])
    }

    fn none(why: Why, topic: &'static str, messages: Vec<Message>, copies: Vec<Copy>) -> Self {
        let (is_open, sent) = (true, None);
        let (is_due, heard, is_acknowledged) = (false, 0, false);
        Self { why, topic, messages, copies, is_due, is_open, sent, heard, is_acknowledged }
    }

    pub(super) fn is_unsent(&self) -> bool {
        self.is_open && self.sent.is_none()
    }

    pub(super) fn copy_of(&self, session: SessionId) -> Option<&Copy> {
        self.copies.iter().find(|copy| copy.session == session)
    }

    fn is_paid_by(&self, session: SessionId, sent: &Published, now: u64) -> bool {
        let copies = self.copies.iter().filter(|copy| copy.session == session);
        let pairs = copies.flat_map(|copy| self.messages.iter().map(move |it| (copy, it)));
        self.is_unsent()
            && self.topic == sent.topic
            && pairs.into_iter().any(|(copy, message)| copy.is_of(message, sent, now))
    }

    fn cancel(&mut self) {
        (self.is_due, self.is_open) = (false, false);
    }

    fn is_of_retained(&self, session: SessionId, filter: &str) -> bool {
        matches!(self.why, Why::Retained(of) if of == filter) && self.copy_of(session).is_some()
    }
}

impl Copy {
    pub(super) fn qos(&self, message: &Message) -> QoS {
        self.maximum_qos.min(message.content.qos)
    }

    /// Whether `sent` is this copy of the message, as it has to be now.
    fn is_of(&self, message: &Message, sent: &Published, now: u64) -> bool {
        sent.number.map_or(message.content.is_empty, |number| number == message.number)
            && !message.is_expired(now)
            && sent.seconds_left == message.seconds_left(self.name, now)
            && (sent.qos, sent.retain) == (self.qos(message), self.retain)
            && sent.ids == self.ids
    }
}

impl Ledger {
    /// A group that is owed a message twice, since its publisher has sent it again, may be paid one
    /// for the other: nobody can tell.
    pub(super) fn add(&mut self, mut debt: Debt) {
        let number = |debt: &Debt| debt.messages.first().map(|message| message.number);
        if matches!(debt.why, Why::Share(_)) {
            let terms = debt.copies.clone();
            let is_alike = |it: &&mut Debt| it.why == debt.why && number(it) == number(&debt);
            let twins = self.0.iter_mut().filter(is_alike).filter(|it| it.is_unsent());
            for twin in twins.collect::<Vec<_>>() {
                debt.copies.extend(twin.copies.iter().cloned());
                twin.copies.extend(terms.iter().cloned());
            }
        }
        self.0.push(debt);
    }

    /// The debt that the broker pays by sending this to `session`: what is due before what is not,
    /// but what a share sends with QoS 0 was not due.
    pub(super) fn paid_by(&self, session: SessionId, sent: &Published, now: u64) -> Option<usize> {
        let found = self.0.iter().enumerate().filter(|(_, it)| it.is_paid_by(session, sent, now));
        let is_unlikely = |debt: &Debt| match debt.why {
            Why::Share(_) if sent.qos == QoS::AtMostOnce => debt.is_due,
            _ => !debt.is_due,
        };
        found.min_by_key(|(_, debt)| is_unlikely(debt)).map(|(at, _)| at)
    }

    /// QoS 0 does not survive its connection; what of it is retained may wait and come later.
    pub(super) fn on_connection_end(&mut self, session: SessionId) {
        for debt in &mut self.0 {
            let Some(copy) = debt.copy_of(session) else { continue };
            if debt.messages.iter().all(|message| copy.qos(message) != QoS::AtMostOnce) {
                continue;
            }
            match debt.why {
                Why::Live if debt.is_unsent() => debt.cancel(),
                Why::Live | Why::Retained(_) => debt.is_due = false,
                Why::Share(_) => {}
            }
        }
    }

    /// The session has ended; `members` says who is left in its groups. What it has left of shared
    /// subscriptions goes to them, unless it was of QoS 2 and on its way.
    pub(super) fn on_session_end(
        &mut self,
        session: SessionId,
        members: impl Fn(&str, &Message) -> Vec<Copy>,
    ) {
        for debt in self.0.iter_mut().filter(|debt| debt.is_open && !debt.is_acknowledged) {
            if debt.copy_of(session).is_none() {
                continue;
            }
            let Why::Share(group) = debt.why else {
                debt.cancel();
                continue;
            };
            match debt.sent {
                Some(sent) if sent.session != session => continue,
                Some(sent) if sent.qos != QoS::AtLeastOnce => {
                    debt.cancel();
                    continue;
                }
                // Heard or not, it was not acknowledged: it is owed anew.
                Some(_) => debt.copies.clear(),
                // Another member may be the one that has it: it stays a candidate.
                None => debt.copies.retain(|copy| copy.session != session),
            }
            let heirs = members(group, &debt.messages[0]);
            let anew = Debt::new(debt.why, &debt.messages[0], heirs);
            debt.is_due &= anew.is_due && !anew.copies.is_empty();
            (debt.sent, debt.heard) = (None, 0);
            debt.copies.extend(anew.copies);
        }
    }

    /// The session does not belong to the group any more: what waited for it goes to other members.
    pub(super) fn on_share_left(
        &mut self,
        session: SessionId,
        group: &'static str,
        members: impl Fn(&Message) -> Vec<Copy>,
    ) {
        let is_of_group = |debt: &&mut Debt| debt.why == Why::Share(group);
        for debt in self.0.iter_mut().filter(is_of_group) {
            if debt.is_unsent() && debt.copy_of(session).is_some() {
                debt.copies.extend(members(&debt.messages[0]));
            }
        }
    }

    /// Messages on their way are sent again even when they have expired; no others are sent.
    pub(super) fn on_time(&mut self, now: u64) {
        for debt in self.0.iter_mut().filter(|debt| debt.sent.is_none()) {
            debt.is_due &= debt.messages.iter().all(|message| !message.is_expired(now));
        }
    }

    /// What a client may not receive now may be dropped, though it may receive it later.
    pub(super) fn on_rules(&mut self, may_receive: impl Fn(Name, &str) -> bool) {
        for debt in &mut self.0 {
            debt.is_due &= debt.copies.iter().all(|copy| may_receive(copy.name, debt.topic));
        }
    }

    /// The retained message of the topic is another one now, or none.
    pub(super) fn on_retained(&mut self, topic: &str, message: Option<&Message>) {
        let is_of_it = |debt: &&mut Debt| {
            matches!(debt.why, Why::Retained(_)) && debt.topic == topic && debt.is_unsent()
        };
        for debt in self.0.iter_mut().filter(is_of_it) {
            debt.is_due &= message.is_some();
            debt.messages.extend(message);
        }
    }

    /// The subscription has been replaced by one that is sent no retained messages for itself.
    pub(super) fn on_replaced(
        &mut self,
        session: SessionId,
        filter: &str,
        options: SubscriptionOptions,
        id: Option<u32>,
    ) {
        for debt in self.0.iter_mut().filter(|it| it.is_unsent()) {
            if debt.is_of_retained(session, filter) {
                debt.copies[0].maximum_qos = options.maximum_qos;
                debt.copies[0].ids = id.into_iter().collect();
            }
        }
    }

    /// No retained messages are owed to the subscription any more.
    pub(super) fn forget_retained(&mut self, session: SessionId, filter: &str) {
        for debt in self.0.iter_mut().filter(|it| it.is_unsent()) {
            if debt.is_of_retained(session, filter) {
                debt.cancel();
            }
        }
    }
}
