//! `bastionmq acl`: checks a policy file, explains its decisions, tests and compares.

mod answer;
mod client;
mod diff;
mod running;
mod table;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use self::answer::Said;
use self::client::{
    Client, attributes_of, parse_attribute, parse_time, parse_transport, principal, transport_of,
};
use crate::acl::{Description, Explanation, MAX_POLICY_BYTES, Policy, PolicyError, Request};
use crate::clock::Now;
use crate::identity::{Attribute, ClientId, Principal, TransportSecurity};
use crate::message::QoS;
use crate::topic::{TopicError, TopicFilterRef, TopicNameRef};

const ALLOWED: u8 = 0;
const DENIED: u8 = 1;
const INVALID: u8 = 1;
const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  bastionmq acl check policy.toml
  bastionmq acl explain --policy policy.toml --user anna publish devices/pump-7/set
  bastionmq acl explain --policy policy.toml --certificate pump-7 subscribe 'devices/pump-7/#'
  bastionmq acl explain --policy policy.toml --http anna --answer answer.json publish a/b
  bastionmq acl test policy.tests.toml
  bastionmq acl diff policy.toml policy.new.toml
  bastionmq acl diff --running policy.toml policy.new.toml

The policy is the `policy_file` of [acl] in the configuration of the broker, which reads it anew
when it changes. What no rule allows is denied. docs/security.md and acl/README.md say how to
write one; the log of a broker names the rule of each refusal.";

/// Who may publish and subscribe to what: check, explain, test and compare policy files
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AclArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a policy file: exit code 0 when it is valid, 1 with every error when it is not
    Check {
        /// The policy file
        file: PathBuf,
    },
    /// Say whether a client may do something, and by which rule: exit code 0 allowed, 1 denied,
    /// 2 when it cannot be told
    Explain(Box<ExplainArgs>),
    /// Ask every question of a table: exit code 0 when all answers are as expected, 1 when some are
    /// not, 2 when it cannot be told
    Test(table::TestArgs),
    /// Show which principals gain or lose which topics by another policy: exit code 0 when nobody
    /// does, 1 when somebody does, 2 when it cannot be told
    Diff(diff::DiffArgs),
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// The policy file
    #[arg(long, value_name = "FILE", default_value = "bastionmq-data/policy.toml")]
    policy: PathBuf,
    #[command(flatten)]
    who: Who,
    /// The client identifier; without it, no rule or role that needs one applies
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    client_id: String,
    /// The QoS of the message that is published: 0, 1 or 2
    #[arg(long, value_name = "QOS", default_value = "0", value_parser = parse_qos)]
    qos: QoS,
    /// The message that is published is to be retained
    #[arg(long)]
    retain: bool,
    /// Bytes of payload of the message that is published
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    bytes: usize,
    /// What the client's proof says, like certificate.ou=plant-1, unix.group=plc, claims.roles=x or
    /// http.groups=x; as often as it says something
    #[arg(long = "attribute", value_name = "SOURCE.NAME=VALUE", value_parser = parse_attribute)]
    attributes: Vec<Attribute>,
    /// The URL of the listener that the client comes by
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    listener: String,
    /// What protects its transport: plain, tls, mtls or unix; without it, mtls for a certificate, unix
    /// for a process, plain for others
    #[arg(long, value_name = "KIND", value_parser = parse_transport)]
    transport: Option<TransportSecurity>,
    /// File with what the HTTP service answers about it, as JSON: its roles, groups and rules
    #[arg(long, value_name = "FILE")]
    answer: Option<PathBuf>,
    /// When it asks, like "mon 08:00" in UTC; now, where it is left out
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    time: Option<Duration>,
    /// What the client does
    action: Action,
    /// The topic, or the filter to subscribe to
    topic: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// A client that has proven the password of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A client whose certificate carries this name
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// A client with a token for this principal; --attribute claims.NAME=VALUE is what else it says
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// A process at a Unix socket that runs as this user
    #[arg(long, value_name = "NAME")]
    unix: Option<String>,
    /// A client that an HTTP service has let in as this user; --answer FILE is what else it says
    #[arg(long, value_name = "NAME")]
    http: Option<String>,
    /// A client that has proven nothing
    #[arg(long)]
    anonymous: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// Publish to a topic, be it by a will
    Publish,
    /// Subscribe to a filter
    Subscribe,
    /// Be delivered a message on a topic
    Receive,
    /// Be given opened what the broker has sealed on a topic
    Open,
}

