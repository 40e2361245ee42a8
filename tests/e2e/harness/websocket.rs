//! A WebSocket client that sends any frames whatever, and shows the very frames that come back. It
//! encodes by itself: what the broker's library gets wrong must not be wrong here in the same way.

use super::raw::RawClient;

/// Opcodes of RFC 6455 section 5.2.
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;
/// The last frame of its message.
const FINAL: u8 = 0x80;

/// The head of a request that is accepted, but for the end of its headers.
pub(crate) const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// The header that a request for MQTT cannot do without.
pub(crate) const MQTT: &str = "Sec-WebSocket-Protocol: mqtt\r\n";

/// A frame from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WsFrame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// A connection that has become a WebSocket.
pub(crate) struct WsClient {
    stream: RawClient,
    /// What binary frames have brought, up to the next whole packet.
    bytes: Vec<u8>,
}

impl WsClient {
    /// Opens a WebSocket on a connection on which nothing has been said.
    pub(crate) fn open(mut stream: RawClient) -> Self {
        stream.send(format!("{REQUEST}{MQTT}\r\n").as_bytes());
        let answer = read_head(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        // RFC 6455 section 1.3: the answer to this key.
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        Self { stream, bytes: Vec::new() }
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.send(bytes);
    }

    /// Sends `payload` in one frame, the last of its message.
    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.stream.send(&frame(opcode, payload));
    }

    /// The next frame, or `None` when the connection has ended.
    pub(crate) fn read_frame(&mut self) -> Option<WsFrame> {
        let [first, length] = self.stream.read_bytes()?;
        assert_eq!(first & 0x70, 0, "reserved bits in {first:02x}");
        assert_eq!(first & FINAL, FINAL, "the broker never fragments");
        let length = match length {
            126 => usize::from(u16::from_be_bytes(self.stream.read_bytes()?)),
            127 => usize::try_from(u64::from_be_bytes(self.stream.read_bytes()?)).expect("small"),
            length => usize::from(length),
        };
        assert!(length < 1 << 24, "masked, or far too long: {length}");
        Some(WsFrame { opcode: first & 0x0F, payload: self.stream.read_vec(length)? })
    }

    /// The next MQTT packet, whole, in however many binary frames.
    pub(crate) fn read_packet(&mut self) -> Vec<u8> {
        loop {
            if let Some(length) = packet_length(&self.bytes)
                && length <= self.bytes.len()
            {
                return self.bytes.drain(..length).collect();
            }
            let frame = self.read_frame().expect("a packet before the end");
            assert_eq!(frame.opcode, BINARY, "{frame:?}");
            self.bytes.extend(frame.payload);
        }
    }

    /// Fails unless the broker closes with `code`, and then the connection ends.
    pub(crate) fn expect_close(&mut self, code: u16) {
        let frame = self.read_frame().expect("a close before the end");
        assert_eq!(frame, WsFrame { opcode: CLOSE, payload: code.to_be_bytes().to_vec() });
        assert_eq!(self.read_frame(), None, "the connection goes on");
    }

    /// Fails unless the broker says that it closes, as it does after a farewell of MQTT, and the
    /// connection below then ends in order.
    pub(crate) fn expect_orderly_end(&mut self) {
        const NORMAL: u16 = 1_000;
        let frame = self.read_frame().expect("a close before the end");
        assert_eq!(frame, WsFrame { opcode: CLOSE, payload: NORMAL.to_be_bytes().to_vec() });
        self.stream.expect_orderly_end();
    }
}

/// A masked frame, the last of its message.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    encoded(FINAL | opcode, payload)
}

/// A masked frame that its message goes on after.
pub(crate) fn fragment(opcode: u8, payload: &[u8]) -> Vec<u8> {
    encoded(opcode, payload)
}

fn encoded(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x3C, 0xA1, 0x00, 0xFF];
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
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// Sends an HTTP request; the answer, up to the end of its headers.
pub(crate) fn answer_to(mut stream: RawClient, request: &str) -> String {
    stream.send(request.as_bytes());
    read_head(&mut stream)
}

fn read_head(stream: &mut RawClient) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let [byte] = stream.read_bytes().expect("an answer before the end");
        head.push(byte);
    }
    String::from_utf8(head).expect("text")
}

fn packet_length(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (at, byte) in bytes.iter().skip(1).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(2 + at + length);
        }
    }
    None
}
