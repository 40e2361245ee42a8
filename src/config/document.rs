//! A configuration file as text: which keys stand in which section, on which line.

use std::{path::Path, sync::Arc};

use serde::Deserialize;
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    Origin, Problem,
    entry::{Entries, Entry, Layers, Written},
    settings::{LISTENER, SECTIONS, SENTINEL_RULE, THROTTLE},
    suggest::did_you_mean,
};

/// Keys whose values are paths; a relative one is meant relative to the file that it stands in.
const PATHS: [&str; 21] = [
    "tls_cert",
    "tls_key",
    "client_ca",
    "client_crl",
    "password_file",
    "credential_cache_file",
    "master_key_file",
    "ring_file",
    "wrapped_dir",
    "key_file",
    "state_dir",
    "dir",
    "policy_file",
    "socket",
    "ca_file",
    "client_cert",
    "client_key",
    "token_file",
    "secret_file",
    "file",
    "journald_socket",
];

/// Takes `text`, the content of `file`, apart.
pub(super) fn parse(file: &Path, text: &str, problems: &mut Vec<Problem>) -> Layers {
    let document = Document::new(file, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What is left after a slip in the syntax would only be misunderstood.
        problems.extend(errors.iter().map(|error| {
            let origin = document.origin(error.span().map_or(0, |span| span.start));
            Problem::at(&origin, error.message())
        }));
        return Layers::default();
    }
    document.layers(root.into_inner(), problems)
}

struct Document<'a> {
    name: Arc<str>,
    directory: &'a Path,
    text: &'a str,
}

impl<'a> Document<'a> {
    fn new(file: &'a Path, text: &'a str) -> Self {
        let directory = file.parent().unwrap_or(Path::new(""));
        Self { name: file.display().to_string().into(), directory, text }
    }

    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File { file: Arc::clone(&self.name), line }
    }

    fn layers(&self, root: DeTable<'_>, problems: &mut Vec<Problem>) -> Layers {
        let mut layers = Layers::default();
        for (name, value) in root {
            let origin = self.origin(name.span().start);
            let name = name.into_inner();
            if name == LISTENER {
                layers.listeners = self.repeated(LISTENER, value, &origin, problems);
                continue;
            }
            if name == THROTTLE {
                layers.throttles = self.repeated(THROTTLE, value, &origin, problems);
                continue;
            }
            let Some(section) = SECTIONS.iter().find(|section| section.name == name) else {
                problems.push(unknown_section(&name, &origin));
                continue;
            };
            match value.into_inner() {
                DeValue::Table(mut table) => {
                    let inner = SENTINEL_RULE.split_once('.').filter(|(outer, _)| *outer == name);
                    if let Some(rules) = inner.and_then(|(_, inner)| table.remove(inner)) {
                        layers.sentinel_rules =
                            self.repeated(SENTINEL_RULE, rules, &origin, problems);
                    }
                    layers.sections.insert(section.name, self.entries(table, problems));
                }
                _ => problems.push(Problem::at(
                    &origin,
                    format!("`{name}` is a section: write [{name}] and its keys below"),
                )),
            }
        }
        layers
    }

    /// The entries of every `[[name]]`.
    fn repeated(
        &self,
        name: &str,
        value: Spanned<DeValue<'_>>,
        origin: &Origin,
        problems: &mut Vec<Problem>,
    ) -> Vec<Entries> {
        let form = || {
            let text =
                format!("a {name} is written as [[{name}]], in two brackets, with its keys below");
            Problem::at(origin, text)
        };
        let DeValue::Array(array) = value.into_inner() else {
            problems.push(form());
            return Vec::new();
        };
        let mut found = Vec::new();
        for each in array {
            match each.into_inner() {
                DeValue::Table(table) => found.push(self.entries(table, problems)),
                _ => problems.push(form()),
            }
        }
        found
    }

    fn entries(&self, table: DeTable<'_>, problems: &mut Vec<Problem>) -> Entries {
        let mut entries = Entries::new();
        for (key, value) in table {
            let origin = self.origin(key.span().start);
            let key = key.into_inner().into_owned();
            match Value::deserialize(ValueDeserializer::from(value)) {
                Ok(value) => {
                    let value = Written::Toml(self.rebased(&key, value));
                    entries.insert(key, Entry { value, origin });
                }
                // TOML can write what no setting can hold.
                Err(_) => {
                    let message = format!("`{key}` is a number too large for any setting");
                    problems.push(Problem::at(&origin, message));
                }
            }
        }
        entries
    }

    fn rebased(&self, key: &str, value: Value) -> Value {
        match value {
            Value::String(path) if PATHS.contains(&key) && !path.is_empty() => {
                // Both halves are UTF-8 unless the directory is not, whose name is then of no use
                // in TOML anyway.
                Value::String(self.directory.join(path).to_string_lossy().into_owned())
            }
            other => other,
        }
    }
}

fn unknown_section(name: &str, origin: &Origin) -> Problem {
    let home = SECTIONS.iter().find(|section| (section.keys)().contains(&name));
    let hint = home.map_or_else(
        || {
            did_you_mean(
                name,
                SECTIONS.iter().map(|section| section.name).chain([LISTENER, THROTTLE]),
            )
        },
        |section| format!("; it belongs in [{}]", section.name),
    );
    Problem::at(origin, format!("unknown section `{name}`{hint}"))
}
