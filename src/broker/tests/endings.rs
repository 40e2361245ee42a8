//! How sessions end, wait and change hands.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::driver::{Driver, Visit, broker, peer, publish, shown_until};
use crate::broker::Broker;
use crate::clock::Now;
use crate::codec::{Delivery, Packet, ReasonCode, Version};
use crate::identity::Peer;
use crate::message::QoS;

fn sent(broker: &Arc<Broker>) -> Driver {
    let (mut reader, _) = Driver::enter(broker, Visit::of("reader"));
    reader.subscribe("will", QoS::AtMostOnce);
    reader
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Lost,
    Dropped,
    Silent,
    Violation,
    Disconnect,
    DisconnectWithWill,
}

const ENDINGS: [Ending; 6] = [
    Ending::Lost,
    Ending::Dropped,
    Ending::Silent,
    Ending::Violation,
    Ending::Disconnect,
    Ending::DisconnectWithWill,
];

fn end(mut driver: Driver, ending: Ending) {
    match ending {
        Ending::Lost => driver.client.on_lost(driver.now),
        Ending::Dropped => drop(driver),
        Ending::Silent => driver.client.on_deadline(driver.now.after(Duration::from_secs(90))),
        Ending::Violation => driver.say(&Packet::PingResp),
        Ending::Disconnect => driver.disconnect(ReasonCode::Success),
        Ending::DisconnectWithWill => driver.disconnect(ReasonCode::DisconnectWithWill),
    }
}

#[test]
fn a_will_is_published_once_on_every_ending_but_a_normal_disconnect() {
    for ending in ENDINGS {
        let broker = broker();
        let mut reader = sent(&broker);
        let visit = Visit { will: Some(("will", 0)), ..Visit::of("w") };
        let (leaving, _) = Driver::enter(&broker, visit);
        end(leaving, ending);
        let wanted = usize::from(ending != Ending::Disconnect);
        assert_eq!(reader.topics().len(), wanted, "{ending:?}");
        broker.run_timers(reader.now.after(Duration::from_secs(100_000)).instant);
        assert_eq!(reader.topics(), [""; 0], "{ending:?}");
    }
}

#[test]
fn a_connection_ends_with_the_certificate_that_it_has_shown() {
    let broker = broker();
    let mut reader = sent(&broker);
    let ends = Now::read().unix + Duration::from_secs(10);
    let peer = Peer { certificate: Some(shown_until("device", ends)), ..peer(None) };
    let mut device = Driver::stranger_from(&broker, Version::V5, peer);
    let visit = Visit { will: Some(("will", 0)), ..Visit::of("d") };
    device.say(&Packet::Connect(Box::new(visit.connect(Version::V5))));
    device.log_in().now_or_never().expect("nobody to wait for");
    device.welcome();
    let deadline = device.client.deadline().expect("a deadline");
    assert!(deadline <= device.now.after(Duration::from_secs(11)).instant);
    device.client.on_deadline(device.now.after(Duration::from_secs(5)));
    assert!(!device.client.is_closed());
    device.client.on_deadline(device.now.after(Duration::from_secs(11)));
    assert!(device.client.is_closed());
    match device.heard().as_slice() {
        [Packet::Disconnect(farewell)] => assert_eq!(farewell.reason, ReasonCode::NotAuthorized),
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.topics(), ["will"]);
}

#[test]
fn a_will_comes_after_all_that_was_published_before_it() {
    let broker = broker();
    let (mut reader, _) = Driver::enter(&broker, Visit::of("reader"));
    reader.subscribe("#", QoS::AtMostOnce);
    let (mut other, _) = Driver::enter(&broker, Visit::of("other"));
    other.subscribe("both", QoS::AtMostOnce);
    let visit = Visit { will: Some(("will", 0)), ..Visit::of("w") };
    let (mut leaving, _) = Driver::enter(&broker, visit);
    let said = ["first", "second", "both", "third"]
        .map(|topic| publish(topic, Delivery::AtMostOnce, false))
        .into_iter()
        .chain([Packet::PingResp])
        .collect::<Vec<_>>();
    leaving.say_at_once(&said);
    assert_eq!(reader.topics(), ["first", "second", "both", "third", "will"]);
    assert_eq!(other.topics(), ["both"]);
}

