//! The ways from all clients to the broker, which end together at a moment that is chosen by what has
//! come through them.

use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::harness::raw::{Frame, RawClient};
use crate::harness::{Broker, PATIENCE};

/// The connections of one round.
pub(crate) struct Network {
    port: u16,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    streams: Vec<TcpStream>,
    /// Packets that have come from the broker.
    packets: u64,
    /// Clients that have nothing left to do in this round.
    idle: usize,
    is_over: bool,
}

impl Network {
    pub(crate) fn of(broker: &Broker) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self { port: broker.plain_port(), state, changed }
    }

    /// A connection, while there are any to be had.
    pub(crate) fn connect(&self) -> Option<RawClient> {
        // Under the lock: a port that the broker has given up may be somebody else's.
        let mut state = self.lock();
        if state.is_over {
            return None;
        }
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the listener is open");
        state.streams.push(stream.try_clone().expect("another handle"));
        Some(RawClient::over(stream))
    }

    /// The next packet; none when the connection has ended.
    pub(crate) fn read(&self, link: &mut RawClient) -> Option<Frame> {
        let frame = link.read_or_end()?;
        self.lock().packets += 1;
        self.changed.notify_all();
        Some(frame)
    }

    /// Notes that a client waits for the end of the round.
    pub(crate) fn note_idle(&self) {
        self.lock().idle += 1;
        self.changed.notify_all();
    }

    /// Waits until so many packets have come, or so many clients are idle, and a moment longer. From
    /// then on nobody connects.
    pub(crate) fn end_after(&self, packets: u64, idle: usize, moment: Duration) {
        let goes_on = |state: &mut State| state.packets < packets && state.idle < idle;
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, goes_on);
        let (mut state, limit) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!limit.timed_out(), "{} packets, {} idle", state.packets, state.idle);
        let never = |state: &mut State| !state.is_over;
        let waited = self.changed.wait_timeout_while(state, moment, never);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.is_over = true;
    }

    /// Breaks all connections, as when a cable is cut.
    pub(crate) fn cut(&self) {
        for stream in self.lock().streams.drain(..) {
            // The broker may have been faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether nobody connects any more.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
