//! Primitive data types (5.0 section 1.5): integers, strings, binary data, variable byte integers.

use super::{DecodeError, PacketId};

/// The largest Variable Byte Integer, and so the longest that a packet can be after its length.
pub(super) const VARINT_MAX: usize = 268_435_455;

const CUT_OFF: DecodeError = DecodeError::Malformed("a field runs past its end");
const LENGTH_OF_FIVE: DecodeError =
    DecodeError::Malformed("a variable byte integer has at most four bytes");
pub(super) const OVERLONG: DecodeError =
    DecodeError::Malformed("a variable byte integer uses as few bytes as it can");

/// The Variable Byte Integer at the head of `bytes` and its width; `None` while it is incomplete.
pub(super) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    const WIDEST: usize = 4;
    let mut value = 0;
    for (place, byte) in bytes.iter().take(WIDEST).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((value, place + 1)));
        }
    }
    if bytes.len() < WIDEST { Ok(None) } else { Err(LENGTH_OF_FIVE) }
}

/// The bytes that `value` takes as a Variable Byte Integer.
pub(super) fn varint_width(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        0x20_0000..=VARINT_MAX => 4,
        _ => 5,
    }
}

/// Takes fields off the front of what is left of a packet, or of its properties.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, size: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, left) = self.0.split_at_checked(size).ok_or(CUT_OFF)?;
        self.0 = left;
        Ok(taken)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing may follow the last field.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        match self.0 {
            [] => Ok(()),
            _ => Err(DecodeError::Malformed("bytes follow the last field")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, left) = self.0.split_first_chunk().ok_or(CUT_OFF)?;
        self.0 = left;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A byte that says yes or no.
    pub(super) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Protocol("a byte that says yes or no is 0 or 1")),
        }
    }

    /// In as few bytes as the value needs `[MQTT-1.5.5-1]`.
    pub(super) fn varint(&mut self) -> Result<u32, DecodeError> {
        let (value, width) = varint(self.0)?.ok_or(CUT_OFF)?;
        self.take(width)?;
        if width > varint_width(value as usize) {
            return Err(OVERLONG);
        }
        Ok(value)
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let size = self.u16()?;
        self.take(size.into())
    }

    /// UTF-8 without surrogates and U+0000; U+FEFF stays `[MQTT-1.5.4-1]` to `[MQTT-1.5.4-3]`.
    pub(super) fn string(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| DecodeError::Malformed("a string is not UTF-8"))?;
        // Every byte, many at a time: quicker for a short string than to stop at the first.
        if bytes.iter().fold(false, |found, byte| found | (*byte == 0)) {
            return Err(DecodeError::Malformed("a string holds a null character"));
        }
        Ok(text)
    }

    /// Never 0 `[MQTT-2.2.1-3]`.
    pub(super) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(DecodeError::Protocol("a packet identifier is not 0"))
    }
}

/// Writes fields, or only counts what they would take.
pub(super) struct Writer<'o> {
    out: Option<&'o mut Vec<u8>>,
    size: usize,
}

impl<'o> Writer<'o> {
    /// Appends to `out`.
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out: Some(out), size: 0 }
    }

    /// The bytes that `write` writes.
    pub(super) fn count(write: impl FnOnce(&mut Writer<'_>)) -> usize {
        let mut counter = Writer { out: None, size: 0 };
        write(&mut counter);
        counter.size
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.size += bytes.len();
        if let Some(out) = &mut self.out {
            out.extend_from_slice(bytes);
        }
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    pub(super) fn varint(&mut self, mut value: usize) {
        while value > 0x7F {
            self.u8((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Cut at 65,535 bytes: the length field says no more, and must never say less than follows.
    pub(super) fn binary(&mut self, bytes: &[u8]) {
        let size = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(size);
        self.put(&bytes[..size.into()]);
    }

    /// Cut as [`Self::binary`] is, between two characters.
    pub(super) fn string(&mut self, text: &str) {
        self.binary(&text.as_bytes()[..text.floor_char_boundary(u16::MAX.into())]);
    }

    /// Properties, behind their length.
    pub(super) fn properties(&mut self, write: impl Fn(&mut Writer<'_>)) {
        let size = Writer::count(&write);
        self.varint(size);
        match &mut self.out {
            Some(out) => write(&mut Writer::new(out)),
            None => self.size += size,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table_of_the_standard_gives_the_widths_of_variable_byte_integers() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let mut out = Vec::new();
            Writer::new(&mut out).varint(value);
            assert_eq!(out, bytes);
            assert_eq!(varint_width(value), bytes.len());
            assert_eq!(Reader::new(bytes).varint(), Ok(value as u32));
        }
    }

    #[test]
    fn a_fifth_byte_and_a_needless_byte_are_malformed() {
        for bytes in [&[0x80, 0x80, 0x80, 0x80, 0x01][..], &[0xFF; 4], &[0xFF; 9]] {
            assert_eq!(Reader::new(bytes).varint(), Err(LENGTH_OF_FIVE), "{bytes:x?}");
        }
        for bytes in [&[0x80, 0x00][..], &[0xFF, 0x00], &[0x80, 0x80, 0x00], &[1 | 0x80, 0x80, 0]] {
            assert_eq!(Reader::new(bytes).varint(), Err(OVERLONG), "{bytes:x?}");
        }
    }

    #[test]
    fn a_string_that_is_too_long_is_cut_between_characters() {
        let mut out = Vec::new();
        Writer::new(&mut out).string(&"é".repeat(40_000));
        assert_eq!(out.len(), 2 + 65_534);
        assert!(Reader::new(&out).string().is_ok_and(|text| text.ends_with('é')));
    }

    #[test]
    fn surrogates_overlong_forms_and_nulls_are_no_strings_but_a_byte_order_mark_is() {
        for bytes in [
            &[0xED, 0xA0, 0x80][..],
            &[0xED, 0xBF, 0xBF],
            &[0xC0, 0x80],
            &[0xC1, 0xBF],
            &[0xE0, 0x80, 0xAF],
            &[0xF4, 0x90, 0x80, 0x80],
            &[0xFF],
            &[0x80],
            &[0xE2, 0x82],
            &[b'a', 0, b'b'],
        ] {
            let mut out = Vec::new();
            Writer::new(&mut out).binary(bytes);
            assert!(Reader::new(&out).string().is_err(), "{bytes:x?}");
        }
        assert_eq!(Reader::new(b"\0\x03\xEF\xBB\xBF").string(), Ok("\u{FEFF}"));
    }

    proptest! {
        #[test]
        fn what_is_counted_is_what_is_written(
            text in "[^\\x00]{0,40}", number: u32, length in 0..VARINT_MAX,
        ) {
            let write = |writer: &mut Writer<'_>| {
                writer.string(&text);
                writer.varint(length);
                writer.properties(|section| section.u32(number));
            };
            let mut out = Vec::new();
            write(&mut Writer::new(&mut out));
            prop_assert_eq!(Writer::count(write), out.len());
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.string(), Ok(&*text));
        }
    }
}
