//! What the service answers. What is not understood is no answer: nobody is let in by a part of one.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::acl::ClientRules;
use crate::identity::{Attribute, AttributeSource, Attributes};
use crate::telemetry::logging::excerpt;

/// Roles of one client, and groups.
const MAX_NAMES: usize = 256;
/// Bytes of the name of one of them.
const MAX_NAME_BYTES: usize = 256;

/// What becomes of a login.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is let in.
    Allow(Arc<Admission>),
    /// What it offers is wrong.
    Deny,
    /// The service does not know it: the next authenticator is asked.
    Ignore,
}

/// What the service says of a client that it lets in.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Its `user`, `roles` and `groups`.
    pub attributes: Attributes,
    /// When it has to log in anew, since the Unix epoch.
    pub ends: Option<Duration>,
    /// Rules that it has to itself.
    pub rules: Option<ClientRules>,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnswerFault {
    /// It is not the JSON that is expected.
    #[error("it is not the JSON that is expected: {0}")]
    Json(String),
    /// It names too much to be remembered.
    #[error("it has more than 256 roles or groups, or one that is empty or longer than 256 bytes")]
    Names,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    result: WrittenResult,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    expire_at: Option<u64>,
    acl: Option<ClientRules>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenResult {
    Allow,
    Deny,
    Ignore,
}

impl Answer {
    /// Reads the JSON that was answered to a question about `user`.
    ///
    /// # Errors
    /// When it is not understood, or names too much.
    pub fn read(json: &[u8], user: &str) -> Result<Self, AnswerFault> {
        // Where an object is wanted, serde would take a list of its values as well.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(AnswerFault::Json("an object is wanted".to_owned()));
        }
        let written: Written =
            serde_json::from_slice(json).map_err(|error| AnswerFault::Json(shown(&error)))?;
        for names in [&written.roles, &written.groups] {
            let is_bad = |name: &String| name.is_empty() || name.len() > MAX_NAME_BYTES;
            if names.len() > MAX_NAMES || names.iter().any(is_bad) {
                return Err(AnswerFault::Names);
            }
        }
        Ok(match written.result {
            WrittenResult::Deny => Self::Deny,
            WrittenResult::Ignore => Self::Ignore,
            WrittenResult::Allow => Self::Allow(Arc::new(Admission {
                attributes: written.attributes(user),
                ends: written.expire_at.map(Duration::from_secs),
                rules: written.acl,
            })),
        })
    }
}

/// The error quotes what the service has sent: as much of it as fits a line of the log.
fn shown(error: &serde_json::Error) -> String {
    let said = error.to_string();
    excerpt(&said).chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

impl Written {
    fn attributes(&self, user: &str) -> Attributes {
        let of = |name: &'static str, values: &[String]| {
            let name: Arc<str> = Arc::from(name);
            let attribute = |value: &String| Attribute {
                source: AttributeSource::Http,
                name: Arc::clone(&name),
                value: Arc::from(value.as_str()),
            };
            values.iter().map(attribute).collect::<Vec<_>>()
        };
        let user = of("user", &[user.to_owned()]);
        user.into_iter().chain(of("roles", &self.roles)).chain(of("groups", &self.groups)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Answer, String> {
        Answer::read(json.as_bytes(), "ann").map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_client_that_is_let_in_has_what_the_service_says_of_it() {
        let json = r#"{"result": "allow", "roles": ["a", "b"], "groups": ["g"], "expire_at": 9,
                       "acl": [{"allow": ["publish"], "topics": ["a"]}]}"#;
        let Ok(Answer::Allow(admission)) = read(json) else { panic!("not let in") };
        let values = |name| admission.attributes.values(AttributeSource::Http, name);
        assert_eq!(values("user").collect::<Vec<_>>(), ["ann"]);
        assert_eq!(values("roles").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(values("groups").collect::<Vec<_>>(), ["g"]);
        assert_eq!(admission.ends, Some(Duration::from_secs(9)));
        assert!(admission.rules.is_some());
        let Ok(Answer::Allow(admission)) = read(r#"{"result":"allow"}"#) else { panic!() };
        assert!(admission.rules.is_none() && admission.ends.is_none());
    }

    #[test]
    fn the_service_may_deny_or_leave_it_to_the_next() {
        assert!(matches!(read(r#"{"result":"deny"}"#), Ok(Answer::Deny)));
        assert!(matches!(read(r#"{"result":"ignore","roles":[]}"#), Ok(Answer::Ignore)));
    }

    #[test]
    fn what_is_not_understood_lets_nobody_in() {
        let many = format!(r#"{{"result":"allow","roles":{:?}}}"#, vec!["r"; 257]);
        let long = format!(r#"{{"result":"allow","groups":["{}"]}}"#, "x".repeat(257));
        let deep = format!("{{\"acl\":{}", "[".repeat(60_000));
        for (json, fault) in [
            ("", "an object is wanted"),
            ("allow", "an object is wanted"),
            (r#"["allow"]"#, "an object is wanted"),
            (r#"{"result":"allow""#, "EOF"),
            ("{}", "missing field `result`"),
            (r#"{"result":"Allow"}"#, "unknown variant `Allow`"),
            (r#"{"result":true}"#, ""),
            (r#"{"result":"allow","result":"deny"}"#, "duplicate field"),
            (r#"{"result":"allow","expires_at":9}"#, "unknown field `expires_at`"),
            (r#"{"result":"allow","is_superuser":true}"#, "unknown field `is_superuser`"),
            (r#"{"result":"allow","expire_at":-1}"#, "invalid value"),
            (r#"{"result":"allow","expire_at":"tomorrow"}"#, "invalid type"),
            (r#"{"result":"allow","roles":"admin"}"#, "invalid type"),
            (r#"{"result":"allow","roles":[""]}"#, "one that is empty"),
            (r#"{"result":"allow","acl":[{"allow":["publish"]}]}"#, "missing field `topics`"),
            (r#"{"result":"allow"} {"result":"deny"}"#, "trailing characters"),
            (&many, "more than 256"),
            (&long, "longer than 256"),
            (&deep, ""),
        ] {
            let said = read(json).err().unwrap_or_else(|| panic!("taken: {json}"));
            assert!(said.contains(fault), "{said:?} is not {fault:?}");
        }
    }
}
