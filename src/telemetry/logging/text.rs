//! Text that ends where its line ends, whatever clients have put into it.

use std::fmt::{self, Debug, Write};

use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
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

/// A value as `logfmt` has it: in quotes, unless nobody can take it for something else without them. What
/// it says itself is never a quote that ends it, and no field of its own.
pub(super) fn write_value(to: &mut dyn Write, value: &str) -> fmt::Result {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-[]".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) {
        return to.write_str(value);
    }
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    to.write_char('"')?;
    Escaping { to: &mut *to, line_feed: "\\n" }.write_str(&quoted)?;
    to.write_char('"')
}

/// The fields of an event as people read them, behind its message. A message of several lines goes on
/// indented, so that no line of it looks like the beginning of another one.
#[derive(Debug)]
pub(super) struct ForPeople;

struct Fields<'w> {
    to: Writer<'w>,
    is_first: bool,
    written: fmt::Result,
}

impl<'w> FormatFields<'w> for ForPeople {
    fn format_fields<R: RecordFields>(&self, to: Writer<'w>, fields: R) -> fmt::Result {
        let mut all = Fields { to, is_first: true, written: Ok(()) };
        fields.record(&mut all);
        all.written
    }
}

impl Fields<'_> {
    fn add(&mut self, name: &str, value: &str) {
        // What libraries that log by another way say of the place.
        if self.written.is_ok() && !name.starts_with("log.") {
            self.written = self.write(name, value);
        }
    }

    fn write(&mut self, name: &str, value: &str) -> fmt::Result {
        let Self { to, is_first, .. } = self;
        if !std::mem::take(is_first) {
            to.write_char(' ')?;
        }
        if name == "message" {
            return Escaping { to, line_feed: "\n    " }.write_str(value);
        }
        match to.has_ansi_escapes() {
            true => write!(to, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
            false => write!(to, "{name}=")?,
        }
        write_value(to, value)
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), &format!("{value:?}"));
    }
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

    fn value(of: &str) -> String {
        let mut out = String::new();
        write_value(&mut out, of).unwrap();
        out
    }

    #[test]
    fn no_value_looks_like_another_field() {
        for plain in ["7", "plant/1", "mqtt://[::1]:1883", "a-b.c@d"] {
            assert_eq!(value(plain), plain);
        }
        assert_eq!(value(""), "\"\"");
        assert_eq!(value("a listener=admin"), "\"a listener=admin\"");
        assert_eq!(value("a=b"), "\"a=b\"");
        assert_eq!(value("x\" y=\"z"), "\"x\\\" y=\\\"z\"");
        assert_eq!(value("x\\\" y=z"), "\"x\\\\\\\" y=z\"");
        assert_eq!(value("a\nb\x1b[2J"), "\"a\\nb\\u{1b}[2J\"");
        assert_eq!(value("\u{e9}"), "\"\u{e9}\"");
    }

    #[test]
    fn what_is_long_is_cut_between_two_characters() {
        assert_eq!(cut("short".to_owned(), 5), "short");
        assert_eq!(cut("é".repeat(10), 10), "ééé…");
        assert_eq!(cut("x".repeat(11), 10), "xxxxxxx…");
    }
}
