//! What one message costs, step by step: decode, decide, route, session, encode.
//!
//! `cargo bench --bench hot_path` prints nanoseconds; with `-- --help` it tells how to choose.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at what is wrong")]

mod steps;

use bastionmq::codec::Version;
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
