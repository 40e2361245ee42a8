//! The sample policies of `acl/` answer as their test tables say.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use bastionmq::acl::{Policy, Request, Subject};
use bastionmq::identity::{ClientId, Principal};
use bastionmq::message::QoS;
use bastionmq::topic::{TopicFilterRef, TopicNameRef};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    cases: Vec<Case>,
}

/// One question: a client, an action, and whether it is allowed. `qos` is that of the message, or
/// the one that a subscription must be granted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    user: Option<String>,
    certificate: Option<String>,
    anonymous: Option<bool>,
    client_id: Option<String>,
    publish: Option<String>,
    subscribe: Option<String>,
    receive: Option<String>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    allowed: bool,
}

impl Case {
    fn principal(&self) -> Principal {
        match (&self.user, &self.certificate, self.anonymous) {
            (Some(name), None, None) => Principal::User(name.as_str().into()),
            (None, Some(name), None) => Principal::Certificate(name.as_str().into()),
            (None, None, Some(true)) => Principal::Anonymous,
            _ => panic!("one of user, certificate, anonymous = true: {self:?}"),
        }
    }

    fn request(&self) -> Request<'_> {
        let name = |text| TopicNameRef::parse(text).expect("a topic name");
        let (qos, retain) = (QoS::from_bits(self.qos).expect("a QoS"), self.retain);
        match (&self.publish, &self.subscribe, &self.receive) {
            (Some(topic), None, None) => {
                Request::Publish { topic: name(topic), qos, retain, bytes: 0 }
            }
            (None, Some(filter), None) => {
                Request::Subscribe { filter: TopicFilterRef::parse(filter).expect("a filter") }
            }
            (None, None, Some(topic)) => Request::Receive { topic: name(topic) },
            _ => panic!("one of publish, subscribe, receive: {self:?}"),
        }
    }

    fn is_answered_by(&self, policy: &Policy) -> bool {
        let client_id = ClientId::new(self.client_id.as_deref().unwrap_or("client"));
        let principal = self.principal();
        let subject = Subject::named(&principal, &client_id);
        let answer = policy.explain(&subject, &self.request());
        let granted = answer.max_qos.is_none_or(|max_qos| max_qos as u8 >= self.qos);
        (answer.allowed && granted) == self.allowed
    }
}

fn samples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("acl");
    let entries = fs::read_dir(directory).expect("the sample policies");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.to_string_lossy().ends_with(".toml")).collect()
}

#[test]
fn every_sample_policy_answers_as_its_table_says() {
    let (tables, policies): (Vec<_>, Vec<_>) =
        samples().into_iter().partition(|path| path.to_string_lossy().ends_with(".tests.toml"));
    assert!(policies.len() >= 3 && tables.len() == policies.len(), "each policy has its table");
    for file in policies {
        let policy = Policy::from_bytes(&fs::read(&file).expect("a policy"))
            .unwrap_or_else(|errors| panic!("{}: {errors:?}", file.display()));
        assert_eq!(policy.warnings(), [], "{}", file.display());
        let table = fs::read_to_string(file.with_extension("tests.toml")).expect("its table");
        let Table { cases } = toml::from_str(&table).expect("a table of cases");
        assert!(!cases.is_empty());
        for case in cases {
            assert!(case.is_answered_by(&policy), "{}: {case:?}", file.display());
        }
    }
}
