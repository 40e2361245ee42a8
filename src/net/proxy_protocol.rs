//! The header of the PROXY protocol (haproxy.org, proxy-protocol.txt, revision of 2020): what a proxy
//! says of a connection that it forwards, before the first byte of that. Reads bytes, and no others
//! than those of the header.

mod checksum;
mod line;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use checksum::crc32c;

/// Bytes of the longest header that is read. One of version 1 has at most 107; one of version 2 has a
/// few hundred, and a few thousand where the proxy sends the certificate along.
pub const MAX_HEADER: usize = 4_096;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of a header of version 2 in front of its addresses.
const FIXED: usize = 16;

const TLV_CRC32C: u8 = 0x03;
const TLV_SSL: u8 = 0x20;
const TLV_SSL_COMMON_NAME: u8 = 0x22;
/// The client speaks TLS to the proxy.
const CLIENT_SSL: u8 = 0x01;
/// It has shown a certificate, in this connection or in the session that it resumes.
const CLIENT_CERT: u8 = 0x02 | 0x04;

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// Where the client connects from. Without it the proxy speaks for itself, or cannot tell.
    pub source: Option<SocketAddr>,
    /// The common name in a certificate that the client has shown to the proxy, and the proxy has
    /// verified; as it came, which ought to be UTF-8.
    pub common_name: Option<&'a [u8]>,
}

/// How far a header has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// All bytes are of the header, and more of them are to come.
    Partial,
    /// The first `length` bytes are the header.
    Whole {
        /// What it says.
        header: Header<'a>,
        /// How many bytes it has.
        length: usize,
    },
}

/// Why bytes are no header that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// They begin otherwise.
    #[error("what came is no PROXY header")]
    NoHeader,
    /// A line of version 1 that breaks its form, or has no end.
    #[error("a PROXY header of version 1 that breaks the form")]
    Line,
    /// A binary header of another version than 2.
    #[error("a PROXY header of an unknown version")]
    Version,
    /// A command other than LOCAL and PROXY.
    #[error("a PROXY header with an unknown command")]
    Command,
    /// A family that is not defined, or a transport other than a stream.
    #[error("a PROXY header with addresses of an unknown family, or of datagrams")]
    Family,
    /// More than [`MAX_HEADER`] bytes.
    #[error("a PROXY header of more than {MAX_HEADER} bytes")]
    TooLong,
    /// Addresses, or a part behind them, that reach beyond its end.
    #[error("a PROXY header whose parts are longer than the whole")]
    Truncated,
    /// Two checksums, or two certificates: which one counts cannot be told.
    #[error("a PROXY header that says one thing twice")]
    Twice,
    /// The checksum is that of another header.
    #[error("a PROXY header with a wrong checksum")]
    Checksum,
}

/// Reads the header at the beginning of `bytes`. What follows it makes no difference.
///
/// # Errors
/// That it is none, as soon as that shows: at the first byte that is out of place, and in a line of
/// version 1 at its end.
pub fn parse(bytes: &[u8]) -> Result<Progress<'_>, HeaderError> {
    match bytes.first() {
        None => Ok(Progress::Partial),
        Some(b'P') => line::parse(bytes),
        Some(_) => parse_binary(bytes),
    }
}

/// Whether all of `bytes`, or the first of them, are those of `start`.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(one, other)| one == other)
}

/// Version 2 (section 2.2).
fn parse_binary(bytes: &[u8]) -> Result<Progress<'_>, HeaderError> {
    if !begins(bytes, SIGNATURE) {
        return Err(HeaderError::NoHeader);
    }
    let Some(&[.., command, family, high, low]) = bytes.first_chunk::<FIXED>() else {
        return Ok(Progress::Partial);
    };
    if command >> 4 != 2 {
        return Err(HeaderError::Version);
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER {
        return Err(HeaderError::TooLong);
    }
    let Some(whole) = bytes.get(..length) else { return Ok(Progress::Partial) };
    let header = match command & 0x0F {
        // LOCAL: the proxy speaks for itself, and what else there is does not count.
        0 => Header::default(),
        1 => parse_proxied(whole, family)?,
        _ => return Err(HeaderError::Command),
    };
    Ok(Progress::Whole { header, length })
}

