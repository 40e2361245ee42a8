//! Payloads that the broker seals for devices that cannot, and opens for whom it may.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Envelopes, Refused, millis};
use crate::broker::gate::Who;
use crate::clock::Now;
use crate::envelope::{Check, KeyId, Opener, Options, Refusal, Sealer};
use crate::message::Message;

/// Streams that are gone on with: one for each key and sender. Whoever is forgotten begins another.
const MOST: usize = 65_536;

/// The streams that this run of the broker has begun, each with 16 random bytes of its own.
#[derive(Default)]
pub(super) struct Sealers(Mutex<Known>);

/// One stream. Its messages are sealed one after the other.
type Shared = Arc<Mutex<Sealer>>;

#[derive(Default)]
struct Known {
    sealers: HashMap<(KeyId, Arc<str>), Shared, foldhash::fast::RandomState>,
    /// In the order in which they were begun.
    order: VecDeque<(KeyId, Arc<str>)>,
}

impl Sealers {
    /// Begins other streams from now on: keys may not be in force any more.
    pub(super) fn forget(&self) {
        *self.0.lock() = Known::default();
    }
}

impl Known {
    fn insert(&mut self, name: (KeyId, Arc<str>), sealer: Sealer) -> Shared {
        if self.order.len() >= MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.sealers.remove(&oldest);
        }
        let shared = Arc::new(Mutex::new(sealer));
        self.order.push_back(name.clone());
        self.sealers.insert(name, Arc::clone(&shared));
        shared
    }
}

impl Envelopes {
    /// The message with its payload sealed in the name of `who`.
    pub(in crate::broker) fn seal(
        &self,
        who: &Who,
        message: &Message,
        now: Now,
    ) -> Result<Message, Refused> {
        let now_ms = millis(now.unix);
        let sealer = self.sealer(who, message, now_ms)?;
        let mut sealer = sealer.lock();
        let sealed =
            sealer.seal(message.topic.borrowed(), now_ms, &message.payload, &Options::default());
        let sealed = sealed.map_err(|error| Refused::NoSealingKey(error.to_string()))?;
        self.metrics.envelopes_sealed.increment(1);
        Ok(Message { payload: sealed.into(), ..message.clone() })
    }

    /// Whether there is a key to seal with for this message.
    pub(in crate::broker) fn can_seal(
        &self,
        who: &Who,
        message: &Message,
        now: Now,
    ) -> Result<(), Refused> {
        self.sealer(who, message, millis(now.unix)).map(drop)
    }

    fn sealer(&self, who: &Who, message: &Message, now_ms: u64) -> Result<Shared, Refused> {
        let no_key = |why: &str| Refused::NoSealingKey(why.to_owned());
        let ring = self.ring.load();
        let key = ring.sealing_key_for(&message.topic, now_ms);
        let key = key.ok_or_else(|| no_key("none in the ring is active for this topic"))?;
        let sender = who.principal.name().unwrap_or(ANONYMOUS);
        let name = (key.id, Arc::from(sender));
        let mut known = self.sealers.0.lock();
        if let Some(sealer) = known.sealers.get(&name) {
            return Ok(Arc::clone(sealer));
        }
        let mut stream = [0; 16];
        getrandom::fill(&mut stream).map_err(|_| no_key("the system gives no random numbers"))?;
        let sealer = Sealer::new(key, sender, stream);
        let sealer = sealer.map_err(|error| no_key(&error.to_string()))?;
        Ok(known.insert(name, sealer))
    }

    /// The message with its payload opened, which the broker has sealed.
    pub(in crate::broker) fn open(&self, message: &Message, now: Now) -> Result<Message, Refused> {
        let now_ms = millis(now.unix);
        // It was judged when it came, and waits as long as it has to.
        let check =
            Check { max_age: None, once: false, ..Check::new(message.topic.borrowed(), now_ms) };
        let mut payload = Vec::with_capacity(message.payload.len());
        Opener::default()
            .open(&self.ring.load(), &check, &message.payload, &mut payload)
            .map_err(Refused::from)?;
        self.metrics.envelopes_opened.increment(1);
        Ok(Message { payload: Bytes::from(payload), ..message.clone() })
    }

    /// Whether `message` is an envelope that its key still verifies, whenever it was sealed.
    pub(in crate::broker) fn still_holds(
        &self,
        message: &Message,
        now: Now,
    ) -> Result<(), Refused> {
        use crate::envelope::Verifier;
        let now_ms = millis(now.unix);
        let check =
            Check { max_age: None, once: false, ..Check::new(message.topic.borrowed(), now_ms) };
        let verified = Verifier::default().verify(&self.ring.load(), &check, &message.payload);
        verified.map(drop).map_err(|refusal: Refusal| refusal.into())
    }
}

/// In whose name the broker seals what comes from nobody in particular.
const ANONYMOUS: &str = "anonymous";
