//! Who is banned: at every door, inside, over a restart; and who cannot be.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Output;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::budgets::until;
use crate::control::Place;
use crate::harness::http::series;
use crate::harness::raw::{self, CONNACK, Connect, PUBLISH, RawClient, Will};
use crate::harness::{ADMIN, Broker, DEVICE1, Login, Site, Stream, bastionmq, scratch};

const BANNED: u8 = 0x8A;
const NOT_PROVEN: u8 = 0x86;
const ADMINISTRATIVE_ACTION: u8 = 0x98;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A broker with a control socket, and what outlives it.
struct Scene {
    broker: Broker,
    place: TempDir,
}

impl Scene {
    fn new(settings: &str) -> Self {
        Self::at(scratch(), settings)
    }

    /// With a store and an audit log.
    fn that_remembers(place: TempDir) -> Self {
        let at = place.path().display();
        let settings = format!(
            "[keys]\nmaster_key_file = \"{at}/master.key\"\n[store]\ndir = \"{at}/store\"\n\
             [audit]\ndir = \"{at}/audit\"\n"
        );
        Self::at(place, &settings)
    }

    fn at(place: TempDir, settings: &str) -> Self {
        let socket = place.path().join("control/ctl.sock");
        let broker = Broker::secure_with_settings(&format!(
            "\n[control]\nsocket = \"{}\"\n{settings}",
            socket.display()
        ));
        Self { broker, place }
    }

    fn ctl(&self, words: &[&str]) -> Output {
        let mut command = bastionmq();
        command.args(["ctl", "--socket"]).arg(self.place.path().join("control/ctl.sock"));
        command.args(words).output().expect("it runs")
    }

