//! Any bytes as what a WebSocket client sends, up to a blank line its request and then its frames; or
//! frames alone, after a request that is right. No panic; the same is read and answered however the
//! bytes arrive; and it is what a naive reader makes of them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bastionmq::net::WebSocketSettings;
use bastionmq::net::websocket::{UpgradeError, WebSocket, accept};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::{Builder, Runtime};

const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: broker.example\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
const BLANK_LINE: &[u8] = b"\r\n\r\n";
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

pub(crate) fn check(bytes: &[u8]) {
    let end = bytes.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE);
    let (request, frames) =
        end.map_or((REQUEST, bytes), |end| bytes.split_at(end + BLANK_LINE.len()));
    let whole = Conversation::over(request, frames, usize::MAX);
    for piece in [1, 5] {
        assert_eq!(Conversation::over(request, frames, piece), whole, "in pieces of {piece}");
    }
    if whole.upgrade.is_ok() {
        assert_eq!(whole.answer, expected(frames));
    }
}

/// What comes of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Conversation {
    /// What was answered to the request: why there is no WebSocket.
    upgrade: Result<(), String>,
    response: Vec<u8>,
    answer: Answer,
}

/// What comes of frames.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    /// What binary frames carried.
    payload: Vec<u8>,
    /// The payload of the close frame that the broker sends.
    close: Option<Vec<u8>>,
}

impl Conversation {
    /// Sends what arrives back where it came from.
    fn over(request: &[u8], frames: &[u8], piece: usize) -> Self {
        RUNTIME.block_on(async {
            let mut wire = Wire { request, frames, piece, written: Vec::new() };
            let settings = WebSocketSettings::default();
            let mut socket = match accept(&mut wire, ADDRESS, &settings).await {
                Ok(socket) => socket,
                Err(error) => {
                    let upgrade = Err(match error {
                        UpgradeError::Broken(error) => error.kind().to_string(),
                        UpgradeError::Refused(refused) => refused.to_string(),
                    });
                    let (response, answer) = (wire.written, Answer::default());
                    return Self { upgrade, response, answer };
                }
            };
            let payload = echo(&mut socket).await;
            drop(socket);
            let end = wire.written.windows(BLANK_LINE.len()).position(|it| it == BLANK_LINE);
            let frames = wire.written.split_off(end.expect("a response") + BLANK_LINE.len());
            let (echoed, close) = heard(&frames);
            assert!(payload.starts_with(&echoed), "{payload:x?} {echoed:x?}");
            assert!(close.is_some() || payload == echoed, "{payload:x?} {echoed:x?}");
            Self { upgrade: Ok(()), response: wire.written, answer: Answer { payload, close } }
        })
    }
}

/// Reads to the end, and writes what was read as far as it can be.
async fn echo(socket: &mut WebSocket<&mut Wire<'_>>) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut buffer = [0; 300];
    while let Ok(count @ 1..) = socket.read(&mut buffer).await {
        payload.extend_from_slice(&buffer[..count]);
        let _ = socket.write_all(&buffer[..count]).await;
    }
    let _ = socket.flush().await;
    payload
}

/// What a client makes of the frames of the broker: the payload of binary ones, and of a close.
fn heard(mut bytes: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut payload = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (length, rest) = match (*length, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (length, rest) => (usize::from(length), rest),
        };
        let (content, rest) = rest.split_at(length);
        match first {
            0x82 => payload.extend_from_slice(content),
            0x8A => assert!(length <= 125),
            0x88 => {
                assert!(rest.is_empty(), "frames after a close");
                return (payload, Some(content.to_vec()));
            }
            other => panic!("a frame of kind {other:x}"),
        }
        bytes = rest;
    }
    (payload, None)
}

/// RFC 6455 section 5, one frame after the other.
fn expected(mut bytes: &[u8]) -> Answer {
    let mut answer = Answer::default();
    let mut is_in_message = false;
    while let Some((header, rest)) = header(bytes) {
        let kind = header.first & 0x0F;
        let is_final = header.first & 0x80 != 0;
        let code: u16 = match kind {
            _ if header.first & 0x70 != 0 => 1002,
            3..=7 | 11.. => 1002,
            8.. if !is_final || header.length > 125 => 1002,
            _ if header.mask.is_none() || header.length >> 63 != 0 => 1002,
            1 => 1003,
            0 if !is_in_message => 1002,
            2 if is_in_message => 1002,
            _ => 0,
        };
        if code > 0 {
            answer.close = Some(code.to_be_bytes().to_vec());
            break;
        }
        let there = rest.len().min(usize::try_from(header.length).unwrap_or(usize::MAX));
        let keys = header.mask.into_iter().flatten().cycle();
        let content: Vec<_> =
            rest[..there].iter().zip(keys).map(|(byte, key)| byte ^ key).collect();
        let is_whole = there as u64 == header.length;
        match kind {
            8 if is_whole => {
                answer.close = Some(closed(&content));
                break;
            }
            8.. => {}
            _ => {
                answer.payload.extend_from_slice(&content);
                is_in_message = !is_final;
            }
        }
        bytes = &rest[there..];
    }
    answer
}

struct Header {
    first: u8,
    length: u64,
    mask: Option<[u8; 4]>,
}

/// The header and what follows it; `None` until all of it is there.
fn header(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match second & 0x7F {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u16::from_be_bytes(*length).into(), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        length => (length.into(), rest),
    };
    if second & 0x80 == 0 {
        return Some((Header { first, length, mask: None }, rest));
    }
    let (mask, rest) = rest.split_first_chunk()?;
    Some((Header { first, length, mask: Some(*mask) }, rest))
}

/// What answers a close: its code, where it gives one that may travel.
fn closed(content: &[u8]) -> Vec<u8> {
    let Some((code, reason)) = content.split_first_chunk() else {
        return if content.is_empty() { Vec::new() } else { 1002_u16.to_be_bytes().to_vec() };
    };
    let is_allowed = matches!(u16::from_be_bytes(*code), 1000..=1003 | 1007..=1013 | 3000..=4999);
    let is_good = is_allowed && std::str::from_utf8(reason).is_ok();
    if is_good { code.to_vec() } else { 1002_u16.to_be_bytes().to_vec() }
}

/// A stream on which the client says what it has to say, a piece at a time, and takes as little.
struct Wire<'a> {
    request: &'a [u8],
    /// Sent once the request is answered.
    frames: &'a [u8],
    piece: usize,
    written: Vec<u8>,
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let piece = self.piece.min(buffer.remaining());
        let from = if self.request.is_empty() { &mut self.frames } else { &mut self.request };
        let (now, later) = from.split_at(piece.min(from.len()));
        buffer.put_slice(now);
        *from = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(self.piece);
        self.written.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
