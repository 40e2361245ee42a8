//! One line of what has happened before: an event, as people or the audit log write it, or what is expected of those
//! until there.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::{End, Moment};
use crate::identity::{ClientId, Principal};
use crate::sentinel::{Event, Kind};

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    Event(Box<Recorded>),
    /// The rules that are to be broken, since this was last said.
    Expect(Vec<String>),
    /// Something of the audit log that is no event of the sentinel.
    Other,
}

/// An event, and when it has happened.
#[derive(Debug, PartialEq)]
pub(super) struct Recorded {
    pub(super) event: Event,
    /// Milliseconds.
    pub(super) ms: u64,
    /// Whether those are since the Unix epoch.
    pub(super) is_moment: bool,
    /// How often, at that time.
    pub(super) times: u32,
}

/// A line as it is written. The audit log has more in each.
#[derive(Debug, Deserialize)]
struct Written {
    time: Option<Value>,
    event: Option<String>,
    reason: Option<String>,
    /// The audit log has one in place of a reason.
    action: Option<String>,
    /// As well.
    resumed: Option<bool>,
    principal: Option<String>,
    /// The name in a refused login.
    user: Option<String>,
    client_id: Option<String>,
    address: Option<String>,
    listener: Option<String>,
    topic: Option<String>,
    number: Option<f64>,
    times: Option<u32>,
    expect: Option<Vec<String>>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(line: &str) -> Result<Line, String> {
    let written: Written = serde_json::from_str(line).map_err(|error| error.to_string())?;
    // Each record of the audit log has a number.
    let is_of_audit_log = written.more.contains_key("seq");
    if let Some(name) = written.more.keys().next()
        && !is_of_audit_log
    {
        return Err(format!("unknown field {name:?}"));
    }
    if let Some(expected) = written.expect {
        return Ok(Line::Expect(expected));
    }
    let name = written.event.as_deref().ok_or("there is neither an \"event\" nor an \"expect\"")?;
    let (kind, reason) = name.split_once('.').map_or((name, None), |(a, b)| (a, Some(b)));
    let Some(kind) = Kind::named(kind) else {
        let known = Kind::ALL.map(Kind::name).join(", ");
        return match is_of_audit_log {
            true => Ok(Line::Other),
            false => Err(format!("there are no events {kind:?}; there are {known}")),
        };
    };
    let reason = match is_of_audit_log {
        true => reason_of_audit_log(kind, &written),
        false => reason_of(kind, reason.or(written.reason.as_deref()))?,
    };
    let (ms, is_moment) = time_of(written.time.as_ref())?;
    let event = Event {
        principal: principal_of(&written)?,
        client: written.client_id.as_deref().filter(|it| !it.is_empty()).map(ClientId::new),
        address: written.address.as_deref().and_then(address_of),
        listener: written.listener.map(Into::into),
        topic: written.topic.map(Into::into),
        number: written.number.unwrap_or(1.0),
        ..Event::new(kind, reason)
    };
    let times = written.times.unwrap_or(1);
    Ok(Line::Event(Box::new(Recorded { event, ms, is_moment, times })))
}

fn reason_of(kind: Kind, reason: Option<&str>) -> Result<&'static str, String> {
    let Some(reason) = reason else { return Ok("") };
    let found = kind.reasons().iter().find(|it| **it == reason);
    found.copied().ok_or_else(|| {
        let known = kind.reasons().join(", ");
        format!("{} has no reason {reason:?}; there are {known}", kind.name())
    })
}

/// The audit log writes what clients are told, and what they have tried.
fn reason_of_audit_log(kind: Kind, written: &Written) -> &'static str {
    let reason = match (kind, written.reason.as_deref(), written.resumed) {
        (Kind::LoginRefused, Some("BadUserNameOrPassword"), _) => "credentials",
        (Kind::LoginRefused, Some("ConnectionRateExceeded"), _) => "locked_out",
        (Kind::LoginRefused, Some("ServerBusy"), _) => "busy",
        (Kind::LoginRefused, Some("ClientIdentifierNotValid"), _) => "client_id",
        (Kind::LoginRefused, Some("NotAuthorized"), _) => "not_authorized",
        (Kind::LoginRefused, ..) => "other",
        (Kind::OperatorRefused, ..) => "credentials",
        (Kind::Connected, _, Some(true)) => "resumed",
        (Kind::Connected, ..) => "new",
        _ => written.action.as_deref().unwrap_or_default(),
    };
    reason_of(kind, Some(reason)).unwrap_or_default()
}

