//! Sessions, subscriptions and wills over a restart, in order and otherwise.

use std::fs::{self, Permissions};
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tempfile::TempDir;

use super::driver::{Driver, Visit, parts, wait_until_kept};
use super::judging::{enter_as, knock_as, users};
use crate::auth::PasswordFile;
use crate::broker::{Broker, Durable, Fate, Kicked, Parts, QueueMemory, Settings};
use crate::clock::Now;
use crate::codec::{Connect, Packet, ReasonCode, Unsubscribe, UserProperties, Version};
use crate::identity::ClientId;
use crate::message::QoS;
use crate::store::Durability;
use crate::telemetry::Metrics;
use crate::topic::TopicFilterRef;
use crate::{keys, store};

/// The directory of a store, and the time of day.
struct Place {
    directory: TempDir,
    /// How often the broker has been started anew.
    restarts: u32,
    passwords: PasswordFile,
    now: Now,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, restarts: 0, passwords: PasswordFile::default(), now: Now::read() }
    }

    fn later(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join(format!("store-{}", self.restarts))
    }

    fn start(&self) -> Arc<Broker> {
        let directory = self.directory.path();
        // What the process has done is what counts here, so that nothing waits for a disk.
        let settings = store::Settings {
            dir: Some(self.store()),
            durability: Durability::Relaxed,
            relaxed_window_ms: NonZeroU32::MAX,
            ..store::Settings::default()
        };
        let keys = keys::Settings {
            master_key_file: Some(directory.join("master.key")),
            ..keys::Settings::default()
        };
        let metrics = Arc::new(Metrics::new());
        let memory = QueueMemory::of(&Settings::default());
        let durable = Durable::open(&settings, &keys, memory, self.now, &metrics).unwrap();
        let mut durable = durable.unwrap();
        let sessions = durable.take_sessions();
        let parts = Parts { durable: Some(durable), ..parts(self.passwords.clone()) };
        let broker = Arc::new(Broker::new(parts).unwrap());
        broker.restore_sessions(sessions, self.now);
        broker
    }

    /// The broker is gone with all of its connections, and started again.
    fn crash(&mut self, broker: Arc<Broker>, connected: Vec<Driver>) -> Arc<Broker> {
        wait_until_kept(broker.store().unwrap());
        // They never come to their ends.
        connected.into_iter().for_each(std::mem::forget);
        self.start_again(&broker)
    }

    fn stop(&mut self, broker: Arc<Broker>, connected: Vec<Driver>) -> Arc<Broker> {
        broker.shut_down(Instant::now());
        for mut driver in connected {
            driver.client.obey(driver.now);
        }
        self.start_again(&broker)
    }

    fn start_again(&mut self, broker: &Broker) -> Arc<Broker> {
        broker.close_store();
        // Connections that never end keep the directory locked: it goes on in a copy.
        let before = self.store();
        self.restarts += 1;
        fs::create_dir(self.store()).unwrap();
        fs::set_permissions(self.store(), Permissions::from_mode(0o700)).unwrap();
        for entry in fs::read_dir(before).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, self.store().join(path.file_name().unwrap())).unwrap();
        }
        // Not before the end, however long that took.
        let now = Now::read();
        if now.unix > self.now.unix {
            self.now = now;
        }
        self.start()
    }
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Crash,
    Stop,
}

const ENDINGS: [Ending; 2] = [Ending::Crash, Ending::Stop];

impl Ending {
    fn restart(
        self,
        place: &mut Place,
        broker: Arc<Broker>,
        connected: Vec<Driver>,
    ) -> Arc<Broker> {
        match self {
            Self::Crash => place.crash(broker, connected),
            Self::Stop => place.stop(broker, connected),
        }
    }
}

#[test]
fn u09_a_restored_session_is_routed_to_before_its_client_comes_back() {
    for ending in ENDINGS {
        let mut place = Place::new();
        let broker = place.start();
        let (mut reader, _) = Driver::enter(&broker, Visit::of("reader"));
        for filter in ["a/+", "$share/g/b", "gone"] {
            reader.subscribe(filter, QoS::AtLeastOnce);
        }
        reader.say(&Packet::Unsubscribe(Unsubscribe {
            packet_id: super::driver::id(2),
            user_properties: UserProperties::default(),
            filters: [TopicFilterRef::parse("gone").unwrap()].into_iter().collect(),
        }));
        assert!(matches!(reader.heard()[..], [Packet::UnsubAck(_)]));
        let broker = ending.restart(&mut place, broker, vec![reader]);
        assert_eq!((broker.registry.len(), broker.routes.len()), (1, 2));
        let (mut publisher, _) = Driver::enter(&broker, Visit::of("publisher"));
        for topic in ["a/x", "b", "gone"] {
            publisher.publish(topic, false);
        }
        let (mut reader, is_resumed) = Driver::enter(&broker, Visit::of("reader"));
        assert!(is_resumed, "{ending:?}");
        assert_eq!(reader.topics(), ["a/x", "b"], "{ending:?}");
        assert!(publisher.client.output().is_empty());
    }
}

