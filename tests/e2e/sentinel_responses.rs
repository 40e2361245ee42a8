//! What is done to those who attack a broker that runs: the rule's counter, the alert, the audit log and the
//! attacker itself all show it, and whom nobody may harm is not harmed.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::Value;

use crate::budgets::until;
use crate::harness::raw::{self, CONNACK, Connect, PUBLISH, RawClient};
use crate::harness::{ADMIN, Broker, DEVICE1, DEVICE2, Login, Site, bastionmq, http, scratch};
use crate::sentinel::{alert_of, device, found, listener, recorded, watched};

const ADMINISTRATIVE_ACTION: u8 = 0x98;
const BANNED: u8 = 0x8A;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A rule about 3 denials of a client, with these responses.
fn denials(responses: &str) -> String {
    format!(
        "[[sentinel.rule]]\nname = \"probing\"\nevents = [\"denied\"]\nper = [\"principal\", \"client\"]\n\
         threshold = 3\nabout = \"It asks for too much\"\nresponses = [\"alert\", {responses}]\n"
    )
}

/// Breaks that rule.
fn probe(client: &mut RawClient) {
    for number in 0..3 {
        client.send(&raw::subscribe(5, 1, &format!("else/{number}"), 0));
    }
}

fn responses(broker: &Broker, response: &str, outcome: &str) -> f64 {
    let name = format!(
        "bastionmq_sentinel_responses_total{{response=\"{response}\",outcome=\"{outcome}\"}}"
    );
    http::series(broker.admin_port(), &name)
}

/// What an alert says that was done.
fn done(alert: &Value) -> &Value {
    let responses = alert["responses"].as_array().expect("a list");
    responses.first().expect("one")
}

fn connect(broker: &Broker, client_id: &str, login: Login) -> RawClient {
    RawClient::connected(broker.plain_port(), &Connect::new(5, client_id).login(login))
}

fn guess_from(broker: &Broker, source: Ipv4Addr) {
    let mut stranger = RawClient::plain_from(source, broker.plain_port());
    stranger.send(&Connect::new(5, "eve").login(("device1", "a guess")).encode());
    assert_ne!(stranger.expect(CONNACK).reason(), 0);
}

