//! What Mosquitto was asked about `differences.acl`, asked of the file as it is and of its import.

use std::fs;
use std::path::PathBuf;

use bastionmq::acl::{Policy, PolicyFormat, Subject};
use bastionmq::identity::{ClientId, Principal};
use bastionmq::import;
use bastionmq::message::QoS;
use bastionmq::topic::TopicNameRef;
use serde::Deserialize;

use crate::site::{Site, recorded_files};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    user: Option<String>,
    client_id: Option<String>,
    topic: String,
    /// What Mosquitto answers: `r`, `w`, both or neither.
    mosquitto: String,
    /// What is answered here, where it is something else.
    here: Option<String>,
    /// Why it is.
    why: Option<String>,
}

impl Case {
    fn answer(&self, policy: &Policy) -> String {
        let user = self.user.as_deref();
        let principal = user.map_or(Principal::Anonymous, |name| Principal::User(name.into()));
        let client_id = ClientId::new(self.client_id.as_deref().unwrap_or("c"));
        let permit = policy.permit(&Subject::named(&principal, &client_id));
        let topic = TopicNameRef::parse(&self.topic).unwrap();
        let read = permit.receive(topic).allowed.then_some('r');
        let write = permit.publish(topic, QoS::AtLeastOnce, false, 0).allowed.then_some('w');
        read.into_iter().chain(write).collect()
    }

    fn expected(&self) -> &str {
        assert_eq!(self.here.is_some(), self.why.is_some(), "{self:?}");
        assert_ne!(self.here.as_ref(), Some(&self.mosquitto), "{self:?}");
        self.here.as_ref().unwrap_or(&self.mosquitto)
    }
}

fn file(name: &str) -> PathBuf {
    recorded_files().with_file_name(name)
}

fn cases() -> Vec<Case> {
    let Table { case } =
        toml::from_str(&fs::read_to_string(file("answers.toml")).unwrap()).unwrap();
    assert!(case.len() > 50);
    case
}

#[test]
fn an_acl_file_that_is_read_as_it_is_answers_as_mosquitto_does() {
    let text = fs::read_to_string(file("differences.acl")).unwrap();
    let policy = PolicyFormat::Mosquitto.parse(&text).unwrap();
    for case in cases() {
        assert_eq!(case.answer(&policy), case.expected(), "{case:?}");
    }
}

#[test]
fn a_policy_that_was_made_of_an_acl_file_answers_as_that_file() {
    let acl = file("differences.acl").display().to_string();
    let site =
        Site::new(&format!("listener 1883 127.0.0.1\nallow_anonymous true\nacl_file {acl}\n"));
    let imported = import::mosquitto(&site.path("mosquitto.conf"), &[]).unwrap();
    let policy = Policy::parse(&imported.files.policy).unwrap();
    // What a policy cannot say is left out, and told.
    let told: Vec<_> = imported.findings.iter().map(|finding| &*finding.what).collect();
    assert!(told.contains(&"topic bob/${username}"), "{told:?}");
    for case in cases().iter().filter(|case| case.topic != "bob/${username}") {
        assert_eq!(case.answer(&policy), case.expected(), "{case:?}");
    }
}
