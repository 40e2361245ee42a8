//! Why bytes are not an envelope.

/// What the parser found wrong, and where: offsets count from the first byte of the magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end within the fixed header or within a TLV.
    #[error("it ends in the middle of what begins at byte {0}")]
    Truncated(usize),
    /// The first two bytes are not 0xBA 0x57: an ordinary payload, most likely.
    #[error("it does not begin with the magic of an envelope")]
    NotAnEnvelope,
    /// A version other than 1.
    #[error("it is of version {0}, and only version 1 is known")]
    UnknownVersion(u8),
    /// The reserved byte is not zero.
    #[error("its reserved byte is not 0")]
    ReservedByte,
    /// A type below 0x80 that this version does not know.
    #[error("it has the critical type {tag:#04x} at byte {at}, which is not known")]
    UnknownCritical {
        /// The type.
        tag: u8,
        /// Where the TLV begins.
        at: usize,
    },
    /// The type stands a second time, or behind its place.
    #[error("the type {tag:#04x} at byte {at} has had its place already")]
    Duplicate {
        /// The type.
        tag: u8,
        /// Where the TLV begins.
        at: usize,
    },
    /// A non-critical type stands elsewhere than between TIME and the body, or behind a higher one.
    #[error("the type {tag:#04x} at byte {at} is out of order")]
    OutOfOrder {
        /// The type.
        tag: u8,
        /// Where the TLV begins.
        at: usize,
    },
    /// A required type does not stand in its place.
    #[error("the type {0:#04x} is missing, or not in its place")]
    Missing(u8),
    /// The value is shorter or longer than one of its type may be, or its length is extended where
    /// it may or need not be.
    #[error("the length of the type {tag:#04x} at byte {at} is wrong")]
    Length {
        /// The type.
        tag: u8,
        /// Where the TLV begins.
        at: usize,
    },
    /// The value is none that its type may have.
    #[error("the value of the type {tag:#04x} at byte {at} is wrong")]
    Value {
        /// The type.
        tag: u8,
        /// Where the TLV begins.
        at: usize,
    },
    /// A suite with the body of the other: CIPHERTEXT belongs to suite 1, PLAINTEXT to suite 2.
    #[error("its body is not that of its suite")]
    BodyOfAnotherSuite,
    /// Bytes behind the HMAC.
    #[error("something follows the HMAC, at byte {0}")]
    Trailing(usize),
}
