//! Hexadecimal digits of bytes that may be secret: no copy of them stays behind.

use std::fmt::Write;

use zeroize::Zeroizing;

/// The bytes that `text` writes in digits of either case, if it does so for exactly `N`.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = Zeroizing::new([0; N]);
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    let value = char::from(character).to_digit(16)?;
    u8::try_from(value).ok()
}

/// `bytes` in lower-case digits.
pub(crate) fn encode(bytes: &[u8]) -> Zeroizing<String> {
    // Room for all of it: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = [0x00, 0x7f, 0x80, 0xff];
        assert_eq!(*encode(&bytes), "007f80ff");
        assert_eq!(decode::<4>("007F80ff").as_deref(), Some(&bytes));
        assert_eq!(decode::<0>("").as_deref(), Some(&[]));
    }

    #[test]
    fn too_few_digits_too_many_and_others_are_refused() {
        for text in ["", "00", "00000", "000000", "0g00", "+100", "0x00", " 000", "é0"] {
            assert!(decode::<2>(text).is_none(), "{text:?}");
        }
    }
}