fn parse_proxied(whole: &[u8], family: u8) -> Result<Header<'_>, HeaderError> {
    let body = whole.get(FIXED..).ok_or(HeaderError::Truncated)?;
    let (source, of_addresses) = match family {
        // AF_UNSPEC, and a Unix socket, which is nowhere that could be told from elsewhere.
        0x00 => (None, 0),
        0x31 => (None, 216),
        // TCP over IPv4, and over IPv6: two addresses, two ports.
        0x11 => {
            let ip = *body.first_chunk::<4>().ok_or(HeaderError::Truncated)?;
            (Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port(body, 8)?)), 12)
        }
        0x21 => {
            let ip = *body.first_chunk::<16>().ok_or(HeaderError::Truncated)?;
            let ip = IpAddr::from(Ipv6Addr::from(ip)).to_canonical();
            (Some(SocketAddr::new(ip, port(body, 32)?)), 36)
        }
        _ => return Err(HeaderError::Family),
    };
    let tlvs = body.get(of_addresses..).ok_or(HeaderError::Truncated)?;
    let said = Said::read(tlvs)?;
    if let Some(stated) = said.checksum {
        let at = whole.len() - stated.behind - stated.value.len();
        let expected = crc32c(whole, at..at + stated.value.len());
        if stated.value != expected.to_be_bytes() {
            return Err(HeaderError::Checksum);
        }
    }
    let common_name = said.tls.map_or(Ok(None), common_name)?;
    Ok(Header { source, common_name })
}

fn port(body: &[u8], at: usize) -> Result<u16, HeaderError> {
    let bytes = body.get(at..).and_then(|rest| rest.first_chunk()).ok_or(HeaderError::Truncated)?;
    Ok(u16::from_be_bytes(*bytes))
}

/// The parts behind the addresses that matter here.
#[derive(Default)]
struct Said<'a> {
    checksum: Option<Tlv<'a>>,
    tls: Option<&'a [u8]>,
}

/// A part (section 2.2, "TLV").
#[derive(Clone, Copy)]
struct Tlv<'a> {
    kind: u8,
    value: &'a [u8],
    /// Bytes behind it.
    behind: usize,
}

impl<'a> Said<'a> {
    fn read(mut bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let mut said = Self::default();
        while let Some(tlv) = next_tlv(&mut bytes)? {
            match tlv.kind {
                TLV_CRC32C => once(&mut said.checksum, tlv)?,
                TLV_SSL => once(&mut said.tls, tlv.value)?,
                _ => {}
            }
        }
        Ok(said)
    }
}

fn next_tlv<'a>(bytes: &mut &'a [u8]) -> Result<Option<Tlv<'a>>, HeaderError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (&[kind, high, low], rest) = bytes.split_first_chunk().ok_or(HeaderError::Truncated)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (value, rest) = rest.split_at_checked(length).ok_or(HeaderError::Truncated)?;
    *bytes = rest;
    Ok(Some(Tlv { kind, value, behind: rest.len() }))
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), HeaderError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(HeaderError::Twice),
    }
}

/// The common name in PP2_TYPE_SSL, where the client has shown a certificate and it was verified.
fn common_name(of_tls: &[u8]) -> Result<Option<&[u8]>, HeaderError> {
    let (&[client, verify @ ..], mut rest) =
        of_tls.split_first_chunk::<5>().ok_or(HeaderError::Truncated)?;
    let mut name = None;
    while let Some(tlv) = next_tlv(&mut rest)? {
        if tlv.kind == TLV_SSL_COMMON_NAME {
            once(&mut name, tlv.value)?;
        }
    }
    let has_shown = client & CLIENT_SSL != 0 && client & CLIENT_CERT != 0;
    Ok(name.filter(|_| has_shown && verify == [0; 4]))
}
