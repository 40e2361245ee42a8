//! Messages of systemd's journal: see <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::fmt::Write;

use tracing::Event;

use super::syslog::severity_of;
use super::text::{Escaping, Parts};

/// Bytes of a message from which on no field is added: what a datagram has room for by far.
const MAX_MESSAGE: usize = 64 << 10;
/// Bytes of the longest name of a field.
const MAX_NAME: usize = 64;
/// In front of the fields of an event, which could otherwise be taken for the journal's own.
const PREFIX: &str = "BASTIONMQ_";

/// Makes a message of an event.
pub(super) fn compose(event: &Event<'_>) -> Vec<u8> {
    let level = *event.metadata().level();
    message(severity_of(level), event.metadata().module_path(), &Parts::of(event))
}

fn message(severity: u8, module: Option<&str>, parts: &Parts) -> Vec<u8> {
    let Parts { message, target, fields } = parts;
    let mut out = Vec::new();
    add(&mut out, "MESSAGE", message);
    add(&mut out, "PRIORITY", &severity.to_string());
    add(&mut out, "SYSLOG_IDENTIFIER", "bastionmq");
    add(&mut out, "TARGET", target);
    if let Some(module) = module {
        add(&mut out, "CODE_MODULE", module);
    }
    for (name, value) in fields {
        if out.len() >= MAX_MESSAGE {
            break;
        }
        add(&mut out, &name_of(name), value);
    }
    out
}

/// The name of a field as the journal takes it: capitals, digits and underscores.
fn name_of(field: &str) -> String {
    let as_is = |it: char| it.is_ascii_alphanumeric();
    let written = field.chars().map(|it| if as_is(it) { it.to_ascii_uppercase() } else { '_' });
    PREFIX.chars().chain(written).take(MAX_NAME).collect()
}

/// A value of several lines comes with its length, so that none of them is taken for a field. Other control
/// characters are shown, where `journalctl` would show nothing of the value.
fn add(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut text = String::with_capacity(value.len());
    // Writing to a string does not fail.
    let _ = write!(Escaping { to: &mut text, line_feed: "\n" }, "{value}");
    out.extend(name.as_bytes());
    if text.contains('\n') {
        out.push(b'\n');
        out.extend((text.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend(text.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(message: &str, fields: &[(&'static str, &str)]) -> Parts {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Parts { message: message.to_owned(), target: "a::b".to_owned(), fields }
    }

    #[test]
    fn an_event_becomes_fields() {
        let parts = parts("it happened", &[("count", "7"), ("r#type", "x=y")]);
        let expected = "MESSAGE=it happened\nPRIORITY=4\nSYSLOG_IDENTIFIER=bastionmq\nTARGET=a::b\n\
                        CODE_MODULE=a\nBASTIONMQ_COUNT=7\nBASTIONMQ_R_TYPE=x=y\n";
        assert_eq!(String::from_utf8(message(4, Some("a"), &parts)).unwrap(), expected);
    }

    #[test]
    fn nothing_that_a_client_says_becomes_a_field() {
        let hostile = "x\nPRIORITY=0\n_UID=0\x1b";
        let parts = parts("m", &[("client_id", hostile)]);
        let told = message(4, None, &parts);
        let mut expected = b"MESSAGE=m\nPRIORITY=4\nSYSLOG_IDENTIFIER=bastionmq\nTARGET=a::b\n\
                             BASTIONMQ_CLIENT_ID\n"
            .to_vec();
        let shown = "x\nPRIORITY=0\n_UID=0\\u{1b}";
        expected.extend((shown.len() as u64).to_le_bytes());
        expected.extend(shown.as_bytes());
        expected.push(b'\n');
        assert_eq!(told, expected);
    }

    #[test]
    fn a_message_has_its_bounds() {
        let long = "x".repeat(4_096);
        let fields = ["f"; 32].map(|name| (name, long.as_str()));
        assert!(message(4, None, &parts(&long, &fields)).len() <= MAX_MESSAGE + 5_000);
        assert_eq!(name_of(&"x".repeat(100)).len(), MAX_NAME);
    }
}