#[test]
fn what_was_granted_is_granted_after_a_restart() {
    let mut place = Place::new();
    let broker = place.start();
    let (mut reader, _) = Driver::enter(&broker, Visit::of("reader"));
    reader.subscribe("a", QoS::AtLeastOnce);
    reader.subscribe("a", QoS::AtMostOnce);
    reader.subscribe("b", QoS::ExactlyOnce);
    let broker = place.crash(broker, vec![reader]);
    let (mut reader, _) = Driver::enter(&broker, Visit::of("reader"));
    let (mut publisher, _) = Driver::enter(&broker, Visit::of("publisher"));
    publisher.publish("a", false);
    publisher.publish("b", false);
    let delivered = |packet| match packet {
        Packet::Publish(publish) => Some(publish.delivery.qos()),
        _ => None,
    };
    let delivered = reader.heard().into_iter().filter_map(delivered).collect::<Vec<_>>();
    assert_eq!(delivered, [QoS::AtMostOnce, QoS::AtLeastOnce]);
}

#[test]
fn a_session_that_has_ended_does_not_come_back() {
    let mut place = Place::new();
    let broker = place.start();
    let enter = |id| {
        let (mut driver, _) = Driver::enter(&broker, Visit::of(id));
        driver.subscribe("a", QoS::AtLeastOnce);
        driver
    };
    // Started clean: the later one has no subscription.
    enter("clean").client.on_lost(Now::read());
    let (clean, _) = Driver::enter(&broker, Visit { clean_start: true, ..Visit::of("clean") });
    enter("taken over").client.on_lost(Now::read());
    let mut earlier = enter("taken over");
    let visit = Visit { clean_start: true, ..Visit::of("taken over") };
    let (taken_over, _) = Driver::take_over(&broker, visit, &mut earlier);
    enter("kicked").client.on_lost(Now::read());
    let kicked = broker.kick(&ClientId::new("kicked"), Fate::Forgotten).now_or_never();
    assert_eq!(kicked, Some(Kicked::AwayAndForgotten));
    let (mut brief, _) = Driver::enter(&broker, Visit { expiry: 1, ..Visit::of("brief") });
    brief.subscribe("a", QoS::AtLeastOnce);
    brief.client.on_lost(brief.now);
    broker.run_timers(brief.now.after(Duration::from_secs(2)).instant);
    let (mut mortal, _) = Driver::enter(&broker, Visit { expiry: 0, ..Visit::of("mortal") });
    mortal.subscribe("a", QoS::AtLeastOnce);
    // It was to be kept, and is not any more.
    let mut resigned = enter("resigned");
    resigned.client.on_lost(resigned.now);
    let (resigned, is_resumed) =
        Driver::enter(&broker, Visit { expiry: 0, ..Visit::of("resigned") });
    assert!(is_resumed);
    let broker = place.crash(broker, vec![clean, taken_over, mortal, resigned]);
    assert_eq!((broker.registry.len(), broker.routes.len()), (2, 0));
    for id in ["kicked", "brief", "mortal", "resigned"] {
        assert!(!Driver::enter(&broker, Visit::of(id)).1, "{id}");
    }
    for id in ["clean", "taken over"] {
        assert!(Driver::enter(&broker, Visit::of(id)).1, "{id}");
    }
}

#[test]
fn a_session_lives_as_long_as_it_would_without_a_restart() {
    let mut place = Place::new();
    let broker = place.start();
    let visit = Visit { expiry: 100, ..Visit::of("away") };
    let (mut away, _) = Driver::enter(&broker, visit);
    away.client.on_lost(away.now);
    let connected = Visit { expiry: 100, ..Visit::of("connected") };
    let (connected, _) = Driver::enter(&broker, connected);
    place.later(60);
    let broker = place.crash(broker, vec![connected]);
    assert_eq!(broker.registry.len(), 2);
    place.later(60);
    // It has been away for longer than it may. The other has been for 60 seconds, though the broker has
    // not heard of it since.
    let broker = place.crash(broker, Vec::new());
    let ids = broker.registry.client_ids();
    assert_eq!(ids.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["connected"]);
    place.later(60);
    assert_eq!(place.crash(broker, Vec::new()).registry.len(), 0);
}

