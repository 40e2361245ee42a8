//! What a translation makes: the texts of three files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::finding::Place;
use super::policy_text::quoted;

/// The name of the policy file beside the configuration.
pub(super) const POLICY: &str = "policy.toml";
/// The name of the password file beside the configuration.
pub(super) const PASSWORDS: &str = "passwords";

/// The files of a broker, to be written into one directory.
pub struct Files {
    /// `bastionmq.toml`.
    pub config: String,
    /// `policy.toml`.
    pub policy: String,
    /// `passwords`, where somebody has one.
    pub passwords: Option<String>,
}

/// Sections of the configuration, in the order in which they are written.
const SECTIONS: [&str; 6] = ["auth", "acl", "mqtt", "broker", "network", "log"];

/// The configuration that is being put together.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) listeners: Vec<Section>,
    sections: BTreeMap<&'static str, Section>,
}

/// The settings of one section, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Section {
    settings: Vec<(&'static str, String, Option<Place>)>,
}

impl Section {
    /// Sets `key` to `value`, which is TOML, because of what stands at `place`.
    pub(super) fn set(&mut self, key: &'static str, value: impl ToString, place: Option<&Place>) {
        self.settings.retain(|(known, ..)| *known != key);
        self.settings.push((key, value.to_string(), place.cloned()));
    }

    pub(super) fn set_text(&mut self, key: &'static str, text: &str, place: Option<&Place>) {
        self.set(key, quoted(text), place);
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.settings.iter().any(|(known, ..)| *known == key)
    }

    fn write(&self, text: &mut String) {
        for (key, value, place) in &self.settings {
            let origin = match place {
                Some(Place { line: 0, .. }) | None => String::new(),
                Some(place) => format!("  # {}", place.to_string().replace(char::is_control, "?")),
            };
            let _ = writeln!(text, "{key} = {value}{origin}");
        }
    }
}

impl Config {
    /// The section called `name`.
    pub(super) fn section(&mut self, name: &'static str) -> &mut Section {
        self.sections.entry(name).or_default()
    }

    /// The text of the file, which says first that it was made of `source`.
    pub(super) fn to_text(&self, source: &str) -> String {
        let mut text = heading(source);
        text.push_str("# `bastionmq check-config` shows all that is in force.\n");
        for listener in &self.listeners {
            text.push_str("\n[[listener]]\n");
            listener.write(&mut text);
        }
        for name in SECTIONS {
            if let Some(section) = self.sections.get(name) {
                let _ = writeln!(text, "\n[{name}]");
                section.write(&mut text);
            }
        }
        text
    }
}

/// The first line of a file that was made of `source`.
pub(super) fn heading(source: &str) -> String {
    format!(
        "# Made by `bastionmq import mosquitto` of {}.\n",
        source.replace(char::is_control, "?")
    )
}
