//! Files that change under a running broker: what is taken back ends at once, and what is broken
//! changes nothing. Each test waits for what must come, however long that takes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};

use crate::harness::raw::{self, Connect, NOT_AUTHORIZED, RawClient};
use crate::harness::{ADMIN, DEVICE1, DEVICE2, Login, Place, Site, Stream, bastionmq, scratch};

/// A client of the plain listener.
fn connect(place: &Place, client_id: &str, login: Login) -> RawClient {
    RawClient::connected(place.broker.plain_port(), &Connect::new(5, client_id).login(login))
}

/// What the policy file says takes effect: the topic is denied to who is subscribed to it.
fn wait_until_denied(place: &Place, topic: &str) {
    place.broker.process().wait_for(Stream::Err, |line| {
        (line.contains("denied") && line.contains(topic)).then_some(())
    });
}

/// Publishes to `topic`; the reason code of the answer.
fn publish(client: &mut RawClient, topic: &str) -> u8 {
    let first = raw::PUBLISH | 1 << 1;
    client.send(&raw::publish_with(5, first, topic, Some(1), &[], b"message"));
    client.expect(raw::PUBACK).acknowledged().1
}

/// A live subscription to `announcements/#` ends by this edit of the policy, and nothing comes by it.
fn ends_a_subscription(from: &str, to: &str) {
    let place = Place::of_site();
    let mut device = connect(&place, "device1", DEVICE1);
    let mut admin = connect(&place, "admin", ADMIN);
    assert_eq!(device.subscribe(5, "announcements/#", 1), 1);
    assert_eq!(publish(&mut admin, "announcements/now"), 0);
    assert_eq!(device.expect(raw::PUBLISH | 1 << 1).publish(5).topic, "announcements/now");
    place.edit("policy.toml", from, to);
    wait_until_denied(&place, "announcements/#");
    // Nobody is subscribed any more.
    assert_eq!(publish(&mut admin, "announcements/now"), 0x10);
    device.expect_silence();
}

#[test]
fn u04_a_rule_that_is_removed_ends_a_live_subscription() {
    ends_a_subscription("  { allow = [\"subscribe\"], topics = [\"announcements/#\"] },\n", "");
}

#[test]
fn u04_a_denial_that_is_added_ends_a_live_subscription() {
    let denial = "rules = [\n  { deny = [\"subscribe\"], topics = [\"announcements/#\"] },";
    ends_a_subscription("name = \"device\"\nrules = [", &format!("name = \"device\"\n{denial}"));
}

#[test]
fn u04_a_role_that_is_removed_ends_a_live_subscription() {
    ends_a_subscription("users = [\"device1\", \"device2\"]", "users = [\"device2\"]");
}

#[test]
fn u04_a_user_that_is_deleted_is_sent_away() {
    let place = Place::of_site();
    let mut device = connect(&place, "device1", DEVICE1);
    let mut other = connect(&place, "device2", DEVICE2);
    let users = place.text("passwd");
    let kept: Vec<_> = users.lines().filter(|line| !line.starts_with("device1:")).collect();
    place.replace("passwd", kept.join("\n") + "\n");
    device.expect_disconnect(NOT_AUTHORIZED);
    assert_eq!(publish(&mut other, "devices/device2/x"), 0x10);
    let mut again = RawClient::plain(place.broker.plain_port());
    again.send(&Connect::new(5, "device1").login(DEVICE1).encode());
    assert_eq!(again.expect(raw::CONNACK).reason(), 0x86);
}

#[test]
fn u04_whoever_has_another_password_proves_it_anew() {
    let place = Place::of_site();
    let mut device = connect(&place, "device1", DEVICE1);
    let users = place.text("passwd");
    let hash_of = |user: &str| {
        let line = users.lines().find_map(|line| line.strip_prefix(user)).expect("a user");
        line.trim_start_matches(':').to_owned()
    };
    place.edit("passwd", &hash_of("device1"), &hash_of("device2"));
    device.expect_disconnect(NOT_AUTHORIZED);
    connect(&place, "device1", (DEVICE1.0, DEVICE2.1));
}

#[test]
fn u04_certificates_of_an_authority_that_is_replaced_are_not_believed_any_more() {
    let place = Place::of_site();
    let port = place.broker.tls_port();
    let mut device = RawClient::tls(port, Site::shared().tls_as("device1"));
    device.send(&Connect::new(5, "device1").encode());
    assert_eq!(device.expect(raw::CONNACK).reason(), 0);
    let other = scratch();
    let mut init = bastionmq();
    init.args(["certs", "init", "--dir", "."]).current_dir(other.path());
    assert!(init.output().expect("it starts").status.success());
    let ca = fs::read_to_string(other.path().join("ca.crt")).expect("a certificate");
    place.replace("ca.crt", ca);
    device.expect_disconnect(NOT_AUTHORIZED);
}

