//! An envelope in somebody else's memory, parsed strictly and without copying.

use super::tlv::{HEADER, NON_CRITICAL, Tlvs, tag};
use super::{KeyId, Malformed, Tlv};

/// The first two bytes of every envelope.
pub const MAGIC: [u8; 2] = [0xBA, 0x57];

/// The only version there is.
pub(super) const VERSION: u8 = 1;

/// Bytes before the first TLV.
pub(super) const FIXED: usize = 4;

/// Bytes of the tag of AES-GCM.
pub(super) const GCM_TAG: usize = 16;

/// Bytes of the HMAC with its type and length.
pub(super) const HMAC_TLV: usize = HEADER + 32;

/// The critical types.
const KNOWN: [u8; 10] = [
    tag::SUITE,
    tag::KEY_ID,
    tag::SENDER,
    tag::STREAM,
    tag::SEQ,
    tag::TIME,
    tag::CIPHERTEXT,
    tag::PLAINTEXT,
    tag::SIGNATURE,
    tag::HMAC,
];

/// How long a sender's name may be, in bytes.
pub const MAX_SENDER: usize = 128;

/// How the body is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// 1: AES-256-GCM and HMAC-SHA-256.
    Sealed,
    /// 2: HMAC-SHA-256 alone; whoever sees the envelope reads it.
    Signed,
}

impl Suite {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Sealed => 1,
            Self::Signed => 2,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Sealed),
            2 => Some(Self::Signed),
            _ => None,
        }
    }
}

/// A signature by the sender's own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// By which algorithm.
    pub algorithm: Algorithm,
    /// The signature.
    pub bytes: &'a [u8; 64],
}

/// The algorithms of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// 1: Ed25519 (RFC 8032).
    Ed25519,
    /// 2: ECDSA on P-256 with SHA-256; r, then s.
    P256,
}

impl Algorithm {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::P256 => 2,
        }
    }
}

/// An envelope whose form is right. Nothing of it has been proven: see [`Verifier`].
///
/// [`Verifier`]: super::Verifier
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    bytes: &'a [u8],
    suite: Suite,
    key_id: KeyId,
    sender: &'a str,
    stream: [u8; 16],
    seq: u64,
    time_ms: u64,
    content_type: Option<&'a str>,
    trace: Option<&'a str>,
    /// Where the TLV of the body begins, and where it ends.
    body_at: usize,
    body_end: usize,
    body: &'a [u8],
    signature: Option<Signature<'a>>,
    tag: &'a [u8; 32],
}

