//! What waits for one session: a bounded queue that publishers fill and its connection empties.

use std::sync::Arc;

use parking_lot::Mutex;

use super::bell::Bell;
use super::lane::Lane;
use crate::message::{Message, QoS, SessionKey};
use crate::router::Recipient;
use crate::session::Outbound;

/// The queue of one session, connected or not.
#[derive(Debug)]
pub struct Mailbox {
    key: SessionKey,
    /// Whether the store keeps what waits here.
    is_durable: bool,
    queue: Mutex<Queue>,
}

/// The most that may wait for one session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// Two lanes, since QoS 0 needs no room in the client's window. Numbered in order of arrival, so
/// that they are emptied in that order where the window allows.
#[derive(Debug, Default)]
struct Queue {
    at_most_once: Lane,
    acknowledged: Lane,
    arrivals: u64,
    bounds: Bounds,
    /// For messages that are on their way here.
    reserved: Bounds,
    /// Of its connection; nobody is connected without one.
    bell: Option<Arc<Bell>>,
    /// Whether the connection has been told and has not looked yet.
    is_awake: bool,
    /// Whether the session has ended. A publisher may still know it for a while.
    is_closed: bool,
}

/// What [`Mailbox::review`] has come to.
#[derive(Debug, Default)]
pub(super) struct MailboxSlice {
    /// What is taken out, each lane in order of arrival.
    pub(super) removed: Vec<Outbound>,
    /// The next arrival that waits.
    pub(super) next: Option<u64>,
}

/// What became of a message that was pushed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits.
    Waiting {
        /// How many messages of QoS 0 have made room for it.
        shed: usize,
    },
    /// It was not taken: the queue is full.
    Full,
    /// It was not taken: QoS 0 does not wait for a client that is away.
    Away,
    /// It was not taken: the session has ended.
    Closed,
}

/// How many of the messages that were pushed together, or that made room for them, are lost. What a
/// session that has ended did not take counts for nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// The queue is full.
    pub(super) full: usize,
    /// QoS 0 does not wait for a client that is away.
    pub(super) away: usize,
}

impl Mailbox {
    pub(super) fn new(key: SessionKey, bounds: Bounds) -> Self {
        Self { key, is_durable: false, queue: Mutex::new(Queue { bounds, ..Queue::default() }) }
    }

    /// As [`Self::new`]; the store keeps what waits here.
    pub(super) fn durable(key: SessionKey, bounds: Bounds) -> Self {
        Self { is_durable: true, ..Self::new(key, bounds) }
    }

    /// Of its session.
    pub(super) fn key(&self) -> SessionKey {
        self.key
    }

    /// Whether the session outlives the process, and so the store keeps what waits here.
    pub(super) fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Keeps room for a message of QoS 1 or 2, which comes by [`Self::push_reserved`].
    pub(super) fn reserve(&self, message: &Message) -> Pushed {
        self.queue.lock().reserve(Lane::cost(message))
    }

    /// Adds a message that room is kept for; gives it back where the session has ended meanwhile.
    pub(super) fn push_reserved(
        &self,
        outbound: Outbound,
        wakes: &mut Vec<Arc<Bell>>,
    ) -> Result<(), Outbound> {
        let mut queue = self.queue.lock();
        if queue.is_closed {
            return Err(outbound);
        }
        queue.reserved.messages -= 1;
        queue.reserved.bytes -= Lane::cost(&outbound.message);
        queue.add(outbound, wakes);
        Ok(())
    }

    /// Adds a message. Its connection is left asleep: the caller collects whom to wake, and wakes
    /// each once.
    ///
    /// Where the queue is full, messages of QoS 0 make room for one of QoS 1 or 2; otherwise it is
    /// the new message that is lost.
    pub(super) fn push(&self, outbound: Outbound, wakes: &mut Vec<Arc<Bell>>) -> Pushed {
        let mut queue = self.queue.lock();
        queue.push(outbound, wakes)
    }

    /// Adds messages as [`Self::push`] does, in their order.
    pub(super) fn push_all(&self, messages: Vec<Outbound>, wakes: &mut Vec<Arc<Bell>>) -> Lost {
        let mut lost = Lost::default();
        let mut queue = self.queue.lock();
        for outbound in messages {
            match queue.push(outbound, wakes) {
                Pushed::Waiting { shed } => lost.full += shed,
                Pushed::Full => lost.full += 1,
                Pushed::Away => lost.away += 1,
                Pushed::Closed => {}
            }
        }
        lost
    }

    /// Adds what waited before the process began, however much that is.
    pub(super) fn restore(&self, waiting: Vec<Outbound>) {
        let mut queue = self.queue.lock();
        waiting.into_iter().for_each(|outbound| queue.add(outbound, &mut Vec::new()));
    }

