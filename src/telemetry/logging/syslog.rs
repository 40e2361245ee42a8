//! Lines of syslog: RFC 5424, and what `syslog(3)` writes.

use std::fmt::Write;

use tracing::{Event, Level};

use super::text::{Escaping, Parts, cut, write_value};
use crate::clock::{Moment, Now};
use crate::telemetry::{LogSettings, SyslogAddress, SyslogFormat};

/// Bytes of the longest line: what daemons take (rsyslog's `maxMessageSize`).
const MAX_LINE: usize = 8_192;
/// Characters of the longest host (RFC 5424 section 6).
const MAX_HOST: usize = 255;
const NAME: &str = "bastionmq";

/// Makes a line of an event.
#[derive(Debug)]
pub(super) struct Composer {
    facility: u8,
    /// Where lines have a host and a time, the host.
    host: Option<String>,
    pid: u32,
}

impl Composer {
    pub(super) fn new(settings: &LogSettings) -> Self {
        let is_local = match (settings.syslog_format, &settings.syslog) {
            (SyslogFormat::Local, _) | (SyslogFormat::Auto, SyslogAddress::Unix(_)) => true,
            (SyslogFormat::Rfc5424, _)
            | (SyslogFormat::Auto, SyslogAddress::Udp { .. } | SyslogAddress::Tcp { .. }) => false,
        };
        let host = (!is_local).then(own_name);
        Self { facility: settings.syslog_facility.code(), host, pid: std::process::id() }
    }

    pub(super) fn compose(&self, event: &Event<'_>) -> Vec<u8> {
        self.line(severity_of(*event.metadata().level()), &Parts::of(event), Now::read())
    }

    fn line(&self, severity: u8, parts: &Parts, now: Now) -> Vec<u8> {
        let Self { facility, host, pid } = self;
        let priority = facility * 8 + severity;
        let mut line = match host {
            Some(host) => {
                let now = Moment(u64::try_from(now.unix.as_millis()).unwrap_or(u64::MAX));
                format!("<{priority}>1 {now:#} {host} {NAME} {pid} - - ")
            }
            None => format!("<{priority}>{NAME}[{pid}]: "),
        };
        let Parts { message, target, fields } = parts;
        let mut text = Escaping { to: &mut line, line_feed: "\\n" };
        // Writing to a string does not fail.
        let _ = write!(text, "{target}: {message}");
        for (name, value) in fields {
            let _ = write!(text, " {name}=").and_then(|()| write_value(text.to, value));
        }
        cut(line, MAX_LINE).into_bytes()
    }
}

/// As syslog and the journal number it (RFC 5424 section 6.2.1).
pub(super) fn severity_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// `-`, where it has no name that can be written (RFC 5424 section 6.2.4).
fn own_name() -> String {
    let name = hostname::get().ok().and_then(|name| name.into_string().ok());
    let is_writable = |name: &String| {
        (1..=MAX_HOST).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    name.filter(is_writable).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn composer(host: Option<&str>) -> Composer {
        Composer { facility: 3, host: host.map(str::to_owned), pid: 42 }
    }

    fn line(host: Option<&str>, message: &str, fields: &[(&'static str, &str)]) -> String {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let parts = Parts { message: message.to_owned(), target: "a::b".to_owned(), fields };
        let mut now = Now::read();
        now.unix = Duration::from_millis(1_000);
        String::from_utf8(composer(host).line(4, &parts, now)).unwrap()
    }

    #[test]
    fn lines_are_as_daemons_expect_them() {
        let fields = [("count", "7"), ("why", "a reason")];
        assert_eq!(
            line(Some("host"), "it happened", &fields),
            "<28>1 1970-01-01T00:00:01.000Z host bastionmq 42 - - a::b: it happened count=7 \
             why=\"a reason\""
        );
        assert_eq!(
            line(None, "it happened", &fields),
            "<28>bastionmq[42]: a::b: it happened count=7 why=\"a reason\""
        );
    }

    #[test]
    fn nothing_that_a_client_says_ends_the_line_or_a_field_of_it() {
        let hostile = "x\" level=\"y\\\n<8>1 - - root - - - \r\0";
        assert_eq!(
            line(None, "m\nn", &[("client_id", hostile)]),
            "<28>bastionmq[42]: a::b: m\\nn client_id=\"x\\\" level=\\\"y\\\\\\n<8>1 - - root - - - \
             \\r\\u{0}\""
        );
        let long = line(None, "m", &[("client_id", &"\u{e9}".repeat(8_192))]);
        assert!(long.len() <= MAX_LINE && long.ends_with('…'), "{}", long.len());
    }
}