    /// `ctl ban`, which is done; what it says.
    fn ban(&self, words: &[&str]) -> String {
        let output = self.ctl(&[&["ban"], words].concat());
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn list(&self) -> Vec<Value> {
        let said = self.ban(&["list", "--json"]);
        said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn connect(&self, connect: &Connect) -> RawClient {
        RawClient::connected(self.broker.plain_port(), connect)
    }

    fn connect_from(&self, source: Ipv4Addr, connect: &Connect) -> RawClient {
        let mut client = RawClient::plain_from(source, self.broker.plain_port());
        client.send(&connect.encode());
        assert_eq!(client.expect(CONNACK).reason(), 0);
        client
    }

    /// Tries to log in; the reason code.
    fn knock(&self, version: u8, client_id: &str, login: Login) -> u8 {
        let mut client = RawClient::plain(self.broker.plain_port());
        client.send(&Connect::new(version, client_id).login(login).encode());
        client.expect(CONNACK).reason()
    }

    fn metric(&self, name: &str) -> f64 {
        series(self.broker.admin_port(), name)
    }
}

#[test]
fn a_banned_address_is_refused_before_anything_else_and_whoever_is_inside_has_to_go() {
    let scene = Scene::new("");
    let mut inside = scene.connect_from(ELSEWHERE, &Connect::new(5, "there").login(DEVICE1));
    let mut here = scene.connect(&Connect::new(5, "here").login(DEVICE1));
    let said = scene.ban(&["add", "127.0.0.2", "--for", "1h", "--why", "a test"]);
    assert!(said.starts_with("127.0.0.2 is banned for "), "{said}");
    assert!(said.contains("; 1 connection ended\n"), "{said}");
    assert!(said.contains("in memory alone"), "{said}");
    inside.expect_disconnect(ADMINISTRATIVE_ACTION);
    for port in [scene.broker.plain_port(), scene.broker.tls_port()] {
        RawClient::plain_from(ELSEWHERE, port).expect_end();
    }
    here.expect_silence();
    scene.connect(&Connect::new(5, "here too").login(DEVICE1)).expect_silence();
    until("they are counted", || {
        scene.metric("bastionmq_connections_refused_total{reason=\"banned\"}") > 1.5
    });
    assert!(scene.metric("bastionmq_ban_refusals_total{kind=\"address\"}") > 1.5);
    until("it shows", || scene.metric("bastionmq_bans{kind=\"address\"}") == 1.0);
    let [row] = &scene.list()[..] else { panic!("one") };
    assert_eq!((&row["subject"], &row["why"]), (&"127.0.0.2".into(), &"a test".into()));
    assert!(row["by"].as_str().expect("text").starts_with("operator:"), "{row}");
    let lasts = row["until"].as_u64().expect("a time") - row["since"].as_u64().expect("a time");
    assert_eq!((lasts, &row["refused"]), (3_600, &2.into()));

    assert_eq!(scene.ban(&["lift", "127.0.0.2"]).lines().next(), Some("1 ban lifted"));
    scene.connect_from(ELSEWHERE, &Connect::new(5, "there").login(DEVICE1)).expect_silence();
}

#[test]
fn a_banned_principal_ends_at_once_and_hears_why_when_it_comes_back() {
    let scene = Scene::new("");
    let mut new = scene.connect(&Connect::new(5, "new").login(DEVICE1));
    let mut old = scene.connect(&Connect::new(4, "old").login(DEVICE1));
    let mut other = scene.connect(&Connect::new(5, "other").login(ADMIN));
    assert!(scene.ban(&["add", "user:device1"]).contains("for good; 2 connections ended"));
    new.expect_disconnect(ADMINISTRATIVE_ACTION);
    old.expect_end();
    other.expect_silence();
    assert_eq!(scene.knock(5, "new", DEVICE1), BANNED);
    assert_eq!(scene.knock(4, "old", DEVICE1), 5, "not authorized, in 3.1.1");
    // Whoever has not proven to be that user learns nothing of it.
    assert_eq!(scene.knock(5, "new", (DEVICE1.0, "a guess")), 0x86);
    assert_eq!(scene.metric("bastionmq_ban_refusals_total{kind=\"principal\"}"), 2.0);
    let name = "bastionmq_logins_total{method=\"password\",result=\"banned\"}";
    assert_eq!(scene.metric(name), 2.0);
    scene.ban(&["lift", "--all"]);
    assert_eq!(scene.knock(5, "new", DEVICE1), 0);
    let nobody = scene.ctl(&["ban", "lift", "user:device1"]);
    assert_eq!(nobody.status.code(), Some(1));
}

#[test]
fn the_session_of_who_is_banned_waits_and_its_will_is_published() {
    let scene = Scene::new("");
    let mut admin = scene.connect(&Connect::new(5, "admin").login(ADMIN));
    assert_eq!(admin.subscribe(5, "devices/#", 0), 0);
    let will = Some(Will::new("devices/device1/will", b"gone"));
    let connect = Connect::new(5, "pump").login(DEVICE1).keep_session(false, 600);
    let visit = Connect { will, ..connect };
    let mut pump = scene.connect(&visit);
    scene.ban(&["add", "client:pump", "--for", "10m"]);
    pump.expect_disconnect(ADMINISTRATIVE_ACTION);
    assert_eq!(admin.expect(PUBLISH).publish(5).topic, "devices/device1/will");
    assert_eq!(scene.knock(5, "pump", DEVICE1), NOT_PROVEN, "nobody looks at its password");
    assert_eq!(scene.knock(5, "pump-2", DEVICE1), 0);
    scene.ban(&["lift", "client:pump"]);
    let mut pump = RawClient::plain(scene.broker.plain_port());
    pump.send(&visit.encode());
    assert_eq!(pump.expect(CONNACK).body[..2], [1, 0], "the session is present");
}

#[test]
fn a_client_id_that_is_banned_costs_no_hash_and_tells_strangers_nothing() {
    let scene = Scene::new("");
    scene.ban(&["add", "client:pump"]);
    let refused = "bastionmq_ban_refusals_total{kind=\"client_id\"}";
    let hits = scene.metric("bastionmq_credential_cache_hits_total");
    for (at, password) in ["the wrong word", DEVICE1.1].into_iter().enumerate() {
        let login = (DEVICE1.0, password);
        assert_eq!(scene.knock(5, "pump", login), NOT_PROVEN);
        assert_eq!(scene.knock(5, "other", (DEVICE1.0, "the wrong word")), NOT_PROVEN);
        assert_eq!(scene.metric(refused), at as f64 + 1.0);
    }
    assert_eq!(scene.knock(4, "pump", DEVICE1), 4, "as to a wrong password in 3.1.1");
    // Nothing was verified, and so nothing remembered: the first login that is looked at is hashed.
    assert_eq!(scene.knock(5, "pump-2", DEVICE1), 0);
    assert_eq!(scene.metric("bastionmq_credential_cache_hits_total"), hits);
    assert_eq!(scene.knock(5, "pump-2", DEVICE1), 0);
    assert_eq!(scene.metric("bastionmq_credential_cache_hits_total"), hits + 1.0);
}

#[test]
fn whoever_may_be_on_the_allow_list_is_judged_by_who_it_is() {
    let scene = Scene::new("[bans]\nallow = [\"user:admin\"]\n");
    scene.ban(&["add", "client:pump"]);
    assert_eq!(scene.knock(5, "pump", ADMIN), 0);
    assert_eq!(scene.knock(5, "pump", DEVICE1), BANNED);
}

#[test]
fn a_certificate_is_banned_by_its_fingerprint_and_no_other() {
    let scene = Scene::new("");
    let site = Site::shared();
    let der = CertificateDer::from_pem_file(site.file("device1.crt")).expect("a certificate");
    let digits: String = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}:")).collect();
    let connect = |id| Connect::new(5, id).encode();
    let tls = |name: &str| RawClient::tls(scene.broker.tls_port(), site.tls_as(name));
    let mut inside = tls("device1");
    inside.send(&connect("inside"));
    assert_eq!(inside.expect(CONNACK).reason(), 0);
    scene.ban(&["add", &format!("fingerprint:{}", digits.trim_end_matches(':'))]);
    inside.expect_disconnect(ADMINISTRATIVE_ACTION);
    let mut again = tls("device1");
    again.send(&connect("again"));
    assert_eq!(again.expect(CONNACK).reason(), BANNED);
    // The user of that name has a password as well.
    assert_eq!(scene.knock(5, "by password", DEVICE1), 0);
}

#[test]
fn behind_a_proxy_the_address_in_its_header_counts() {
    let place = scratch();
    let socket = place.path().join("control/ctl.sock");
    let socket = socket.to_str().expect("UTF-8");
    let broker = Broker::behind_proxy(&[("CONTROL_SOCKET", socket)]);
    let ctl = |words: &[&str]| {
        bastionmq().args(["ctl", "--socket", socket]).args(words).output().expect("it runs")
    };
    assert!(ctl(&["ban", "add", "192.0.2.0/24"]).status.success());
    let behind = |address: &str| {
        let mut client = RawClient::plain(broker.plain_port());
        client.send(format!("PROXY TCP4 {address} 198.51.100.1 4711 1883\r\n").as_bytes());
        client
    };
    behind("192.0.2.200").expect_end();
    let mut other = behind("192.0.3.1");
    other.send(&Connect::new(5, "other").login(DEVICE1).encode());
    assert_eq!(other.expect(CONNACK).reason(), 0);
    // The proxy itself is nobody who connects.
    assert!(ctl(&["ban", "add", "127.0.0.1"]).status.success());
    other.expect_silence();
    let mut next = behind("192.0.3.1");
    next.send(&Connect::new(5, "next").login(DEVICE1).encode());
    assert_eq!(next.expect(CONNACK).reason(), 0);
}

#[test]
fn a_ban_holds_over_a_crash_where_there_is_a_store_and_stands_in_the_audit_log() {
    let mut scene = Scene::that_remembers(scratch());
    let said = scene.ban(&["add", "user:device1", "--for", "7d", "--why", "sends garbage"]);
    assert!(!said.contains("memory"), "{said}");
    scene.ban(&["add", "127.0.0.2"]);
    scene.ban(&["add", "client:x"]);
    scene.ban(&["lift", "client:x"]);
    scene.broker.process_mut().kill();
    scene.broker.wait();

    let mut scene = Scene::that_remembers(scene.place);
    let rows = scene.list();
    let subjects: Vec<_> = rows.iter().map(|row| row["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["127.0.0.2", "user:device1"]);
    assert_eq!((&rows[1]["why"], rows[0].get("until")), (&"sends garbage".into(), None));
    assert_eq!(scene.knock(5, "a", DEVICE1), BANNED);
    RawClient::plain_from(ELSEWHERE, scene.broker.plain_port()).expect_end();
    until("both are counted", || scene.list().iter().all(|row| row["refused"] == 1));
    scene.broker.terminate();
    scene.broker.wait();

    let search = |event: &str| {
        let mut command = bastionmq();
        command.args(["audit", "search", "--event", event, "--dir"]);
        let output = command.arg(scene.place.path().join("audit")).output().expect("it runs");
        let said = String::from_utf8(output.stdout).expect("text");
        said.lines().map(|it| serde_json::from_str(it).unwrap()).collect::<Vec<Value>>()
    };
    let banned = &search("banned")[0];
    assert_eq!((&banned["subject"], &banned["seconds"]), (&"user:device1".into(), &604_800.into()));
    assert_eq!(search("ban_lifted")[0]["subject"], "client:x");
    assert_eq!(search("ban_refused").len(), 2);
}

#[test]
fn a_ban_ends_by_itself() {
    let scene = Scene::new("");
    scene.ban(&["add", "client:a", "--for", "1s"]);
    let line = scene.broker.process().wait_for_text(Stream::Err, "ban has ended");
    assert!(line.contains("client:a"), "{line}");
    assert_eq!(scene.knock(5, "a", DEVICE1), 0);
    assert!(scene.list().is_empty());
}

#[test]
fn who_is_on_the_allow_list_cannot_be_banned_and_the_list_is_live() {
    let place = Place::with("[bans]\nallow = [\"127.0.0.0/8\", \"user:admin\"]\nmax_bans = 2\n");
    for (subject, entry) in [
        ("127.0.0.1", "127.0.0.0/8"),
        ("127.1.0.0/16", "127.0.0.0/8"),
        ("64.0.0.0/2", "127.0.0.0/8"),
        ("user:admin", "user:admin"),
    ] {
        let said = place.ctl(&["ban", "add", subject]);
        assert_eq!(said.code, Some(1), "{subject}");
        assert!(said.err.contains(&format!("{entry} is in `allow` of [bans]")), "{}", said.err);
    }
    // Who is allowed is so whatever it calls itself.
    assert_eq!(place.ctl(&["ban", "add", "client:console"]).code, Some(0));
    let _console = place.connect(&Connect::new(5, "console").login(ADMIN));
    let mut other = place.connect(&Connect::new(5, "other").login(DEVICE1));
    assert_eq!(place.ctl(&["ban", "add", "user:device2"]).code, Some(0));
    let said = place.ctl(&["ban", "add", "user:device1"]);
    assert!(said.err.contains("`max_bans` of [bans]"), "{}", said.err);
    other.expect_silence();

    let config = fs::read_to_string(place.file("bastionmq.toml")).expect("a configuration");
    let config = config.replace("allow = [", "allow = [\"user:device2\", ").replace("= 2", "= 9");
    fs::write(place.file("bastionmq.toml"), config).expect("a configuration");
    let said = place.ctl(&["reload"]);
    assert!(!said.out.contains("restart"), "{}", said.out);
    let said = place.ctl(&["ban", "add", "user:device2"]);
    assert!(said.err.contains("user:device2 is in `allow`"), "{}", said.err);
    assert_eq!(place.ctl(&["ban", "add", "user:device1"]).code, Some(0));
    other.expect_disconnect(ADMINISTRATIVE_ACTION);
}

#[test]
fn what_names_nobody_is_refused_and_says_how_to_write_it() {
    let scene = Scene::new("");
    for subject in ["anna", "0.0.0.0/0", "10.0.0.1/8", "client:", "fingerprint:ab"] {
        let output = scene.ctl(&["ban", "add", subject]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{subject}");
        assert!(said.contains("names nobody: write an address"), "{said}");
    }
    for words in [&["ban", "add", "user:a", "--for", "soon"][..], &["ban", "lift"]] {
        assert_eq!(scene.ctl(words).status.code(), Some(2), "{words:?}");
    }
    assert!(scene.list().is_empty());
    let mut client = scene.connect(&Connect::new(5, "c").login(DEVICE1));
    client.send(&raw::packet(raw::DISCONNECT, &[]));
    client.expect_orderly_end();
}
