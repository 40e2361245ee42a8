//! What a client publishes, what the store is to have of its session, and what it is told when.

use std::sync::Arc;

use super::held::Held;
use super::{Client, Stage};
use crate::broker::sealed_publish::{Published, Publishing, Settled};
use crate::broker::throttles::Verdict;
use crate::broker::wrapped_keys::Request;
use crate::clock::Now;
use crate::codec::{PacketId, ReasonCode};
use crate::message::{Message, QoS};
use crate::session::{Input, Progress};
use crate::telemetry::DropReason;

impl Client {
    pub(super) fn publish(
        &mut self,
        now: Now,
        message: &Arc<Message>,
        packet_id: Option<PacketId>,
    ) {
        let traced = self.begin_publication(now, message);
        let published = traced.as_ref().map_or(message, |(_, traced)| traced);
        let reason = self.take(now, published, packet_id);
        if let Some((trace, _)) = traced {
            self.trace_publication(trace, packet_id, reason);
        }
        if reason.is_none() && self.round.pending.is_full() {
            self.settle(now);
        }
    }

    /// What the sender of a message is told; none where that is still to be settled.
    fn take(
        &mut self,
        now: Now,
        message: &Arc<Message>,
        packet_id: Option<PacketId>,
    ) -> Option<ReasonCode> {
        if self.weigh_publish(now, message) != Verdict::Taken {
            self.broker.counts.dropped(DropReason::Throttled, 1);
            let reason = ReasonCode::QuotaExceeded;
            let settled =
                packet_id.map(|packet_id| Settled { packet_id, qos: message.qos, reason });
            self.answer(now, settled.as_slice());
            return Some(reason);
        }
        if self.seat.is_quarantined() {
            return self.publish_in_quarantine(now, message, packet_id);
        }
        let Stage::Inside(inside) = &mut self.stage else { return None };
        let (gate, memo) = (&mut inside.gate, inside.memo.get_or_insert_default());
        let publishing = Publishing { message, packet_id, now };
        let published = match self.broker.publish(gate, memo, publishing, &mut self.round) {
            Published::KeysAsked => Published::Done(self.give_keys(now, message)),
            published => published,
        };
        let Published::Done(reason) = published else { return None };
        let settled = packet_id.map(|packet_id| Settled { packet_id, qos: message.qos, reason });
        self.answer(now, settled.as_slice());
        Some(reason)
    }

    /// What came before goes first; the acknowledgement is as ever.
    fn publish_in_quarantine(
        &mut self,
        now: Now,
        message: &Message,
        packet_id: Option<PacketId>,
    ) -> Option<ReasonCode> {
        self.settle(now);
        let Stage::Inside(inside) = &mut self.stage else { return None };
        let reason = self.broker.publish_in_quarantine(&mut inside.gate, message, &mut self.round);
        let settled = packet_id.map(|packet_id| Settled { packet_id, qos: message.qos, reason });
        self.answer(now, settled.as_slice());
        Some(reason)
    }

    /// Messages were routed, or refused. Their sender is told so once the store has what came of it; that
    /// those of QoS 2 were received is part of the same change.
    fn answer(&mut self, now: Now, settled: &[Settled]) {
        let Stage::Inside(inside) = &self.stage else { return };
        let stored = &inside.stored;
        if stored.mailbox.is_durable() {
            let is_taken = |it: &&Settled| it.qos == QoS::ExactlyOnce && !it.reason.is_error();
            settled.iter().filter(is_taken).for_each(|it| {
                self.round.receive(stored.key, it.packet_id);
            });
        }
        self.round.hold_from(self.output.bytes.len());
        for &Settled { packet_id, reason, .. } in settled {
            self.step(now, Input::Published { packet_id, reason });
        }
    }

    /// The client asks for the keys that are wrapped for it.
    fn give_keys(&mut self, now: Now, message: &Message) -> ReasonCode {
        let Stage::Inside(inside) = &mut self.stage else { return ReasonCode::NotAuthorized };
        let gate = &mut inside.gate;
        let who = Arc::clone(gate.who());
        self.broker.wrapped_keys.give(Request {
            who: &who,
            message,
            mailbox: &inside.stored.mailbox,
            last: &mut gate.keys_asked,
            now: now.instant,
        })
    }

    /// Has routed what waits to be written down. Whatever else a client asks for comes after that.
    pub(super) fn settle(&mut self, now: Now) {
        let Stage::Inside(inside) = &mut self.stage else { return };
        if self.round.pending.is_empty() {
            return;
        }
        let memo = inside.memo.get_or_insert_default();
        let settled = self.broker.settle(memo, &mut self.round);
        self.answer(now, &settled);
        self.trace_settled(&settled);
    }

    /// A message that the store keeps for the session has got on. What was sent since the output began at
    /// `start` may say so.
    pub(super) fn note_progress(&mut self, progress: &Progress, start: usize) {
        let Stage::Inside(inside) = &self.stage else { return };
        self.round.progress(inside.stored.key, progress);
        self.round.hold_from(start);
    }

    /// As [`Self::note_progress`], of a message that the session had received.
    pub(super) fn note_released(&mut self, packet_id: PacketId, start: usize) {
        let Stage::Inside(inside) = &self.stage else { return };
        self.round.release(inside.stored.key, packet_id);
        self.round.hold_from(start);
    }

    /// The round is over: what tells of its changes does not leave before the disk has them.
    pub(super) fn hold_back(&mut self) {
        let hold = self.round.take_hold();
        let start = hold.map(|(start, _)| start);
        if let (Some((start, ticket)), Some(store)) = (hold, self.broker.store()) {
            let held = self.held.get_or_insert_with(|| Box::new(Held::new(Arc::clone(store))));
            held.hold(start, ticket);
        }
        if let Some(held) = &mut self.held {
            held.set_bell(self.seat.bell());
        }
        if self.traces.is_some() {
            self.trace_holding(start);
        }
    }
}
