//! One connection to a broker, plain or under TLS, and what drives it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::broker::Target;
use super::stall::{note_moved, unless_stalled};
use super::wire::{self, CONNACK, Frame, name_of};

/// Bytes that are read at once.
const BATCH: usize = 256 << 10;

/// Bytes after which a role lets what it has to say be sent first.
pub(crate) const FULL: usize = 256 << 10;

thread_local! {
    /// What is read lands here first, so that an idle connection holds no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BATCH].into());
}

/// What a client does with its connection.
pub(crate) trait Role {
    /// Takes one packet. What it appends to `out` is sent.
    fn take(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> anyhow::Result<()>;

    /// Appends what may be sent now, up to about [`FULL`]; `true` when there is more. When there is
    /// none, the task of `cx` is woken once there is.
    fn speak(&mut self, cx: &mut TaskContext<'_>, out: &mut Vec<u8>) -> bool;

    /// Whether it has received all that it waits for.
    fn is_done(&self) -> bool;

    /// How far it is, for an error.
    fn progress(&self) -> String;
}

/// A connection whose CONNECT has been accepted.
#[derive(Debug)]
pub(crate) struct Link {
    client_id: String,
    stream: Stream,
    /// How long it waits for an answer.
    patience: Duration,
    /// Received, and not a whole packet yet or not looked at.
    pending: Vec<u8>,
    out: Vec<u8>,
    written: usize,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Link {
    /// Connects with a clean session.
    pub(crate) async fn open(target: &Target, client_id: &str) -> anyhow::Result<Self> {
        Ok(Self::connect(target, client_id, true).await?.0)
    }

    /// Connects; also whether the broker has kept a session.
    pub(crate) async fn connect(
        target: &Target,
        client_id: &str,
        clean_session: bool,
    ) -> anyhow::Result<(Self, bool)> {
        let patience = target.patience;
        let missing = || format!("{client_id} waits for its connection");
        let stream = unless_stalled(patience, Stream::open(target), missing).await?;
        let mut link = Self {
            client_id: client_id.to_owned(),
            stream,
            patience,
            pending: Vec::new(),
            out: Vec::new(),
            written: 0,
        };
        let answer = link.ask(&wire::connect(client_id, clean_session), CONNACK).await?;
        Ok((link, answer.first() == Some(&1)))
    }

    /// Sends `packet`, and waits for the answer: its body.
    pub(crate) async fn ask(&mut self, packet: &[u8], kind: u8) -> anyhow::Result<Vec<u8>> {
        let (patience, who) = (self.patience, self.client_id.clone());
        let missing = || format!("{who} waits for its {}", name_of(kind));
        unless_stalled(patience, self.answer(packet, kind), missing).await
    }

    async fn answer(&mut self, packet: &[u8], kind: u8) -> anyhow::Result<Vec<u8>> {
        self.send(packet).await?;
        loop {
            if let Some(frame) = Frame::next(&self.pending) {
                frame.check_accepted(kind)?;
                let (body, size) = (frame.body.to_vec(), frame.size);
                self.pending.drain(..size);
                return Ok(body);
            }
            poll_fn(|cx| {
                SCRATCH.with_borrow_mut(|scratch| {
                    let read = ready!(self.stream.poll_receive(cx, scratch))?;
                    self.pending.extend_from_slice(&scratch[..read]);
                    Poll::Ready(anyhow::Ok(()))
                })
            })
            .await?;
        }
    }

    /// Sends `packet`, whose answer nobody waits for.
    pub(crate) async fn send(&mut self, packet: &[u8]) -> anyhow::Result<()> {
        self.out.extend_from_slice(packet);
        poll_fn(|cx| self.poll_send(cx)).await.context("cannot send")
    }

    /// As [`Self::play`], where nobody else sees whether it goes on: an error if it does not.
    pub(crate) async fn play_alone(&mut self, role: &mut impl Role) -> anyhow::Result<()> {
        self.take_pending(role)?;
        let (patience, who) = (self.patience, self.client_id.clone());
        let role = RefCell::new(role);
        let playing = poll_fn(|cx| self.poll_play(cx, &mut **role.borrow_mut()));
        let missing = || format!("{who} {}", role.borrow().progress());
        unless_stalled(patience, playing, missing).await
    }

    /// Plays `role` until that is done; an error if the broker hangs up before.
    pub(crate) async fn play(&mut self, role: &mut impl Role) -> anyhow::Result<()> {
        self.take_pending(role)?;
        poll_fn(|cx| self.poll_play(cx, role)).await
    }

    fn poll_play(
        &mut self,
        cx: &mut TaskContext<'_>,
        role: &mut impl Role,
    ) -> Poll<anyhow::Result<()>> {
        loop {
            let has_received = match self.poll_take(cx, role) {
                Poll::Ready(result) => result.map(|()| true)?,
                Poll::Pending => false,
            };
            // What is full is sent before more is asked for, and there may well be more.
            let has_more = self.out.len() >= FULL || role.speak(cx, &mut self.out);
            let has_sent = self.poll_send(cx)?.is_ready();
            if role.is_done() && has_sent && !has_more {
                return Poll::Ready(Ok(()));
            }
            let can_go_on = has_received || has_sent && has_more;
            if !can_go_on {
                return Poll::Pending;
            }
        }
    }

    /// Receives once, and hands every whole packet to `role`.
    fn poll_take(
        &mut self,
        cx: &mut TaskContext<'_>,
        role: &mut impl Role,
    ) -> Poll<anyhow::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let read = ready!(self.stream.poll_receive(cx, scratch))?;
            if self.pending.is_empty() {
                let used = take_all(&scratch[..read], role, &mut self.out)?;
                self.pending.extend_from_slice(&scratch[used..read]);
            } else {
                self.pending.extend_from_slice(&scratch[..read]);
                self.take_pending(role)?;
            }
            Poll::Ready(Ok(()))
        })
    }

