//! Password entries: copied as they are, where this broker can check them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::finding::{Findings, Place};
use crate::auth::PasswordFile;

/// The entries of a password file, by user.
#[derive(Default)]
pub(super) struct Users {
    entries: BTreeMap<String, String>,
}

impl Users {
    /// Takes over what `text`, the content of the password file `file`, holds. Of two entries of one
    /// user Mosquitto uses the last.
    pub(super) fn read(&mut self, file: &Path, text: &str, findings: &mut Findings) {
        let file: Arc<Path> = file.into();
        let mut lines: BTreeMap<String, u32> = BTreeMap::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (line, content) in (1..).zip(text.lines()) {
            let place = Place { file: Arc::clone(&file), line };
            let entry = content.trim_end();
            if entry.is_empty() || entry.starts_with('#') {
                continue;
            }
            let Some((user, hash)) = entry.split_once(':') else {
                let remedy = "it is no user:hash, and Mosquitto passes over it: `bastionmq passwd \
                              add` adds a user";
                findings.missing(&place, "a line without a password", remedy);
                continue;
            };
            let (user, hash) = (user.trim(), hash.trim());
            if let Some(first) = lines.insert(user.to_owned(), line) {
                let earlier = Place { file: Arc::clone(&file), line: first };
                let remedy = format!("Mosquitto uses the one on line {line}, and so it is here");
                findings.note(&earlier, format!("a password of user {user}"), &remedy);
            }
            self.add(user, hash, &place, findings);
        }
    }

    /// Takes over one entry, if this broker can check it.
    pub(super) fn add(&mut self, user: &str, hash: &str, place: &Place, findings: &mut Findings) {
        let entry = format!("{user}:{hash}\n");
        match PasswordFile::parse(&entry) {
            Ok(_) => drop(self.entries.insert(user.to_owned(), hash.to_owned())),
            Err(errors) => {
                let why = errors.first().map_or_else(String::new, |error| error.fault.to_string());
                let remedy = format!(
                    "{why}; the user is left out: give it a password with `bastionmq passwd add`"
                );
                findings.missing(place, format!("the password of user {user}"), &remedy);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The text of a password file.
    pub(super) fn to_text(&self) -> String {
        self.entries.iter().map(|(user, hash)| format!("{user}:{hash}\n")).collect()
    }
}
