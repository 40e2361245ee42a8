//! Messages on topics whose payloads are sealed: judged or sealed as they come, written down together, and
//! then routed.

use std::sync::Arc;

use super::Broker;
use super::envelopes::{Admission, Brought, PacketKind, Refused, millis};
use super::gate::{Delivery, Gate};
use super::publish_memo::PublishMemo;
use super::round::Round;
use crate::acl::{EnvelopeMode, EnvelopeTerms};
use crate::clock::Now;
use crate::codec::{PacketId, ReasonCode};
use crate::envelope::{Envelope, MAGIC};
use crate::message::{Message, QoS};
use crate::replay_log::Accepted;
use crate::sentinel::Kind;
use crate::telemetry::logging::excerpt;
use crate::telemetry::{DropReason, EnvelopeRefusal};

/// Messages that wait at most, before they are written down and routed.
const MOST_WAITING: usize = 64;
/// Their recipients at most.
const MOST_RECIPIENTS: usize = 4_096;

/// A message that a client publishes.
#[derive(Clone, Copy)]
pub(super) struct Publishing<'a> {
    pub(super) message: &'a Arc<Message>,
    /// Of QoS 1 and 2.
    pub(super) packet_id: Option<PacketId>,
    pub(super) now: Now,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    /// Its sender is told so.
    Done(ReasonCode),
    /// It asks for the keys of its sender.
    KeysAsked,
    /// It waits for [`Broker::settle`], which tells its sender.
    Waits,
}

/// Messages that are allowed, and are to be routed once what was accepted is written down.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: Vec<Waiting>,
    /// As far as they are known.
    recipients: usize,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Arc<Message>,
    pub(super) packet_id: Option<PacketId>,
    pub(super) what: What,
}

/// What the sender of a message that has waited is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub(super) packet_id: PacketId,
    pub(super) qos: QoS,
    pub(super) reason: ReasonCode,
}

/// What is to be done with a message that waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// It is routed, after those before it.
    Plain,
    /// It is routed once that is written down.
    Accepted(Accepted),
    /// It was routed before, and its sender is told again.
    Again,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether no more are to be added.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_WAITING || self.recipients >= MOST_RECIPIENTS
    }

    /// Notes that the next message has so many recipients.
    pub(super) fn expect(&mut self, recipients: usize) {
        self.recipients += recipients;
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }
}

impl Broker {
    /// Publishes a message whose payload is to be verified or sealed, and whose sender may publish it.
    pub(super) fn publish_enveloped(
        &self,
        gate: &mut Gate,
        terms: &EnvelopeTerms,
        publishing: Publishing<'_>,
        round: &mut Round,
    ) -> Published {
        let Publishing { message, packet_id, now } = publishing;
        let judged = match terms.mode {
            EnvelopeMode::Plain => Ok((Arc::clone(message), What::Plain)),
            EnvelopeMode::Seal => self
                .envelopes
                .seal(gate.who(), message, now)
                .map(|sealed| (Arc::new(sealed), What::Plain)),
            EnvelopeMode::Verify => {
                let who = Arc::clone(gate.who());
                let packet = packet_id.map(PacketKind::Publish);
                let brought = Brought { who: &who, message, packet, now };
                let admission = self.envelopes.admit(&mut gate.envelopes, terms, brought);
                if let Ok(Admission::New(accepted)) = &admission {
                    self.watch_clock(gate, message, accepted.time_ms, now);
                }
                admission.map(|admission| (Arc::clone(message), admission.into()))
            }
        };
        match judged {
            Ok((message, what)) => {
                round.pending.push(Waiting { message, packet_id, what });
                Published::Waits
            }
            Err(refused) => {
                self.report_refused(gate, message, &refused, now);
                Published::Done(refused.reason())
            }
        }
    }

    /// Has the sentinel hear of a clock that is off, by the time of what it has sealed.
    fn watch_clock(&self, gate: &mut Gate, message: &Message, time_ms: u64, now: Now) {
        if let Some(skew) = self.counts.watch.clock_skew(time_ms, millis(now.unix)) {
            let topic = message.topic.as_str();
            gate.watch_measured(&self.counts, Kind::ClockSkew, skew, topic);
        }
    }

    /// Counts a payload that is refused, and tells the log.
    fn report_refused(&self, gate: &mut Gate, message: &Message, refused: &Refused, now: Now) {
        let label = refused.label();
        self.counts.metrics.envelopes_refused.increment(label);
        let topic = message.topic.as_str();
        gate.watch(&self.counts, Kind::EnvelopeRefused, label.name(), topic);
        if matches!(label, EnvelopeRefusal::Expired | EnvelopeRefusal::FromFuture)
            && let Ok(envelope) = Envelope::parse(&message.payload)
        {
            self.watch_clock(gate, message, envelope.time_ms(), now);
        }
        let who = Arc::clone(gate.who());
        let memo = self.envelopes.memo(&mut gate.envelopes, &who);
        let Some(unreported) = memo.report(now.instant) else { return };
        tracing::warn!(
            principal = %who.principal,
            client_id = who.client_id.as_str(),
            address = %who.address,
            topic = excerpt(topic),
            reason = label.name(),
            others_since = unreported,
            "payload refused: {refused}"
        );
    }

