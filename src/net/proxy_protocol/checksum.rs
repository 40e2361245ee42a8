//! CRC-32C (RFC 4960 appendix B), bit by bit: some microseconds for a header, and no table.

use std::ops::Range;

/// The polynomial of Castagnoli, its bits in reverse.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The checksum of `bytes`, those in `blank` taken for zeros: the place of the checksum itself.
pub(super) fn crc32c(bytes: &[u8], blank: Range<usize>) -> u32 {
    let bytes = bytes.iter().enumerate().map(|(at, byte)| match blank.contains(&at) {
        true => 0,
        false => *byte,
    });
    !bytes.fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

fn step(crc: u32) -> u32 {
    (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_of_known_texts_are_known() {
        // RFC 3720 appendix B.4, and the check value of CRC-32C.
        assert_eq!(crc32c(&[0; 32], 0..0), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32], 0..0), 0x62A8_AB43);
        assert_eq!(crc32c(b"123456789", 0..0), 0xE306_9283);
    }

    #[test]
    fn what_is_blank_counts_as_zeros() {
        assert_eq!(
            crc32c(b"1234\xAA\xBB\xCC\xDD56789", 4..8),
            crc32c(b"1234\0\0\0\x0056789", 0..0)
        );
    }
}
