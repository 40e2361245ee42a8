//! Who has received what: how far publishers may go, and whether anything is lost, doubled or out
//! of order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use anyhow::{Context, bail};

use super::wire::Message;

/// Who is to receive a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipients {
    /// Every subscriber that has subscribed to its topic.
    All,
    /// One of them, whichever: they share the subscription.
    One,
}

/// How large a flow is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    /// Topics of each publisher, to which it publishes in turn.
    pub(crate) topics: usize,
    /// Messages that a publisher may be ahead of its slowest subscriber.
    pub(crate) ahead: u64,
    pub(crate) recipients: Recipients,
}

/// Publishers, and the subscribers to whom their messages go. All of one run is on one thread.
#[derive(Debug)]
pub(crate) struct Flow {
    shape: Shape,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    sources: Vec<Source>,
    delivered: u64,
    is_stopped: bool,
}

/// One publisher, as its subscribers see it.
#[derive(Debug)]
struct Source {
    sent: u64,
    /// Messages that everybody who is to have them has: the publisher may be `ahead` of these.
    floor: u64,
    /// Messages that each subscriber has received.
    counts: Vec<u64>,
    /// How many subscribers have received no more than the slowest.
    slowest: usize,
    /// The number that is next to each subscriber in each topic.
    next: Vec<u32>,
    /// Whether each message from `floor` on has arrived, where they are shared.
    arrived: VecDeque<bool>,
    waiting: Option<Waker>,
}

impl Flow {
    pub(crate) fn new(shape: Shape) -> Rc<Self> {
        let source = || Source {
            sent: 0,
            floor: 0,
            counts: vec![0; shape.subscribers],
            slowest: shape.subscribers,
            next: vec![0; shape.subscribers * shape.topics],
            arrived: VecDeque::new(),
            waiting: None,
        };
        let sources = (0..shape.publishers).map(|_| source()).collect();
        let state = RefCell::new(State { sources, delivered: 0, is_stopped: false });
        Rc::new(Self { shape, state })
    }

    /// Messages that a publisher may be ahead.
    pub(crate) fn ahead(&self) -> u64 {
        self.shape.ahead
    }

    /// Messages received by all subscribers together.
    pub(crate) fn delivered(&self) -> u64 {
        self.state.borrow().delivered
    }

    /// Notes a message; fails when it is lost, doubled or out of order. `Ok(false)` is a message of
    /// QoS 1 that came again and says so, which that QoS allows.
    pub(crate) fn note(&self, subscriber: usize, message: &Message) -> anyhow::Result<bool> {
        let mut state = self.state.borrow_mut();
        let stamp = message.stamp;
        let source = state.sources.get_mut(stamp.publisher).context("a publisher nobody knows")?;
        if stamp.topic >= self.shape.topics {
            bail!("a message to topic {} that nobody sent", stamp.topic);
        }
        let next = &mut source.next[subscriber * self.shape.topics + stamp.topic];
        if message.qos == 1 && message.dup && stamp.number < *next {
            return Ok(false);
        }
        match self.shape.recipients {
            Recipients::All if stamp.number != *next => bail!(
                "message {} of publisher {} came where {next} was next (topic {}, subscriber \
                 {subscriber})",
                stamp.number,
                stamp.publisher,
                stamp.topic,
            ),
            Recipients::One if stamp.number < *next => {
                bail!("message {} of publisher {} came late", stamp.number, stamp.publisher)
            }
            Recipients::All => source.count(subscriber),
            Recipients::One => source.mark(u64::from(stamp.number))?,
        }
        source.next[subscriber * self.shape.topics + stamp.topic] = stamp.number + 1;
        state.delivered += 1;
        Ok(true)
    }

    /// How many messages `publisher`, who has sent `sent`, may send now in all; `waker` is told when
    /// that grows.
    pub(crate) fn allowed(&self, publisher: usize, sent: u64, waker: &Waker) -> u64 {
        let mut state = self.state.borrow_mut();
        if state.is_stopped {
            return sent;
        }
        let source = &mut state.sources[publisher];
        let allowed = source.floor + self.shape.ahead;
        match &mut source.waiting {
            Some(waiting) => waiting.clone_from(waker),
            empty @ None => *empty = Some(waker.clone()),
        }
        allowed
    }

    /// Waits for `subscriber` no more: it has stopped reading.
    pub(crate) fn excuse(&self, subscriber: usize) {
        for source in &mut self.state.borrow_mut().sources {
            source.counts[subscriber] = u64::MAX;
            source.find_slowest();
            source.wake();
        }
    }

    /// Notes that `publisher` is about to have sent this many messages.
    pub(crate) fn note_sent(&self, publisher: usize, sent: u64) {
        self.state.borrow_mut().sources[publisher].sent = sent;
    }

    /// Lets nobody send anything more.
    pub(crate) fn stop(&self) {
        self.state.borrow_mut().is_stopped = true;
    }

    /// Whether everything that was sent has been delivered.
    pub(crate) fn is_drained(&self) -> bool {
        self.state.borrow().sources.iter().all(|source| source.floor == source.sent)
    }

