//! `bastionmq acl test`: a table of questions to a policy, and of the right answers.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use toml::Spanned;

use super::client::{
    Client, attributes_of, parse_attribute, parse_time, parse_transport, principal, transport_of,
};
use super::{ALLOWED, DENIED, USAGE, answer, load, located, read};
use crate::acl::{Policy, Request};
use crate::identity::ClientId;
use crate::message::QoS;
use crate::topic::{TopicFilterRef, TopicNameRef};

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The table of expectations
    table: PathBuf,
    /// The policy file; without it, what the table names in `policy`, or X.toml for X.tests.toml
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Relative to the table.
    policy: Option<PathBuf>,
    cases: Vec<Spanned<Case>>,
}

/// One question: a client, what it does, and whether that is allowed. `qos` is that of the message,
/// or the one that a subscription must be granted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    user: Option<String>,
    certificate: Option<String>,
    token: Option<String>,
    unix: Option<String>,
    http: Option<String>,
    /// What the HTTP service says of the client, with the names of its JSON.
    answer: Option<serde_json::Value>,
    #[serde(default)]
    anonymous: bool,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    attributes: Vec<String>,
    #[serde(default)]
    listener: String,
    transport: Option<String>,
    time: Option<String>,
    publish: Option<String>,
    subscribe: Option<String>,
    receive: Option<String>,
    open: Option<String>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    bytes: usize,
    allowed: bool,
}

/// Asks every question of a table, and shows the wrong answers with their reasons.
pub(super) fn test(args: &TestArgs, out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
    let Some((text, table)) = read_table(&args.table, err)? else { return Ok(USAGE) };
    let file = args.policy.clone().unwrap_or_else(|| policy_of(&args.table, &table));
    let Some(policy) = load(&file, err)? else { return Ok(USAGE) };
    let (mut wrong, mut unclear) = (0, 0);
    for case in &table.cases {
        let line = 1 + text.get(..case.span().start).map_or(0, |text| text.matches('\n').count());
        let place = format!("{}:{line}", args.table.display());
        match case.get_ref().ask(&policy, &file) {
            Ok(None) => {}
            Ok(Some(answer)) => {
                wrong += 1;
                writeln!(out, "{place}: {answer}")?;
            }
            Err(error) => {
                unclear += 1;
                writeln!(err, "{place}: error: {error}")?;
            }
        }
    }
    let count = table.cases.len();
    writeln!(out, "{}: {} of {count} as expected", file.display(), count - wrong - unclear)?;
    Ok(match (wrong, unclear) {
        _ if unclear > 0 || count == 0 => USAGE,
        (0, _) => ALLOWED,
        _ => DENIED,
    })
}

fn read_table(file: &Path, err: &mut impl Write) -> io::Result<Option<(String, Table)>> {
    let path = file.display();
    let text = match read(file).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => {
            writeln!(err, "error: the table {path} is not UTF-8: save it in that encoding")?;
            return Ok(None);
        }
        Err(error) => {
            writeln!(err, "error: cannot read the table {path}: {error}")?;
            return Ok(None);
        }
    };
    match toml::from_str(&text) {
        Ok(table) => Ok(Some((text, table))),
        Err(error) => {
            writeln!(err, "error: {path} is no table of cases: {error}")?;
            Ok(None)
        }
    }
}

