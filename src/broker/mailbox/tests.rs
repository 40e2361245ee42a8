//! What waits leaves in its order, as far as the window allows, wherever it waits; and never more than may.

use std::num::NonZeroU64;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::broker::Settings;
use crate::broker::queue_budget::Charge;
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
        arrived: None,
        publisher: None,
        trace: None,
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

fn mailbox_of(bounds: Bounds) -> Mailbox {
    let budget = Arc::new(QueueBudget::new(&Settings::default(), true));
    Mailbox::new(SessionKey(1), bounds, &budget)
}

fn connected() -> Mailbox {
    let mailbox = mailbox_of(BOUNDS);
    mailbox.connect(Arc::default());
    mailbox
}

fn topic_of(entry: &Entry) -> &str {
    match entry {
        Entry::Here(outbound) => outbound.message.topic.as_str(),
        Entry::OnDisk(_) => panic!("it is not in memory"),
    }
}

fn topics(mailbox: &Mailbox, window: usize) -> Vec<String> {
    let mut taken = Vec::new();
    mailbox.take(window, usize::MAX, usize::MAX, &mut taken);
    taken.iter().map(|outbound| outbound.message.topic.to_string()).collect()
}

#[test]
fn messages_leave_in_order_of_arrival_and_qos_0_passes_a_closed_window() {
    let mailbox = connected();
    for (name, qos) in [("a", QoS::AtLeastOnce), ("b", QoS::AtMostOnce), ("c", QoS::ExactlyOnce)] {
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
    let mailbox = mailbox_of(Bounds { messages: 9, bytes: Lane::cost(&large.message) - 1 });
    mailbox.connect(Arc::default());
    mailbox.push(outbound("a", QoS::AtMostOnce), &mut Vec::new());
    assert_eq!(mailbox.push(large, &mut Vec::new()), Pushed::Full);
    assert_eq!(topics(&mailbox, 9), ["a"]);
}

#[test]
fn the_byte_bound_holds_as_the_message_bound_does() {
    let one = Lane::cost(&outbound("a", QoS::AtLeastOnce).message);
    let mailbox = mailbox_of(Bounds { messages: 9, bytes: 2 * one });
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
    let slice = mailbox.review(0, 9, |entry| topic_of(entry) == "b");
    assert_eq!((slice.removed.len(), slice.next), (1, None));
    assert_eq!(topics(&mailbox, 9), ["b"]);
    assert_eq!(mailbox.queue.lock().acknowledged.bytes(), 0);
}

#[test]
fn a_mailbox_is_reviewed_in_slices_over_both_lanes() {
    let bounds = Bounds { messages: 99, bytes: 1 << 20 };
    let mailbox = mailbox_of(bounds);
    mailbox.connect(Arc::default());
    for number in 0..20 {
        let qos = if number % 3 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        mailbox.push(outbound(&format!("{number}"), qos), &mut Vec::new());
    }
    mailbox.take(9, 5, usize::MAX, &mut Vec::new());
    let is_even = |entry: &Entry| topic_of(entry).ends_with(['0', '2', '4', '6', '8']);
    let (mut from, mut slices, mut removed) = (0, 0, 0);
    while let MailboxSlice { removed: taken, next: Some(next) } = mailbox.review(from, 4, is_even) {
        (from, slices, removed) = (next, slices + 1, removed + taken.len());
    }
    assert_eq!((from, slices, removed), (17, 3, 6));
    assert_eq!(topics(&mailbox, 99), ["6", "8", "10", "12", "14", "16", "18"]);
}

/// As [`outbound`], of what the store keeps as `number`, with a payload that is worth leaving on disk.
fn kept(number: u64, qos: QoS) -> Outbound {
    let plain = outbound(&number.to_string(), qos);
    let payload = Bytes::from(vec![0; 1_000]);
    let message = Arc::new(Message { payload, ..Message::clone(&plain.message) });
    Outbound { message, kept: Some(Arc::new(Kept::alone(number))), ..plain }
}

/// A mailbox of a session that is kept, and what of it the store has.
struct Desk {
    mailbox: Mailbox,
    stored: Vec<Arc<Message>>,
}

impl Desk {
    /// So many of its messages fit into memory.
    fn new(in_memory: u64) -> Self {
        let bytes = NonZeroU64::new(2 * 1_250 * in_memory.max(1)).unwrap();
        let settings = Settings { max_queued_memory_bytes: bytes, ..Settings::default() };
        let budget = Arc::new(QueueBudget::new(&settings, true));
        if in_memory == 0 {
            budget.leave_all_on_disk();
        }
        let bounds = Bounds { messages: 1_000, bytes: 1 << 30 };
        Self { mailbox: Mailbox::durable(SessionKey(1), bounds, &budget), stored: Vec::new() }
    }

    fn put(&mut self, qos: QoS) {
        let outbound = kept(self.stored.len() as u64, qos);
        self.stored.push(Arc::clone(&outbound.message));
        self.mailbox.restore(vec![self.mailbox.place(outbound, true)]);
    }

    /// Reads what was asked for, but for `lost`.
    fn read(&self, lost: &[u64]) {
        for Missing { arrival, kept } in self.mailbox.missing() {
            match lost.contains(&kept.number()) {
                true => drop(self.mailbox.give_up(arrival)),
                false => {
                    let message = &self.stored[kept.number() as usize];
                    self.mailbox.put_back(arrival, Arc::clone(message));
                }
            }
        }
        self.mailbox.end_reading();
    }

    fn take(&self, window: usize, lost: &[u64]) -> Vec<u64> {
        let mut taken = Vec::new();
        if self.mailbox.take(window, 16, usize::MAX, &mut taken) {
            self.read(lost);
        }
        let number = |outbound: &Outbound| outbound.message.topic.as_str().parse().unwrap();
        taken.iter().map(number).collect()
    }

    fn on_disk(&self) -> usize {
        self.mailbox.queue.lock().on_disk().messages
    }
}

#[test]
fn what_waits_on_disk_is_asked_for_once_and_leaves_in_its_place() {
    let mut desk = Desk::new(2);
    (0..6).for_each(|_| desk.put(QoS::AtLeastOnce));
    assert!(desk.on_disk() >= 3, "{}", desk.on_disk());
    let mut taken = Vec::new();
    assert!(desk.mailbox.take(9, 9, usize::MAX, &mut taken));
    assert!(!desk.mailbox.take(9, 9, usize::MAX, &mut taken), "it was asked for");
    assert!(taken.len() < 6);
    desk.read(&[]);
    assert!(!desk.mailbox.take(9, 9, usize::MAX, &mut taken));
    let topics = taken.iter().map(|it| it.message.topic.as_str()).collect::<Vec<_>>();
    assert_eq!(topics, ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(desk.mailbox.budget.charged(), Charge::default());
}

#[test]
fn a_message_that_cannot_be_read_holds_nothing_up() {
    let mut desk = Desk::new(0);
    (0..4).for_each(|_| desk.put(QoS::ExactlyOnce));
    assert!(desk.take(9, &[0, 2]).is_empty());
    assert_eq!(desk.take(9, &[]), [1, 3]);
    assert_eq!(desk.mailbox.budget.charged(), Charge::default());
}

#[test]
fn a_session_that_ends_while_its_messages_are_read_gets_none() {
    let mut desk = Desk::new(0);
    (0..4).for_each(|_| desk.put(QoS::AtLeastOnce));
    assert!(desk.mailbox.take(9, 9, usize::MAX, &mut Vec::new()));
    let missing = desk.mailbox.missing();
    assert_eq!(desk.mailbox.close().count(), 4);
    for Missing { arrival, .. } in missing {
        desk.mailbox.put_back(arrival, Arc::clone(&desk.stored[0]));
        assert!(desk.mailbox.give_up(arrival).is_none());
    }
    assert_eq!(desk.mailbox.budget.charged(), Charge::default());
}

#[derive(Clone, Debug)]
enum Step {
    Put(bool),
    Take(usize),
    Read,
    Lose,
    Expire(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Put),
        2 => (0_usize..20).prop_map(Step::Take),
        2 => Just(Step::Read),
        1 => Just(Step::Lose),
        1 => any::<u8>().prop_map(Step::Expire),
    ];
    vec(step, 0..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// Whatever is read when, and whatever is lost or taken out: what is left leaves once, in the order in
    /// which it came, and is accounted for to the byte.
    #[test]
    fn the_order_is_that_of_arrival_wherever_messages_wait(steps in steps(), in_memory in 0_u64..30) {
        let mut desk = Desk::new(in_memory);
        let (mut waiting, mut taken, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Put(is_exactly_once) => {
                    waiting.push(desk.stored.len() as u64);
                    let qos = if is_exactly_once { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
                    desk.put(qos);
                }
                Step::Take(window) => {
                    desk.mailbox.take(window, 16, usize::MAX, &mut taken);
                    left.extend(taken.drain(..).map(|it| it.kept.unwrap().number()));
                }
                Step::Read => desk.read(&[]),
                Step::Lose => {
                    if let Some(Missing { arrival, kept }) = desk.mailbox.missing().pop() {
                        let entry = desk.mailbox.give_up(arrival).unwrap();
                        prop_assert_eq!(entry.kept().unwrap().number(), kept.number());
                        waiting.retain(|number| *number != kept.number());
                    }
                }
                Step::Expire(number) => {
                    let is_kept = |entry: &Entry| entry.kept().unwrap().number() % 256 != u64::from(number);
                    let removed = desk.mailbox.review(0, u64::MAX, is_kept).removed;
                    for entry in removed {
                        waiting.retain(|number| *number != entry.kept().unwrap().number());
                    }
                }
            }
            let charge = desk.mailbox.budget.charged();
            prop_assert_eq!(desk.mailbox.queue.lock().charge(true), charge);
        }
        while desk.mailbox.waiting() > 0 {
            desk.read(&[]);
            left.extend(desk.take(16, &[]));
        }
        prop_assert_eq!(left, waiting);
        prop_assert_eq!(desk.mailbox.budget.charged(), Charge::default());
    }
}