/// What happens to a session whose connection was lost, and when its client comes back.
#[derive(Clone, Copy, Debug)]
enum Return {
    Never,
    /// Takes over before the earlier connection is lost.
    TakesOver {
        clean_start: bool,
    },
    /// Seconds after the loss.
    After {
        seconds: u64,
        clean_start: bool,
    },
}

/// When the will is due: seconds after the loss.
fn due(delay: u32, expiry: u32, coming_back: Return) -> Option<u64> {
    let alone = u64::from(delay.min(expiry));
    match coming_back {
        Return::Never => Some(alone),
        Return::TakesOver { clean_start } => (alone == 0 || clean_start).then_some(0),
        Return::After { seconds, .. } if alone <= seconds => Some(alone),
        Return::After { seconds, clean_start } => clean_start.then_some(seconds),
    }
}

#[test]
fn r07_will_delay_and_session_expiry_grid() {
    let mut returns = vec![Return::Never];
    for clean_start in [false, true] {
        returns.push(Return::TakesOver { clean_start });
        returns.extend([0, 5, 15].map(|seconds| Return::After { seconds, clean_start }));
    }
    for delay in [0, 1, 10, 20, u32::MAX] {
        for expiry in [0, 1, 10, 20, 604_800] {
            for &coming_back in &returns {
                check_will(delay, expiry, coming_back);
            }
        }
    }
}

fn check_will(delay: u32, expiry: u32, coming_back: Return) {
    let case = format!("delay {delay}, expiry {expiry}, {coming_back:?}");
    let broker = broker();
    let mut reader = sent(&broker);
    let visit = Visit { will: Some(("will", delay)), expiry, ..Visit::of("w") };
    let (mut leaving, _) = Driver::enter(&broker, visit);
    let lost = leaving.now;
    let mut returned = None;
    match coming_back {
        Return::TakesOver { clean_start } => {
            let again = Visit { clean_start, ..Visit::of("w") };
            let (driver, is_resumed) = Driver::take_over(&broker, again, &mut leaving);
            assert_eq!(is_resumed, !clean_start && expiry > 0, "{case}");
            returned = Some(driver);
        }
        Return::Never | Return::After { .. } => leaving.client.on_lost(lost),
    }
    let due = due(delay, expiry, coming_back);
    for second in [0, 1, 5, 10, 15, 20, 604_800, 1 << 33] {
        broker.run_timers(lost.after(Duration::from_secs(second)).instant);
        if let Return::After { seconds, clean_start } = coming_back
            && seconds == second
        {
            let again = Visit { clean_start, ..Visit::of("w") };
            let (driver, is_resumed) = Driver::enter(&broker, again);
            let lives = u64::from(expiry) > second;
            assert_eq!(is_resumed, !clean_start && lives, "{case}");
            returned = Some(driver);
        }
        let is_sent = due.is_some_and(|due| due <= second);
        let sent_now = reader.topics().len();
        assert!(sent_now <= 1, "{case}: doubled");
        if sent_now == 1 {
            assert!(is_sent, "{case}: sent at {second} s");
            // Not twice, whatever comes.
            broker.run_timers(lost.after(Duration::from_secs(1 << 34)).instant);
            assert_eq!(reader.topics(), [""; 0], "{case}");
            return;
        }
        assert!(!is_sent, "{case}: not sent by {second} s");
    }
    assert_eq!(due, None, "{case}");
    assert!(returned.is_some());
}

#[test]
fn r22_ten_thousand_sessions_that_expire_leave_nothing() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let visit = Visit { expiry: 1, ..Visit::of("s") };
    for _ in 0..10_000 {
        let (mut leaving, is_resumed) = Driver::enter(&broker, visit);
        assert!(!is_resumed);
        leaving.subscribe("a/+", QoS::AtLeastOnce);
        leaving.client.on_lost(leaving.now);
        // The publisher remembers the session as a recipient of its topic.
        publisher.publish("a/b", false);
        broker.run_timers(leaving.now.after(Duration::from_secs(2)).instant);
        assert_eq!((broker.registry.len(), broker.routes.len()), (1, 0));
    }
    assert_eq!(broker.timers.len(), 0);
}

