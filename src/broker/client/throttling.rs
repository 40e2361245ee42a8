//! What a client does of what is limited, and when it is listened to again.

use std::time::Instant;

use super::{Client, Inside, Stage};
use crate::broker::throttles::{Doing, Pause, Throttled, Verdict};
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::message::{Message, QoS};
use crate::session::{Outbound, SubscribeRequest};
use crate::throttle::What;

impl Client {
    fn throttled(&self) -> Option<&Throttled> {
        match &self.stage {
            Stage::Inside(inside) => inside.throttled.as_deref(),
            _ => None,
        }
    }

    /// Counts what the client does. One branch where nothing is limited.
    pub(super) fn weigh(&mut self, now: Now, doing: Doing<'_>) -> Verdict {
        let Stage::Inside(inside) = &mut self.stage else { return Verdict::Taken };
        let Inside { gate, throttled: Some(throttled), .. } = &mut **inside else {
            return Verdict::Taken;
        };
        throttled.weigh(doing, now.instant, gate, &self.broker.counts)
    }

    pub(super) fn weigh_bytes(&mut self, now: Now, bytes: usize) {
        let count = bytes as u64;
        let doing = Doing { what: What::BytesIn, count, topic: None, may_be_lost: false };
        // They have come: nothing of them is refused.
        self.weigh(now, doing);
    }

    /// What becomes of a message that the client publishes.
    pub(super) fn weigh_publish(&mut self, now: Now, message: &Message) -> Verdict {
        if self.throttled().is_none() {
            return Verdict::Taken;
        }
        let may_be_lost = message.qos == QoS::AtMostOnce;
        let topic = Some(&message.topic);
        let doing = Doing { what: What::MessagesIn, count: 1, topic, may_be_lost };
        let of_bytes = Doing { what: What::BytesIn, count: bytes_of(message), ..doing };
        let of_retained = message.retain.then_some(Doing { what: What::Retained, ..doing });
        self.weigh_each(now, [doing, of_bytes].into_iter().chain(of_retained))
    }

    /// What becomes of something that is limited in several ways: it is taken where each of them lets it.
    fn weigh_each<'a>(&mut self, now: Now, doings: impl IntoIterator<Item = Doing<'a>>) -> Verdict {
        let mut verdicts = doings.into_iter().map(|doing| self.weigh(now, doing));
        verdicts.find(|verdict| *verdict != Verdict::Taken).unwrap_or(Verdict::Taken)
    }

    /// As many subscriptions as are not too many; the others are refused.
    pub(super) fn weigh_subscriptions(
        &mut self,
        now: Now,
        requests: &mut [Result<SubscribeRequest, ReasonCode>],
    ) {
        let doing = Doing { what: What::Subscriptions, count: 1, topic: None, may_be_lost: false };
        for request in requests.iter_mut().filter(|request| request.is_ok()) {
            if self.weigh(now, doing) != Verdict::Taken {
                *request = Err(ReasonCode::QuotaExceeded);
            }
        }
    }

    /// What becomes of a message that is to be sent to the client.
    pub(super) fn weigh_delivery(&mut self, now: Now, outbound: &Outbound) -> Verdict {
        if !self.has_slow_deliveries() {
            return Verdict::Taken;
        }
        let message = &outbound.message;
        let may_be_lost = outbound.qos == QoS::AtMostOnce;
        let topic = Some(&message.topic);
        let doing = Doing { what: What::MessagesOut, count: 1, topic, may_be_lost };
        let of_bytes = Doing { what: What::BytesOut, count: bytes_of(message), ..doing };
        self.weigh_each(now, [doing, of_bytes])
    }

    /// Whether there is a limit to what is sent to the client.
    pub(super) fn has_slow_deliveries(&self) -> bool {
        self.throttled().is_some_and(|it| it.has_slow_deliveries)
    }

    /// Sends the client something again, if it is time.
    pub(super) fn resume_deliveries(&mut self, now: Now) {
        if let Stage::Inside(inside) = &mut self.stage
            && let Some(throttled) = &mut inside.throttled
        {
            throttled.delivers_at = throttled.delivers_at.filter(|at| *at > now.instant);
        }
    }

    /// Whether it is too early to send the client anything more.
    pub(super) fn is_fed_up(&self) -> bool {
        self.throttled().is_some_and(|it| it.delivers_at.is_some())
    }

    /// Whether the client has to wait, or to go: nothing more is taken from it in this round.
    pub(super) fn has_to_pause(&mut self, now: Now) -> bool {
        match self.throttled().and_then(|it| it.pause) {
            None => false,
            Some(Pause::Until(_)) => true,
            Some(Pause::End) => {
                self.end(now, ReasonCode::MessageRateTooHigh);
                true
            }
        }
    }

    /// Until when nothing is read from the client, where it has done too much.
    #[must_use]
    pub fn rests_until(&self) -> Option<Instant> {
        match self.throttled()?.pause {
            Some(Pause::Until(until)) if !self.is_closed() => Some(until),
            _ => None,
        }
    }

    /// Listens to the client again, if it is time: what it has sent by then is to be worked off. It was
    /// not silent meanwhile, but not heard.
    pub fn ends_rest(&mut self, now: Now) -> bool {
        if self.rests_until().is_none_or(|until| until > now.instant) {
            return false;
        }
        if let Stage::Inside(inside) = &mut self.stage
            && let Some(throttled) = &mut inside.throttled
        {
            throttled.pause = None;
        }
        self.session.excuse_silence(now.instant);
        true
    }

    /// Goes by the rules in force. Whoever rests goes on at once: if it is too early for that, it soon
    /// rests again.
    pub(super) fn take_up_limits(&mut self, now: Now) {
        let is_resting = self.rests_until().is_some();
        let Stage::Inside(inside) = &mut self.stage else { return };
        inside.throttled = self.broker.limits_of(&inside.gate);
        if is_resting {
            let throttled = inside.throttled.get_or_insert_with(Throttled::unlimited);
            throttled.wait(now.instant);
        }
    }

    /// When the client is listened to again, or sent something again.
    pub(super) fn limits_due(&self) -> Option<Instant> {
        let delivers_at = self.throttled()?.delivers_at;
        self.rests_until().into_iter().chain(delivers_at).min()
    }
}

/// Those that rules of topics count: no header, no properties.
fn bytes_of(message: &Message) -> u64 {
    (message.payload.len() + message.topic.as_str().len()) as u64
}
