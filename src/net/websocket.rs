//! A WebSocket as a stream of bytes: what is read is what binary frames carried, and each write is
//! one frame. MQTT does not see where frames begin and end `[MQTT-6.0.0-2]`.

mod incoming;
mod upgrade;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use incoming::{End, Incoming};
pub use upgrade::{Refused, UpgradeError, accept};

/// Bytes of an allocation for headers that an idle connection may keep.
const KEPT: usize = 64;

/// The server's side of a WebSocket over `S`. For one task: both directions wake it.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
    address: SocketAddr,
    incoming: Incoming,
    /// Control frames and the header of a data frame, to be sent before anything else.
    pending: Vec<u8>,
    /// Bytes that the data frame being sent still lacks.
    frame_left: usize,
    is_close_sent: bool,
    /// Whether the stream may hold back what it has taken from `pending`.
    is_unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    fn new(stream: S, address: SocketAddr) -> Self {
        Self {
            stream,
            address,
            incoming: Incoming::default(),
            pending: Vec::new(),
            frame_left: 0,
            is_close_sent: false,
            is_unflushed: false,
        }
    }

    /// Answers pings, and says that the end has come: between data frames, one answer at a time.
    fn answer(&mut self) {
        if self.is_close_sent || self.frame_left > 0 || !self.pending.is_empty() {
            return;
        }
        match self.incoming.end() {
            Some(End::Closed(code)) => self.close(code),
            Some(End::Violated(violation)) => {
                tracing::info!(address = %self.address, "WebSocket closed: {violation}");
                self.close(Some(violation.close_code()));
            }
            None => {
                if let Some(payload) = self.incoming.take_ping() {
                    self.begin_frame(OpCode::Control(Control::Pong), payload.len());
                    self.pending.extend_from_slice(&payload);
                }
            }
        }
    }

    fn close(&mut self, code: Option<CloseCode>) {
        let code = code.map(|code| u16::from(code).to_be_bytes());
        let payload = code.as_ref().map_or(&[][..], |code| &code[..]);
        self.begin_frame(OpCode::Control(Control::Close), payload.len());
        self.pending.extend_from_slice(payload);
        self.is_close_sent = true;
    }

    fn begin_frame(&mut self, opcode: OpCode, length: usize) {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        // A vector takes everything.
        let _ = header.format(length as u64, &mut self.pending);
    }

    /// Sends what is pending and what is to be answered.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.answer();
            if self.pending.is_empty() {
                break;
            }
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.pending))?;
            self.on_pending_sent(count)?;
        }
        if self.is_unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Of `count` bytes that have been sent, those that were not pending.
    fn on_pending_sent(&mut self, count: usize) -> io::Result<usize> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.is_unflushed = true;
        let of_pending = count.min(self.pending.len());
        self.pending.drain(..of_pending);
        if self.pending.is_empty() && self.pending.capacity() > KEPT {
            self.pending = Vec::new();
        }
        Ok(count - of_pending)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let answered = this.poll_answer(cx);
        if this.incoming.end().is_some() {
            // Nothing comes any more, once the other side could be told so.
            return answered;
        }
        // An answer that cannot leave yet keeps nothing else waiting; and one that cannot leave at
        // all is not the reader's concern.
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let received = buffer.filled_mut().get_mut(before..).unwrap_or_default();
        if received.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let count = this.incoming.take(received);
        buffer.set_filled(before + count);
        if count > 0 {
            let _ = this.poll_answer(cx);
            return Poll::Ready(Ok(()));
        }
        // One look at the socket in each turn: a flood of frames that carry nothing must not keep
        // the connection from its deadlines.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_close_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if this.frame_left == 0 && !bytes.is_empty() {
            this.begin_frame(OpCode::Data(Data::Binary), bytes.len());
            this.frame_left = bytes.len();
        }
        let payload = bytes.get(..this.frame_left.min(bytes.len())).unwrap_or_default();
        loop {
            let stream = Pin::new(&mut this.stream);
            let count = if this.pending.is_empty() {
                ready!(stream.poll_write(cx, payload))?
            } else {
                let parts = [IoSlice::new(&this.pending), IoSlice::new(payload)];
                let sent = ready!(stream.poll_write_vectored(cx, &parts))?;
                match this.on_pending_sent(sent)? {
                    0 => continue,
                    count => count,
                }
            };
            this.frame_left -= count;
            return Poll::Ready(Ok(count));
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_answer(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    /// Says goodbye; the other side's answer is the end of what can be read.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_close_sent && this.frame_left == 0 {
            this.close(Some(CloseCode::Normal));
        }
        ready!(this.poll_answer(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
