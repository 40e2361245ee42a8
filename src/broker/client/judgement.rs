//! A connection judges its own session when what decides has changed.

use super::{Client, Inside, Stage};
use crate::broker::review::{Review, Reviewed};
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::message::Message;
use crate::session::Outbound;
use crate::telemetry::DropReason;

impl Client {
    /// Takes up what is said of the client and what decides now, and judges a slice of the session under it; says whether any is
    /// left. The connection ends where its client is nobody any more.
    pub(super) fn judge(&mut self, now: Now) -> bool {
        self.take_answer(now);
        let Stage::Inside(inside) = &mut self.stage else { return false };
        let generation = inside.gate.refresh(&self.broker.authority);
        if inside.reviewed != generation {
            inside.reviewed = generation;
            if inside.gate.revoked().is_some() {
                self.end_revoked(now);
                return false;
            }
            self.begin_review();
            self.take_up_limits(now);
        } else if self.seat.takes_other_limits() {
            self.take_up_limits(now);
        }
        self.go_on_with_review()
    }

    pub(super) fn begin_review(&mut self) {
        let Stage::Inside(inside) = &mut self.stage else { return };
        let Some(subscriptions) = self.session.subscriptions() else { return };
        inside.review = Some(Box::new(Review::begin(&inside.stored, subscriptions)));
        let (gate, mut progress) = (&inside.gate, Vec::new());
        let is_allowed = |message: &Message| gate.could_receive(&message.topic);
        let denied = self.session.forget_unsent(is_allowed, &mut progress);
        self.broker.counts.dropped(DropReason::Denied, denied);
        let start = self.output.bytes.len();
        progress.iter().for_each(|progress| self.note_progress(progress, start));
    }

    fn go_on_with_review(&mut self) -> bool {
        let Stage::Inside(inside) = &mut self.stage else { return false };
        let Inside { gate, stored, review, .. } = &mut **inside;
        let Some(mut slice) = review.take() else { return false };
        let Some(subscriptions) = self.session.subscriptions_mut() else { return false };
        let mut session = Reviewed { stored, subscriptions, gate };
        if self.broker.review(&mut slice, &mut session, &mut self.round) {
            *review = Some(slice);
        }
        let is_more = review.is_some();
        self.broker.finish_round(&mut self.round);
        self.hold_back();
        is_more
    }

    /// What waits to be sent was for somebody else: where the client has not read it yet, it gets
    /// neither that nor a farewell.
    pub(super) fn end_revoked(&mut self, now: Now) {
        let Stage::Inside(inside) = &self.stage else { return };
        if let Some(revoked) = inside.gate.revoked() {
            self.broker.report_revoked(inside.gate.who(), revoked);
        }
        let is_behind = self.unsent() > 0;
        self.end(now, ReasonCode::NotAuthorized);
        if is_behind {
            self.discard_output();
        }
    }

    /// A message that the client may not have.
    pub(super) fn drop_denied(&mut self, outbound: &Outbound) {
        let Stage::Inside(inside) = &self.stage else { return };
        let key = inside.stored.key;
        if let Some(subscriptions) = self.session.subscriptions() {
            self.broker.drop_denied(key, outbound, subscriptions, &mut self.round);
        }
    }
}
