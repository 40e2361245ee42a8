//! What one message costs, step by step: decode, decide, route, session, encode.
//!
//! `cargo bench --bench hot_path` prints nanoseconds; with `-- --help` it tells how to choose.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at what is wrong")]

#[path = "steps/envelope.rs"]
mod envelope_steps;
mod steps;

use std::hint::black_box;

use bastionmq::acl::{Policy, Subject};
use bastionmq::codec::Version;
use bastionmq::identity::{ClientId, Principal};
use bastionmq::message::QoS;
use bastionmq::topic::TopicName;
use divan::Bencher;

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

fn main() {
    divan::main();
}

#[divan::bench(args = VERSIONS)]
fn decode_publish(bencher: Bencher, version: Version) {
    bencher.bench_local(steps::decode(version));
}

#[divan::bench(args = VERSIONS)]
fn encode_to_a_subscriber(bencher: Bencher, version: Version) {
    bencher.bench_local(steps::encode(version));
}

#[divan::bench(args = [10, 100_000])]
fn route_a_topic(bencher: Bencher, subscriptions: u64) {
    bencher.bench_local(steps::route(subscriptions));
}

#[divan::bench]
fn decide_by_the_policy(bencher: Bencher) {
    bencher.bench_local(steps::decide());
}

/// A client that holds a thousand roles of twenty rules each publishes: another topic each time, so
/// that nothing is remembered.
#[divan::bench]
fn decide_among_20_000_rules(bencher: Bencher) {
    let policy = Policy::parse(&a_thousand_roles()).unwrap();
    let principal = Principal::User("device1".into());
    let client_id = ClientId::new("device1");
    let permit = policy.permit(&Subject::named(&principal, &client_id));
    let topics: Vec<TopicName> = (0..1_000)
        .map(|site| match site % 4 {
            0 => format!("site-{site}/line-{}/motor/speed", site % 16),
            1 => "devices/device1/line/3/temperature".to_owned(),
            2 => format!("site-{site}/line-3/secret/key"),
            _ => format!("elsewhere/{site}/x"),
        })
        .map(|topic| TopicName::parse(&topic).unwrap())
        .collect();
    let mut topics = topics.iter().cycle();
    bencher.bench_local(|| {
        let topic = topics.next().unwrap().borrowed();
        permit.publish(black_box(topic), QoS::AtLeastOnce, false, 64)
    });
}

/// Each role has topics of its own, and some that every other role has too.
fn a_thousand_roles() -> String {
    let mut text = String::new();
    for role in 0..1_000 {
        text += &format!("[[role]]\nname = \"r{role}\"\nrules = [\n");
        for line in 0..16 {
            let topic = format!("site-{role}/line-{line}/+/#");
            text += &format!("{{ allow = [\"publish\"], topics = [{topic:?}] }},\n");
        }
        text += r##"
            { allow = ["subscribe"], topics = ["common/#"] },
            { allow = ["publish"], topics = ["devices/${username}/#"], max_qos = 1 },
            { deny = ["publish", "subscribe"], topics = ["+/+/secret/#"] },
            { deny = ["publish"], topics = ["#"], retain = true },
            ]
            [[assign]]
            everyone = true
        "##;
        text += &format!("roles = [\"r{role}\"]\n");
    }
    text
}

/// PUBLISH in, PUBACK out.
#[divan::bench(args = VERSIONS)]
fn session_takes_a_qos_1_message(bencher: Bencher, version: Version) {
    bencher.bench_local(steps::take_qos_1(version));
}

/// PUBLISH out, PUBACK in.
#[divan::bench(args = VERSIONS)]
fn session_sends_a_qos_1_message(bencher: Bencher, version: Version) {
    bencher.bench_local(steps::send_qos_1(version));
}

/// Payloads of this many bytes.
const PAYLOADS: [usize; 2] = [64, 1024];

/// Beside each other: what the library does with an envelope, and the primitives on the same bytes.
mod envelope {
    use divan::Bencher;

    use super::PAYLOADS;
    use super::envelope_steps::{self, Keyed};

    #[divan::bench(args = PAYLOADS)]
    fn parse(bencher: Bencher, payload: usize) {
        bencher.bench_local(envelope_steps::parse(payload));
    }

    #[divan::bench(args = PAYLOADS)]
    fn verify(bencher: Bencher, payload: usize) {
        bencher.bench_local(envelope_steps::verify(payload));
    }

    #[divan::bench(args = PAYLOADS)]
    fn verify_primitives(bencher: Bencher, payload: usize) {
        bencher.bench_local(envelope_steps::hmac(payload, Keyed::EachTime));
    }

    #[divan::bench(args = PAYLOADS)]
    fn verify_primitives_keyed_once(bencher: Bencher, payload: usize) {
        bencher.bench_local(envelope_steps::hmac(payload, Keyed::Once));
    }

    #[divan::bench(args = PAYLOADS)]
    fn open(bencher: Bencher, payload: usize) {
        bencher.bench_local(envelope_steps::open(payload));
    }

    #[divan::bench(args = PAYLOADS)]
    fn open_primitives(bencher: Bencher, payload: usize) {
        bencher.bench_local(envelope_steps::hmac_and_gcm(payload, Keyed::EachTime));
    }

    #[divan::bench(args = PAYLOADS)]
    fn open_primitives_keyed_once(bencher: Bencher, payload: usize) {
        bencher.bench_local(envelope_steps::hmac_and_gcm(payload, Keyed::Once));
    }

    #[divan::bench(args = PAYLOADS)]
    fn seal(bencher: Bencher, payload: usize) {
        bencher.bench_local(envelope_steps::seal(payload));
    }
}
