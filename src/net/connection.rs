//! One connection: all awaiting in one place, all work in synchronous, bounded steps, and one flush
//! per round.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep_until, timeout};

use super::budgets::Place;
use super::occupancy::Occupancy;
use super::scratch::{SCRATCH_SIZE, Scratch};
use super::stop::Stop;
use super::transport::Transport;
use crate::broker::{Client, Delivered, Patience};
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::identity::Peer;

/// Bytes of output above which nothing more is read from a client that does not read.
const READ_HIGH_WATER: usize = 1 << 20;
/// How long a client that is being sent away may take to read its farewell, and then to stop sending.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long its next bytes are awaited, so that they do not reset the connection under the farewell.
const LINGER: Duration = Duration::from_millis(500);

/// Rounds for which a client that is told to end may go on sending: what it has sent by then, such as
/// acknowledgements, is not lost with the connection.
const ROUNDS_TO_FINISH: u32 = 16;

/// What clients are told whose listener is closed: the broker goes on, so it does not shut down (0x8B),
/// and an operator wants it so.
const OF_CLOSED_LISTENER: ReasonCode = ReasonCode::AdministrativeAction;

/// A client and its transport.
#[derive(Debug)]
pub(super) struct Connection {
    transport: Transport,
    client: Client,
    /// The beginning of a packet whose rest has not arrived.
    partial: Vec<u8>,
    /// Whether the transport holds bytes back that it has taken.
    is_unflushed: bool,
    /// Whether nothing can be sent any more. What the client has sent before may still be read: a
    /// DISCONNECT among it takes back the will.
    is_deaf: bool,
    /// Whether there is work left that needs no event.
    is_behind: bool,
    /// Whether the bell has rung, with nothing to read, since the client last obeyed.
    is_called: bool,
    /// Rounds since the client was told to end.
    rounds_told: u32,
    /// Since when the client has read nothing of what is to be sent.
    stalled: Option<Instant>,
    /// When the client must have been let in.
    connect_deadline: Instant,
    /// When the farewell ends, once the client is being sent away.
    farewell_deadline: Option<Instant>,
    send_timeout: Duration,
}

/// What a connection waits for.
enum Event {
    Received(Scratch, usize),
    /// Bytes that the transport has taken.
    Sent(usize),
    Flushed,
    /// The transport takes nothing more.
    Deaf,
    Bell,
    Deadline,
    /// Others have had their turn.
    Turn,
    Stopping,
    Lost,
}

/// How a connection ended, before its client was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client was let in.
    AfterLogin,
    /// It took too long.
    TooLate,
    /// It was refused, or went away.
    BeforeLogin,
}