/// What waits for a reader that was away all the time.
fn wills(broker: &Arc<Broker>) -> usize {
    let (mut reader, is_resumed) = Driver::enter(broker, Visit::of("reader"));
    assert!(is_resumed);
    let mut wills = 0;
    for packet in reader.heard() {
        if let Packet::Publish(publish) = packet {
            wills += 1;
            reader.acknowledge(publish.delivery.packet_id().expect("QoS 1").get());
        }
    }
    reader.client.on_lost(reader.now);
    wills
}

fn reader(broker: &Arc<Broker>) {
    let (mut reader, _) = Driver::enter(broker, Visit::of("reader"));
    reader.subscribe("will", QoS::AtLeastOnce);
    reader.client.on_lost(reader.now);
}

fn connect(broker: &Arc<Broker>, visit: Visit) -> Driver {
    let mut connect: Connect<'static> = visit.connect(Version::V5);
    if let Some(will) = &mut connect.will {
        will.qos = QoS::AtLeastOnce;
    }
    let mut driver = Driver::stranger(broker);
    driver.say(&Packet::Connect(Box::new(connect)));
    driver.log_in().now_or_never().expect("nobody to wait for");
    driver.welcome();
    driver
}

/// When the client comes back, after the restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    Never,
    At { second: u64, clean_start: bool },
}

#[test]
fn r07_will_delay_and_session_expiry_grid_over_a_restart() {
    let mut returns = vec![Return::Never];
    for clean_start in [false, true] {
        returns.push(Return::At { second: 100, clean_start });
    }
    returns.push(Return::At { second: 1_500, clean_start: false });
    for ending in ENDINGS {
        for was_lost in [false, true] {
            for delay in [0, 1_000, 2_000] {
                for expiry in [0, 1_000, 604_800] {
                    for &coming_back in &returns {
                        check(ending, was_lost, (delay, expiry), coming_back);
                    }
                }
            }
        }
    }
}

/// The client has left just before the restart, or was connected.
fn check(ending: Ending, was_lost: bool, (delay, expiry): (u32, u32), coming_back: Return) {
    let case = format!("{ending:?}, {was_lost}, {delay}, {expiry}, {coming_back:?}");
    let mut place = Place::new();
    let broker = place.start();
    reader(&broker);
    let visit = Visit { will: Some(("will", delay)), expiry, ..Visit::of("w") };
    let mut leaving = connect(&broker, visit);
    let mut connected = Vec::new();
    match was_lost {
        true => leaving.client.on_lost(leaving.now),
        false => connected.push(leaving),
    }
    let alone = u64::from(delay.min(expiry));
    let mut broker = ending.restart(&mut place, broker, connected);
    let due = match coming_back {
        Return::At { second, clean_start } if alone > second => clean_start.then_some(second),
        _ => Some(alone),
    };
    let mut sent = wills(&broker);
    assert_eq!(sent, usize::from(due == Some(0)), "{case}: at the restart");
    for (second, step) in [(100, 100), (1_100, 1_000), (1_500, 400), (3_000, 1_500)] {
        place.later(step);
        // The time in between passes while there is no broker.
        broker = place.crash(broker, Vec::new());
        if let Return::At { second: at, clean_start } = coming_back
            && at == second
        {
            let visit = Visit { clean_start, ..Visit::of("w") };
            let (mut driver, is_resumed) = Driver::enter(&broker, visit);
            assert_eq!(is_resumed, !clean_start && u64::from(expiry) > second, "{case}");
            driver.disconnect(ReasonCode::Success);
        }
        sent += wills(&broker);
        let expected = usize::from(due.is_some_and(|due| due <= second));
        assert_eq!(sent, expected, "{case}: after {second} seconds");
    }
}

#[test]
fn a_will_that_its_client_took_along_is_gone() {
    for expiry in [0, 3_600] {
        let mut place = Place::new();
        let broker = place.start();
        reader(&broker);
        let mut leaving =
            connect(&broker, Visit { will: Some(("will", 0)), expiry, ..Visit::of("w") });
        leaving.disconnect(ReasonCode::Success);
        let broker = place.crash(broker, Vec::new());
        assert_eq!(wills(&broker), 0);
    }
}

