//! `bastionmq audit search`: the records that match all that is asked for.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::SearchArgs;
use super::records::{Records, Unreadable};
use crate::audit::{Keys, as_recorded, files_of};
use crate::clock::{End, Moment, Now};
use crate::config::Loaded;
use crate::keys::MasterKeySource;

pub(super) fn run(args: &SearchArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (directory, loaded) = args.place.choose()?;
    let masked = args.masked(&directory, &loaded)?;
    let now_ms = u64::try_from(Now::read().unix.as_millis()).unwrap_or(u64::MAX);
    let (since, until) = (moment(args.since, now_ms), moment(args.until, now_ms));
    let mut unreadable = Unreadable::default();
    for file in files_of(&directory)? {
        let Some(mut records) = Records::open(&file, &mut unreadable)? else { continue };
        while let Some(found) = records.next(&mut unreadable)? {
            if args.text.as_deref().is_some_and(|text| !found.text.contains(text)) {
                continue;
            }
            let Ok(record) = serde_json::from_str::<Value>(&found.text) else {
                unreadable.tell(&file.path, found.line, "it is no record")?;
                continue;
            };
            let time = text_of(&record, "time");
            // Times of one length are in order as texts are.
            let is_in_time = since.as_deref().is_none_or(|since| time >= since)
                && until.as_deref().is_none_or(|until| time < until);
            if is_in_time && args.wants(&record, &masked) {
                writeln!(out, "{}", found.text)?;
            }
        }
    }
    out.flush()?;
    Ok(unreadable.exit_code()?)
}

fn moment(end: Option<End>, now_ms: u64) -> Option<String> {
    match end? {
        End::At(moment) => Some(format!("{moment:#}")),
        End::AfterDays(days) => {
            let ago = u64::from(days).saturating_mul(86_400_000);
            Some(format!("{:#}", Moment(now_ms.saturating_sub(ago))))
        }
    }
}

/// What is searched for, as a log with `mask` has it.
#[derive(Default)]
struct Masked {
    client_id: Option<String>,
    address: Option<String>,
}

impl SearchArgs {
    /// Nothing, where there is no master key.
    fn masked(&self, directory: &Path, loaded: &Loaded) -> anyhow::Result<Masked> {
        let source = MasterKeySource::find(self.master_key_file.as_deref(), &loaded.config.keys);
        let (Some(source), true) = (source, self.client_id.is_some() || self.address.is_some())
        else {
            return Ok(Masked::default());
        };
        let opened = source.read().map_err(anyhow::Error::from);
        let keys = match opened.and_then(|master| Ok(Keys::open(directory, &master)?)) {
            Err(error) if self.master_key_file.is_none() => {
                writeln!(io::stderr(), "what is masked is not searched for: {error:#}")?;
                return Ok(Masked::default());
            }
            keys => keys?,
        };
        Ok(Masked {
            client_id: self.client_id.as_deref().map(|it| keys.masked(it)),
            address: self.address.as_deref().map(|it| keys.masked_address(it)),
        })
    }

    fn wants(&self, record: &Value, masked: &Masked) -> bool {
        let event = text_of(record, "event");
        let is_of = |asked: &Option<String>, named: fn(&Value) -> Vec<&str>, is: &Is<'_>| {
            asked.as_deref().is_none_or(|asked| named(record).into_iter().any(|it| is(asked, it)))
        };
        (self.events.is_empty() || self.events.iter().any(|it| it == event))
            && is_of(&self.principal, principals_of, &|asked, it| {
                it == asked || it == as_recorded(asked)
            })
            && is_of(&self.client_id, clients_of, &|asked, it| {
                it == asked || it == as_recorded(asked) || masked.client_id.as_deref() == Some(it)
            })
            && is_of(&self.address, places_of, &|asked, it| {
                it.starts_with(asked) || masked.address.as_deref() == Some(it)
            })
            && self.correlation.as_deref().is_none_or(|it| it == text_of(record, "correlation"))
    }
}

/// Whether what is asked for is what a record has.
type Is<'i> = dyn Fn(&str, &str) -> bool + 'i;

/// The principals that a record is about, and the users of refused logins.
fn principals_of(record: &Value) -> Vec<&str> {
    let own = ["principal", "user"].map(|name| text_of(record, name));
    named(own, subjects_of(record, &["principal"]), key_of(record, &["principal"]))
}

/// The client identifiers that a record is about. A subject has `client:` before it unless it is masked.
fn clients_of(record: &Value) -> Vec<&str> {
    let subjects = subjects_of(record, &["client_id", "client"]);
    let subjects = subjects.map(|it| it.strip_prefix("client:").unwrap_or(it));
    named([text_of(record, "client_id")], subjects, key_of(record, &["client"]))
}

/// The addresses and networks that a record is about.
fn places_of(record: &Value) -> Vec<&str> {
    const KINDS: &[&str] = &["address", "prefix"];
    named([text_of(record, "address")], subjects_of(record, KINDS), key_of(record, KINDS))
}

fn named<'r>(
    own: impl IntoIterator<Item = &'r str>,
    subjects: impl Iterator<Item = &'r str>,
    key: impl Iterator<Item = &'r str>,
) -> Vec<&'r str> {
    own.into_iter().chain(subjects).chain(key).filter(|it| !it.is_empty()).collect()
}

/// Who is banned and the like, by the record or by one of the responses that it tells of, where that is of one
/// of `kinds`.
fn subjects_of<'r>(record: &'r Value, kinds: &'r [&str]) -> impl Iterator<Item = &'r str> {
    let responses = record.get("responses").and_then(Value::as_array);
    let of_responses = responses.into_iter().flatten().map(|it| (text_of(it, "target"), it));
    std::iter::once((text_of(record, "kind"), record))
        .chain(of_responses)
        .filter(move |(kind, _)| kinds.contains(kind))
        .map(|(_, it)| text_of(it, "subject"))
}

/// What the events have in common by which a rule of the sentinel is broken.
fn key_of<'r>(record: &'r Value, names: &'r [&str]) -> impl Iterator<Item = &'r str> {
    let key = record.get("key").unwrap_or(&Value::Null);
    names.iter().map(move |name| text_of(key, name))
}

fn text_of<'r>(record: &'r Value, name: &str) -> &'r str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}