impl Connection {
    pub(super) fn new(
        transport: Transport,
        client: Client,
        connect_deadline: Instant,
        send_timeout: Duration,
    ) -> Self {
        Self {
            transport,
            client,
            partial: Vec::new(),
            is_unflushed: false,
            is_deaf: false,
            is_behind: false,
            is_called: false,
            rounds_told: 0,
            stalled: None,
            connect_deadline,
            farewell_deadline: None,
            send_timeout,
        }
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> &Peer {
        self.client.peer()
    }

    /// Serves the client to the end of its connection; from when it has been let in, it is counted
    /// among those `inside`, and its `place` is no handshake's any more. What is waited for once, at
    /// its beginning and at its end, waits on the heap: the task of a connection is as large as the
    /// largest thing that it ever waits for.
    pub(super) async fn run(
        &mut self,
        stop: &Stop,
        inside: &Arc<Occupancy>,
        place: &mut Place,
    ) -> Ended {
        let mut ended = Ended::BeforeLogin;
        let mut occupant = None;
        let mut sleep = pin!(sleep_until(self.deadline().into()));
        while !(self.client.is_closed() && self.is_drained()) {
            let event = self.next_event(stop, sleep.as_mut()).await;
            let mut now = Now::read();
            if !self.on_event(now, event, stop) {
                return ended;
            }
            while self.client.is_at_the_door() {
                Box::pin(self.log_in()).await;
                now = Now::read();
                self.work_off_partial(now);
            }
            if self.client.is_inside() {
                if ended != Ended::AfterLogin {
                    ended = Ended::AfterLogin;
                    place.let_in();
                    occupant = inside.enter();
                    // The bells may have been rung before this client had one.
                    self.is_called |= stop.is_closed();
                }
                self.obey(now, stop);
            }
            self.begin_farewell(now.instant);
            if !self.keeps_time(now) {
                return if ended == Ended::AfterLogin { ended } else { Ended::TooLate };
            }
            self.deliver(now);
            if let Some(is_written) = self.client.is_written_down(now.instant + self.send_timeout)
                && !is_written.await
            {
                self.client.on_lost(now);
                return ended;
            }
            self.reschedule(now.instant, sleep.as_mut());
        }
        Box::pin(self.take_leave()).await;
        drop(occupant);
        ended
    }

    /// Whether the connection goes on.
    fn on_event(&mut self, now: Now, event: Event, stop: &Stop) -> bool {
        match event {
            Event::Received(scratch, count) => self.on_bytes(now, scratch, count),
            Event::Sent(count) => self.on_sent(now, count),
            Event::Flushed => self.is_unflushed = false,
            Event::Deaf => self.is_deaf = true,
            Event::Turn if self.client.is_behind() => self.work_off_partial(now),
            Event::Bell => self.is_called = true,
            // Deadlines are looked at in every round: a client that is never silent would otherwise
            // never be cut off.
            Event::Deadline if self.client.ends_rest(now) => self.work_off_partial(now),
            Event::Turn | Event::Deadline => {}
            Event::Stopping if stop.is_closed() => self.client.end(now, OF_CLOSED_LISTENER),
            Event::Stopping => self.client.shut_out(now),
            Event::Lost => {
                self.client.on_lost(now);
                return false;
            }
        }
        true
    }

    async fn log_in(&mut self) {
        let Self { client, transport, partial, connect_deadline, .. } = self;
        let departure = departure(transport, partial);
        let patience = Patience { deadline: *connect_deadline, departure };
        client.log_in(patience, Now::read).await;
    }

    /// Obeys once all that has arrived is worked off, or the client does not come to an end.
    fn obey(&mut self, now: Now, stop: &Stop) {
        let is_told = self.client.has_orders() || stop.is_closed();
        self.rounds_told = if is_told { self.rounds_told + 1 } else { 0 };
        let is_idle = self.is_called && !self.client.is_behind();
        if is_idle || self.rounds_told > ROUNDS_TO_FINISH {
            self.is_called = false;
            self.client.obey(now);
            if stop.is_closed() && !self.client.is_closed() {
                self.client.end(now, OF_CLOSED_LISTENER);
            }
        }
    }

    fn deliver(&mut self, now: Now) {
        let mut is_more = false;
        if self.is_deaf {
            self.client.discard_output();
        } else if self.client.is_inside() {
            is_more = self.client.deliver(now) == Delivered::Slice;
        }
        self.is_behind = !self.client.is_closed() && (is_more || self.client.is_behind());
    }

    async fn next_event(&mut self, stop: &Stop, mut sleep: Pin<&mut Sleep>) -> Event {
        if self.is_behind {
            yield_now().await;
        }
        let is_inside = self.client.is_inside();
        // Once it is let in, it is told by its bell.
        let mut stopping = (!is_inside).then(|| Box::pin(stop.requested()));
        poll_fn(|cx| {
            if let Poll::Ready(event) = self.poll_write(cx) {
                return Poll::Ready(event);
            }
            if let Poll::Ready(event) = self.poll_read(cx) {
                return Poll::Ready(event);
            }
            if is_inside && self.client.bell().poll_rung(cx).is_ready() {
                return Poll::Ready(Event::Bell);
            }
            if let Some(stopping) = &mut stopping
                && !self.client.is_closed()
                && stopping.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Event::Stopping);
            }
            if self.is_behind {
                return Poll::Ready(Event::Turn);
            }
            sleep.as_mut().poll(cx).map(|()| Event::Deadline)
        })
        .await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.is_deaf {
            return Poll::Pending;
        }
        let output = self.client.output();
        if !output.is_empty() {
            return Poll::Ready(
                match ready!(Pin::new(&mut self.transport).poll_write(cx, output)) {
                    Ok(0) | Err(_) => Event::Deaf,
                    Ok(count) => Event::Sent(count),
                },
            );
        }
        if self.is_unflushed {
            return Poll::Ready(match ready!(Pin::new(&mut self.transport).poll_flush(cx)) {
                Ok(()) => Event::Flushed,
                Err(_) => Event::Deaf,
            });
        }
        Poll::Pending
    }

    /// A client that is being sent away is not listened to. One that does not read what it is sent is
    /// not either, once that has become too much, nor one whose last packets are still to be worked
    /// off, nor one that waits for a disk that is far behind, nor one that has done too much of late.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let is_full = self.client.unsent() > READ_HIGH_WATER || self.client.is_held_up();
        let is_resting = self.client.rests_until().is_some();
        if is_full || is_resting || self.client.is_closed() || self.client.is_behind() {
            return Poll::Pending;
        }
        let mut scratch = Scratch::borrow();
        let mut buffer = ReadBuf::new(scratch.bytes());
        let result = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buffer));
        let count = buffer.filled().len();
        Poll::Ready(match result {
            Ok(()) if count > 0 => Event::Received(scratch, count),
            Ok(()) | Err(_) => Event::Lost,
        })
    }

    fn on_bytes(&mut self, now: Now, mut scratch: Scratch, count: usize) {
        let bytes = scratch.bytes().get(..count).unwrap_or_default();
        if self.partial.is_empty() {
            let taken = self.client.receive(now, bytes);
            self.partial.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        } else {
            self.partial.extend_from_slice(bytes);
            self.work_off_partial(now);
        }
    }

    fn work_off_partial(&mut self, now: Now) {
        let taken = self.client.receive(now, &self.partial);
        self.partial.drain(..taken);
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
    }

    fn on_sent(&mut self, now: Now, count: usize) {
        self.is_unflushed = self.transport.holds_back();
        self.client.on_sent(now, count);
        self.stalled = (!self.client.output().is_empty()).then_some(now.instant);
    }

    /// Whether no deadline has passed that ends the connection at once.
    fn keeps_time(&mut self, now: Now) -> bool {
        if self.deadline() > now.instant {
            return true;
        }
        if self.client.is_closed() || self.is_stalled(now.instant) || !self.client.is_inside() {
            if self.is_stalled(now.instant) {
                self.client.on_unread();
            }
            self.client.on_lost(now);
            return false;
        }
        self.client.on_deadline(now);
        true
    }

    fn is_stalled(&self, now: Instant) -> bool {
        self.stalled.is_some_and(|since| since + self.send_timeout <= now)
    }

    fn deadline(&self) -> Instant {
        if let Some(farewell) = self.farewell_deadline {
            return farewell;
        }
        let Some(keep_alive) = self.client.deadline() else { return self.connect_deadline };
        self.stalled.map_or(keep_alive, |since| keep_alive.min(since + self.send_timeout))
    }

    /// Deadlines move on with every packet; the timer is moved only when it fires, or must fire
    /// sooner.
    fn reschedule(&mut self, now: Instant, sleep: Pin<&mut Sleep>) {
        self.begin_farewell(now);
        if self.stalled.is_none() && !self.client.output().is_empty() {
            self.stalled = Some(now);
        }
        let deadline = self.deadline();
        if sleep.is_elapsed() || deadline < sleep.deadline().into_std() {
            sleep.reset(deadline.into());
        }
    }

    fn begin_farewell(&mut self, now: Instant) {
        if self.client.is_closed() && self.farewell_deadline.is_none() {
            self.farewell_deadline = Some(now + FAREWELL);
        }
    }

    fn is_drained(&self) -> bool {
        self.is_deaf || self.client.unsent() == 0 && !self.is_unflushed
    }

    /// Closes in a way that lets the last packet arrive: bytes that nobody reads would reset the
    /// connection and take the farewell with them. So a client that goes on sending is listened to,
    /// as long as any farewell takes.
    async fn take_leave(&mut self) {
        let farewell = async {
            timeout(LINGER, self.transport.shutdown()).await??;
            while timeout(LINGER, read(&mut self.transport, SCRATCH_SIZE, |_| ())).await?? > 0 {}
            io::Result::Ok(())
        };
        // Whatever goes wrong, the connection is over.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Ends when the client has gone away. What it sends meanwhile is kept in `partial`, up to a bound
/// above which nobody listens.
async fn departure(transport: &mut Transport, partial: &mut Vec<u8>) {
    loop {
        let room = SCRATCH_SIZE.saturating_sub(partial.len());
        if room == 0 {
            return pending().await;
        }
        let count = read(transport, room, |bytes| partial.extend_from_slice(bytes)).await;
        if count.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// Reads up to `most` bytes into a buffer that is held only while they are `taken`.
async fn read(
    transport: &mut Transport,
    most: usize,
    mut taken: impl FnMut(&[u8]),
) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut scratch = Scratch::borrow();
        let room = scratch.bytes().get_mut(..most.min(SCRATCH_SIZE)).unwrap_or_default();
        let mut buffer = ReadBuf::new(room);
        ready!(Pin::new(&mut *transport).poll_read(cx, &mut buffer))?;
        taken(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}