/// Runs the command that `args` name.
pub(super) fn run(args: AclArgs) -> anyhow::Result<ExitCode> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let code = match args.command {
        Command::Check { file } => check(&file, &mut out, &mut err)?,
        Command::Explain(args) => explain(&args, &mut out, &mut err)?,
        Command::Test(args) => table::test(&args, &mut out, &mut err)?,
        Command::Diff(args) => diff::diff(&args, &mut out, &mut err)?,
    };
    out.flush()?;
    Ok(ExitCode::from(code))
}

fn check(file: &Path, out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
    let Some(policy) = load(file, err)? else { return Ok(INVALID) };
    let (size, path) = (policy.size(), file.display());
    for warning in policy.warnings() {
        writeln!(err, "{path}:{}: warning: {}", warning.line, warning.message)?;
    }
    writeln!(
        out,
        "{path}: valid ({}, {}, {}, {})",
        count(size.roles, "role"),
        count(size.rules, "rule"),
        count(size.assignments, "assignment"),
        count(policy.warnings().len(), "warning"),
    )?;
    Ok(ALLOWED)
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn explain(args: &ExplainArgs, out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
    let request = match args.request() {
        Ok(request) => request,
        Err(error) => {
            let asked = args.asked();
            writeln!(err, "error: cannot {asked}: {error}")?;
            return Ok(USAGE);
        }
    };
    let Some(policy) = load(&args.policy, err)? else { return Ok(USAGE) };
    let principal = args.who.principal();
    let Some(said) = args.said(&principal, err)? else { return Ok(USAGE) };
    let client = Client {
        client_id: ClientId::new(&args.client_id),
        attributes: attributes_of(&principal, &said, args.attributes.iter().cloned()),
        listener: args.listener.clone(),
        security: args.transport.unwrap_or_else(|| transport_of(&principal)),
        principal,
        own: said.and_then(|said| said.rules.clone()),
        time: args.time.unwrap_or_else(|| Now::read().unix),
    };
    let explanation = client.explain(&policy, &request);
    show(args, &client.principal, &explanation, out)?;
    Ok(if explanation.allowed { ALLOWED } else { DENIED })
}

fn show(
    args: &ExplainArgs,
    principal: &Principal,
    explanation: &Explanation<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let decision = if explanation.allowed { "allowed" } else { "denied" };
    writeln!(out, "{decision}: {principal}, {}", args.asked())?;
    if let Some(qos) = explanation.max_qos {
        writeln!(out, "  granted up to QoS {}; each delivery is decided by its topic", qos as u8)?;
    }
    writeln!(out, "  by {}", located(&args.policy, &explanation.by))?;
    if let Some(terms) = &explanation.envelope {
        writeln!(out, "  payloads by {}:{}: {terms}", args.policy.display(), terms.line)?;
    }
    if let Some(reason) = &explanation.unsafe_name {
        writeln!(out, "  which denies every topic, because {reason}")?;
    }
    match explanation.roles.as_slice() {
        [] => writeln!(out, "  the client holds no role")?,
        roles => writeln!(out, "  roles of the client: {}", roles.join(", "))?,
    }
    for other in &explanation.others {
        writeln!(out, "  not {}\n      {}", located(&args.policy, &other.rule), other.why)?;
    }
    Ok(())
}

/// A rule as editors and terminals find it.
fn located(file: &Path, rule: &Description<'_>) -> String {
    match rule {
        Description::Rule { role, line, text } => {
            format!("{}:{line} (role {role:?}): {text}", file.display())
        }
        Description::NoRule => "default: no rule allows it".to_owned(),
        other => other.to_string(),
    }
}

impl ExplainArgs {
    /// What the HTTP service says of the client; none, and why on `err`, where that cannot be told.
    fn said(&self, principal: &Principal, err: &mut impl Write) -> io::Result<Option<Said>> {
        let Some(file) = &self.answer else { return Ok(Some(None)) };
        let path = file.display();
        let json = match read(file) {
            Ok(json) => json,
            Err(error) => {
                writeln!(err, "error: cannot read the answer {path}: {error}")?;
                return Ok(None);
            }
        };
        match answer::read(&json, principal, Now::read().unix) {
            Ok(said) => Ok(Some(said)),
            Err(error) => {
                writeln!(err, "error: {path}: {error}")?;
                Ok(None)
            }
        }
    }

    fn request(&self) -> Result<Request<'_>, TopicError> {
        Ok(match self.action {
            Action::Publish => Request::Publish {
                topic: TopicNameRef::parse(&self.topic)?,
                qos: self.qos,
                retain: self.retain,
                bytes: self.bytes,
            },
            Action::Subscribe => Request::Subscribe { filter: TopicFilterRef::parse(&self.topic)? },
            Action::Receive => Request::Receive { topic: TopicNameRef::parse(&self.topic)? },
            Action::Open => Request::Open { topic: TopicNameRef::parse(&self.topic)? },
        })
    }

    fn asked(&self) -> String {
        let topic = &self.topic;
        match self.action {
            Action::Publish => {
                let retained = if self.retain { ", retained" } else { "" };
                format!("publish {topic:?} at QoS {}{retained}", self.qos as u8)
            }
            Action::Subscribe => format!("subscribe {topic:?}"),
            Action::Receive => format!("receive {topic:?}"),
            Action::Open => format!("open {topic:?}"),
        }
    }
}

