//! GET, as a metrics collector asks.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// Status code and body of `path` at a loopback `port`.
pub(crate) fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the admin port is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or_else(|| panic!("no status in {head}")), body.to_owned())
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