#[test]
fn a_later_connection_voids_the_will_of_an_earlier_one() {
    let mut place = Place::new();
    let broker = place.start();
    reader(&broker);
    let visit = Visit { will: Some(("will", 5)), ..Visit::of("w") };
    let mut earlier = connect(&broker, visit);
    earlier.client.on_lost(earlier.now);
    let (later, is_resumed) = Driver::enter(&broker, Visit::of("w"));
    assert!(is_resumed);
    let broker = place.crash(broker, vec![later]);
    place.later(10);
    assert_eq!(wills(&place.crash(broker, Vec::new())), 0);
}

/// The topics of the messages that `reader` has been sent, each of which it acknowledges.
fn read(reader: &mut Driver) -> Vec<&'static str> {
    let mut topics = Vec::new();
    loop {
        let packets = reader.heard();
        if packets.is_empty() {
            return topics;
        }
        for packet in packets {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            topics.push(publish.topic.unwrap().as_str());
            reader.acknowledge(publish.delivery.packet_id().unwrap().get());
        }
    }
}

#[test]
fn u08_what_is_retained_is_owed_to_a_new_subscription_until_all_of_it_is_sent() {
    const TOPICS: [&str; 4] = ["a/1", "a/2", "a/3", "a/4"];
    for ending in ENDINGS {
        let mut place = Place::new();
        let broker = place.start();
        let (mut publisher, _) = Driver::enter(&broker, Visit { expiry: 0, ..Visit::of("p") });
        for topic in TOPICS {
            publisher.publish(topic, true);
        }
        publisher.client.on_lost(publisher.now);
        let (mut slow, _) = Driver::enter(&broker, Visit { receive_maximum: 1, ..Visit::of("r") });
        slow.subscribe("a/+", QoS::AtLeastOnce);
        let broker = ending.restart(&mut place, broker, vec![slow]);
        let (mut reader, is_resumed) = Driver::enter(&broker, Visit::of("r"));
        assert!(is_resumed);
        let mut topics = read(&mut reader);
        topics.sort_unstable();
        topics.dedup();
        assert_eq!(topics, TOPICS, "{ending:?}");
        let broker = ending.restart(&mut place, broker, vec![reader]);
        let (mut reader, _) = Driver::enter(&broker, Visit::of("r"));
        assert!(read(&mut reader).is_empty(), "{ending:?}");
    }
}

const ANN: (&str, &str) = ("ann", "apple");
const BOB: (&str, &str) = ("bob", "banana");

#[tokio::test]
async fn r25_a_session_belongs_to_its_principal_after_a_restart() {
    let mut place = Place { passwords: users(&[ANN, BOB]), ..Place::new() };
    let broker = place.start();
    let (mut driver, _) = enter_as(&broker, ANN, Visit::of("c")).await;
    driver.subscribe("a", QoS::AtLeastOnce);
    let broker = place.crash(broker, vec![driver]);
    let mut other = knock_as(&broker, BOB, Visit::of("c")).await;
    assert_eq!(other.greeted(), Err(ReasonCode::ClientIdentifierNotValid));
    let mut other = Driver::knock(&broker, Visit { clean_start: true, ..Visit::of("c") });
    other.log_in().await;
    assert_eq!(other.greeted(), Err(ReasonCode::ClientIdentifierNotValid));
    assert!(enter_as(&broker, ANN, Visit::of("c")).await.1);
}

#[tokio::test]
async fn a_session_ends_when_what_its_user_has_proven_is_gone_after_a_restart() {
    let changes = [
        ("nothing", users(&[ANN, BOB]), true),
        ("another password", users(&[("ann", "cherry"), BOB]), false),
        ("no such user", users(&[BOB]), false),
    ];
    for (change, passwords, is_kept) in changes {
        let mut place = Place { passwords: users(&[ANN, BOB]), ..Place::new() };
        let broker = place.start();
        let (mut driver, _) = enter_as(&broker, ANN, Visit::of("c")).await;
        driver.subscribe("a", QoS::AtLeastOnce);
        place.passwords = passwords;
        let broker = place.crash(broker, vec![driver]);
        assert_eq!(broker.registry.len(), 1);
        broker.judge_all(broker.registry.client_ids()).await;
        let left = (broker.registry.len(), broker.routes.len());
        assert_eq!(left, if is_kept { (1, 1) } else { (0, 0) }, "{change}");
        // Nothing of it is left in the store.
        assert_eq!(place.crash(broker, Vec::new()).registry.len(), left.0, "{change}");
    }
}
