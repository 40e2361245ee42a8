//! What the sentinel does to whoever breaks a rule, and how it shows there that it was done.

use std::net::Ipv4Addr;
use std::time::Instant;

use serde_json::Value;

use super::http::series;
use super::raw::{self, CONNACK, Connect, DISCONNECT, PUBACK, PUBLISH, RawClient};
use super::{ADMIN, Broker, DEVICE1, Login, PATIENCE, Stream};

const ADMINISTRATIVE_ACTION: u8 = 0x98;
const BANNED: u8 = 0x8A;
/// What a password is answered that comes with a banned client identifier: it is not looked at.
const BAD_CREDENTIALS: u8 = 0x86;

/// What a rule does beyond telling of it, and to whom of the event that has broken it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing, since what breaks the rule is of nobody in particular, or of who only claims to be somebody.
    Told,
    Disconnect(&'static str),
    Quarantine(&'static str),
    Tighten(&'static str),
    Ban(&'static str),
}

/// Where those stand who are asked whether it was done to them.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) broker: &'a Broker,
    /// They come through a proxy, which says so.
    pub(crate) is_behind_proxy: bool,
    /// Where they may publish.
    pub(crate) topic: &'a str,
}

impl Answer {
    fn names(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Told => None,
            Self::Disconnect(whom) => Some(("disconnect", whom)),
            Self::Quarantine(whom) => Some(("quarantine", whom)),
            Self::Tighten(whom) => Some(("tighten", whom)),
            Self::Ban(whom) => Some(("ban", whom)),
        }
    }

    /// The rule of that name with some `changes`, which answers so and with the log and an alert.
    pub(crate) fn of(self, rule: &str, changes: &str) -> String {
        let response = match self {
            Self::Told => String::new(),
            Self::Disconnect(whom) => format!(", {{ disconnect = \"{whom}\" }}"),
            Self::Quarantine(whom) => format!(", {{ quarantine = \"{whom}\", seconds = 3600 }}"),
            Self::Tighten(whom) => {
                format!(", {{ tighten = \"{whom}\", rate = 1, seconds = 3600 }}")
            }
            Self::Ban(whom) => format!(", {{ ban = \"{whom}\", seconds = 3600 }}"),
        };
        format!(
            "[[sentinel.rule]]\nname = \"{rule}\"\n{changes}\nresponses = [\"log\", \"alert\"{response}]\n"
        )
    }

    /// Fails unless the alert `told` says that it was done, it is logged and counted, and whoever has broken
    /// the rule finds that it was. Who is disconnected is asked by [`expect_thrown_out`].
    pub(crate) fn expect(self, told: &Value, on: Ground<'_>) {
        let about = told["about"].as_str().expect("what it means");
        on.broker.process().wait_for_text(Stream::Err, &format!("sentinel: {about}"));
        let done = told["responses"].as_array().expect("a list");
        let Some((response, whom)) = self.names() else {
            assert!(done.is_empty(), "{told}");
            return;
        };
        let [done] = &done[..] else { panic!("one response: {told}") };
        assert_eq!(
            (&done["response"], &done["target"], &done["outcome"]),
            (&response.into(), &whom.into(), &"done".into())
        );
        let counted = format!(
            "bastionmq_sentinel_responses_total{{response=\"{response}\",outcome=\"done\"}}"
        );
        assert!(on.count(&counted) > 0.5, "{response} is not counted");
        let culprit = Culprit { told, on };
        match self {
            Self::Told => {}
            Self::Disconnect(_) => assert!(done["connections"].as_u64() > Some(0), "{told}"),
            Self::Quarantine(_) => culprit.expect_quarantine(),
            Self::Tighten(_) => culprit.expect_slow(),
            Self::Ban("address" | "prefix") => culprit.expect_closed_door(),
            Self::Ban("client") => culprit.expect_refusal(BAD_CREDENTIALS),
            Self::Ban(_) => culprit.expect_refusal(BANNED),
        }
    }
}

impl Ground<'_> {
    fn count(&self, name: &str) -> f64 {
        series(self.broker.admin_port(), name)
    }

    /// Waits until it has been counted once more than `before`.
    fn expect_more(&self, name: &str, before: f64) {
        let deadline = Instant::now() + PATIENCE;
        while self.count(name) <= before {
            assert!(Instant::now() < deadline, "{name} stays {before}");
            std::thread::yield_now();
        }
    }
}

/// Who has broken a rule, as its alert says.
#[derive(Clone, Copy)]
struct Culprit<'a> {
    told: &'a Value,
    on: Ground<'a>,
}

impl Culprit<'_> {
    fn address(&self) -> Ipv4Addr {
        let address = self.told["address"].as_str().expect("an address");
        address.parse().expect("an address")
    }

    fn login(&self) -> Login {
        if self.told["principal"] == "user:admin" { ADMIN } else { DEVICE1 }
    }

    /// Comes again.
    fn connects(&self) -> RawClient {
        let port = self.on.broker.plain_port();
        let client_id = self.told["client_id"].as_str().unwrap_or("culprit");
        let mut client = match self.on.is_behind_proxy {
            true => RawClient::plain(port),
            false => RawClient::plain_from(self.address(), port),
        };
        if self.on.is_behind_proxy {
            client.send(format!("PROXY TCP4 {} 192.0.2.1 1 1\r\n", self.address()).as_bytes());
        }
        client.send(&Connect::new(5, client_id).login(self.login()).encode());
        client
    }

    fn enters(&self) -> RawClient {
        let mut client = self.connects();
        assert_eq!(client.expect(CONNACK).reason(), 0);
        client
    }

    fn expect_closed_door(&self) {
        let refused = "bastionmq_connections_refused_total{reason=\"banned\"}";
        let before = self.on.count(refused);
        self.connects().expect_end();
        self.on.expect_more(refused, before);
    }

    fn expect_refusal(&self, reason: u8) {
        let mut client = self.connects();
        assert_eq!(client.expect(CONNACK).reason(), reason);
        client.expect_end();
    }

    fn expect_quarantine(&self) {
        let quarantined = "bastionmq_quarantined_messages_total";
        let before = self.on.count(quarantined);
        let mut client = self.enters();
        client.send(&raw::publish_with(5, PUBLISH | 2, self.on.topic, Some(1), &[], b"x"));
        assert_eq!(client.expect(PUBACK).acknowledged(), (1, 0));
        self.on.expect_more(quarantined, before);
    }

    fn expect_slow(&self) {
        let rule = self.told["rule"].as_str().expect("a name");
        let delayed = format!(
            "bastionmq_throttled_total{{rule=\"rule:{rule}\",what=\"messages_in\",action=\"delay\"}}"
        );
        let before = self.on.count(&delayed);
        let mut client = self.enters();
        client.send(&raw::publish(5, self.on.topic, b"x").repeat(3));
        self.on.expect_more(&delayed, before);
    }
}

/// Fails unless a client that was inside is told that an administrator ends its connection; whatever else it was
/// told comes before that.
pub(crate) fn expect_thrown_out(mut client: RawClient) {
    while let Some(frame) = client.read_or_end() {
        if frame.first == DISCONNECT {
            assert_eq!(frame.reason(), ADMINISTRATIVE_ACTION);
            return client.expect_end();
        }
    }
    panic!("the connection ended without a word");
}
