//! What a client says on a WebSocket (RFC 6455 section 5), taken apart where it stands. Payloads are
//! never collected: neither a length nor a fragmented message costs memory.

use std::io::Cursor;

use smallvec::SmallVec;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// Bytes of the longest header: two, a length of eight, a mask of four.
const MAX_HEADER: usize = 14;
/// Bytes of the largest payload of a control frame.
const MAX_CONTROL: u64 = 125;

/// The frames of one client.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The beginning of a header whose rest has not arrived.
    header: SmallVec<[u8; MAX_HEADER]>,
    /// The frame whose payload has not arrived whole.
    frame: Option<OpenFrame>,
    /// Whether the frames so far leave a message unfinished.
    is_in_message: bool,
    ping: Option<Vec<u8>>,
    end: Option<End>,
}

#[derive(Debug)]
struct OpenFrame {
    header: FrameHeader,
    /// The mask, turned to the next byte.
    mask: [u8; 4],
    left: u64,
    /// The payload so far, of a control frame alone.
    control: Vec<u8>,
}

/// Why nothing more is taken from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It closes, for the reason that it may have given.
    Closed(Option<CloseCode>),
    Violated(Violation),
}

/// How a client broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("a text frame: MQTT travels in binary frames [MQTT-6.0.0-1]")]
    Text,
    #[error("a frame without a mask")]
    Unmasked,
    #[error("a bit that only extensions use")]
    Reserved,
    #[error("a frame of no known kind, or of an impossible length")]
    Header,
    #[error("a control frame that is too long, in parts, or not as its kind must be")]
    Control,
    #[error("a message within a message, or the continuation of none")]
    Fragment,
}

impl Violation {
    pub(super) fn close_code(self) -> CloseCode {
        match self {
            Self::Text => CloseCode::Unsupported,
            _ => CloseCode::Protocol,
        }
    }
}

impl Incoming {
    /// Takes frames apart: moves what they carry to the front of `bytes`, and says how many bytes
    /// that is. Nothing is taken after the end.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> usize {
        let (mut read, mut kept) = (0, 0);
        while read < bytes.len() && self.end.is_none() {
            let rest = bytes.get_mut(read..).unwrap_or_default();
            let Some(frame) = &mut self.frame else {
                read += self.take_header(rest);
                continue;
            };
            let payload = frame.take(rest);
            if matches!(frame.header.opcode, OpCode::Data(_)) {
                bytes.copy_within(read..read + payload, kept);
                kept += payload;
            }
            read += payload;
            self.finish_frame();
        }
        kept
    }

    /// The payload of the last ping that has not been answered: earlier ones need no answer.
    pub(super) fn take_ping(&mut self) -> Option<Vec<u8>> {
        self.ping.take()
    }

    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    /// How many bytes of `rest` belong to the next header.
    fn take_header(&mut self, rest: &[u8]) -> usize {
        if self.header.is_empty() {
            // As a rule the header is there whole.
            let taken = self.parse_header(rest);
            if taken == 0 && self.end.is_none() {
                self.header.extend_from_slice(rest);
                return rest.len();
            }
            return taken;
        }
        let Some(byte) = rest.first() else { return 0 };
        let mut header = std::mem::take(&mut self.header);
        header.push(*byte);
        if self.parse_header(&header) == 0 {
            self.header = header;
        }
        1
    }

    /// Opens the frame whose header `bytes` begin with; how long that is, or 0 when it is not whole.
    fn parse_header(&mut self, bytes: &[u8]) -> usize {
        let mut cursor = Cursor::new(bytes);
        match FrameHeader::parse(&mut cursor) {
            Ok(None) => return 0,
            Ok(Some((header, length))) => match self.check(&header, length) {
                Ok(mask) => {
                    let control = Vec::new();
                    self.frame = Some(OpenFrame { header, mask, left: length, control });
                }
                Err(violation) => self.end = Some(End::Violated(violation)),
            },
            Err(_) => self.end = Some(End::Violated(Violation::Header)),
        }
        self.finish_frame();
        usize::try_from(cursor.position()).unwrap_or(usize::MAX)
    }

    /// The mask of a frame that may come now.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<[u8; 4], Violation> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::Reserved);
        }
        let mask = header.mask.ok_or(Violation::Unmasked)?;
        match header.opcode {
            OpCode::Control(_) if !header.is_final || length > MAX_CONTROL => {
                Err(Violation::Control)
            }
            // RFC 6455 section 5.2: the most significant bit is 0.
            _ if length > i64::MAX as u64 => Err(Violation::Header),
            OpCode::Data(Data::Text) => Err(Violation::Text),
            OpCode::Data(Data::Continue) if !self.is_in_message => Err(Violation::Fragment),
            OpCode::Data(Data::Binary) if self.is_in_message => Err(Violation::Fragment),
            _ => Ok(mask),
        }
    }

    /// Closes the frame once its payload is whole.
    fn finish_frame(&mut self) {
        let Some(frame) = self.frame.take_if(|frame| frame.left == 0) else { return };
        match frame.header.opcode {
            OpCode::Data(_) => self.is_in_message = !frame.header.is_final,
            OpCode::Control(Control::Ping) => self.ping = Some(frame.control),
            OpCode::Control(Control::Close) => self.end = Some(end_of(&frame.control)),
            OpCode::Control(_) => {}
        }
    }
}