fn policy_of(file: &Path, table: &Table) -> PathBuf {
    if let Some(policy) = &table.policy {
        return file.parent().map_or_else(|| policy.clone(), |directory| directory.join(policy));
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(name.replace(".tests.toml", ".toml"))
}

impl Case {
    /// The answer where it is not the one that is expected.
    fn ask(&self, policy: &Policy, file: &Path) -> Result<Option<String>, String> {
        let (client, request) = (self.client()?, self.request()?);
        let explanation = client.explain(policy, &request);
        let granted = explanation.max_qos.is_none_or(|max_qos| max_qos as u8 >= self.qos);
        if (explanation.allowed && granted) == self.allowed {
            return Ok(None);
        }
        let answer = match (explanation.allowed, explanation.max_qos) {
            (true, Some(qos)) => format!("allowed up to QoS {}", qos as u8),
            (true, None) => "allowed".to_owned(),
            (false, _) => "denied".to_owned(),
        };
        let (principal, asked) = (&client.principal, self.asked());
        let by = located(file, &explanation.by);
        Ok(Some(format!("{principal}, {asked}: {answer}, against the table\n  by {by}")))
    }

    fn client(&self) -> Result<Client, String> {
        let names = [&self.user, &self.certificate, &self.token, &self.unix, &self.http];
        let principal = principal(names.map(Option::as_deref), self.anonymous)
            .ok_or("a case has one of user, certificate, token, unix, http, anonymous = true")?;
        let said = match &self.answer {
            // A table is about no moment in particular, so that no answer of it expires.
            Some(json) => answer::read(json.to_string().as_bytes(), &principal, Duration::ZERO)?,
            None => None,
        };
        let attributes = self.attributes.iter().map(|text| parse_attribute(text));
        let attributes = attributes.collect::<Result<Vec<_>, _>>()?;
        Ok(Client {
            client_id: ClientId::new(&self.client_id),
            attributes: attributes_of(&principal, &said, attributes),
            listener: self.listener.clone(),
            security: match &self.transport {
                Some(transport) => parse_transport(transport)?,
                None => transport_of(&principal),
            },
            principal,
            own: said.and_then(|said| said.rules.clone()),
            time: self.time.as_deref().map(parse_time).transpose()?.unwrap_or_default(),
        })
    }

    fn request(&self) -> Result<Request<'_>, String> {
        let name = |text| TopicNameRef::parse(text).map_err(|error| format!("{text:?}: {error}"));
        let filter =
            |text| TopicFilterRef::parse(text).map_err(|error| format!("{text:?}: {error}"));
        let qos = QoS::from_bits(self.qos).ok_or("qos is 0, 1 or 2")?;
        match (&self.publish, &self.subscribe, &self.receive, &self.open) {
            (Some(topic), None, None, None) => {
                let (retain, bytes) = (self.retain, self.bytes);
                Ok(Request::Publish { topic: name(topic)?, qos, retain, bytes })
            }
            (None, Some(text), None, None) => Ok(Request::Subscribe { filter: filter(text)? }),
            (None, None, Some(topic), None) => Ok(Request::Receive { topic: name(topic)? }),
            (None, None, None, Some(topic)) => Ok(Request::Open { topic: name(topic)? }),
            _ => Err("a case has one of publish, subscribe, receive, open".to_owned()),
        }
    }

    fn asked(&self) -> String {
        let retained = if self.retain { ", retained" } else { "" };
        match (&self.publish, &self.subscribe, &self.receive, &self.open) {
            (Some(topic), ..) => format!("publish {topic:?} at QoS {}{retained}", self.qos),
            (_, Some(filter), ..) => format!("subscribe {filter:?} at QoS {}", self.qos),
            (_, _, Some(topic), _) => format!("receive {topic:?}"),
            (.., topic) => format!("open {:?}", topic.as_deref().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{acl, file};

    #[test]
    fn a_table_of_right_answers_passes_and_a_wrong_one_is_shown_with_its_reason() {
        const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/acl/fleet.tests.toml");
        let (code, out, err) = acl(&["test", TABLE]);
        assert_eq!((code, &*err), (0, ""));
        assert!(out.ends_with("as expected\n"), "{out}");
        let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/acl/policy.toml");
        let table = file(
            "cases = [\n  { user = \"device1\", publish = \"devices/device1/x\", allowed = true },\n  \
             { user = \"device1\", publish = \"devices/device1/x\", allowed = false },\n]\n",
        );
        let path = table.path().display().to_string();
        let (code, out, err) = acl(&["test", &path, "--policy", policy]);
        assert_eq!((code, &*err), (1, ""));
        assert!(out.starts_with(&format!("{path}:3: user:device1, publish ")), "{out}");
        assert!(
            out.contains("allowed, against the table\n  by ") && out.contains("1 of 2"),
            "{out}"
        );
    }

    #[test]
    fn a_table_says_all_that_a_rule_can_ask_for() {
        let policy = file(
            "[[role]]\nname = \"r\"\nrules = [{ allow = [\"publish\"], topics = [\"a\"], \
             transport = [\"mtls\"], max_payload_bytes = 9, time = { days = [\"mon\"] } }]\n\
             [[assign]]\ncertificate = { ou = [\"plant\"] }\nlisteners = [\"mqtts://*\"]\nroles = [\"r\"]\n",
        );
        let case = |changed: &str| {
            let case = "certificate = \"c\", attributes = [\"certificate.ou=plant\"], publish = \"a\", \
                        listener = \"mqtts://[::]:8883\", transport = \"mtls\", time = \"mon 12:00\", bytes = 9";
            let (key, _) = changed.split_once(" = ").unwrap_or_default();
            let kept: Vec<_> =
                case.split(", ").filter(|pair| !pair.starts_with(key) || key.is_empty()).collect();
            format!("{{ {}, {changed} }},\n", kept.join(", ")).replace(",  }", " }")
        };
        let mut cases = case("allowed = true");
        for changed in [
            "attributes = []",
            "listener = \"mqtt://[::]:1883\"",
            "transport = \"tls\"",
            "time = \"tue 12:00\"",
            "bytes = 10",
        ] {
            cases += &case(&format!("{changed}, allowed = false"));
        }
        let table = file(format!("cases = [\n{cases}]\n"));
        let (policy, table) =
            (policy.path().display().to_string(), table.path().display().to_string());
        let (code, out, err) = acl(&["test", &table, "--policy", &policy]);
        assert_eq!((code, &*err), (0, ""), "{out}");
    }

    #[test]
    fn a_table_says_what_an_http_service_answers() {
        let policy = file(
            "[[role]]\nname = \"r\"\nrules = [{ allow = [\"publish\"], topics = [\"a\"] }]\n\
             [[assign]]\nhttp = { roles = [\"sensor\"] }\nroles = [\"r\"]\n",
        );
        let table = file(
            "cases = [\n  { http = \"ann\", publish = \"a\", allowed = false },\n  \
             { http = \"ann\", answer = { result = \"allow\", roles = [\"sensor\"] }, \
             publish = \"a\", allowed = true },\n  \
             { http = \"ann\", answer = { result = \"allow\", expire_at = 9, \
             acl = [{ allow = [\"publish\"], topics = [\"b\"] }] }, publish = \"b\", allowed = true },\n  \
             { user = \"ann\", answer = { result = \"allow\" }, publish = \"a\", allowed = false },\n]\n",
        );
        let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
        let (code, out, err) = acl(&["test", &path(&table), "--policy", &path(&policy)]);
        assert_eq!(code, 2);
        assert!(out.ends_with("3 of 4 as expected\n"), "{out}{err}");
        assert!(err.contains(":5: error: only an HTTP service answers"), "{err}");
    }

    #[test]
    fn what_cannot_be_asked_is_never_a_pass() {
        let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/acl/policy.toml");
        for (text, error) in [
            ("cases = []", ""),
            ("case = []", "is no table of cases"),
            ("cases = [{ user = \"u\", publish = \"a/#\", allowed = false }]", "wildcard"),
            ("cases = [{ user = \"u\", allowed = false }]", "one of publish, subscribe, receive"),
            ("cases = [{ publish = \"a\", allowed = false }]", "one of user, certificate"),
            (
                "cases = [{ user = \"u\", publish = \"a\", time = \"noon\", allowed = false }]",
                "is no time",
            ),
        ] {
            let table = file(text);
            let (code, _, err) =
                acl(&["test", &table.path().display().to_string(), "--policy", policy]);
            assert_eq!(code, 2, "{text}");
            assert!(err.contains(error), "{err}");
        }
    }
}
