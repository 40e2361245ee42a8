//! `bastionmq acl diff`: who gains and who loses what by another policy.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::ctl::DEFAULT_SOCKET;
use super::{ALLOWED, DENIED, USAGE, load, read, running};
use crate::acl::{Example, Permit, Policy, SubscribeDecision};
use crate::identity::{Attributes, ClientId, Principal};
use crate::message::QoS;
use crate::topic::{TopicFilter, TopicName};

/// A level that no policy names: what a wildcard stands for.
const ANY: &str = "~any~";

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The policy file of now
    old: PathBuf,
    /// The policy file that is to take its place
    new: PathBuf,
    /// More principals, one on a line, as logs show them: user:NAME, certificate:NAME, unix:NAME,
    /// token:NAME, http:NAME, anonymous
    #[arg(long, value_name = "FILE")]
    principals: Option<PathBuf>,
    /// More topics or topic filters, one on a line
    #[arg(long, value_name = "FILE")]
    topics: Option<PathBuf>,
    /// Ask the broker that runs, at its control socket, for its clients and the topics that they use:
    /// which of them, and how many, would notice
    #[arg(
        long,
        value_name = "SOCKET",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT_SOCKET
    )]
    running: Option<PathBuf>,
}

/// What a client does with a topic, in the order in which it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Publish,
    PublishAtQos2,
    PublishRetained,
    Subscribe,
    Receive,
    Open,
}

impl Use {
    const ALL: [Self; 6] = [
        Self::Publish,
        Self::PublishAtQos2,
        Self::PublishRetained,
        Self::Subscribe,
        Self::Receive,
        Self::Open,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::PublishAtQos2 => "publish at QoS 2",
            Self::PublishRetained => "publish retained",
            Self::Subscribe => "subscribe",
            Self::Receive => "receive",
            Self::Open => "open",
        }
    }
}

/// Shows what every principal that is known gains and loses.
pub(super) fn diff(args: &DiffArgs, out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
    let (Some(old), Some(new)) = (load(&args.old, err)?, load(&args.new, err)?) else {
        return Ok(USAGE);
    };
    let (Some(principals), Some(topics)) =
        (lines(args.principals.as_deref(), err)?, lines(args.topics.as_deref(), err)?)
    else {
        return Ok(USAGE);
    };
    let Some(clients) = clients(&old, &new, &principals, err)? else { return Ok(USAGE) };
    let (mut clients_changed, mut gained, mut lost) = (0, 0, 0);
    for client in &clients {
        let changes = changes(client, &old, &new, &topics);
        if changes.is_empty() {
            continue;
        }
        clients_changed += 1;
        writeln!(out, "{}", client.label)?;
        for (is_gain, action, topic) in changes {
            *(if is_gain { &mut gained } else { &mut lost }) += 1;
            let sign = if is_gain { '+' } else { '-' };
            writeln!(out, "  {sign} {:<16} {topic}", action.name())?;
        }
    }
    let count = clients.len();
    writeln!(out, "{clients_changed} of {count} principals differ: {gained} gained, {lost} lost")?;
    let mut is_noticed = clients_changed > 0;
    if let Some(socket) = &args.running {
        match running::compare(socket, &old, &new, out) {
            Ok(noticed) => is_noticed |= noticed.differ > 0,
            Err(error) => {
                writeln!(err, "error: {error}")?;
                return Ok(USAGE);
            }
        }
    }
    Ok(if is_noticed { DENIED } else { ALLOWED })
}

fn changes(
    client: &Example,
    old: &Policy,
    new: &Policy,
    topics: &[String],
) -> Vec<(bool, Use, TopicFilter)> {
    let subject = client.subject();
    let (before, after) = (old.permit(&subject), new.permit(&subject));
    let mut filters: BTreeSet<TopicFilter> =
        topics.iter().filter_map(|topic| TopicFilter::parse(topic).ok()).collect();
    filters.extend(old.topics_of(&subject));
    filters.extend(new.topics_of(&subject));
    let mut changes = Vec::new();
    for filter in filters {
        let (before, after) = (uses(&before, &filter), uses(&after, &filter));
        let differs = |it: &Use| before.contains(it) != after.contains(it);
        let changed: Vec<Use> = Use::ALL.into_iter().filter(differs).collect();
        // Whoever may publish or not is not told again at which QoS.
        let is_plain = changed.contains(&Use::Publish);
        let is_news =
            |it: &Use| !(is_plain && matches!(it, Use::PublishAtQos2 | Use::PublishRetained));
        let news = changed.into_iter().filter(is_news);
        changes.extend(news.map(|it| (after.contains(&it), it, filter.clone())));
    }
    changes
}