    /// Moves what waits to `into`, in order of arrival: at most `window` messages of QoS 1 and 2, at
    /// most `messages` in all, and no more once they come to `bytes`.
    pub(super) fn take(
        &self,
        mut window: usize,
        messages: usize,
        bytes: usize,
        into: &mut Vec<Outbound>,
    ) {
        let mut queue = self.queue.lock();
        queue.is_awake = false;
        let mut taken = 0;
        while into.len() < messages && taken < bytes {
            let Some(outbound) = queue.next(window > 0) else { return };
            window -= usize::from(outbound.qos != QoS::AtMostOnce);
            taken += Lane::cost(&outbound.message);
            into.push(outbound);
        }
    }

    /// From now on, no more than this waits; what waits already stays.
    pub(super) fn bound(&self, bounds: Bounds) {
        self.queue.lock().bounds = bounds;
    }

    /// A connection serves the session from now on.
    pub(super) fn connect(&self, bell: Arc<Bell>) {
        let mut queue = self.queue.lock();
        queue.is_awake = false;
        queue.bell = Some(bell);
    }

    /// The client is away: what it can miss is dropped, and the number of those messages returned.
    pub(super) fn disconnect(&self) -> usize {
        let mut queue = self.queue.lock();
        queue.bell = None;
        std::mem::take(&mut queue.at_most_once).len()
    }

    /// The session has ended: nothing waits for it any more, whoever still holds its queue. Gives
    /// what waited.
    pub(super) fn close(&self) -> impl Iterator<Item = Outbound> + use<> {
        let closed = Queue { is_closed: true, ..Queue::default() };
        let mut queue = std::mem::replace(&mut *self.queue.lock(), closed);
        std::iter::from_fn(move || queue.next(true))
    }

    /// How many messages have ever come.
    pub(super) fn arrivals(&self) -> u64 {
        self.queue.lock().arrivals
    }

    /// Looks at `count` arrivals from the first one that waits at `from` or later, and takes out what
    /// is not kept.
    pub(super) fn review(
        &self,
        from: u64,
        count: u64,
        is_kept: impl Fn(&Outbound) -> bool,
    ) -> MailboxSlice {
        let mut removed = Vec::new();
        let mut queue = self.queue.lock();
        let Some(from) = queue.first_arrival(from) else { return MailboxSlice::default() };
        let arrivals = from..from.saturating_add(count);
        queue.at_most_once.review(&arrivals, &is_kept, &mut removed);
        queue.acknowledged.review(&arrivals, &is_kept, &mut removed);
        MailboxSlice { removed, next: queue.first_arrival(arrivals.end) }
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.lock().len()
    }

    /// How many messages wait, where a connection serves the session.
    pub(super) fn load(&self) -> Option<usize> {
        let queue = self.queue.lock();
        queue.bell.is_some().then(|| queue.len())
    }
}

impl Queue {
    fn push(&mut self, outbound: Outbound, wakes: &mut Vec<Arc<Bell>>) -> Pushed {
        if self.is_closed {
            return Pushed::Closed;
        }
        if outbound.qos == QoS::AtMostOnce && self.bell.is_none() {
            return Pushed::Away;
        }
        let cost = Lane::cost(&outbound.message);
        let shed = match outbound.qos {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce | QoS::ExactlyOnce => self.make_room(cost),
        };
        if !self.has_room(cost) {
            return Pushed::Full;
        }
        self.add(outbound, wakes);
        Pushed::Waiting { shed }
    }

    fn reserve(&mut self, cost: usize) -> Pushed {
        if self.is_closed {
            return Pushed::Closed;
        }
        let shed = self.make_room(cost);
        if !self.has_room(cost) {
            return Pushed::Full;
        }
        self.reserved.messages += 1;
        self.reserved.bytes += cost;
        Pushed::Waiting { shed }
    }

    /// How many wait, those that are on their way here among them.
    fn len(&self) -> usize {
        self.at_most_once.len() + self.acknowledged.len() + self.reserved.messages
    }

    fn has_room(&self, cost: usize) -> bool {
        let bytes = self.at_most_once.bytes() + self.acknowledged.bytes() + self.reserved.bytes;
        self.len() < self.bounds.messages && bytes + cost <= self.bounds.bytes
    }

    /// Sheds messages of QoS 0, oldest first, for one of QoS 1 or 2, and says how many; none where
    /// even all of them would not do.
    fn make_room(&mut self, cost: usize) -> usize {
        let bounds = self.bounds;
        let Bounds { messages, bytes } = self.reserved;
        let can_have_room = self.acknowledged.len() + messages < bounds.messages
            && self.acknowledged.bytes() + bytes + cost <= bounds.bytes;
        let mut shed = 0;
        while can_have_room && !self.has_room(cost) && self.at_most_once.pop().is_some() {
            shed += 1;
        }
        shed
    }