impl<'a> Envelope<'a> {
    /// Reads an envelope that takes up all of `bytes`. Allocates nothing.
    ///
    /// # Errors
    /// The first thing that is not as the format has it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        check_fixed(bytes)?;
        let mut reader = Reader { bytes, at: FIXED };
        let suite_at = reader.at;
        let [number] = reader.fixed(tag::SUITE)?;
        let unknown = Malformed::Value { tag: tag::SUITE, at: suite_at };
        let suite = Suite::from_number(number).ok_or(unknown)?;
        let key_id = KeyId(reader.fixed(tag::KEY_ID)?);
        let sender = sender_of(reader.required(tag::SENDER)?)?;
        let stream = reader.fixed(tag::STREAM)?;
        let seq_at = reader.at;
        let seq = u64::from_be_bytes(reader.fixed(tag::SEQ)?);
        if seq == 0 {
            return Err(Malformed::Value { tag: tag::SEQ, at: seq_at });
        }
        let time_ms = u64::from_be_bytes(reader.fixed(tag::TIME)?);
        let (content_type, trace) = reader.optional_ones()?;
        let body = reader.body(suite)?;
        let body_end = reader.at;
        let signature = reader.signature()?;
        let tag = reader.fixed_in_place(tag::HMAC)?;
        if reader.at < bytes.len() {
            return Err(Malformed::Trailing(reader.at));
        }
        Ok(Self {
            bytes,
            suite,
            key_id,
            sender,
            stream,
            seq,
            time_ms,
            content_type,
            trace,
            body_at: body.at,
            body_end,
            body: body.value,
            signature,
            tag,
        })
    }

    /// How the body is protected.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Which topic key it says it is sealed under.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Who it says sealed it, 1-128 bytes.
    #[must_use]
    pub fn sender(&self) -> &'a str {
        self.sender
    }

    /// The sender's stream.
    #[must_use]
    pub fn stream(&self) -> [u8; 16] {
        self.stream
    }

    /// Its place in the stream, from 1.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// When it says it was sealed, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// What the payload is, where it says so.
    #[must_use]
    pub fn content_type(&self) -> Option<&'a str> {
        self.content_type
    }

    /// The W3C traceparent, where it has one; printable ASCII.
    #[must_use]
    pub fn trace(&self) -> Option<&'a str> {
        self.trace
    }

    /// The value of CIPHERTEXT (with the tag of AES-GCM) or PLAINTEXT.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Bytes of the payload.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        match self.suite {
            Suite::Sealed => self.body.len() - GCM_TAG,
            Suite::Signed => self.body.len(),
        }
    }

    /// The sender's signature, where it has one.
    #[must_use]
    pub fn signature(&self) -> Option<Signature<'a>> {
        self.signature
    }

    /// The HMAC.
    #[must_use]
    pub fn tag(&self) -> &'a [u8; 32] {
        self.tag
    }

    /// Every type with its value, in order, private and unknown ones too.
    #[must_use]
    pub fn tlvs(&self) -> Tlvs<'a> {
        Tlvs::from(self.bytes, FIXED)
    }

    /// The value of a type, such as one for private use (0x90-0xEF).
    #[must_use]
    pub fn value_of(&self, tag: u8) -> Option<&'a [u8]> {
        self.tlvs().find(|tlv| tlv.tag == tag).map(|tlv| tlv.value)
    }

    /// What AES-GCM authenticates besides the context.
    pub(super) fn before_body(&self) -> &'a [u8] {
        self.bytes.get(..self.body_at).unwrap_or_default()
    }

    /// What the sender's signature covers besides the context.
    pub(super) fn through_body(&self) -> &'a [u8] {
        self.bytes.get(..self.body_end).unwrap_or_default()
    }

    /// What the HMAC covers besides the context.
    pub(super) fn before_tag(&self) -> &'a [u8] {
        self.bytes.get(..self.bytes.len() - HMAC_TLV).unwrap_or_default()
    }
}

fn check_fixed(bytes: &[u8]) -> Result<(), Malformed> {
    if !bytes.starts_with(&MAGIC) {
        let cut = MAGIC.starts_with(bytes);
        return Err(if cut { Malformed::Truncated(0) } else { Malformed::NotAnEnvelope });
    }
    match bytes.get(MAGIC.len()..FIXED) {
        Some([VERSION, 0]) => Ok(()),
        Some([VERSION, _]) => Err(Malformed::ReservedByte),
        Some([version, _]) => Err(Malformed::UnknownVersion(*version)),
        _ => Err(Malformed::Truncated(0)),
    }
}

fn sender_of<'a>(tlv: Tlv<'a>) -> Result<&'a str, Malformed> {
    if tlv.value.is_empty() || tlv.value.len() > MAX_SENDER {
        return Err(tlv.wrong_length());
    }
    str::from_utf8(tlv.value).map_err(|_| tlv.wrong_value())
}