    /// What is missing, for an error.
    pub(crate) fn missing(&self) -> String {
        let state = self.state.borrow();
        let behind: Vec<_> =
            state.sources.iter().enumerate().filter(|(_, one)| one.floor != one.sent).collect();
        let Some((publisher, source)) = behind.first() else {
            return "nothing is missing".to_owned();
        };
        let slowest = source.counts.iter().position(|count| *count == source.floor);
        let slowest = match self.shape.recipients {
            Recipients::All => format!(", the slowest being subscriber {}", slowest.unwrap_or(0)),
            Recipients::One => String::new(),
        };
        format!(
            "{} of {} publishers miss messages; of publisher {publisher} {} were sent and {} have \
             reached everybody{slowest}",
            behind.len(),
            state.sources.len(),
            source.sent,
            source.floor
        )
    }
}

impl Source {
    fn count(&mut self, subscriber: usize) {
        let count = &mut self.counts[subscriber];
        *count += 1;
        if *count - 1 == self.floor {
            self.slowest -= 1;
            if self.slowest == 0 {
                self.find_slowest();
                self.wake();
            }
        }
    }

    fn find_slowest(&mut self) {
        self.floor = self.counts.iter().copied().min().unwrap_or(0);
        self.slowest = self.counts.iter().filter(|count| **count == self.floor).count();
    }

    fn mark(&mut self, number: u64) -> anyhow::Result<()> {
        if number >= self.sent {
            bail!("message {number} that nobody sent");
        }
        let Some(at) = number.checked_sub(self.floor).map(|at| at as usize) else {
            bail!("message {number} came twice");
        };
        if at >= self.arrived.len() {
            self.arrived.resize(at + 1, false);
        }
        if std::mem::replace(&mut self.arrived[at], true) {
            bail!("message {number} came twice");
        }
        while self.arrived.front() == Some(&true) {
            self.arrived.pop_front();
            self.floor += 1;
        }
        self.wake();
        Ok(())
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Stamp;
    use super::*;

    fn flow(subscribers: usize, recipients: Recipients) -> Rc<Flow> {
        let flow = Flow::new(Shape { publishers: 2, subscribers, topics: 2, ahead: 8, recipients });
        flow.note_sent(1, 8);
        flow
    }

    fn message(topic: usize, number: u32) -> Message {
        let stamp = Stamp { publisher: 1, topic, number };
        Message { qos: 1, dup: false, packet_id: [0, 1], stamp }
    }

    #[test]
    fn a_message_that_is_lost_fails_the_run() {
        let flow = flow(1, Recipients::All);
        flow.note(0, &message(0, 0)).unwrap();
        let error = flow.note(0, &message(0, 2)).unwrap_err().to_string();
        assert!(error.contains("came where 1 was next"), "{error}");
    }

    #[test]
    fn a_message_that_is_lost_at_the_end_is_missed() {
        let flow = flow(1, Recipients::All);
        flow.note(0, &message(0, 0)).unwrap();
        flow.stop();
        assert!(!flow.is_drained());
        assert!(flow.missing().contains("8 were sent and 1 have"), "{}", flow.missing());
    }

    #[test]
    fn a_message_that_is_doubled_fails_the_run() {
        let flow = flow(1, Recipients::All);
        flow.note(0, &message(0, 0)).unwrap();
        flow.note(0, &message(0, 0)).unwrap_err();
    }

    #[test]
    fn a_message_of_qos_1_may_come_again_when_it_says_so() {
        let flow = flow(1, Recipients::All);
        flow.note(0, &message(0, 0)).unwrap();
        assert!(!flow.note(0, &Message { dup: true, ..message(0, 0) }).unwrap());
        let exactly_once = Message { dup: true, qos: 2, ..message(0, 0) };
        flow.note(0, &exactly_once).unwrap_err();
        assert_eq!(flow.delivered(), 1);
    }

    #[test]
    fn each_topic_has_an_order_of_its_own() {
        let flow = flow(1, Recipients::All);
        flow.note(0, &message(1, 0)).unwrap();
        flow.note(0, &message(1, 1)).unwrap();
        flow.note(0, &message(0, 0)).unwrap();
        flow.note(0, &message(1, 1)).unwrap_err();
    }

    #[test]
    fn a_publisher_waits_for_its_slowest_subscriber() {
        let flow = flow(2, Recipients::All);
        let allowed = || flow.allowed(1, 8, Waker::noop());
        flow.note(0, &message(0, 0)).unwrap();
        assert_eq!(allowed(), 8);
        flow.note(1, &message(0, 0)).unwrap();
        assert_eq!(allowed(), 9);
        flow.stop();
        assert_eq!(allowed(), 8);
    }

    #[test]
    fn nobody_waits_for_a_subscriber_that_is_excused() {
        let flow = flow(2, Recipients::All);
        flow.note(0, &message(0, 0)).unwrap();
        flow.excuse(1);
        assert_eq!(flow.allowed(1, 8, Waker::noop()), 9);
        flow.note(0, &message(0, 1)).unwrap();
        assert_eq!(flow.allowed(1, 8, Waker::noop()), 10);
        assert!(flow.missing().contains("the slowest being subscriber 0"), "{}", flow.missing());
    }

    #[test]
    fn a_shared_message_goes_to_one_subscriber_once() {
        let flow = flow(2, Recipients::One);
        flow.note(0, &message(0, 1)).unwrap();
        flow.note(1, &message(0, 0)).unwrap();
        assert_eq!(flow.allowed(1, 8, Waker::noop()), 10);
        flow.note(1, &message(0, 1)).unwrap_err();
        flow.note(0, &message(0, 0)).unwrap_err();
        flow.note(0, &message(0, 9)).unwrap_err();
    }
}