    fn add(&mut self, outbound: Outbound, wakes: &mut Vec<Arc<Bell>>) {
        let arrival = self.arrivals;
        self.arrivals += 1;
        let lane = match outbound.qos {
            QoS::AtMostOnce => &mut self.at_most_once,
            QoS::AtLeastOnce | QoS::ExactlyOnce => &mut self.acknowledged,
        };
        lane.push(arrival, outbound);
        if !self.is_awake {
            wakes.extend(self.bell.clone());
            self.is_awake = self.bell.is_some();
        }
    }

    /// The first arrival that waits, at `from` or later.
    fn first_arrival(&self, from: u64) -> Option<u64> {
        let lanes = [&self.at_most_once, &self.acknowledged];
        lanes.into_iter().filter_map(|lane| lane.first_arrival(from)).min()
    }

    fn next(&mut self, has_window: bool) -> Option<Outbound> {
        let acknowledged = self.acknowledged.next_arrival().filter(|_| has_window);
        match (self.at_most_once.next_arrival(), acknowledged) {
            (Some(first), Some(second)) if first < second => self.at_most_once.pop(),
            (_, Some(_)) => self.acknowledged.pop(),
            (_, None) => self.at_most_once.pop(),
        }
    }
}

impl Recipient for Arc<Mailbox> {
    fn key(&self) -> SessionKey {
        self.key
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::topic::TopicName;

    const BOUNDS: Bounds = Bounds { messages: 3, bytes: 1 << 20 };

    fn outbound(name: &str, qos: QoS) -> Outbound {
        let message = Message {
            topic: TopicName::parse(name).expect("a topic"),
            payload: Bytes::new(),
            properties: Bytes::new(),
            qos,
            retain: false,
            expiry: None,
            publisher: None,
        };
        let subscription_ids = crate::codec::SubscriptionIds::new();
        let message = Arc::new(message);
        Outbound {
            message,
            qos,
            retain: false,
            subscription_ids,
            share: None,
            kept: None,
            was_sent: false,
        }
    }

    fn connected() -> Mailbox {
        let mailbox = Mailbox::new(SessionKey(1), BOUNDS);
        mailbox.connect(Arc::default());
        mailbox
    }

    fn topics(mailbox: &Mailbox, window: usize) -> Vec<String> {
        let mut taken = Vec::new();
        mailbox.take(window, usize::MAX, usize::MAX, &mut taken);
        taken.iter().map(|outbound| outbound.message.topic.to_string()).collect()
    }

    #[test]
    fn messages_leave_in_order_of_arrival_and_qos_0_passes_a_closed_window() {
        let mailbox = connected();
        for (name, qos) in
            [("a", QoS::AtLeastOnce), ("b", QoS::AtMostOnce), ("c", QoS::ExactlyOnce)]
        {
            mailbox.push(outbound(name, qos), &mut Vec::new());
        }
        assert_eq!(topics(&mailbox, 0), ["b"]);
        assert_eq!(topics(&mailbox, 1), ["a"]);
        assert_eq!(topics(&mailbox, 9), ["c"]);
        assert_eq!(mailbox.queue.lock().acknowledged.bytes(), 0);
    }

    #[test]
    fn a_connection_is_woken_once_until_it_looks() {
        let mailbox = connected();
        let mut wakes = Vec::new();
        mailbox.push(outbound("a", QoS::AtMostOnce), &mut wakes);
        mailbox.push(outbound("b", QoS::AtMostOnce), &mut wakes);
        assert_eq!(wakes.len(), 1);
        assert_eq!(topics(&mailbox, 0), ["a", "b"]);
        mailbox.push(outbound("c", QoS::AtMostOnce), &mut wakes);
        assert_eq!(wakes.len(), 2);
    }

    #[test]
    fn a_full_queue_sheds_qos_0_first_and_then_refuses() {
        let mailbox = connected();
        let push = |name: &str, qos| mailbox.push(outbound(name, qos), &mut Vec::new());
        push("a", QoS::AtMostOnce);
        push("b", QoS::AtLeastOnce);
        push("c", QoS::AtLeastOnce);
        assert_eq!(push("d", QoS::AtMostOnce), Pushed::Full);
        assert_eq!(push("e", QoS::AtLeastOnce), Pushed::Waiting { shed: 1 });
        assert_eq!(push("f", QoS::AtLeastOnce), Pushed::Full);
        assert_eq!(topics(&mailbox, 9), ["b", "c", "e"]);
    }

    #[test]
    fn nothing_is_shed_for_what_does_not_fit_anyway() {
        let large = outbound(&"l".repeat(999), QoS::AtLeastOnce);
        let mailbox = Mailbox::new(
            SessionKey(1),
            Bounds { messages: 9, bytes: Lane::cost(&large.message) - 1 },
        );
        mailbox.connect(Arc::default());
        mailbox.push(outbound("a", QoS::AtMostOnce), &mut Vec::new());
        assert_eq!(mailbox.push(large, &mut Vec::new()), Pushed::Full);
        assert_eq!(topics(&mailbox, 9), ["a"]);
    }

    #[test]
    fn the_byte_bound_holds_as_the_message_bound_does() {
        let one = Lane::cost(&outbound("a", QoS::AtLeastOnce).message);
        let mailbox = Mailbox::new(SessionKey(1), Bounds { messages: 9, bytes: 2 * one });
        let push = |name: &str| mailbox.push(outbound(name, QoS::AtLeastOnce), &mut Vec::new());
        assert_eq!(push("a"), Pushed::Waiting { shed: 0 });
        assert_eq!(push("b"), Pushed::Waiting { shed: 0 });
        assert_eq!(push("c"), Pushed::Full);
    }

    #[test]
    fn messages_that_are_pushed_together_fare_as_they_would_one_by_one() {
        let mailbox = connected();
        let mut wakes = Vec::new();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| outbound(name, QoS::AtMostOnce));
        let e = outbound("e", QoS::AtLeastOnce);
        assert_eq!(mailbox.push_all(vec![a, b, c, d, e], &mut wakes), Lost { full: 2, away: 0 });
        assert_eq!(wakes.len(), 1);
        assert_eq!(topics(&mailbox, 9), ["b", "c", "e"]);
        mailbox.disconnect();
        let missed = ["f", "g"].map(|name| outbound(name, QoS::AtMostOnce)).to_vec();
        assert_eq!(mailbox.push_all(missed, &mut wakes), Lost { full: 0, away: 2 });
        drop(mailbox.close());
        let late = vec![outbound("h", QoS::AtLeastOnce)];
        assert_eq!(mailbox.push_all(late, &mut wakes), Lost::default());
    }