fn principal_of(written: &Written) -> Result<Option<Principal>, String> {
    let Some(principal) = &written.principal else {
        return Ok(written.user.as_deref().map(|user| Principal::User(user.into())));
    };
    let unknown = || format!("{principal:?} is no principal: write user:NAME, certificate:NAME …");
    Principal::parse(principal).map(Some).ok_or_else(unknown)
}

/// With a port or without; none of a process.
fn address_of(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    text.parse().ok().or_else(with_port).map(|address| address.to_canonical())
}

/// In milliseconds, and whether they are since the Unix epoch.
fn time_of(time: Option<&Value>) -> Result<(u64, bool), String> {
    let moment = |text: &str| {
        let (whole, fraction) = match text.strip_suffix('Z')?.split_once('.') {
            Some((whole, fraction)) => (format!("{whole}Z"), format!("0.{fraction}")),
            None => (text.to_owned(), "0".to_owned()),
        };
        let End::At(Moment(ms)) = whole.parse().ok()? else { return None };
        let fraction = fraction.parse::<f64>().ok()?;
        Some(ms.saturating_add((fraction * 1e3) as u64))
    };
    let found = match time {
        Some(Value::String(text)) => moment(text).map(|ms| (ms, true)),
        Some(number) => {
            let seconds = number.as_f64().filter(|it| (0.0..1e12).contains(it));
            seconds.map(|seconds| ((seconds * 1e3) as u64, false))
        }
        None => None,
    };
    found.ok_or_else(|| "an event needs a \"time\": seconds, or 2026-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> Recorded {
        match read(line).expect(line) {
            Line::Event(recorded) => *recorded,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_is_read_as_people_write_it() {
        let recorded = event(
            r#"{"time": 1.5, "event": "denied.publish", "principal": "user:ann", "client_id": "c",
                "address": "::ffff:192.0.2.1", "topic": "a/b", "number": 3, "times": 4}"#,
        );
        assert_eq!((recorded.ms, recorded.is_moment, recorded.times), (1_500, false, 4));
        let event = recorded.event;
        assert_eq!((event.kind, event.reason, event.number), (Kind::Denied, "publish", 3.0));
        assert_eq!(event.principal, Some(Principal::User("ann".into())));
        assert_eq!(event.address, "192.0.2.1".parse().ok());
    }

    #[test]
    fn an_event_is_read_as_the_audit_log_writes_it() {
        let refused = event(
            r#"{"seq":7,"time":"2026-01-31T12:00:00.250Z","event":"login_refused","user":"ann",
                "client_id":"","address":"[2001:db8::1]:5555","listener":"mqtt://x",
                "reason":"BadUserNameOrPassword","why":"wrong","tag":"00"}"#,
        );
        assert_eq!((refused.ms % 60_000, refused.is_moment), (250, true));
        assert_eq!((refused.event.reason, &refused.event.client), ("credentials", &None));
        assert_eq!(refused.event.address, "2001:db8::1".parse().ok());
        let denied = r#"{"seq":8,"time":"2026-01-31T12:00:00Z","event":"denied","principal":"anonymous",
            "client_id":"c","address":"unix","listener":"u","since":1,"action":"subscribe","topic":"a","rule":"r"}"#;
        assert_eq!((event(denied).event.reason, event(denied).event.address), ("subscribe", None));
        let connected =
            r#"{"seq":8,"time":"2026-01-31T12:00:00Z","event":"connected","resumed":true}"#;
        assert_eq!(event(connected).event.reason, "resumed");
        assert_eq!(read(r#"{"seq":1,"time":"x","event":"checkpoint"}"#), Ok(Line::Other));
    }

    #[test]
    fn what_is_no_event_is_told_why() {
        for (line, why) in [
            ("{", "EOF"),
            (r#"{"time": 1}"#, "neither"),
            (r#"{"event": "connected"}"#, "\"time\""),
            (r#"{"time": -1, "event": "connected"}"#, "\"time\""),
            (r#"{"time": "today", "event": "connected"}"#, "\"time\""),
            (r#"{"time": 1, "event": "connect"}"#, "there are connection_refused, connected"),
            (r#"{"time": 1, "event": "denied.delete"}"#, "publish, subscribe"),
            (r#"{"time": 1, "event": "denied", "pricipal": "user:a"}"#, "unknown field"),
            (r#"{"time": 1, "event": "denied", "principal": "ann"}"#, "no principal"),
        ] {
            let said = read(line).unwrap_err();
            assert!(said.contains(why), "{line}: {said}");
        }
    }
}
