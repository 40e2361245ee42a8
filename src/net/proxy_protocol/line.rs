//! Version 1 (section 2.1): a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, HeaderError, Progress, begins};

/// Bytes of the longest line, its end included.
const MAX_LINE: usize = 107;
const START: &[u8] = b"PROXY ";
const END: &[u8] = b"\r\n";

pub(super) fn parse(bytes: &[u8]) -> Result<Progress<'_>, HeaderError> {
    if !begins(bytes, START) {
        return Err(HeaderError::NoHeader);
    }
    let within = bytes.get(..MAX_LINE).unwrap_or(bytes);
    match within.windows(END.len()).position(|window| window == END) {
        Some(end) => {
            let line = within.get(START.len()..end).ok_or(HeaderError::Line)?;
            let header = Header { source: source(line)?, common_name: None };
            Ok(Progress::Whole { header, length: end + END.len() })
        }
        None if bytes.len() >= MAX_LINE => Err(HeaderError::Line),
        None => Ok(Progress::Partial),
    }
}

/// What follows `PROXY `: fields with one space between.
fn source(line: &[u8]) -> Result<Option<SocketAddr>, HeaderError> {
    // Whatever follows is to be ignored.
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(None);
    }
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Line)?;
    let fields: Vec<_> = line.splitn(6, ' ').collect();
    let [family, source, destination, source_port, destination_port] = fields.as_slice() else {
        return Err(HeaderError::Line);
    };
    let source = address(family, source).zip(port(source_port));
    let destination = address(family, destination).zip(port(destination_port));
    let ((ip, port), _) = source.zip(destination).ok_or(HeaderError::Line)?;
    Ok(Some(SocketAddr::new(ip.to_canonical(), port)))
}

fn address(family: &str, text: &str) -> Option<IpAddr> {
    match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    }
}

/// From 0 to 65535, without zeros in front.
fn port(text: &str) -> Option<u16> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    is_plain.then(|| text.parse().ok()).flatten()
}
