//! The fields of a record, one behind the other.

use std::sync::Arc;

use crate::identity::{Attribute, AttributeSource, Attributes};

/// Writes fields.
#[derive(Debug, Default)]
pub(super) struct FieldWriter(Vec<u8>);

impl FieldWriter {
    pub(super) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(super) fn u16(&mut self, number: u16) {
        self.0.extend(number.to_be_bytes());
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.0.extend(number.to_be_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }

    pub(super) fn array<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.0.extend(bytes);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        // Nothing that is kept is as long: it came in packets, handshakes and answers that are bounded.
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn attributes(&mut self, attributes: &Attributes) {
        let count = u32::try_from(attributes.iter().count()).unwrap_or(u32::MAX);
        self.u32(count);
        for Attribute { source, name, value } in attributes.iter() {
            self.text(source.name());
            self.text(name);
            self.text(value);
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads fields, as long as there are any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// As [`Self::new`], of a layout of this version.
    pub(super) fn of_version(bytes: &'a [u8], version: u8) -> Option<Self> {
        let mut fields = Self::new(bytes);
        (fields.u8()? == version).then_some(fields)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.u8()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    pub(super) fn attributes(&mut self) -> Option<Attributes> {
        let count = self.u32()?;
        // Each takes bytes of the record, so that a wrong count ends soon.
        (0..count).map(|_| self.attribute()).collect()
    }

    fn attribute(&mut self) -> Option<Attribute> {
        let source = AttributeSource::named(self.text()?)?;
        Some(Attribute { source, name: Arc::from(self.text()?), value: Arc::from(self.text()?) })
    }

    /// That nothing is left.
    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// A record is `bytes`: whatever becomes of them on a disk, reading them by `decode` gives something or
/// nothing, and of a part of them nothing.
#[cfg(test)]
pub(super) fn assert_is_read_with_care<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Option<T>) {
    assert!(decode(bytes).is_some());
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let _ = decode(&changed);
    }
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_none(), "{end}");
    }
    let longer = [bytes, b"x"].concat();
    assert!(decode(&longer).is_none());
}
