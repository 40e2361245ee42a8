//! What is kept of each stream: its keys and its replay window. Bounded, and nothing that was forgotten
//! can be replayed.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::stream_keys::StreamKeys;
use super::window::{Place, Window};
use super::{Authentic, Claim, KeyId, Refusal, StreamImage};

/// How often a full table looks for streams that it may forget, at most.
const SWEEP_INTERVAL_MS: u64 = 1_000;

/// How many streams are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of all senders together. Each takes about 1 KiB.
    pub streams: usize,
    /// Of one sender, so that none can take the room of the others. A device that seals each message in a
    /// process of its own uses one for each message of the last minutes.
    pub streams_per_sender: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { streams: 65_536, streams_per_sender: 256 }
    }
}

/// The streams that have been seen, by sender.
///
/// A stream is forgotten only where there is no room, and only when the clock refuses all that was
/// accepted of it. Its newest TIME is remembered: a stream that is not known and not newer is refused
/// as `expired`, so that neither a clock that is set back nor a longer `max_age` lets a replay in.
/// Where the time of envelopes is not judged, no stream is ever forgotten.
#[derive(Debug)]
pub struct Streams {
    limits: Limits,
    /// The latest stream of each last: it is the likeliest to go on.
    senders: HashMap<Box<str>, Vec<Entry>>,
    count: usize,
    /// The newest TIME of all that was forgotten.
    floor_ms: Option<u64>,
    /// When it last looked for what may be forgotten.
    swept_ms: u64,
}

/// One stream: what it is found by, and the rest of it.
#[derive(Debug)]
struct Entry {
    key_id: KeyId,
    stream: [u8; 16],
    state: Box<State>,
}

#[derive(Debug)]
struct State {
    /// `None` when it was restored and nothing came since.
    keys: Option<Arc<StreamKeys>>,
    window: Window,
    /// The newest TIME that was accepted.
    newest_ms: u64,
    /// Later than this the clock refuses all that was accepted.
    fresh_until_ms: u64,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Streams {
    /// None yet, and room for so many.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, senders: HashMap::new(), count: 0, floor_ms: None, swept_ms: 0 }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The newest TIME of all that was forgotten, in milliseconds since the Unix epoch; `None` where
    /// nothing was. It is exported beside the streams.
    #[must_use]
    pub fn floor_ms(&self) -> Option<u64> {
        self.floor_ms
    }

    /// Refuses streams that are not known and not newer than `floor_ms`; never fewer than before.
    pub fn raise_floor(&mut self, floor_ms: u64) {
        self.floor_ms = self.floor_ms.max(Some(floor_ms));
    }

    /// The keys of the stream that a claim names, where it has been seen.
    #[must_use]
    pub fn keys_of(&self, claim: &Claim<'_, '_>) -> Option<Arc<StreamKeys>> {
        let envelope = &claim.envelope;
        let state = self.find(envelope.sender(), envelope.key_id(), envelope.stream())?;
        state.keys.clone()
    }

    /// Step 6, without changing anything: what [`Self::accept`] would answer.
    ///
    /// # Errors
    /// `replayed`, `stream_reused`, `expired`.
    pub fn look(&self, authentic: &Authentic<'_>) -> Result<(), Refusal> {
        let envelope = &authentic.envelope;
        match self.find(envelope.sender(), envelope.key_id(), envelope.stream()) {
            Some(state) => state.look(authentic),
            None => self.look_at_new(authentic),
        }
    }

    /// A stream that is not known may be one that was forgotten.
    fn look_at_new(&self, authentic: &Authentic<'_>) -> Result<(), Refusal> {
        match self.floor_ms >= Some(authentic.envelope.time_ms()) {
            true => Err(Refusal::Expired(authentic.receipt)),
            false => Ok(()),
        }
    }

    /// Step 6: notes that the envelope was seen. A stream that is new is kept from now on.
    ///
    /// # Errors
    /// `replayed`, `stream_reused`, `expired`, `too_many_streams`: then nothing has changed.
    pub fn accept(&mut self, authentic: &Authentic<'_>) -> Result<(), Refusal> {
        let envelope = &authentic.envelope;
        let (sender, key_id, stream) = (envelope.sender(), envelope.key_id(), envelope.stream());
        if let Some(state) = self.find_mut(sender, key_id, stream) {
            state.look(authentic)?;
            state.mark(authentic);
            return Ok(());
        }
        self.look_at_new(authentic)?;
        if !self.make_room(sender, authentic.now_ms) {
            return Err(Refusal::TooManyStreams(authentic.receipt));
        }
        let mut state = Box::new(State::new());
        state.mark(authentic);
        self.add(sender, Entry { key_id, stream, state });
        Ok(())
    }

    /// Forgets the streams of which the clock refuses all that was accepted.
    pub fn sweep(&mut self, now_ms: u64) {
        let Self { senders, count, floor_ms, .. } = self;
        senders.retain(|_, entries| {
            *count -= forget_stale(entries, now_ms, floor_ms);
            !entries.is_empty()
        });
        self.swept_ms = now_ms;
    }

    /// What there is to be exported of each stream.
    pub fn images(&self) -> impl Iterator<Item = StreamImage<'_>> {
        self.senders
            .iter()
            .flat_map(|(sender, entries)| entries.iter().map(move |entry| entry.image(sender)))
    }

