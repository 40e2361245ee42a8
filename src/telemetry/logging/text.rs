//! Text that ends where its line ends, whatever clients have put into it.

use std::fmt::{self, Debug, Write};

use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::fmt::format::Writer;

/// Bytes of the longest value that a message of syslog or the journal has.
const MAX_VALUE: usize = 4_096;
/// What a value ends with that was cut.
const CUT: &str = "…";

/// Writes what it is given without control characters, which are written as `\n` or `\u{1b}`.
pub(super) struct Escaping<W> {
    pub(super) to: W,
    /// In place of a line feed.
    pub(super) line_feed: &'static str,
}

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, found)) = rest.char_indices().find(|(_, it)| is_control(*it)) {
            let (before, from) = rest.split_at(at);
            self.to.write_str(before)?;
            match found {
                '\n' => self.to.write_str(self.line_feed)?,
                other => write!(self.to, "{}", other.escape_default())?,
            }
            rest = from.get(found.len_utf8()..).unwrap_or_default();
        }
        self.to.write_str(rest)
    }
}

/// Also what Unicode takes for the end of a line, or turns its direction round with.
fn is_control(it: char) -> bool {
    it.is_control() || matches!(it, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A field as people read it. A message of several lines goes on indented, so that no line of it looks
/// like the beginning of another one.
pub(super) fn write_field(to: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let name = field.name();
    if name.starts_with("log.") {
        return Ok(());
    }
    if name == "message" {
        return write!(Escaping { to, line_feed: "\n    " }, "{value:?}");
    }
    match to.has_ansi_escapes() {
        true => write!(to, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
        false => write!(to, "{name}=")?,
    }
    write!(Escaping { to, line_feed: "\\n" }, "{value:?}")
}

/// An event, taken apart: for targets that have a form of their own.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) message: String,
    /// Which part of the program says it.
    pub(super) target: String,
    /// The other fields, by their names.
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Parts {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let target = event.metadata().target().to_owned();
        let mut parts = Self { target, ..Self::default() };
        event.record(&mut parts);
        parts
    }

    fn take(&mut self, name: &'static str, value: String) {
        match name {
            "message" => self.message = value,
            // Of libraries that log by another way.
            "log.target" => self.target = value,
            name if name.starts_with("log.") => {}
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), cut(value.to_owned(), MAX_VALUE));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field.name(), cut(format!("{value:?}"), MAX_VALUE));
    }
}

/// As much of `text` as `bytes` have room for.
pub(super) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes.saturating_sub(CUT.len())));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        write!(Escaping { to: &mut out, line_feed: "\\n" }, "{text}").unwrap();
        out
    }

    #[test]
    fn what_ends_a_line_or_moves_a_cursor_is_shown_and_not_done() {
        assert_eq!(escaped("plain ä→"), "plain ä→");
        assert_eq!(escaped("a\nb\r\tc"), "a\\nb\\r\\tc");
        assert_eq!(escaped("\x1b[2J\0\u{85}"), "\\u{1b}[2J\\u{0}\\u{85}");
        assert_eq!(escaped("x\u{2028}\u{202e}y"), "x\\u{2028}\\u{202e}y");
        assert_eq!(escaped("\n"), "\\n");
    }

    #[test]
    fn what_is_long_is_cut_between_two_characters() {
        assert_eq!(cut("short".to_owned(), 5), "short");
        assert_eq!(cut("é".repeat(10), 10), "ééé…");
        assert_eq!(cut("x".repeat(11), 10), "xxxxxxx…");
    }
}