impl Who {
    fn principal(&self) -> Principal {
        let names = [&self.user, &self.certificate, &self.token, &self.unix, &self.http];
        // The command line has exactly one.
        principal(names.map(Option::as_deref), self.anonymous).unwrap_or(Principal::Anonymous)
    }
}

fn parse_qos(text: &str) -> Result<QoS, String> {
    let bits = text.parse().map_err(|_| "a QoS is 0, 1 or 2".to_owned())?;
    QoS::from_bits(bits).ok_or_else(|| "a QoS is 0, 1 or 2".to_owned())
}

/// The policy of `file`; none, and all that is wrong on `err`, where it cannot be used.
fn load(file: &Path, err: &mut impl Write) -> io::Result<Option<Policy>> {
    let path = file.display();
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            writeln!(err, "error: cannot read the policy {path}: {error}")?;
            return Ok(None);
        }
    };
    match Policy::from_bytes(&bytes) {
        Ok(policy) => Ok(Some(policy)),
        Err(errors) => {
            for PolicyError { line, column, message } in errors {
                writeln!(err, "{path}:{line}:{column}: error: {message}")?;
            }
            Ok(None)
        }
    }
}

/// The content of a file, of which no more is read than tells that it is too large.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_POLICY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_POLICY_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a file has at most 16 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        acl: AclArgs,
    }

    /// Exit code, output and complaints of a command line.
    pub(super) fn acl(arguments: &[&str]) -> (u8, String, String) {
        let line = Line::try_parse_from([&["acl"], arguments].concat()).expect("valid arguments");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = match line.acl.command {
            Command::Check { file } => check(&file, &mut out, &mut err),
            Command::Explain(args) => explain(&args, &mut out, &mut err),
            Command::Test(args) => table::test(&args, &mut out, &mut err),
            Command::Diff(args) => diff::diff(&args, &mut out, &mut err),
        };
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (code.expect("memory takes all output"), text(out), text(err))
    }

    pub(super) fn file(content: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content.as_ref()).expect("written");
        file
    }

    const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/acl/policy.toml");

    #[test]
    fn check_sums_up_a_valid_policy() {
        let (code, out, err) = acl(&["check", SAMPLE]);
        assert_eq!((code, &*err), (0, ""));
        assert!(out.ends_with("valid (2 roles, 3 rules, 2 assignments, 0 warnings)\n"), "{out}");
    }

    #[test]
    fn check_shows_warnings_and_still_finds_a_policy_valid() {
        let policy = file(
            "[[role]]\nname = \"r\"\nrules = []\n[[assign]]\neveryone = true\nroles = [\"r\"]",
        );
        let path = policy.path().display().to_string();
        let (code, out, err) = acl(&["check", &path]);
        assert_eq!(code, 0);
        assert!(out.contains("1 warning)"), "{out}");
        let warning = "warning: role \"r\" has no rules, so it allows nothing";
        assert_eq!(err, format!("{path}:1: {warning}\n"));
    }

    #[test]
    fn check_lists_every_error_with_file_line_and_column() {
        let policy = file("[[role]]\nname = 1\n[[assign]]\nroles = []\n");
        let path = policy.path().display().to_string();
        let (code, out, err) = acl(&["check", &path]);
        assert_eq!((code, &*out), (1, ""));
        let places: Vec<_> = err.lines().map(|line| line.split(": error").next()).collect();
        let expected = ["1:1", "2:8", "3:1", "4:9"].map(|place| format!("{path}:{place}"));
        assert_eq!(places, expected.iter().map(|place| Some(&**place)).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_is_missing_or_no_text_is_reported_and_never_a_decision() {
        let binary = file(b"# \xc3\xa9\n\xff\xfe[[role]]");
        let path = binary.path().display().to_string();
        let wanted =
            format!("{path}:2:1: error: this is not UTF-8: save the file in that encoding\n");
        assert_eq!(acl(&["check", &path]), (1, String::new(), wanted.clone()));
        let explain = ["explain", "--policy", &path, "--user", "u", "publish", "a"];
        assert_eq!(acl(&explain), (2, String::new(), wanted));
        let (code, _, err) = acl(&["check", "/nonexistent/policy.toml"]);
        assert_eq!(code, 1);
        assert!(
            err.starts_with("error: cannot read the policy /nonexistent/policy.toml: "),
            "{err}"
        );
    }

    fn explain_sample(arguments: &[&str]) -> (u8, String, String) {
        acl(&[&["explain", "--policy", SAMPLE], arguments].concat())
    }

    #[test]
    fn explain_names_the_rule_with_its_file_and_line() {
        let topic = "devices/device1/t";
        let (code, out, err) = explain_sample(&["--user", "device1", "publish", topic]);
        assert_eq!((code, &*err), (0, ""));
        assert!(out.starts_with("allowed: user:device1, publish \"devices/device1/t\" at QoS 0\n"));
        assert!(out.contains("acl/policy.toml:20 (role \"device\"): { allow = "), "{out}");
        let (code, out, _) = explain_sample(&["--user", "admin", "subscribe", "$SYS/#"]);
        assert_eq!(code, 0);
        assert!(out.contains("granted up to QoS 2") && out.contains("policy.toml:13"), "{out}");
    }

    #[test]
    fn explain_says_why_a_client_is_denied() {
        let (code, out, _) = explain_sample(&["--user", "device1", "publish", "devices/x/t"]);
        assert_eq!(code, 1);
        assert!(out.contains("denied") && out.contains("about other topics"), "{out}");
        let (code, out, _) = explain_sample(&["--anonymous", "receive", "a"]);
        assert_eq!(code, 1);
        assert!(out.contains("the client holds no role"), "{out}");
        let (code, out, _) = explain_sample(&["--user", "admin", "publish", "$SYS/x"]);
        assert_eq!(code, 1);
        assert!(out.contains("built-in rule \"reserved-topics\""), "{out}");
    }

    #[test]
    fn explain_asks_for_every_kind_of_client_with_what_its_proof_says() {
        let policy = file(
            "[[role]]\nname = \"r\"\nrules = [{ allow = [\"publish\"], topics = [\"a/${username}\"] }]\n\
             [[assign]]\nunix = { user = [\"plc\"] }\ntransport = [\"unix\"]\nroles = [\"r\"]\n\
             [[assign]]\nclaims = { role = [\"sensor\"] }\nroles = [\"r\"]\n\
             [[assign]]\ncertificate = { ou = [\"plant\"] }\ntransport = [\"mtls\"]\nroles = [\"r\"]\n",
        );
        let path = policy.path().display().to_string();
        for (arguments, code) in [
            (&["--unix", "plc", "publish", "a/plc"][..], 0),
            (&["--unix", "other", "publish", "a/other"], 1),
            (&["--token", "t", "--attribute", "claims.role=sensor", "publish", "a/t"], 0),
            (&["--token", "t", "publish", "a/t"], 1),
            (&["--certificate", "c", "--attribute", "certificate.ou=plant", "publish", "a/c"], 0),
            (&["--certificate", "c", "publish", "a/c"], 1),
        ] {
            let (answer, out, err) = acl(&[&["explain", "--policy", &path], arguments].concat());
            assert_eq!((answer, &*err), (code, ""), "{arguments:?}: {out}");
            let principal = format!("{}:{},", &arguments[0][2..], arguments[1]);
            assert!(out.contains(&principal), "{out}");
        }
    }

    #[test]
    fn explain_takes_what_an_http_service_answers() {
        let policy = file(
            "[[role]]\nname = \"r\"\nrules = [{ allow = [\"publish\"], topics = [\"a\", \"b\"] }]\n\
             [[assign]]\nhttp = { user = [\"ann\"], roles = [\"sensor\"] }\nroles = [\"r\"]\n",
        );
        let answer = file(
            r#"{"result": "allow", "roles": ["sensor"],
                "acl": [{"deny": ["publish"], "topics": ["b"]},
                        {"allow": ["publish"], "topics": ["own/${username}"]}]}"#,
        );
        let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
        let explain = |user: &str, more: &[&str], topic: &str| {
            let arguments = ["explain", "--policy", &path(&policy), "--http", user];
            acl(&[&arguments, more, &["publish", topic]].concat())
        };
        let roles = ["--attribute", "http.roles=sensor"];
        assert_eq!(explain("ann", &roles, "b").0, 0);
        assert_eq!(explain("bob", &roles, "b").0, 1);
        let answer = path(&answer);
        let answer = ["--answer", &*answer];
        let (code, out, _) = explain("ann", &answer, "a");
        assert_eq!(code, 0);
        assert!(out.starts_with("allowed: http:ann, publish \"a\""), "{out}");
        assert!(out.contains("not rule 1 of those that came with its login: { deny"), "{out}");
        let (code, out, _) = explain("ann", &answer, "b");
        assert_eq!(code, 1);
        assert!(out.contains("  by rule 1 of those that came with its login: { deny"), "{out}");
        assert_eq!(explain("bob", &answer, "own/bob").0, 0);
        assert_eq!(explain("bob", &answer, "a").0, 1);
    }

    #[test]
    fn an_answer_that_lets_nobody_in_is_never_a_decision() {
        for (who, json, error) in [
            ("--user", r#"{"result": "allow"}"#, "only an HTTP service answers"),
            ("--http", r#"{"result": "deny"}"#, "the client is not let in"),
            ("--http", r#"{"result": "ignore"}"#, "does not know the client"),
            ("--http", r#"{"result": "allow", "expire_at": 1}"#, "has expired"),
            ("--http", r#"{"result": "allow", "role": []}"#, "unknown field `role`"),
        ] {
            let answer = file(json).into_temp_path();
            let answer = answer.to_str().expect("UTF-8");
            let (code, out, err) = explain_sample(&[who, "u", "--answer", answer, "publish", "a"]);
            assert_eq!((code, &*out), (2, ""), "{json}");
            assert!(err.contains(error), "{err}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_a_usage_error() {
        let (code, _, err) = explain_sample(&["--user", "u", "publish", "a/#"]);
        assert_eq!(code, 2);
        let reason = "error: cannot publish \"a/#\" at QoS 0: a topic name holds no wildcard\n";
        assert_eq!(err, reason);
        for arguments in [
            &["explain", "publish", "a"][..],
            &["explain", "--user", "u", "--anonymous", "publish", "a"],
            &["explain", "--user", "u", "--qos", "3", "publish", "a"],
            &["explain", "--user", "u", "delete", "a"],
        ] {
            assert!(Line::try_parse_from([&["acl"], arguments].concat()).is_err(), "{arguments:?}");
        }
    }
}
