//! A broker under attack, what its sentinel makes of that, and whether each rule that comes with it is shown.

use std::fs;
use std::net::Ipv4Addr;

use bastionmq::sentinel::default_rules;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::{ADMIN, Answer, Broker, Ground, Login, Site, bastionmq, scratch};
use crate::sentinel::{alert_of, audited, found, listener, recorded};

/// A broker under attack, the rule that is to be broken, what is to be done then, and somebody who hears of it.
pub(crate) struct Scene {
    pub(crate) broker: Broker,
    place: TempDir,
    watcher: RawClient,
    rule: &'static str,
    answer: Answer,
    is_behind_proxy: bool,
}

impl Scene {
    pub(crate) fn new(rule: &'static str, answer: Answer) -> Self {
        Self::with(rule, answer, "", "")
    }

    /// With `changes` of the rule and other settings.
    pub(crate) fn with(rule: &'static str, answer: Answer, changes: &str, settings: &str) -> Self {
        let config = Site::shared().configuration("optional") + settings;
        Self::of(rule, answer, config + "\n" + &answer.of(rule, changes))
    }

    /// Nobody is locked out: guessing goes on until it succeeds.
    pub(crate) fn without_lockout(rule: &'static str, answer: Answer) -> Self {
        let config = Site::shared().configuration("optional");
        let config = config.replace("[auth]\n", "[auth]\nlockout_failures = 0\n");
        Self::of(rule, answer, config + &answer.of(rule, ""))
    }

    fn of(rule: &'static str, answer: Answer, config: String) -> Self {
        let place = scratch();
        let broker = Self::serves(&place, config, &[]);
        let watcher = listener(&broker);
        Self { broker, place, watcher, rule, answer, is_behind_proxy: false }
    }

    /// Everybody comes through a proxy on 127.0.0.1, or should.
    pub(crate) fn behind_proxy(rule: &'static str, answer: Answer) -> Self {
        let (place, config) = (scratch(), Site::shared().configuration("optional"));
        let proxy = [("PROXY_PROTOCOL", "true"), ("PROXY_FROM", "127.0.0.1")];
        let broker = Self::serves(&place, config + &answer.of(rule, ""), &proxy);
        let mut watcher = RawClient::plain(broker.plain_port());
        watcher.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 1 1\r\n");
        watcher.send(&Connect::new(5, "watcher").login(ADMIN).encode());
        assert_eq!(watcher.expect(raw::CONNACK).reason(), 0);
        assert_eq!(watcher.subscribe(5, "$bastion/alerts/#", 0), 0);
        Self { broker, place, watcher, rule, answer, is_behind_proxy: true }
    }

    fn serves(place: &TempDir, config: String, environment: &[(&str, &str)]) -> Broker {
        let file = place.path().join("bastionmq.toml");
        fs::write(&file, config + &audited(place.path())).expect("a configuration file");
        let mut command = bastionmq();
        command.arg("serve").arg("--config").arg(file);
        for (name, value) in environment {
            command.env(format!("BASTIONMQ_{name}"), value);
        }
        Broker::start(command, scratch())
    }

    pub(crate) fn enters(&self, client_id: &str, login: Login) -> RawClient {
        self.enters_from(Ipv4Addr::LOCALHOST, client_id, login)
    }

    pub(crate) fn enters_from(&self, from: Ipv4Addr, client_id: &str, login: Login) -> RawClient {
        let mut client = RawClient::plain_from(from, self.broker.plain_port());
        client.send(&Connect::new(5, client_id).login(login).encode());
        assert_eq!(client.expect(raw::CONNACK).reason(), 0);
        client
    }

    /// Connects, sends `packets` and goes in order, once the broker has taken all of them.
    pub(crate) fn visits(&self, client_id: &str, login: Login, packets: &[u8]) {
        let mut client = self.enters(client_id, login);
        client.send(packets);
        client.send(&raw::packet(raw::DISCONNECT, &[]));
        client.expect_orderly_end();
    }

    /// Fails to log in from there.
    pub(crate) fn guesses(&self, from: Ipv4Addr, user: &'static str) {
        let mut stranger = RawClient::plain_from(from, self.broker.plain_port());
        stranger.send(&Connect::new(5, "eve").login((user, "a guess")).encode());
        assert_ne!(stranger.expect(raw::CONNACK).reason(), 0);
    }

    /// The alert of the rule, which is counted, logged and stands in the audit log, and what was done about it
    /// to whoever has broken it. The broker has ended then.
    pub(crate) fn finds(mut self) -> Value {
        let rule = self.rule;
        let told = alert_of(&mut self.watcher, rule);
        let severity = told["severity"].as_str().expect("a severity");
        assert!(found(&self.broker, rule, severity) > 0.5, "{rule} is not counted");
        let Self { broker, is_behind_proxy, .. } = &self;
        let topic = "devices/device1/x";
        self.answer.expect(&told, Ground { broker, is_behind_proxy: *is_behind_proxy, topic });
        let recorded = recorded(self.place.path(), &mut self.broker);
        let key = |it: &Value| it["key"].as_object().cloned().unwrap_or_default();
        let record = recorded.iter().find(|it| it["rule"] == rule && key(it) == key(&told));
        let record = record.unwrap_or_else(|| panic!("{rule} is not written down"));
        assert_eq!((&record["severity"], &record["value"]), (&told["severity"], &told["value"]));
        let done = |it: &Value| it["responses"].as_array().cloned().unwrap_or_default();
        assert_eq!(done(record), done(&told), "{rule}");
        told
    }
}

/// Whether a test in `source` names it as a rule.
fn is_named_by_a_test(rule: &str, source: &str) -> bool {
    let tests = source.split("\n#[test]\n").skip(1);
    let mut bodies = tests.filter_map(|text| text.split("\n}\n").next());
    bodies.any(|body| body.contains(&format!("\"{rule}\"")))
}

#[test]
fn every_rule_that_comes_with_the_broker_is_shown_by_an_attack() {
    let attacks = [
        include_str!("sentinel_attacks.rs"),
        include_str!("../sealed/sentinel.rs"),
        include_str!("admin_page.rs"),
    ];
    let rules = default_rules().into_iter().filter_map(|rule| rule.name);
    let is_shown = |rule: &String| attacks.iter().any(|it| is_named_by_a_test(rule, it));
    let (shown, forgotten): (Vec<_>, Vec<_>) = rules.partition(is_shown);
    assert!(forgotten.is_empty(), "no attack shows {forgotten:?}");
    assert!(shown.len() > 30, "{shown:?}");
    assert!(!is_named_by_a_test("no-such-rule", attacks[0]));
}
