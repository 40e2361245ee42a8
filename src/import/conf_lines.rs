//! The lines of a `mosquitto.conf`, taken apart as Mosquitto does.

use std::path::Path;
use std::sync::Arc;

use super::finding::Place;
use super::source::ImportError;

/// One setting: `key value`.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    pub(super) place: Place,
    pub(super) key: String,
    /// The rest of the line, without the blanks around it.
    pub(super) value: String,
}

/// The settings of `text`, in its order.
pub(super) fn directives(file: &Path, text: &str) -> Vec<Directive> {
    let file: Arc<Path> = file.into();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.starts_with('#'))
        .filter_map(|(line, content)| {
            let said = content.trim_start_matches(' ').trim_end();
            let (key, value) = said.split_once(' ').unwrap_or((said, ""));
            let place = Place { file: Arc::clone(&file), line };
            (!key.is_empty()).then(|| Directive {
                place,
                key: key.to_owned(),
                value: value.trim().to_owned(),
            })
        })
        .collect()
}

impl Directive {
    /// The first word of the value; Mosquitto passes over what follows.
    fn word(&self) -> &str {
        self.value.split(' ').next().unwrap_or_default()
    }

    /// # Errors
    /// When it is neither `true` nor `false`, which Mosquitto does not start with.
    pub(super) fn boolean(&self) -> Result<bool, ImportError> {
        match self.word() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(self.broken("takes true or false")),
        }
    }

    /// # Errors
    /// When it is no whole number, which Mosquitto does not start with.
    pub(super) fn number(&self) -> Result<i64, ImportError> {
        let word = self.word();
        let number = match word.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        number.map_err(|_| self.broken("takes a whole number"))
    }

    /// # Errors
    /// When it is empty, which Mosquitto does not start with.
    pub(super) fn text(&self) -> Result<&str, ImportError> {
        if self.value.is_empty() { Err(self.broken("takes a value")) } else { Ok(&self.value) }
    }

    pub(super) fn broken(&self, message: &str) -> ImportError {
        let message = format!("`{}` {message}: Mosquitto would not start with this", self.key);
        ImportError::Broken { place: self.place.clone(), message }
    }

    /// As it is shown: what may hold a secret is not.
    pub(super) fn shown(&self) -> String {
        let is_secret = ["password", "psk", "kpass"].iter().any(|word| self.key.contains(word))
            && !self.key.ends_with("file")
            || self.key.starts_with("plugin_opt")
            || self.key.starts_with("auth_opt");
        if is_secret || self.value.is_empty() {
            return self.key.clone();
        }
        format!("{} {}", self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(u32, String)> {
        let directives = directives(Path::new("f"), text);
        directives.iter().map(|it| (it.place.line, format!("{}={}", it.key, it.value))).collect()
    }

    #[test]
    fn a_key_ends_at_the_first_space_and_its_value_at_the_end_of_the_line() {
        let text = "\u{feff}# comment\n\nlistener 1883  ::1 \r\npassword_file /my files/pw\n  port 1\nuser\n";
        let expected = [
            (3, "listener=1883  ::1"),
            (4, "password_file=/my files/pw"),
            (5, "port=1"),
            (6, "user="),
        ];
        assert_eq!(read(text), expected.map(|(line, said)| (line, said.to_owned())));
    }

    #[test]
    fn values_that_mosquitto_does_not_take_are_errors_with_their_line() {
        let all = directives(Path::new("f"), "a yes\nb 1x\nc\n");
        let errors = [all[0].boolean().err(), all[1].number().err(), all[2].text().err()];
        let texts = errors.map(|error| error.expect("an error").to_string());
        assert!(texts[0].starts_with("f:1: `a` takes true or false"), "{texts:?}");
        assert!(texts[1].starts_with("f:2: `b` takes a whole number"), "{texts:?}");
        assert!(texts[2].starts_with("f:3: `c` takes a value"), "{texts:?}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let all = directives(
            Path::new("f"),
            "remote_password x\nbridge_psk x\nplugin_opt_db x\npassword_file x\n",
        );
        let shown: Vec<_> = all.iter().map(Directive::shown).collect();
        assert_eq!(shown, ["remote_password", "bridge_psk", "plugin_opt_db", "password_file x"]);
    }
}
