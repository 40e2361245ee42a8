//! Any bytes as what comes before a connection that a proxy forwards: no panic; the same is found
//! however they arrive, and nothing behind the header makes a difference; what it says survives being
//! written.

use std::net::SocketAddr;

use bastionmq::net::proxy_protocol::{Header, MAX_HEADER, Progress, parse};

pub(crate) fn check(bytes: &[u8]) {
    let whole = parse(bytes);
    let end = match whole {
        Ok(Progress::Partial) => {
            assert!(bytes.len() < MAX_HEADER);
            bytes.len()
        }
        Ok(Progress::Whole { header, length }) => {
            assert!(length <= bytes.len().min(MAX_HEADER));
            let written = written(header);
            let length = written.len();
            assert_eq!(parse(&written), Ok(Progress::Whole { header, length }));
            known_at(bytes)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            known_at(bytes)
        }
    };
    for cut in 0..end {
        assert_eq!(parse(&bytes[..cut]), Ok(Progress::Partial), "cut at {cut}");
    }
    for cut in end..bytes.len() {
        assert_eq!(parse(&bytes[..cut]), whole, "cut at {cut}");
    }
}

/// After how many bytes it is known what they are.
fn known_at(bytes: &[u8]) -> usize {
    let is_known = |cut: &usize| parse(&bytes[..*cut]) != Ok(Progress::Partial);
    (0..=bytes.len()).find(is_known).expect("the whole is known")
}

/// In version 2.
fn written(header: Header<'_>) -> Vec<u8> {
    let (family, mut body) = match header.source {
        None => (0x00, Vec::new()),
        Some(SocketAddr::V4(source)) => {
            (0x11, [&source.ip().octets()[..], &[0; 4], &source.port().to_be_bytes(), &[0; 2]].concat())
        }
        Some(SocketAddr::V6(source)) => {
            (0x21, [&source.ip().octets()[..], &[0; 16], &source.port().to_be_bytes(), &[0; 2]].concat())
        }
    };
    if let Some(name) = header.common_name {
        let of_tls = [&[0x07, 0, 0, 0, 0][..], &part(0x22, name)].concat();
        body.extend(part(0x20, &of_tls));
    }
    let length = u16::try_from(body.len()).expect("no more than was read");
    [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &length.to_be_bytes(), &body].concat()
}

fn part(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("no more than was read");
    [&[kind][..], &length.to_be_bytes(), value].concat()
}