    #[test]
    fn who_is_away_misses_qos_0_and_nothing_else() {
        let mailbox = connected();
        mailbox.push(outbound("a", QoS::AtMostOnce), &mut Vec::new());
        mailbox.push(outbound("b", QoS::AtLeastOnce), &mut Vec::new());
        assert_eq!(mailbox.disconnect(), 1);
        assert_eq!(mailbox.push(outbound("c", QoS::AtMostOnce), &mut Vec::new()), Pushed::Away);
        assert_eq!(
            mailbox.push(outbound("d", QoS::ExactlyOnce), &mut Vec::new()),
            Pushed::Waiting { shed: 0 }
        );
        assert_eq!(topics(&mailbox, 9), ["b", "d"]);
    }

    #[test]
    fn a_session_that_has_ended_keeps_nothing_and_takes_nothing() {
        let mailbox = connected();
        let message = outbound("a", QoS::AtLeastOnce);
        mailbox.push(message.clone(), &mut Vec::new());
        drop(mailbox.close());
        assert_eq!(Arc::strong_count(&message.message), 1);
        assert_eq!(mailbox.push(message, &mut Vec::new()), Pushed::Closed);
        assert_eq!(mailbox.load(), None);
    }

    #[test]
    fn what_is_no_longer_of_use_is_forgotten_with_its_bytes() {
        let mailbox = connected();
        mailbox.push(outbound("a", QoS::AtLeastOnce), &mut Vec::new());
        mailbox.push(outbound("b", QoS::AtLeastOnce), &mut Vec::new());
        let slice = mailbox.review(0, 9, |outbound| outbound.message.topic.as_str() == "b");
        assert_eq!((slice.removed.len(), slice.next), (1, None));
        assert_eq!(topics(&mailbox, 9), ["b"]);
        assert_eq!(mailbox.queue.lock().acknowledged.bytes(), 0);
    }

    #[test]
    fn a_mailbox_is_reviewed_in_slices_over_both_lanes() {
        let bounds = Bounds { messages: 99, bytes: 1 << 20 };
        let mailbox = Mailbox::new(SessionKey(1), bounds);
        mailbox.connect(Arc::default());
        for number in 0..20 {
            let qos = if number % 3 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            mailbox.push(outbound(&format!("{number}"), qos), &mut Vec::new());
        }
        mailbox.take(9, 5, usize::MAX, &mut Vec::new());
        let is_even = |outbound: &Outbound| {
            outbound.message.topic.as_str().ends_with(['0', '2', '4', '6', '8'])
        };
        let (mut from, mut slices, mut removed) = (0, 0, 0);
        while let MailboxSlice { removed: taken, next: Some(next) } =
            mailbox.review(from, 4, is_even)
        {
            (from, slices, removed) = (next, slices + 1, removed + taken.len());
        }
        assert_eq!((from, slices, removed), (17, 3, 6));
        assert_eq!(topics(&mailbox, 99), ["6", "8", "10", "12", "14", "16", "18"]);
    }
}
