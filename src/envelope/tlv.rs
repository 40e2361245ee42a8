//! Types, lengths and values: what an envelope is made of, read and written.

use super::Malformed;

/// The type numbers.
pub mod tag {
    /// How the body is protected, 1 byte.
    pub const SUITE: u8 = 0x01;
    /// Which topic key, 8 bytes.
    pub const KEY_ID: u8 = 0x02;
    /// Who sealed it, 1-128 bytes of UTF-8.
    pub const SENDER: u8 = 0x03;
    /// The sender's stream, 16 bytes.
    pub const STREAM: u8 = 0x04;
    /// The place in the stream, 8 bytes, from 1.
    pub const SEQ: u8 = 0x05;
    /// When it was sealed, 8 bytes: milliseconds since the Unix epoch.
    pub const TIME: u8 = 0x06;
    /// The body of suite 1: ciphertext, then the tag of 16 bytes.
    pub const CIPHERTEXT: u8 = 0x10;
    /// The body of suite 2: the payload as it is.
    pub const PLAINTEXT: u8 = 0x11;
    /// The sender's signature: algorithm, then 64 bytes.
    pub const SIGNATURE: u8 = 0x20;
    /// The last one, 32 bytes.
    pub const HMAC: u8 = 0x7F;
    /// What the payload is, UTF-8.
    pub const CONTENT_TYPE: u8 = 0x80;
    /// A W3C traceparent, ASCII.
    pub const TRACE: u8 = 0x81;
}

/// From here on a type that is not known is skipped.
pub(super) const NON_CRITICAL: u8 = 0x80;

/// Bytes of type and length.
pub(super) const HEADER: usize = 3;

/// The length that says that the true one follows in 4 bytes; at least this much, then.
const EXTENDED: u16 = u16::MAX;

/// One type and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The type: below 0x80 it is critical.
    pub tag: u8,
    /// The value.
    pub value: &'a [u8],
    /// Where it begins, in bytes from the magic.
    pub at: usize,
}

impl Tlv<'_> {
    /// Whether a reader that does not know the type must reject the envelope.
    #[must_use]
    pub fn is_critical(&self) -> bool {
        self.tag < NON_CRITICAL
    }

    pub(super) fn wrong_length(&self) -> Malformed {
        Malformed::Length { tag: self.tag, at: self.at }
    }

    pub(super) fn wrong_value(&self) -> Malformed {
        Malformed::Value { tag: self.tag, at: self.at }
    }
}

/// Reads one after the other, each whole or not at all.
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tlvs<'a> {
    /// Those of an envelope, from byte `at` on.
    pub(super) fn from(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where the next one begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next one; `None` at the end.
    pub(super) fn read(&mut self) -> Result<Option<Tlv<'a>>, Malformed> {
        let at = self.at;
        let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) else {
            return Ok(None);
        };
        let cut = Malformed::Truncated(at);
        let ([tag, high, low], rest) = rest.split_first_chunk().ok_or(cut)?;
        let (length, header, rest) = match u16::from_be_bytes([*high, *low]) {
            EXTENDED => {
                let (length, rest) = rest.split_first_chunk::<4>().ok_or(cut)?;
                (u32::from_be_bytes(*length), HEADER + 4, rest)
            }
            length => (u32::from(length), HEADER, rest),
        };
        let is_body = matches!(*tag, tag::CIPHERTEXT | tag::PLAINTEXT);
        if header > HEADER && (!is_body || length < u32::from(EXTENDED)) {
            return Err(Malformed::Length { tag: *tag, at });
        }
        let length = usize::try_from(length).map_err(|_| cut)?;
        let value = rest.get(..length).ok_or(cut)?;
        self.at = at + header + length;
        Ok(Some(Tlv { tag: *tag, value, at }))
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    /// The next one. What is torn ends it: in a parsed envelope nothing is.
    fn next(&mut self) -> Option<Tlv<'a>> {
        self.read().ok().flatten()
    }
}

/// Appends one whose value has less than 65,535 bytes.
pub(super) fn write(into: &mut Vec<u8>, tag: u8, value: &[u8]) {
    write_header(into, tag, value.len());
    into.extend_from_slice(value);
}

/// Appends type and length of a value that the caller appends.
pub(super) fn write_header(into: &mut Vec<u8>, tag: u8, length: usize) {
    into.push(tag);
    match u16::try_from(length) {
        Ok(short) if short < EXTENDED => into.extend_from_slice(&short.to_be_bytes()),
        _ => {
            into.extend_from_slice(&EXTENDED.to_be_bytes());
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            into.extend_from_slice(&length.to_be_bytes());
        }
    }
}
