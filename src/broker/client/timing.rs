//! How long messages are under way: from when the packet of their publisher has come to when a socket has
//! taken what the subscriber is sent.

use std::time::Instant;

use super::{Client, Stage};
use crate::message::QoS;
use crate::session::Outbound;

/// A message that is to be sent: the first one of its write. The rest of the write is not timed, so that
/// this costs a write and not a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    arrived: Instant,
    qos: QoS,
    /// Bytes that must have been sent for it to be.
    ahead: usize,
}

impl Client {
    /// What there is to be timed of a message that is delivered next. What waited before the client
    /// connected says nothing about the broker.
    pub(super) fn timing(&self, outbound: &Outbound) -> Option<(Instant, QoS, usize)> {
        let Stage::Inside(inside) = &self.stage else { return None };
        let arrived = outbound.message.arrived.filter(|arrived| *arrived >= inside.since)?;
        self.timed.is_none().then_some((arrived, outbound.qos, self.unsent()))
    }

    /// It has been delivered, as far as the session is concerned.
    pub(super) fn time(&mut self, timing: Option<(Instant, QoS, usize)>) {
        let Some((arrived, qos, unsent)) = timing else { return };
        let ahead = self.unsent();
        if ahead > unsent {
            self.timed = Some(Timed { arrived, qos, ahead });
        }
    }

    /// The first `count` bytes of the output have left, `now` or later.
    pub(super) fn note_sent(&mut self, count: usize, now: Instant) {
        let Some(timed) = &mut self.timed else { return };
        timed.ahead = timed.ahead.saturating_sub(count);
        if timed.ahead == 0 {
            let took = now.saturating_duration_since(timed.arrived);
            self.broker.counts.metrics.delivery_seconds.record(timed.qos, took);
            self.timed = None;
        }
    }

    /// Shows how many messages its client has not acknowledged yet.
    pub(super) fn count_in_flight(&mut self, in_flight: usize) {
        // No window has more than 65,535.
        let shown = u32::try_from(in_flight).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut self.in_flight, shown);
        if before != shown {
            self.broker.counts.metrics.in_flight.change(before as usize, shown as usize);
        }
    }
}