    fn take_pending(&mut self, role: &mut impl Role) -> anyhow::Result<()> {
        let used = take_all(&self.pending, role, &mut self.out)?;
        self.pending.drain(..used);
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.out.len() {
            let written = ready!(self.stream.poll_send(cx, &self.out[self.written..]))?;
            note_moved(written);
            self.written += written;
        }
        ready!(self.stream.poll_flush(cx))?;
        self.out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

/// Hands every whole packet of `bytes` to `role`; how many bytes those were.
fn take_all(bytes: &[u8], role: &mut impl Role, out: &mut Vec<u8>) -> anyhow::Result<usize> {
    let mut used = 0;
    while let Some(frame) = Frame::next(&bytes[used..]) {
        role.take(&frame, out)?;
        used += frame.size;
    }
    Ok(used)
}

impl Stream {
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(match &target.tls {
            None => Self::Plain(stream),
            Some(tls) => {
                let tls = tls.connect("localhost".try_into()?, stream).await;
                Self::Tls(Box::new(tls.context("no TLS session")?))
            }
        })
    }

    fn poll_receive(
        &mut self,
        cx: &mut TaskContext<'_>,
        into: &mut [u8],
    ) -> Poll<anyhow::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        })
        .context("cannot receive")?;
        match buffer.filled().len() {
            0 => Poll::Ready(Err(anyhow::anyhow!("the broker has hung up"))),
            read => {
                note_moved(read);
                Poll::Ready(Ok(read))
            }
        }
    }

    fn poll_send(&mut self, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        match self {
            // There is nothing between it and the kernel.
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;
    use tokio::time::timeout;

    use super::super::client::{Allowance, Publisher};
    use super::super::wire::Template;
    use super::*;

    /// A link to somebody who answers nothing.
    async fn link() -> (Link, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (other, _) = listener.accept().await.unwrap();
        let stream = Stream::Plain(stream);
        let link = Link {
            client_id: "alone".to_owned(),
            stream,
            patience: Duration::from_millis(300),
            pending: Vec::new(),
            out: Vec::new(),
            written: 0,
        };
        (link, other)
    }

    #[tokio::test]
    async fn a_publisher_goes_on_once_its_output_has_left_in_parts() {
        const MESSAGES: u64 = 20_000;
        let (mut link, mut other) = link().await;
        let templates: Rc<[Template]> = Rc::new([Template::new("a", 0, 1_000)]);
        let allowance = Allowance::Alone { messages: MESSAGES, ahead: u64::MAX };
        let mut publisher = Publisher::new(0, 0, templates, allowance);
        let tasks = LocalSet::new();
        // Tasks of their own: neither is polled because of what happens to the other.
        let playing = tasks.spawn_local(async move { link.play(&mut publisher).await });
        tasks.spawn_local(async move {
            let mut bytes = vec![0; 16 << 10];
            while other.read(&mut bytes).await.unwrap() > 0 {}
        });
        let played = timeout(Duration::from_secs(30), tasks.run_until(playing)).await;
        played.expect("it goes on").unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_named() {
        let (mut link, _other) = link().await;
        let error = link.ask(&wire::PINGREQ_PACKET, wire::PINGRESP).await.unwrap_err().to_string();
        assert!(error.ends_with("alone waits for its PINGRESP"), "{error}");
    }

    #[tokio::test]
    async fn a_publisher_that_cannot_go_on_says_how_far_it_is() {
        let (mut link, mut other) = link().await;
        let templates: Rc<[Template]> = Rc::new([Template::new("a", 1, 10)]);
        let allowance = Allowance::Alone { messages: 100, ahead: 64 };
        let mut publisher = Publisher::new(0, 1, templates, allowance);
        other.write_all(&wire::acknowledgement(wire::PUBACK, [0, 1])).await.unwrap();
        let error = link.play_alone(&mut publisher).await.unwrap_err().to_string();
        assert!(error.ends_with("alone has sent 65 of 100, 1 acknowledged"), "{error}");
    }
}