fn recorded_as(place: &Path, event: &str) -> Vec<Value> {
    let mut command = bastionmq();
    command.args(["audit", "search", "--event", event, "--dir"]).arg(place.join("audit"));
    let output = command.output().expect("it runs");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn who_guesses_passwords_is_banned_by_address_and_nobody_else_is() {
    let place = scratch();
    let rule = "[[sentinel.rule]]\nname = \"password-guessing\"\nthreshold = 3\n\
                responses = [\"alert\", { ban = \"address\", seconds = 3600 }]\n";
    let mut broker = watched(place.path(), rule);
    let mut watcher = listener(&broker);
    let mut neighbour = RawClient::plain_from(ELSEWHERE, broker.plain_port());
    neighbour.send(&Connect::new(5, "neighbour").login(DEVICE2).encode());
    assert_eq!(neighbour.expect(CONNACK).reason(), 0);
    (0..3).for_each(|_| guess_from(&broker, ELSEWHERE));
    let told = alert_of(&mut watcher, "password-guessing");
    let done = done(&told);
    assert_eq!(
        (&done["response"], &done["target"], &done["subject"], &done["outcome"]),
        (&"ban".into(), &"address".into(), &"127.0.0.2".into(), &"done".into())
    );
    assert_eq!((&done["seconds"], &done["connections"]), (&3_600.into(), &1.into()));
    // It is an address that is banned, with whoever is behind it.
    neighbour.expect_disconnect(ADMINISTRATIVE_ACTION);
    RawClient::plain_from(ELSEWHERE, broker.plain_port()).expect_end();
    // The user whose password was guessed at is not.
    assert_eq!(device(&broker).subscribe(5, "devices/device1/#", 0), 0);
    assert!(found(&broker, "password-guessing", "warning") > 0.5);
    assert!(responses(&broker, "ban", "done") > 0.5);
    let alerts = recorded(place.path(), &mut broker);
    assert_eq!(alerts[0]["responses"][0]["subject"], "127.0.0.2");
    let [ban] = &recorded_as(place.path(), "banned")[..] else { panic!("one") };
    assert_eq!(
        (&ban["by"], &ban["subject"]),
        (&"rule:password-guessing".into(), &"127.0.0.2".into())
    );
    assert_eq!(ban["seconds"], 3_600);
}

#[test]
fn a_client_that_probes_topics_is_disconnected_and_may_come_again() {
    let broker = Broker::secure_with_settings(&denials("{ disconnect = \"client\" }"));
    let mut watcher = listener(&broker);
    let mut other = connect(&broker, "other", DEVICE1);
    let mut prober = connect(&broker, "prober", DEVICE1);
    probe(&mut prober);
    while let Some(frame) = prober.read_or_end() {
        if frame.first == raw::DISCONNECT {
            assert_eq!(frame.reason(), ADMINISTRATIVE_ACTION);
            break;
        }
        assert_eq!(frame.first, raw::SUBACK);
    }
    prober.expect_end();
    let told = alert_of(&mut watcher, "probing");
    assert_eq!(
        (&done(&told)["subject"], &done(&told)["connections"]),
        (&"client:prober".into(), &1.into())
    );
    other.expect_silence();
    connect(&broker, "prober", DEVICE1).expect_silence();
    assert!(responses(&broker, "disconnect", "done") > 0.5);
}

#[test]
fn what_a_client_publishes_that_probes_topics_goes_to_quarantine() {
    let broker =
        Broker::secure_with_settings(&denials("{ quarantine = \"principal\", seconds = 600 }"));
    let mut watcher = listener(&broker);
    let mut reader = connect(&broker, "reader", ADMIN);
    assert_eq!(reader.subscribe(5, "devices/#", 0), 0);
    let (mut prober, mut other) =
        (connect(&broker, "prober", DEVICE1), connect(&broker, "other", DEVICE2));
    probe(&mut prober);
    (0..3).for_each(|_| drop(prober.expect(raw::SUBACK)));
    let told = alert_of(&mut watcher, "probing");
    assert_eq!(
        (&done(&told)["response"], &done(&told)["subject"], &done(&told)["seconds"]),
        (&"quarantine".into(), &"user:device1".into(), &600.into())
    );
    prober.send(&raw::publish_with(5, PUBLISH | 2, "devices/device1", Some(1), &[], b"x"));
    assert_eq!(prober.expect(raw::PUBACK).acknowledged(), (1, 0));
    other.send(&raw::publish(5, "devices/device2", b"y"));
    assert_eq!(reader.expect(PUBLISH).publish(5).topic, "devices/device2");
    assert_eq!(http::series(broker.admin_port(), "bastionmq_quarantined_messages_total"), 1.0);
    assert!(responses(&broker, "quarantine", "done") > 0.5);
}

#[test]
fn a_principal_is_banned_with_all_of_its_clients() {
    let broker = Broker::secure_with_settings(&denials("{ ban = \"principal\", seconds = 600 }"));
    let mut watcher = listener(&broker);
    let mut other = connect(&broker, "other", DEVICE1);
    let mut prober = connect(&broker, "prober", DEVICE1);
    probe(&mut prober);
    other.expect_disconnect(ADMINISTRATIVE_ACTION);
    let told = alert_of(&mut watcher, "probing");
    assert_eq!(
        (&done(&told)["subject"], &done(&told)["connections"]),
        (&"user:device1".into(), &2.into())
    );
    let mut client = RawClient::plain(broker.plain_port());
    client.send(&Connect::new(5, "again").login(DEVICE1).encode());
    assert_eq!(client.expect(CONNACK).reason(), BANNED);
    connect(&broker, "device2", DEVICE2).expect_silence();
}

#[test]
fn whom_the_allow_list_has_is_neither_banned_nor_disconnected() {
    let responses_of_rule = "{ ban = \"principal\" }, { quarantine = \"client\" }, \
                             { disconnect = \"client\" }, { disconnect = \"principal\" }";
    let settings = format!("[bans]\nallow = [\"user:device1\"]\n{}", denials(responses_of_rule));
    let broker = Broker::secure_with_settings(&settings);
    let mut watcher = listener(&broker);
    let mut prober = connect(&broker, "prober", DEVICE1);
    probe(&mut prober);
    (0..3).for_each(|_| drop(prober.expect(raw::SUBACK)));
    let told = alert_of(&mut watcher, "probing");
    let outcomes: Vec<_> = told["responses"].as_array().expect("a list").iter().collect();
    assert_eq!(
        (&outcomes[0]["outcome"], &outcomes[3]["outcome"]),
        (&"allowed".into(), &"allowed".into())
    );
    // What is done to the client is done to nobody, since its principal is allowed.
    assert_eq!((&outcomes[1]["connections"], &outcomes[2]["connections"]), (&0.into(), &0.into()));
    prober.expect_silence();
    assert!(responses(&broker, "ban", "allowed") > 0.5);
}

#[test]
fn a_rule_that_is_only_tried_says_what_it_would_do_and_does_nothing() {
    let place = scratch();
    let rule = denials("{ ban = \"principal\" }, { disconnect = \"client\" }") + "dry_run = true\n";
    let mut broker = watched(place.path(), &rule);
    let mut prober = connect(&broker, "prober", DEVICE1);
    probe(&mut prober);
    (0..3).for_each(|_| drop(prober.expect(raw::SUBACK)));
    until("it is counted", || responses(&broker, "ban", "dry_run") > 0.5);
    prober.expect_silence();
    let alerts = recorded(place.path(), &mut broker);
    let tried = alerts.iter().find(|it| it["rule"] == "probing").expect("a record");
    let responses = tried["responses"].as_array().expect("a list");
    let said: Vec<_> = responses.iter().map(|it| (&it["subject"], &it["outcome"])).collect();
    assert_eq!(
        said,
        [(&"user:device1".into(), &"dry_run".into()), (&"client:prober".into(), &"dry_run".into())]
    );
    assert!(recorded_as(place.path(), "banned").is_empty());
}

#[test]
fn a_rule_by_which_anybody_could_have_others_locked_out_is_refused() {
    let place = scratch();
    let config = place.path().join("bastionmq.toml");
    let rule = "[[listener]]\nurl = \"mqtt://127.0.0.1:0\"\n[auth]\nallow_anonymous = true\n\
                [[sentinel.rule]]\nname = \"distributed-guessing\"\n\
                responses = [\"alert\", { ban = \"principal\", seconds = 60 }]\n";
    std::fs::write(&config, rule).expect("a configuration");
    let output = bastionmq().args(["check-config"]).arg(&config).output().expect("it runs");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert!(!output.status.success());
    assert!(said.contains("bastionmq.toml:6"), "{said}");
    assert!(said.contains("cannot ban the principal of refused logins"), "{said}");
    assert!(said.contains("`per` \"address\""), "{said}");
}

#[test]
fn a_certificate_is_banned_by_a_rule_and_nobody_else_of_its_name_or_place() {
    let place = scratch();
    let at = place.path().display();
    let control = format!("[control]\nsocket = \"{at}/control/ctl.sock\"\n");
    let rule = denials("{ ban = \"certificate\", seconds = 3600 }");
    let mut broker = watched(place.path(), &(control + &rule));
    let (site, own) = (Site::shared(), scratch());
    let (stolen, renewed) = (site.tls_as("device1"), site.tls_anew_as("device1", own.path()));
    let mut watcher = listener(&broker);
    let port = broker.tls_port();
    let enters = |tls: &Arc<ClientConfig>, client_id: &str| {
        let mut client = RawClient::tls(port, Arc::clone(tls));
        client.send(&Connect::new(5, client_id).encode());
        (client.expect(CONNACK).reason(), client)
    };
    let (reason, mut thief) = enters(&stolen, "thief");
    assert_eq!(reason, 0);
    let (reason, mut owner) = enters(&renewed, "owner");
    assert_eq!(reason, 0);
    probe(&mut thief);
    let told = alert_of(&mut watcher, "probing");
    let done = done(&told);
    assert_eq!(
        (&done["response"], &done["target"], &done["outcome"], &done["connections"]),
        (&"ban".into(), &"certificate".into(), &"done".into(), &1.into())
    );
    let subject = done["subject"].as_str().expect("a certificate");
    assert!(subject.starts_with("fingerprint:"), "{subject}");
    while thief.read_or_end().is_some() {}

    assert_eq!(enters(&stolen, "thief").0, BANNED);
    assert_eq!(enters(&stolen, "another id").0, BANNED);
    // The same name and address, and another certificate: it stays inside, and comes in.
    owner.send(&raw::packet(raw::PINGREQ, &[]));
    owner.expect(raw::PINGRESP);
    assert_eq!(enters(&renewed, "owner").0, 0);
    connect(&broker, "by password", DEVICE1);

    let mut command = bastionmq();
    command.args(["ctl", "--socket"]).arg(place.path().join("control/ctl.sock"));
    let lifted = command.args(["ban", "lift", subject]).output().expect("it runs");
    assert!(lifted.status.success(), "{lifted:?}");
    assert_eq!(enters(&stolen, "thief").0, 0);
    broker.terminate();
    broker.wait();
    assert_eq!(recorded_as(place.path(), "banned")[0]["by"], "rule:probing");
}