    /// Writes down what was accepted in this round, and then routes what waits, in order; gives what the
    /// sender of each is told.
    pub(super) fn settle(&self, memo: &mut PublishMemo, round: &mut Round) -> Vec<Settled> {
        let waiting = std::mem::take(&mut round.pending).waiting;
        let accepted = |waiting: &Waiting| match waiting.what {
            What::Accepted(accepted) => Some(accepted),
            What::Plain | What::Again => None,
        };
        let accepted: Vec<Accepted> = waiting.iter().filter_map(accepted).collect();
        let kept = self.envelopes.keep(&accepted);
        let mut answers = Vec::new();
        for Waiting { message, packet_id, what } in waiting {
            let reason = match (what, &kept) {
                (What::Again, _) => ReasonCode::Success,
                (What::Accepted(accepted), Err(refused)) => {
                    self.envelopes.take_back(&accepted);
                    self.counts.metrics.envelopes_refused.increment(refused.label());
                    refused.reason()
                }
                (What::Accepted(_) | What::Plain, _) => self.route(memo, &message, round),
            };
            let settled = |packet_id| Settled { packet_id, qos: message.qos, reason };
            answers.extend(packet_id.map(settled));
        }
        answers
    }

    /// Whether the client may leave this will, by its payload: it is judged when it comes, and sealed when
    /// it is sent. The same one is taken again until it has been sent.
    pub(super) fn admit_will(
        &self,
        gate: &mut Gate,
        message: &Message,
        now: Now,
    ) -> Result<(), ReasonCode> {
        let Some(terms) = gate.terms(&message.topic) else { return Ok(()) };
        let judged = match terms.mode {
            EnvelopeMode::Plain => Ok(()),
            EnvelopeMode::Seal => self.envelopes.can_seal(gate.who(), message, now),
            EnvelopeMode::Verify => {
                let who = Arc::clone(gate.who());
                let brought = Brought { who: &who, message, packet: Some(PacketKind::Will), now };
                match self.envelopes.admit(&mut gate.envelopes, &terms, brought) {
                    Ok(Admission::New(accepted)) => {
                        let kept = self.envelopes.keep(&[accepted]);
                        kept.inspect_err(|_| self.envelopes.take_back(&accepted))
                    }
                    Ok(Admission::Again) => Ok(()),
                    Err(refused) => Err(refused),
                }
            }
        };
        judged.map_err(|refused| {
            self.report_refused(gate, message, &refused, now);
            refused.reason()
        })
    }

    /// The will as it is sent: sealed where the broker seals, and nothing where it is no envelope that
    /// was judged when it came and still holds.
    pub(super) fn sealed_will(
        &self,
        gate: &mut Gate,
        message: Message,
        now: Now,
    ) -> Option<Message> {
        let Some(terms) = gate.terms(&message.topic) else { return Some(message) };
        let judged = match terms.mode {
            EnvelopeMode::Plain => return Some(message),
            EnvelopeMode::Seal => self.envelopes.seal(gate.who(), &message, now),
            EnvelopeMode::Verify => {
                let who = Arc::clone(gate.who());
                let brought = Brought { who: &who, message: &message, packet: None, now };
                let admission = self.envelopes.take_will(&mut gate.envelopes, &terms, brought);
                admission.map(|()| message.clone())
            }
        };
        judged.inspect_err(|refused| self.report_refused(gate, &message, refused, now)).ok()
    }

    /// Whether the message, which has been judged or sealed, has an empty payload in its envelope.
    pub(super) fn is_envelope_of_nothing(&self, message: &Message) -> bool {
        message.payload.starts_with(&MAGIC)
            && Envelope::parse(&message.payload).is_ok_and(|envelope| envelope.payload_len() == 0)
            // Elsewhere nobody has judged it, and it is a payload like any other.
            && self.authority.has_envelopes(&message.topic)
    }

    /// The message as it leaves for a client; nothing where it must not leave so.
    pub(super) fn leaving(
        &self,
        delivery: Delivery,
        message: &Arc<Message>,
        now: Now,
    ) -> Option<Arc<Message>> {
        let is_sealed = message.payload.starts_with(&MAGIC);
        match delivery {
            Delivery::AsItIs => Some(Arc::clone(message)),
            Delivery::Sealed if is_sealed => Some(Arc::clone(message)),
            // It waited since before its topic was sealed: whoever may have it opened may have it.
            Delivery::Opened if !is_sealed => Some(Arc::clone(message)),
            Delivery::Opened => match self.envelopes.open(message, now) {
                Ok(opened) => Some(Arc::new(opened)),
                Err(refused) => {
                    self.counts.metrics.envelopes_refused.increment(refused.label());
                    tracing::debug!(
                        topic = excerpt(message.topic.as_str()),
                        "a sealed payload cannot be opened: {refused}"
                    );
                    self.counts.dropped(DropReason::NotOpened, 1);
                    None
                }
            },
            Delivery::Sealed | Delivery::Denied => {
                self.counts.dropped(DropReason::NotOpened, 1);
                None
            }
        }
    }
}

impl From<Admission> for What {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::New(accepted) => Self::Accepted(accepted),
            Admission::Again => Self::Again,
        }
    }
}