#[test]
fn what_waits_for_a_session_is_counted_and_so_is_what_ends_with_it() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut leaving, _) = Driver::enter(&broker, Visit { expiry: 1, ..Visit::of("s") });
    leaving.subscribe("a", QoS::AtLeastOnce);
    leaving.client.on_lost(leaving.now);
    for _ in 0..3 {
        publisher.publish("a", false);
    }
    let shows = |line: &str| {
        broker.update_gauges();
        let shown = broker.metrics().render();
        assert!(shown.lines().any(|it| it == line), "{line}\n{shown}");
    };
    shows("bastionmq_queued_messages 3");
    shows("bastionmq_messages_dropped_total{reason=\"session_ended\"} 0");
    broker.run_timers(leaving.now.after(Duration::from_secs(2)).instant);
    shows("bastionmq_queued_messages 0");
    shows("bastionmq_messages_dropped_total{reason=\"session_ended\"} 3");
}

#[test]
fn r18_a_thousand_take_overs_leave_one_session_and_lose_nothing() {
    let broker = broker();
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (mut holder, _) = Driver::enter(&broker, Visit::of("c"));
    holder.subscribe("kept", QoS::AtLeastOnce);
    let mut received = 0;
    for turn in 0..1_000 {
        publisher.publish("kept", false);
        let (mut next, is_resumed) = Driver::take_over(&broker, Visit::of("c"), &mut holder);
        assert!(is_resumed);
        assert!(holder.client.is_closed());
        publisher.publish("kept", false);
        for packet in next.heard() {
            if let Packet::Publish(publish) = packet {
                next.acknowledge(publish.delivery.packet_id().expect("QoS 1").get());
                received += 1;
            }
        }
        if turn % 2 == 0 {
            next.subscribe("other", QoS::AtMostOnce);
        }
        holder = next;
    }
    assert_eq!(received, 2_000);
    assert_eq!((broker.registry.len(), broker.routes.len()), (2, 2));
    assert_eq!(broker.timers.len(), 0);
}

/// Serves one connection of the client until it is told to leave, and passes on the topics that it
/// is sent.
async fn serve(mut driver: Driver, topics: UnboundedSender<&'static str>) {
    driver.log_in().await;
    loop {
        driver.client.obey(driver.now);
        let heard = driver.heard();
        let is_idle = heard.is_empty();
        for packet in heard {
            if let Packet::Publish(publish) = packet {
                // Whoever has been told to go is not listened to: its successor gets this again.
                if !driver.client.is_closed() {
                    driver.acknowledge(publish.delivery.packet_id().expect("QoS 1").get());
                }
                topics.send(publish.topic.expect("no alias").as_str()).expect("the test runs");
            }
        }
        if driver.client.is_closed() {
            return;
        }
        // Acknowledgements open the window to more.
        if is_idle {
            let bell = Arc::clone(driver.client.bell());
            bell.rung().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r18_many_connections_of_one_client_at_once_lose_nothing() {
    const LAST: &str = "kept/last";
    let broker = broker();
    let (mut first, _) = Driver::enter(&broker, Visit::of("c"));
    first.subscribe("kept/#", QoS::AtLeastOnce);
    first.client.on_lost(first.now);
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("p"));
    let (topics, mut heard) = unbounded_channel();
    let mut connections = Vec::new();
    let mut published = BTreeSet::new();
    for number in 0..1_000 {
        let driver = Driver::knock(&broker, Visit::of("c"));
        connections.push(tokio::spawn(serve(driver, topics.clone())));
        let topic = format!("kept/{number}");
        assert_eq!(publisher.publish(&topic, false), ReasonCode::Success);
        published.insert(topic);
        if number % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    // The last to come is the only one that is left.
    while connections.iter().filter(|connection| !connection.is_finished()).count() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!((broker.registry.len(), broker.routes.len()), (2, 1));
    // It has heard everything once it hears what is published last.
    assert_eq!(publisher.publish(LAST, false), ReasonCode::Success);
    let mut received = BTreeSet::new();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await;
        match next.expect("something was lost") {
            Some(LAST) | None => break,
            Some(topic) => received.insert(topic.to_owned()),
        };
    }
    assert_eq!(received, published);
    broker.shut_down(Instant::now());
    for connection in connections {
        connection.await.expect("no panic");
    }
}
