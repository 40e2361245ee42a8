//! From entries to the settings of one section: every key tried alone, so that every error is told.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{
    Problem,
    entry::{Entries, Entry},
    fields::fields_of,
    limits::{fault_of_text, in_words, range_of},
    settings::SECTIONS,
    suggest::did_you_mean,
};

/// Reads a section of type `T`. What is wrong is reported, and its default stands in.
pub(super) fn read<T>(name: &str, entries: &Entries, problems: &mut Vec<Problem>) -> T
where
    T: DeserializeOwned + Default,
{
    let mut valid = Table::new();
    for (key, entry) in entries {
        match value_of::<T>(name, key, entry) {
            Ok(value) => {
                valid.insert(key.clone(), value);
            }
            Err(message) => problems.push(Problem::at(&entry.origin, message)),
        }
    }
    valid.try_into().unwrap_or_default()
}

fn value_of<T: DeserializeOwned>(name: &str, key: &str, entry: &Entry) -> Result<Value, String> {
    let known = fields_of::<T>();
    if !known.contains(&key) {
        return Err(unknown_key(name, key, known));
    }
    let path = format!("{name}.{key}");
    let mut first_error = None;
    for value in entry.meanings() {
        match try_alone::<T>(key, &value) {
            Ok(()) => return within_limits(&path, value),
            Err(error) => {
                first_error.get_or_insert(complaint(&path, &value, error.message()));
            }
        }
    }
    Err(first_error.unwrap_or_default())
}

fn try_alone<T: DeserializeOwned>(key: &str, value: &Value) -> Result<(), toml::de::Error> {
    let alone: Table = [(key.to_owned(), value.clone())].into_iter().collect();
    alone.try_into::<T>().map(drop)
}

fn within_limits(path: &str, value: Value) -> Result<Value, String> {
    match (range_of(path), &value) {
        (Some((least, most)), Value::Integer(number)) if !(least..=most).contains(number) => {
            Err(format!("`{path}` is {number}; a whole number from {least} to {most} is needed"))
        }
        (_, Value::String(text)) => match fault_of_text(path, text) {
            Some(fault) => Err(format!("`{path}` is {}; {fault}", shown(&value))),
            None => Ok(value),
        },
        _ => Ok(value),
    }
}

/// Turns "invalid value: integer `0`, expected a nonzero u32" into what an operator can act upon.
fn complaint(path: &str, value: &Value, message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    match message.rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => {
            format!("`{path}` is {}; {} is needed", shown(value), in_words(path, expected))
        }
        _ => format!("`{path}`: {message}"),
    }
}

/// The value as it would be written, as much of it as fits a line.
fn shown(value: &Value) -> String {
    const MAX_CHARACTERS: usize = 60;
    let text = value.to_string().replace('\n', " ");
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.split_at(end).0),
        None => text,
    }
}

fn unknown_key(name: &str, key: &str, known: &[&str]) -> String {
    let home =
        SECTIONS.iter().find(|section| section.name != name && (section.keys)().contains(&key));
    let hint = home.map_or_else(
        || did_you_mean(key, known.iter().copied()),
        |section| format!("; it belongs in [{}]", section.name),
    );
    format!("unknown key `{key}` in [{name}]{hint}")
}
