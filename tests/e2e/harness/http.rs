//! GET, as a metrics collector or a browser asks.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use base64ct::{Base64, Encoding};

use super::PATIENCE;

/// Status code and body of `path` at a loopback `port`.
pub(crate) fn get(port: u16, path: &str) -> (u16, String) {
    let answer = ask(port, path, "Connection: close\r\n");
    (answer.status, answer.body)
}

/// The value of one series, with its labels as they are shown; 0 where it is not.
pub(crate) fn series(port: u16, name: &str) -> f64 {
    let (_, body) = get(port, "/metrics");
    let values = body.lines().filter_map(|line| line.rsplit_once(' '));
    let mut values = values.filter(|(series, _)| *series == name);
    values.next().and_then(|(_, value)| value.parse().ok()).unwrap_or(0.0)
}

/// The value of a metric, summed over its labels.
pub(crate) fn metric(port: u16, name: &str) -> Option<f64> {
    let (_, body) = get(port, "/metrics");
    let values = body.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        (series.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok()).flatten()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// An answer of the administrative port.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header, if it is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = headers.filter(|(it, _)| it.eq_ignore_ascii_case(name));
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }
}

/// GET with these headers, each with its end of line.
pub(crate) fn ask(port: u16, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the port is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// The header by which somebody says who it is.
pub(crate) fn basic((user, password): (&str, &str)) -> String {
    let text = format!("{user}:{password}");
    format!("Authorization: Basic {}\r\n", Base64::encode_string(text.as_bytes()))
}
