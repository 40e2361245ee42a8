//! The serial number of a certificate: what its authority takes it back by.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use x509_parser::certificate::X509Certificate;

/// Bytes of the longest (RFC 5280, section 4.1.2.2).
const MAX_BYTES: usize = 20;

/// A serial number, without the zeros at its front. Shown in lower-case hexadecimal digits, two for
/// each byte, as the `serial` that policies go by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(Box<[u8]>);

/// What is not a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("1 to 40 hexadecimal digits are wanted, with colons between them or without")]
pub struct NotASerial;

impl Serial {
    /// That of a certificate.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        Self::from_bytes(certificate.raw_serial())
    }

    /// From its bytes, the first of which may be there for the sign alone.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        // The zero itself has one byte.
        let zeros = zeros.min(bytes.len().saturating_sub(1));
        Self(bytes.get(zeros..).unwrap_or_default().into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Serial {
    type Err = NotASerial;

    /// Reads what this broker shows, and what OpenSSL shows.
    fn from_str(text: &str) -> Result<Self, NotASerial> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        if digits.is_empty() || digits.len() > 2 * MAX_BYTES {
            return Err(NotASerial);
        }
        let digit = |digit: u8| {
            let value = char::from(digit).to_digit(16).ok_or(NotASerial)?;
            u8::try_from(value).map_err(|_| NotASerial)
        };
        // From the end: the first digit may be alone.
        let bytes = digits
            .rchunks(2)
            .rev()
            .map(|pair| pair.iter().try_fold(0, |value, each| Ok(value << 4 | digit(*each)?)));
        Ok(Self::from_bytes(&bytes.collect::<Result<Vec<_>, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_read_as_it_is_shown_here_and_by_openssl() {
        for text in ["4f00a1", "4F:00:A1", "004f00a1", "00:4f:00:a1"] {
            assert_eq!(text.parse::<Serial>().unwrap().to_string(), "4f00a1", "{text}");
        }
        assert_eq!("7".parse::<Serial>().unwrap().to_string(), "07");
        assert_eq!("00".parse::<Serial>().unwrap().to_string(), "00");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", ":", "0x1f", "g", "1 2", "-1", "ä", &"1".repeat(41)] {
            assert_eq!(text.parse::<Serial>(), Err(NotASerial), "{text}");
        }
    }
}