/// What is in force is what it was, it is said why, and the metrics show it until it is mended.
fn r03_stays_closed(breakage: impl FnOnce(&Place, &Path), said: &str) {
    let place = Place::of_site();
    let mut device = connect(&place, "device1", DEVICE1);
    let good = place.text("policy.toml");
    breakage(&place, &place.file("policy.toml"));
    let line = place.log("not reloaded");
    assert!(line.contains(said), "{line}");
    assert!(place.metric("bastionmq_reload_in_force{what=\"policy\"}") < 0.5);
    assert!(place.metric("bastionmq_reload_total{what=\"policy\",result=\"failed\"}") > 0.5);
    assert_eq!(publish(&mut device, "devices/device1/x"), 0x10);
    assert_eq!(publish(&mut device, "devices/device2/x"), NOT_AUTHORIZED);
    place.replace("policy.toml", &good);
    place.log("\"reloaded\"");
    assert!(place.metric("bastionmq_reload_in_force{what=\"policy\"}") > 0.5);
}

#[test]
fn r03_a_broken_policy_changes_nothing() {
    r03_stays_closed(|place, _| place.replace("policy.toml", "[[role]\n"), "policy.toml: line 1");
}

#[test]
fn r03_a_missing_policy_changes_nothing() {
    r03_stays_closed(|_, path| fs::remove_file(path).expect("removed"), "No such file");
}

#[test]
fn r03_a_policy_that_a_full_disk_has_left_empty_changes_nothing() {
    r03_stays_closed(|_, path| fs::write(path, "").expect("emptied"), "policy.toml");
}

#[test]
fn r03_a_policy_that_a_full_disk_has_cut_short_changes_nothing() {
    let cut = |place: &Place, path: &Path| {
        let text = place.text("policy.toml");
        fs::write(path, &text[..text.len() / 3]).expect("cut");
    };
    r03_stays_closed(cut, "policy.toml");
}

#[test]
fn r03_without_a_file_descriptor_the_old_policy_stays_until_there_is_one() {
    let place = Place::of_site();
    let mut device = connect(&place, "device1", DEVICE1);
    assert_eq!(device.subscribe(5, "announcements/#", 1), 1);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = |current| {
        let limit = Rlimit { current: Some(current), maximum };
        prlimit(Some(place.broker.process().id()), Resource::Nofile, limit).expect("a limit");
    };
    limit(0);
    place.edit(
        "policy.toml",
        "  { allow = [\"subscribe\"], topics = [\"announcements/#\"] },\n",
        "",
    );
    let line = place.log("not reloaded");
    assert!(line.contains("Too many open files"), "{line}");
    assert_eq!(publish(&mut device, "devices/device1/x"), 0x10);
    assert_eq!(publish(&mut device, "devices/device2/x"), NOT_AUTHORIZED);
    limit(1_024);
    wait_until_denied(&place, "announcements/#");
}

#[test]
fn a_link_that_is_turned_elsewhere_is_a_change() {
    let place = Place::of_site();
    let mut device = connect(&place, "device1", DEVICE1);
    assert_eq!(device.subscribe(5, "announcements/#", 1), 1);
    let (link, next) = (place.file("policy.toml"), place.file("next.toml"));
    let rule = "  { allow = [\"subscribe\"], topics = [\"announcements/#\"] },\n";
    fs::write(&next, place.text("policy.toml").replace(rule, "")).expect("another policy");
    symlink(&next, place.file(".aside")).expect("a link");
    fs::rename(place.file(".aside"), link).expect("renamed");
    wait_until_denied(&place, "announcements/#");
}

#[test]
fn sighup_reads_all_files_anew() {
    let place = Place::of_site();
    place.broker.process().signal(Signal::HUP);
    place.log("SIGHUP");
    for what in ["config", "policy", "passwords", "certificates"] {
        place.reloaded(what);
    }
}

/// The keep alive that a client is told, which asks for a minute.
fn told_keep_alive(place: &Place) -> Option<u16> {
    const SERVER_KEEP_ALIVE: u8 = 0x13;
    let mut client = RawClient::plain(place.broker.plain_port());
    client.send(&Connect::new(5, "new").login(DEVICE1).encode());
    let answer = client.expect(raw::CONNACK);
    assert_eq!(answer.reason(), 0);
    let at = answer.body.iter().rposition(|byte| *byte == SERVER_KEEP_ALIVE)?;
    Some(u16::from_be_bytes([*answer.body.get(at + 1)?, *answer.body.get(at + 2)?]))
}