/// What a permit allows with the topics of a filter: with one of them that nobody names, where it
/// has a wildcard.
pub(super) fn uses(permit: &Permit, filter: &TopicFilter) -> Vec<Use> {
    let level =
        |level: &str| if matches!(level, "+" | "#") { ANY.to_owned() } else { level.to_owned() };
    let text: Vec<String> = filter.borrowed().unshared().levels().map(level).collect();
    let Ok(topic) = TopicName::parse(&text.join("/")) else { return Vec::new() };
    let topic = topic.borrowed();
    let publishes = |qos, retain| permit.largest_payload(topic, qos, retain).is_some();
    let granted = permit.subscribe(filter.borrowed());
    [
        (Use::Publish, publishes(QoS::AtMostOnce, false)),
        (Use::PublishAtQos2, publishes(QoS::ExactlyOnce, false)),
        (Use::PublishRetained, publishes(QoS::AtMostOnce, true)),
        (Use::Subscribe, matches!(granted, SubscribeDecision::Granted { .. })),
        (Use::Receive, permit.receive(topic).allowed),
        (Use::Open, permit.open(topic).allowed),
    ]
    .into_iter()
    .filter_map(|(it, is_allowed)| is_allowed.then_some(it))
    .collect()
}

/// Everybody that either policy names, and everybody on the list; each once.
fn clients(
    old: &Policy,
    new: &Policy,
    listed: &[String],
    err: &mut impl Write,
) -> io::Result<Option<Vec<Example>>> {
    let mut clients = old.examples();
    clients.extend(new.examples());
    for text in listed {
        let Some(principal) = Principal::parse(text) else {
            let wanted =
                "user:NAME, certificate:NAME, unix:NAME, token:NAME, http:NAME or anonymous";
            writeln!(err, "error: {text:?} is no principal: write {wanted}")?;
            return Ok(None);
        };
        clients.push(Example {
            label: text.clone(),
            principal,
            client_id: ClientId::new(ANY),
            attributes: Attributes::default(),
        });
    }
    clients.sort_by(|one, other| one.label.cmp(&other.label));
    clients.dedup_by(|one, other| one.label == other.label);
    Ok(Some(clients))
}

/// The lines of a list, without empty ones; none where it cannot be read.
fn lines(file: Option<&Path>, err: &mut impl Write) -> io::Result<Option<Vec<String>>> {
    let Some(file) = file else { return Ok(Some(Vec::new())) };
    match read(file).map(String::from_utf8) {
        Ok(Ok(text)) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(Some(lines.map(str::to_owned).collect()))
        }
        Ok(Err(_)) => {
            writeln!(err, "error: the list {} is not UTF-8", file.display())?;
            Ok(None)
        }
        Err(error) => {
            writeln!(err, "error: cannot read the list {}: {error}", file.display())?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{acl, file};

    const OLD: &str = r##"
[[role]]
name = "r"
rules = [{ allow = ["publish"], topics = ["a/+"] }, { allow = ["subscribe"], topics = ["c/${username}"] }]
[[assign]]
users = ["anna", "bert"]
roles = ["r"]
"##;

    #[test]
    fn who_gains_and_loses_is_told_topic_by_topic() {
        let old = file(OLD);
        let new = file(
            OLD.replace(
                "a/+\"] }",
                "a/+\"], max_qos = 1 }, { deny = [\"publish\"], topics = [\"a/x\"] }",
            )
            .replace(", \"bert\"", "")
            .replace("\"c/", "\"d/"),
        );
        let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
        let (code, out, err) = acl(&["diff", &path(&old), &path(&new)]);
        assert_eq!((code, &*err), (1, ""));
        let wanted = "user:anna\n\
                      \x20 - publish at QoS 2 a/+\n\
                      \x20 - publish          a/x\n\
                      \x20 - subscribe        c/anna\n\
                      \x20 - receive          c/anna\n\
                      \x20 + subscribe        d/anna\n\
                      \x20 + receive          d/anna\n\
                      user:bert\n\
                      \x20 - publish          a/+\n\
                      \x20 - subscribe        c/bert\n\
                      \x20 - receive          c/bert\n\
                      2 of 4 principals differ: 2 gained, 7 lost\n";
        assert_eq!(out, wanted);
        assert_eq!(acl(&["diff", &path(&old), &path(&old)]).0, 0);
    }

    #[test]
    fn lists_add_principals_and_topics_that_no_policy_names() {
        let old = file(
            "[[role]]\nname = \"r\"\nrules = [{ allow = [\"publish\"], topics = [\"#\"] }]\n[[assign]]\neveryone = true\nroles = [\"r\"]\n",
        );
        let new = file(
            "[[role]]\nname = \"r\"\nrules = [{ allow = [\"publish\"], topics = [\"+/#\"] }]\n[[assign]]\neveryone = true\nroles = [\"r\"]\n",
        );
        let (topics, principals) = (file("plant/1\n\nplant/2\n"), file("user:olga\nanonymous\n"));
        let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
        let lists = ["--principals", &path(&principals), "--topics", &path(&topics)];
        let (old, new) = (path(&old), path(&new));
        let (code, out, err) = acl(&[&["diff", &old, &new][..], &lists].concat());
        assert_eq!((code, &*err), (0, ""));
        assert_eq!(out, "0 of 3 principals differ: 0 gained, 0 lost\n");
        let broken = file("robot:x\n");
        let (code, _, err) = acl(&["diff", &old, &new, "--principals", &path(&broken)]);
        assert_eq!(code, 2);
        assert!(err.contains("is no principal"), "{err}");
        assert_eq!(acl(&["diff", &old, "/nonexistent"]).0, 2);
    }
}
