//! Whether an envelope is taken that a client brings.

use super::memo::EnvelopeMemo;
use super::packets::Packets;
use super::shard::{Note, Noted};
use super::{Envelopes, Refused, millis};
use crate::acl::EnvelopeTerms;
use crate::broker::gate::Who;
use crate::clock::Now;
use crate::codec::PacketId;
use crate::envelope::{Check, Claim, Envelope, Refusal};
use crate::message::{Message, SessionKey};
use crate::replay_log::{Accepted, Packet, StreamHash};

/// Who brings an envelope, in which packet.
#[derive(Clone, Copy)]
pub(in crate::broker) struct Brought<'a> {
    pub(in crate::broker) who: &'a Who,
    pub(in crate::broker) message: &'a Message,
    /// That of the message, or what stands for a will.
    pub(in crate::broker) packet: Option<PacketKind>,
    pub(in crate::broker) now: Now,
}

/// How an envelope comes, where it may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum PacketKind {
    /// In a PUBLISH of QoS 1 or 2.
    Publish(PacketId),
    /// As the will of a CONNECT.
    Will,
}

/// What is to be done with an envelope that holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) enum Admission {
    /// It is written down, and then routed.
    New(Accepted),
    /// It has been routed: its sender has not heard so, and is told again.
    Again,
}

impl Envelopes {
    /// Judges an envelope by all that the policy asks, and notes that it has come.
    pub(in crate::broker) fn admit(
        &self,
        memo: &mut Option<Box<EnvelopeMemo>>,
        terms: &EnvelopeTerms,
        brought: Brought<'_>,
    ) -> Result<Admission, Refused> {
        let Brought { who, message, packet, now } = brought;
        let memo = self.memo(memo, who);
        let ring = self.ring.load();
        let envelope = Envelope::parse(&message.payload).map_err(Refusal::Malformed)?;
        let now_ms = millis(now.unix);
        let check = Check {
            // Who has no name has sealed nothing.
            sender: Some(who.principal.name().unwrap_or_default()),
            now_ms,
            max_age: Some(terms.max_age),
            max_skew: terms.max_skew,
            once: true,
            encrypted_only: terms.encrypted_only,
            sender_key: memo.sender_key.as_ref(),
            signature_required: terms.require_signature,
            ..Check::new(message.topic.borrowed(), now_ms)
        };
        let claim = Claim::of(envelope, &ring, &check)?;
        let recalled = memo.recall(&envelope);
        let shard = self.shard(envelope.sender());
        let (keys, known) = match recalled {
            Some((keys, hash)) => (Some(keys), Some(hash)),
            None => (shard.lock().streams.keys_of(&claim), None),
        };
        let authentic = claim.prove(keys, &check)?;
        let receipt = authentic.receipt();
        if envelope.time_ms() <= self.floors.all_ms {
            return Err(Refusal::Expired(receipt).into());
        }
        let hash = known.unwrap_or_else(|| self.hash(&envelope));
        if known.is_none() {
            self.recover(&envelope, hash);
        }
        let may_be_signed = terms.require_signature || envelope.signature().is_some();
        // A signature takes long: what has come before was signed then, or is refused below.
        if may_be_signed && shard.lock().streams.look(&authentic).is_ok() {
            authentic.signed(&check)?;
        }
        let (id, qos) = match packet {
            Some(PacketKind::Publish(id)) => (id.get(), message.qos as u8),
            Some(PacketKind::Will) => (0, WILL),
            None => (0, 0),
        };
        let packet = packet_of(&envelope, memo.client, id, qos);
        let packet = Some(packet).filter(|packet| packet.qos > 0);
        let fresh_until_ms = envelope.time_ms().saturating_add(millis(terms.max_age));
        let session = message.publisher.unwrap_or(SessionKey(0));
        let noted = Noted { authentic: &authentic, hash, session, packet, fresh_until_ms };
        let note = {
            let mut shard = shard.lock();
            let note = shard.note(&noted)?;
            if known.is_none()
                && let Some(keys) = shard.streams.keys_of(&claim)
            {
                memo.remember(&envelope, keys, hash);
            }
            note
        };
        if note == Note::Routed {
            self.metrics.envelopes_again.increment(1);
            return Ok(Admission::Again);
        }
        self.metrics.envelopes_verified.increment(1);
        let (seq, time_ms) = (receipt.seq, envelope.time_ms());
        Ok(Admission::New(Accepted { stream: hash, seq, time_ms, fresh_until_ms, packet }))
    }

    /// Has a will sent that was judged when it came: once, and if its key still verifies it. Where it was
    /// not, it is judged now.
    pub(in crate::broker) fn take_will(
        &self,
        memo: &mut Option<Box<EnvelopeMemo>>,
        terms: &EnvelopeTerms,
        brought: Brought<'_>,
    ) -> Result<(), Refused> {
        let envelope = Envelope::parse(&brought.message.payload).map_err(Refusal::Malformed)?;
        let will = {
            let memo = self.memo(memo, brought.who);
            packet_of(&envelope, memo.client, 0, WILL)
        };
        let hash = self.hash(&envelope);
        let was_judged = {
            let mut shard = self.shard(envelope.sender()).lock();
            shard.packets.get_mut(&hash).is_some_and(|packets| packets.forget(&will))
        };
        if was_judged {
            return self.still_holds(brought.message, brought.now);
        }
        match self.admit(memo, terms, brought)? {
            Admission::New(accepted) => self.keep(&[accepted]),
            Admission::Again => Ok(()),
        }
    }

    /// What was to be accepted could not be written down: were it sent again, it would not be told that it
    /// was.
    pub(in crate::broker) fn take_back(&self, accepted: &Accepted) {
        let Some(packet) = &accepted.packet else { return };
        for shard in &self.shards {
            let mut shard = shard.lock();
            if shard.packets.get_mut(&accepted.stream).is_some_and(|packets| packets.forget(packet))
            {
                return;
            }
        }
    }

    /// Stands for a stream where its names must not be read.
    fn hash(&self, envelope: &Envelope<'_>) -> StreamHash {
        let (key_id, stream) = (envelope.key_id(), envelope.stream());
        StreamHash(self.key.hash(&[b"stream", &key_id.0, envelope.sender().as_bytes(), &stream]))
    }

    /// Takes up what an earlier run has seen of a stream, now that its names are known.
    fn recover(&self, envelope: &Envelope<'_>, hash: StreamHash) {
        // Held until the stream has its window: nobody else finds it in neither.
        let mut recovered = self.recovered.lock();
        let Some(state) = recovered.remove(&hash) else { return };
        let mut shard = self.shard(envelope.sender()).lock();
        let image = super::keeping::image(envelope, &state);
        shard.streams.restore(&image);
        shard.packets.insert(hash, Packets::recovered(&state.packets, state.fresh_until_ms));
    }
}

fn packet_of(envelope: &Envelope<'_>, client: u64, id: u16, qos: u8) -> Packet {
    let [a, b, c, d, e, f, g, h, ..] = *envelope.tag();
    Packet { seq: envelope.seq(), tag: [a, b, c, d, e, f, g, h], client, id, qos }
}

/// Stands for the QoS of a will.
const WILL: u8 = 3;