#[test]
fn settings_hold_for_who_comes_next_and_disturb_nobody() {
    let place = Place::of_site();
    let mut device = connect(&place, "device1", DEVICE1);
    assert_ne!(told_keep_alive(&place), Some(7));
    let before = place.text("bastionmq.toml");
    let changed = before.replace("[auth]\n", "[auth]\nlockout_failures = 1\n");
    let changed = changed
        + "[mqtt]\nmax_keep_alive_seconds = 7\nmax_packet_size = 100\n\
           [network]\nmax_connections_per_address = 3\n";
    // What does not hold as a whole changes nothing.
    place.replace("bastionmq.toml", format!("{changed}backlog = 0\n"));
    assert!(place.log("not reloaded").contains("network.backlog"));
    assert_ne!(told_keep_alive(&place), Some(7));
    place.replace("bastionmq.toml", changed + "[log]\nlevel = \"debug\"\n");
    place.reloaded("config");
    assert_eq!(told_keep_alive(&place), Some(7));
    let mut stranger = RawClient::plain(place.broker.plain_port());
    stranger.send(b"GET / HTTP/1.1");
    stranger.expect_end();
    place.log("\"level\":\"DEBUG\",\"message\":\"closed before login");
    // Who was inside keeps to what was announced to it.
    let large = vec![b'x'; 1_000];
    device.send(&raw::publish_with(5, 0x32, "devices/device1/x", Some(1), &[], &large));
    assert_eq!(device.expect(raw::PUBACK).acknowledged().1, 0x10);
    let mut other = connect(&place, "device2", DEVICE2);
    other.send(&raw::publish_with(5, 0x32, "devices/device2/x", Some(1), &[], &large));
    other.expect_disconnect(0x95);
    let mut guess = RawClient::plain(place.broker.plain_port());
    guess.send(&Connect::new(5, "guess").login((ADMIN.0, "wrong")).encode());
    assert_eq!(guess.expect(raw::CONNACK).reason(), 0x86);
    assert!(place.log("locked out").contains("admin"));
}

#[test]
fn bounds_hold_for_what_comes_and_take_nothing_away() {
    const QUOTA_EXCEEDED: u8 = 0x97;
    let retain = |client: &mut RawClient, topic: &str| {
        let first = raw::PUBLISH | 1 << 1 | 1;
        client.send(&raw::publish_with(5, first, topic, Some(1), &[], b"kept"));
        client.expect(raw::PUBACK).acknowledged().1
    };
    let place = Place::of_site();
    let mut admin = connect(&place, "admin", ADMIN);
    let session = Connect::new(5, "away").login(DEVICE1).keep_session(true, 600);
    RawClient::connected(place.broker.plain_port(), &session).break_off();
    for topic in ["kept/1", "kept/2"] {
        assert_ne!(retain(&mut admin, topic), QUOTA_EXCEEDED);
    }
    let before = place.text("bastionmq.toml");
    let bounds = "[broker]\nmax_retained_messages = 1\nmax_sessions = 2\n";
    place.replace("bastionmq.toml", format!("{before}{bounds}"));
    place.reloaded("config");
    assert_eq!(retain(&mut admin, "kept/3"), QUOTA_EXCEEDED);
    assert_ne!(retain(&mut admin, "kept/1"), QUOTA_EXCEEDED);
    let mut device = RawClient::plain(place.broker.plain_port());
    device.send(&Connect::new(5, "device2").login(DEVICE2).encode());
    assert_eq!(device.expect(raw::CONNACK).reason(), QUOTA_EXCEEDED);
    place.replace("bastionmq.toml", format!("{before}[broker]\nmax_connections = 1\n"));
    place.reloaded_times("config", 2);
    RawClient::plain(place.broker.plain_port()).expect_end();
    place.replace("bastionmq.toml", before);
    place.reloaded_times("config", 3);
    connect(&place, "device2", DEVICE2).expect_silence();
    assert_ne!(retain(&mut admin, "kept/3"), QUOTA_EXCEEDED);
    admin.expect_silence();
}

#[test]
fn u12_a_setting_that_needs_a_restart_is_named() {
    let place = Place::of_site();
    place.edit("bastionmq.toml", "[auth]\n", "[auth]\nmax_waiting_logins = 7\n");
    let line = place.log("needs a restart");
    assert!(line.contains("auth.max_waiting_logins"), "{line}");
}