impl OpenFrame {
    /// Unmasks what `bytes` have of the payload; how many bytes that is.
    fn take(&mut self, bytes: &mut [u8]) -> usize {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let payload = bytes.get_mut(..count).unwrap_or_default();
        unmask(payload, self.mask);
        self.mask.rotate_left(count % 4);
        self.left -= count as u64;
        if matches!(self.header.opcode, OpCode::Control(_)) {
            self.control.extend_from_slice(payload);
        }
        count
    }
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let key = u32::from_ne_bytes(mask);
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// RFC 6455 section 5.5.1: a code of two bytes that may travel, and a text; or nothing.
fn end_of(payload: &[u8]) -> End {
    let Some((code, reason)) = payload.split_first_chunk() else {
        let is_empty = payload.is_empty();
        return if is_empty { End::Closed(None) } else { End::Violated(Violation::Control) };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if code.is_allowed() && std::str::from_utf8(reason).is_ok() {
        End::Closed(Some(code))
    } else {
        End::Violated(Violation::Control)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BINARY: u8 = 0x82;
    const PING: u8 = 0x89;
    const CLOSE: u8 = 0x88;

    /// A masked frame, encoded without the library that decodes it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0xA5, 0x00, 0x5A, 0xFF];
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..126 => bytes.push(0x80 | length as u8),
            length @ 126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// What comes of `bytes` that arrive in pieces of `size`.
    fn take_in_pieces(bytes: &[u8], size: usize) -> (Vec<u8>, Incoming) {
        let mut incoming = Incoming::default();
        let mut taken = Vec::new();
        for piece in bytes.chunks(size) {
            let mut piece = piece.to_vec();
            let count = incoming.take(&mut piece);
            taken.extend_from_slice(&piece[..count]);
        }
        (taken, incoming)
    }

    fn end_after(bytes: &[u8]) -> Option<End> {
        let ends: Vec<_> = [1, 2, 3, usize::MAX]
            .map(|size| take_in_pieces(bytes, size.min(bytes.len())).1.end())
            .into();
        assert!(ends.iter().all(|end| *end == ends[0]), "{bytes:02x?}: {ends:?}");
        ends[0]
    }

    #[test]
    fn frames_are_taken_apart_wherever_they_are_cut() {
        let payloads: [&[u8]; 5] = [b"", b"a", &[7; 125], &[8; 126], &[9; 70_000]];
        let bytes = payloads.map(|payload| frame(BINARY, payload)).concat();
        for size in [1, 2, 3, 5, 13, 127, 4_096, bytes.len()] {
            let (taken, incoming) = take_in_pieces(&bytes, size);
            assert!(taken == payloads.concat(), "in pieces of {size}");
            assert_eq!(incoming.end(), None);
        }
    }

    #[test]
    fn a_message_in_fragments_is_passed_on_as_it_comes() {
        let bytes = [
            frame(0x02, b"one "),
            frame(PING, b"between"),
            frame(0x00, b""),
            frame(0x00, b"two "),
            frame(0x80, b"three"),
            frame(BINARY, b" four"),
        ]
        .concat();
        for size in 1..bytes.len() {
            let (taken, mut incoming) = take_in_pieces(&bytes, size);
            assert_eq!(taken, b"one two three four");
            assert_eq!(incoming.take_ping(), Some(b"between".to_vec()));
            assert_eq!(incoming.end(), None);
        }
    }

    #[test]
    fn what_came_before_a_violation_is_kept_and_nothing_after_it() {
        let bytes = [frame(BINARY, b"before"), frame(0x81, b"text"), frame(BINARY, b"after")];
        for size in [1, 7, 1_000] {
            let (taken, incoming) = take_in_pieces(&bytes.concat(), size);
            assert_eq!(taken, b"before");
            assert_eq!(incoming.end(), Some(End::Violated(Violation::Text)));
        }
    }

    #[test]
    fn every_broken_rule_is_a_violation() {
        let impossible = [&[BINARY, 0xFF, 0x80][..], &[0; 11]].concat();
        for (bytes, violation) in [
            (frame(0x81, b"text"), Violation::Text),
            (frame(0x01, b""), Violation::Text),
            (vec![BINARY, 3, 1, 2, 3], Violation::Unmasked),
            (frame(BINARY | 0x40, b""), Violation::Reserved),
            (frame(BINARY | 0x20, b""), Violation::Reserved),
            (frame(BINARY | 0x10, b""), Violation::Reserved),
            (frame(0x83, b""), Violation::Header),
            (frame(0x8B, b""), Violation::Header),
            (impossible, Violation::Header),
            (frame(PING, &[0; 126]), Violation::Control),
            (frame(0x09, b"part of a ping"), Violation::Control),
            (frame(CLOSE, &[3]), Violation::Control),
            (frame(CLOSE, &1005_u16.to_be_bytes()), Violation::Control),
            (frame(CLOSE, &[0x03, 0xE8, 0xFF]), Violation::Control),
            (frame(0x80, b"of nothing"), Violation::Fragment),
            ([frame(0x02, b"a"), frame(BINARY, b"b")].concat(), Violation::Fragment),
        ] {
            assert_eq!(end_after(&bytes), Some(End::Violated(violation)), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_close_is_understood_with_and_without_a_reason() {
        assert_eq!(end_after(&frame(CLOSE, b"")), Some(End::Closed(None)));
        let normal = Some(End::Closed(Some(CloseCode::Normal)));
        assert_eq!(end_after(&frame(CLOSE, &[0x03, 0xE8])), normal);
        assert_eq!(end_after(&frame(CLOSE, b"\x03\xE8bye")), normal);
    }

    #[test]
    fn the_last_ping_is_the_one_to_be_answered() {
        let bytes = [frame(PING, b"first"), frame(0x8A, b"pong"), frame(PING, b"second")].concat();
        let (_, mut incoming) = take_in_pieces(&bytes, bytes.len());
        assert_eq!(incoming.take_ping(), Some(b"second".to_vec()));
        assert_eq!(incoming.take_ping(), None);
    }

    #[test]
    fn a_frame_that_announces_exabytes_costs_nothing() {
        let mut bytes = [&[BINARY, 0xFF][..], &(i64::MAX as u64).to_be_bytes(), &[0; 4]].concat();
        bytes.extend([1, 2, 3]);
        let (taken, incoming) = take_in_pieces(&bytes, bytes.len());
        assert_eq!((taken, incoming.end()), (vec![1, 2, 3], None));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_end_alike(
            bytes in prop::collection::vec(any::<u8>(), 1..300),
            size in 1_usize..300,
        ) {
            let (whole, at_once) = take_in_pieces(&bytes, bytes.len());
            let (parts, in_pieces) = take_in_pieces(&bytes, size);
            prop_assert_eq!(whole, parts);
            prop_assert_eq!(at_once.end(), in_pieces.end());
        }
    }
}