/// Takes TLVs in the order of the format.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The value of the type that must stand here, of exactly so many bytes.
    fn fixed<const N: usize>(&mut self, tag: u8) -> Result<[u8; N], Malformed> {
        self.fixed_in_place(tag).copied()
    }

    /// Most of an envelope is of one form: it is compared with that, and looked into only where it differs.
    fn fixed_in_place<const N: usize>(&mut self, tag: u8) -> Result<&'a [u8; N], Malformed> {
        let rest = self.bytes.get(self.at..).and_then(|rest| rest.split_first_chunk());
        if let Some((header, rest)) = rest
            && *header == [tag, 0, N as u8]
            && let Some((value, _)) = rest.split_first_chunk()
        {
            self.at += HEADER + N;
            return Ok(value);
        }
        match self.required(tag) {
            Ok(tlv) => Err(tlv.wrong_length()),
            Err(why) => Err(why),
        }
    }

    /// The type that must stand here.
    fn required(&mut self, tag: u8) -> Result<Tlv<'a>, Malformed> {
        match self.read()? {
            Some(tlv) if tlv.tag == tag => Ok(tlv),
            Some(tlv) => Err(misplaced(tlv, tag)),
            None => Err(Malformed::Missing(tag)),
        }
    }

    fn read(&mut self) -> Result<Option<Tlv<'a>>, Malformed> {
        let mut tlvs = Tlvs::from(self.bytes, self.at);
        let tlv = tlvs.read()?;
        self.at = tlvs.at();
        Ok(tlv)
    }

    /// The type that stands here.
    fn next_tag(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The non-critical ones: each type at most once, the lower first.
    fn optional_ones(&mut self) -> Result<(Option<&'a str>, Option<&'a str>), Malformed> {
        let (mut content_type, mut trace, mut last) = (None, None, None);
        while self.next_tag().is_some_and(|tag| tag >= NON_CRITICAL) {
            let Some(tlv) = self.read()? else { break };
            let (tag, at) = (tlv.tag, tlv.at);
            if last == Some(tag) {
                return Err(Malformed::Duplicate { tag, at });
            }
            if last > Some(tag) {
                return Err(Malformed::OutOfOrder { tag, at });
            }
            last = Some(tag);
            match tag {
                tag::CONTENT_TYPE => content_type = Some(text(tlv)?),
                tag::TRACE => trace = Some(text(tlv).and_then(|text| printable(tlv, text))?),
                _ => {}
            }
        }
        Ok((content_type, trace))
    }

    fn body(&mut self, suite: Suite) -> Result<Tlv<'a>, Malformed> {
        let (wanted, other) = match suite {
            Suite::Sealed => (tag::CIPHERTEXT, tag::PLAINTEXT),
            Suite::Signed => (tag::PLAINTEXT, tag::CIPHERTEXT),
        };
        if self.next_tag() == Some(other) {
            return Err(Malformed::BodyOfAnotherSuite);
        }
        let body = self.required(wanted)?;
        if suite == Suite::Sealed && body.value.len() < GCM_TAG {
            return Err(body.wrong_length());
        }
        Ok(body)
    }

    fn signature(&mut self) -> Result<Option<Signature<'a>>, Malformed> {
        if self.next_tag() != Some(tag::SIGNATURE) {
            return Ok(None);
        }
        let tlv = self.required(tag::SIGNATURE)?;
        let (number, bytes) = tlv.value.split_first().ok_or(tlv.wrong_length())?;
        let algorithm = match number {
            1 => Algorithm::Ed25519,
            2 => Algorithm::P256,
            _ => return Err(tlv.wrong_value()),
        };
        let bytes = bytes.try_into().map_err(|_| tlv.wrong_length())?;
        Ok(Some(Signature { algorithm, bytes }))
    }
}

/// Why `found` stands where `wanted` must. The critical types stand in the order of their numbers.
fn misplaced(found: Tlv<'_>, wanted: u8) -> Malformed {
    let Tlv { tag, at, .. } = found;
    match tag {
        NON_CRITICAL.. => Malformed::OutOfOrder { tag, at },
        _ if !KNOWN.contains(&tag) => Malformed::UnknownCritical { tag, at },
        _ if tag < wanted => Malformed::Duplicate { tag, at },
        _ => Malformed::Missing(wanted),
    }
}

fn printable<'a>(tlv: Tlv<'_>, text: &'a str) -> Result<&'a str, Malformed> {
    match text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => Ok(text),
        false => Err(tlv.wrong_value()),
    }
}

fn text<'a>(tlv: Tlv<'a>) -> Result<&'a str, Malformed> {
    str::from_utf8(tlv.value).map_err(|_| tlv.wrong_value())
}
