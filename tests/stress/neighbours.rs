//! One subscriber that does not read, among many that do.

use std::fs;

use crate::harness::http::metric;
use crate::harness::raw::{
    Connect, PUBACK, PUBLISH, RawClient, acknowledge, publish, publish_with,
};
use crate::harness::{Broker, bastionmq, scratch};

const VERSION: u8 = 4;
const READERS: usize = 99;
const PAYLOAD: usize = 32 << 10;
/// Messages that are published before everybody who reads has read them: what waits for a reader is
/// far below the bound.
const BATCH: u32 = 2;
/// Many times what may wait for one subscriber, here and in the buffers of its connection.
const MESSAGES: u32 = 1_536;

/// What may wait for one session, and be on its way to one client without acknowledgement.
const QUEUED_BYTES: usize = 2 << 20;
const IN_FLIGHT: usize = 16;
/// Output that a connection holds at most before no more is taken from the queue, and a message.
const OUTPUT_BYTES: usize = (256 << 10) + PAYLOAD;
/// What an allocator may keep of what has been given back, and all the rest.
const SLACK: usize = 8 << 20;

#[test]
fn who_does_not_read_costs_its_neighbours_no_message_of_qos_0_and_the_broker_a_bounded_queue() {
    stop_reading_among_neighbours(0);
}

#[test]
fn who_does_not_read_costs_its_neighbours_no_message_of_qos_1_and_the_broker_a_bounded_queue() {
    stop_reading_among_neighbours(1);
}

fn stop_reading_among_neighbours(qos: u8) {
    let broker = broker();
    let mut publisher = Publisher::new(&broker, qos);
    let mut stopped = Reader::new(&broker, "stopped", qos);
    let mut readers: Vec<_> =
        (0..READERS).map(|number| Reader::new(&broker, &format!("reader-{number}"), qos)).collect();
    publisher.publish(BATCH);
    stopped.read_next(BATCH);
    readers.iter_mut().for_each(|reader| reader.read_next(BATCH));

    let before = resident(&broker);
    let mut most = 0;
    for _ in 0..MESSAGES / BATCH {
        publisher.publish(BATCH);
        readers.iter_mut().for_each(|reader| reader.read_next(BATCH));
        most = most.max(resident(&broker));
    }
    let grown = most.saturating_sub(before);
    let waiting = QUEUED_BYTES + IN_FLIGHT * PAYLOAD + OUTPUT_BYTES;
    let being_sent = READERS * BATCH as usize * PAYLOAD;
    let bound = waiting + being_sent + SLACK;
    assert!(grown < bound, "it has grown by {grown} bytes, more than {bound}");
    let all = MESSAGES as usize * PAYLOAD;
    assert!(bound < all / 2, "what is published would fit within the bound");

    let admin = broker.admin_port();
    let open = metric(admin, "bastionmq_connections_open");
    assert_eq!(open, Some((READERS + 2) as f64), "everybody stays connected");
    let dropped = metric(admin, "bastionmq_messages_dropped_total");
    assert!(dropped > Some(0.0), "all that was published has found room");

    // What has waited comes in order, and then, once there is room again, what is published next. While
    // there is none, at least so many messages wait that half of them can be read.
    while stopped.next != publisher.next {
        publisher.publish(1);
        readers.iter_mut().for_each(|reader| reader.read_next(1));
        for _ in 0..QUEUED_BYTES / PAYLOAD / 2 {
            if stopped.next != publisher.next {
                stopped.read();
            }
        }
    }
}

fn broker() -> Broker {
    let directory = scratch();
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/acl/open.toml");
    let config = format!(
        "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [auth]\nallow_anonymous = true\n[acl]\npolicy_file = \"{policy}\"\n\
         [mqtt]\nmax_inflight = {IN_FLIGHT}\n[broker]\nmax_queued_bytes = {QUEUED_BYTES}\n\
         [network]\nsend_timeout_seconds = 3600\n"
    );
    let file = directory.path().join("bastionmq.toml");
    fs::write(&file, config).expect("a configuration file");
    let mut command = bastionmq();
    command.arg("serve").arg("--config").arg(file);
    Broker::start(command, directory)
}

fn resident(broker: &Broker) -> usize {
    metric(broker.admin_port(), "process_resident_memory_bytes").expect("a number") as usize
}

/// Publishes numbers.
struct Publisher {
    client: RawClient,
    qos: u8,
    next: u32,
}

impl Publisher {
    fn new(broker: &Broker, qos: u8) -> Self {
        let client = RawClient::connected(broker.plain_port(), &Connect::new(VERSION, "publisher"));
        Self { client, qos, next: 0 }
    }

    fn publish(&mut self, count: u32) {
        for _ in 0..count {
            let mut payload = self.next.to_be_bytes().to_vec();
            payload.resize(PAYLOAD, b'.');
            let packet = match self.qos {
                0 => publish(VERSION, "numbers", &payload),
                _ => publish_with(VERSION, PUBLISH | 2, "numbers", Some(1), &[], &payload),
            };
            self.client.send(&packet);
            if self.qos > 0 {
                self.client.expect(PUBACK);
            }
            self.next += 1;
        }
    }
}

/// Receives numbers, each of them larger than the one before.
struct Reader {
    client: RawClient,
    next: u32,
}

impl Reader {
    fn new(broker: &Broker, id: &str, qos: u8) -> Self {
        let mut client = RawClient::connected(broker.plain_port(), &Connect::new(VERSION, id));
        assert_eq!(client.subscribe(VERSION, "numbers", qos), qos);
        Self { client, next: 0 }
    }

    /// Reads the numbers that come next, without a gap.
    fn read_next(&mut self, count: u32) {
        for _ in 0..count {
            let expected = self.next;
            assert_eq!(self.read(), expected, "a message is missing");
        }
    }

    fn read(&mut self) -> u32 {
        let received = self.client.read().publish(VERSION);
        assert_eq!(received.payload.len(), PAYLOAD);
        let number = received.payload.first_chunk().copied().map(u32::from_be_bytes);
        let number = number.expect("a number");
        assert!(number >= self.next, "{number} came where {} was next", self.next);
        self.next = number + 1;
        if let Some(id) = received.id {
            self.client.send(&acknowledge(PUBACK, id));
        }
        number
    }
}