    /// Takes in what was exported: what is known already has then seen what both have, and never less. Where
    /// there is no room for it, the floor rises to its newest TIME.
    pub fn restore(&mut self, image: &StreamImage<'_>) {
        let StreamImage { key_id, sender, stream, .. } = *image;
        if let Some(state) = self.find_mut(sender, key_id, stream) {
            state.merge(image);
        } else if self.has_room(sender) {
            let mut state = Box::new(State::new());
            state.merge(image);
            self.add(sender, Entry { key_id, stream, state });
        } else {
            self.raise_floor(image.newest_ms);
        }
    }

    #[inline]
    fn find(&self, sender: &str, key_id: KeyId, stream: [u8; 16]) -> Option<&State> {
        let mut entries = self.senders.get(sender)?.iter().rev();
        entries.find(|entry| entry.is(key_id, stream)).map(|entry| &*entry.state)
    }

    #[inline]
    fn find_mut(&mut self, sender: &str, key_id: KeyId, stream: [u8; 16]) -> Option<&mut State> {
        let mut entries = self.senders.get_mut(sender)?.iter_mut().rev();
        entries.find(|entry| entry.is(key_id, stream)).map(|entry| &mut *entry.state)
    }

    fn add(&mut self, sender: &str, entry: Entry) {
        match self.senders.get_mut(sender) {
            Some(entries) => entries.push(entry),
            None => {
                self.senders.insert(sender.into(), vec![entry]);
            }
        }
        self.count += 1;
    }

    fn has_room(&self, sender: &str) -> bool {
        let of_sender = self.senders.get(sender).map_or(0, Vec::len);
        self.count < self.limits.streams && of_sender < self.limits.streams_per_sender
    }

    /// Forgets what may be forgotten where there is no room; whether there is room then.
    fn make_room(&mut self, sender: &str, now_ms: u64) -> bool {
        if self.has_room(sender) {
            return true;
        }
        if let Some(entries) = self.senders.get_mut(sender) {
            self.count -= forget_stale(entries, now_ms, &mut self.floor_ms);
        }
        let full = self.count >= self.limits.streams;
        if full && now_ms.abs_diff(self.swept_ms) >= SWEEP_INTERVAL_MS {
            self.sweep(now_ms);
        }
        self.has_room(sender)
    }
}

/// Takes out what may be forgotten, and raises the floor to it; how many that were.
fn forget_stale(entries: &mut Vec<Entry>, now_ms: u64, floor_ms: &mut Option<u64>) -> usize {
    let before = entries.len();
    entries.retain(|entry| {
        let stale = entry.state.fresh_until_ms < now_ms;
        if stale {
            *floor_ms = Some(entry.state.newest_ms).max(*floor_ms);
        }
        !stale
    });
    before - entries.len()
}

impl Entry {
    fn is(&self, key_id: KeyId, stream: [u8; 16]) -> bool {
        self.stream == stream && self.key_id == key_id
    }

    fn image<'a>(&self, sender: &'a str) -> StreamImage<'a> {
        let State { window, newest_ms, fresh_until_ms, .. } = &*self.state;
        StreamImage {
            key_id: self.key_id,
            sender,
            stream: self.stream,
            highest: window.highest(),
            seen: *window.seen(),
            newest_ms: *newest_ms,
            fresh_until_ms: *fresh_until_ms,
        }
    }
}

impl State {
    fn new() -> Self {
        Self { keys: None, window: Window::new(), newest_ms: 0, fresh_until_ms: 0 }
    }

    /// A replay was accepted before: so it is not newer than all that was accepted, and it is the
    /// envelope that its number was seen in.
    fn look(&self, authentic: &Authentic<'_>) -> Result<(), Refusal> {
        let receipt = authentic.receipt;
        let other = match self.window.look(receipt.seq) {
            Place::New => return Ok(()),
            Place::Seen(Some(fingerprint)) => fingerprint != fingerprint_of(authentic),
            Place::Seen(None) | Place::Forgotten => false,
        };
        match other || authentic.envelope.time_ms() > self.newest_ms {
            true => Err(Refusal::StreamReused(receipt)),
            false => Err(Refusal::Replayed(receipt)),
        }
    }

    fn mark(&mut self, authentic: &Authentic<'_>) {
        let Authentic { envelope, keys, fresh_until_ms, .. } = authentic;
        self.window.mark(envelope.seq(), Some(fingerprint_of(authentic)));
        self.newest_ms = self.newest_ms.max(envelope.time_ms());
        self.fresh_until_ms = self.fresh_until_ms.max(*fresh_until_ms);
        if !self.keys.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, keys)) {
            self.keys = Some(Arc::clone(keys));
        }
    }

    fn merge(&mut self, image: &StreamImage<'_>) {
        self.window.merge(&Window::restored(image.highest, image.seen));
        self.newest_ms = self.newest_ms.max(image.newest_ms);
        self.fresh_until_ms = self.fresh_until_ms.max(image.fresh_until_ms);
    }
}

/// Four bytes of the HMAC; never 0.
fn fingerprint_of(authentic: &Authentic<'_>) -> u32 {
    let [a, b, c, d, ..] = *authentic.envelope.tag();
    u32::from_be_bytes([a, b, c, d]).max(1)
}
