//! The bytes of the log.
//!
//! ```text
//! header   8  "BMQWINS", and the version of this format: 1
//!          8  number of the file, big-endian as all numbers
//!         16  run of the machine
//!         16  tag of these 32 bytes
//! frame    1  kind: 1 accepted, 2 stream, 3 end, 4 floor
//!          4  bytes of content, and 4 with every bit of these turned: what is cut off is told by it from
//!             what is damaged
//!         ..  content
//!         16  tag of the frame up to here
//! ```
//!
//! A tag is the first half of HMAC-SHA-256 under the key of the directory.

use std::collections::VecDeque;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub(super) const MAGIC: [u8; 8] = *b"BMQWINS\x01";
pub(super) const HEADER: usize = 48;
/// Bytes of a frame before its content.
pub(super) const FRAME_HEAD: usize = 9;
pub(super) const TAG: usize = 16;
/// Bytes of one [`Accepted`].
const ACCEPTED: usize = 16 + 3 * 8 + PACKET;
/// Bytes of a [`StreamState`] before its packets.
const STATE: usize = 3 * 8 + WINDOW / 8;

pub(super) const KIND_ACCEPTED: u8 = 1;
pub(super) const KIND_STREAM: u8 = 2;
pub(super) const KIND_END: u8 = 3;
pub(super) const KIND_FLOOR: u8 = 4;

/// Sequence numbers that a window tells apart.
pub const WINDOW: usize = 1_024;

/// Stands for a stream of one sender under one key, whose names it does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamHash(pub [u8; 16]);

/// An envelope that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its stream.
    pub stream: StreamHash,
    /// Its place there.
    pub seq: u64,
    /// Its time, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Later than this the clock refuses it.
    pub fresh_until_ms: u64,
    /// How it came, where it may come again.
    pub packet: Option<Packet>,
}

/// A PUBLISH of QoS 1 or 2 that brought an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The place of the envelope in its stream.
    pub seq: u64,
    /// The start of its tag.
    pub tag: [u8; 8],
    /// Stands for the client that sent it.
    pub client: u64,
    /// Its packet identifier.
    pub id: u16,
    /// Its QoS.
    pub qos: u8,
}

/// What is known of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The highest sequence number.
    pub top: u64,
    /// Whether `top` less so much was seen, by bits from the lowest.
    pub seen: [u64; WINDOW / 64],
    /// The latest time, in milliseconds since the Unix epoch.
    pub latest_ms: u64,
    /// Later than this the clock refuses all of it.
    pub fresh_until_ms: u64,
    /// How the latest came, oldest first.
    pub packets: VecDeque<Packet>,
}

/// What says it was sealed then or before is refused, whatever the windows say; in milliseconds since the
/// Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floors {
    /// Of any stream: windows may be missing.
    pub all_ms: u64,
    /// Of a stream that is not known: it may have been forgotten.
    pub unknown_ms: u64,
}

impl Floors {
    /// The higher ones.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            all_ms: self.all_ms.max(other.all_ms),
            unknown_ms: self.unknown_ms.max(other.unknown_ms),
        }
    }
}

/// Packets that are remembered of one stream: what a client has in flight, by the default receive
/// maximum.
pub const PACKETS: usize = 256;

impl Default for StreamState {
    fn default() -> Self {
        let packets = VecDeque::new();
        Self { top: 0, seen: [0; WINDOW / 64], latest_ms: 0, fresh_until_ms: 0, packets }
    }
}

impl StreamState {
    /// Notes an envelope; one that is noted already changes nothing.
    pub fn note(&mut self, accepted: &Accepted) {
        let Accepted { seq, time_ms, fresh_until_ms, packet, .. } = *accepted;
        self.see(seq);
        self.latest_ms = self.latest_ms.max(time_ms);
        self.fresh_until_ms = self.fresh_until_ms.max(fresh_until_ms);
        if let Some(packet) = packet {
            self.remember(packet);
        }
    }

    /// Notes how an envelope came.
    pub fn remember(&mut self, packet: Packet) {
        if self.packets.contains(&packet) {
            return;
        }
        if self.packets.len() >= PACKETS {
            self.packets.pop_front();
        }
        self.packets.push_back(packet);
    }

    /// The sequence numbers that were seen, the highest first, as far back as a window goes.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        let is_seen = |back: &u64| {
            let (word, bit) = (back / 64, back % 64);
            self.seen.get(word as usize).is_some_and(|bits| bits >> bit & 1 == 1)
        };
        (0..WINDOW as u64).filter(is_seen).filter_map(|back| self.top.checked_sub(back))
    }

    /// Notes that a sequence number was seen.
    pub fn see(&mut self, seq: u64) {
        if seq > self.top {
            let ahead = usize::try_from(seq - self.top).unwrap_or(usize::MAX);
            self.shift(ahead);
            self.top = seq;
        }
        let back = usize::try_from(self.top - seq).unwrap_or(usize::MAX);
        if let Some(bits) = self.seen.get_mut(back / 64) {
            *bits |= 1 << (back % 64);
        }
    }

    /// Every number is so much further behind.
    fn shift(&mut self, by: usize) {
        let (words, bits) = (by / 64, by % 64);
        for place in (0..self.seen.len()).rev() {
            let word = |back: usize| {
                place.checked_sub(back).and_then(|from| self.seen.get(from)).copied().unwrap_or(0)
            };
            let low = match bits {
                0 => 0,
                bits => word(words.saturating_add(1)) >> (64 - bits),
            };
            self.seen[place] = word(words) << bits | low;
        }
    }

    /// Notes all that `other` knows of the same stream.
    pub fn join(&mut self, other: &Self) {
        if other.top > self.top {
            self.shift(usize::try_from(other.top - self.top).unwrap_or(usize::MAX));
            self.top = other.top;
        }
        let mut theirs = other.clone();
        theirs.shift(usize::try_from(self.top - other.top).unwrap_or(usize::MAX));
        self.seen.iter_mut().zip(theirs.seen).for_each(|(ours, theirs)| *ours |= theirs);
        self.latest_ms = self.latest_ms.max(other.latest_ms);
        self.fresh_until_ms = self.fresh_until_ms.max(other.fresh_until_ms);
        other.packets.iter().for_each(|packet| self.remember(*packet));
    }
}

/// What authenticates the files of a directory, and hides the names of streams.
#[derive(Clone)]
pub struct LogKey(Hmac<Sha256>);

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(..)")
    }
}

impl LogKey {
    /// A key of 32 random bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(bytes);
        // HMAC takes keys of any length.
        Self(mac.unwrap_or_else(|_| <Hmac<Sha256> as KeyInit>::new(&Default::default())))
    }

    /// The start of the HMAC of `parts`, each with its length.
    #[must_use]
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        first_half(mac)
    }

    pub(super) fn tag(&self, bytes: &[u8]) -> [u8; TAG] {
        let mut mac = self.0.clone();
        mac.update(bytes);
        first_half(mac)
    }

    pub(super) fn is_tag_of(&self, tag: &[u8], bytes: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.verify_truncated_left(tag).is_ok()
    }
}

fn first_half(mac: Hmac<Sha256>) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
    half
}

pub(super) fn header(number: u64, run: &[u8; 16], key: &LogKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend(MAGIC);
    bytes.extend(number.to_be_bytes());
    bytes.extend(run);
    bytes.extend(key.tag(&bytes));
    bytes
}

/// A frame to be written.
pub(super) struct Frame(Vec<u8>);

impl Frame {
    fn begin(kind: u8, content: usize) -> Self {
        let mut bytes = Vec::with_capacity(FRAME_HEAD + content + TAG);
        bytes.push(kind);
        // No content is as long as that: a round is bounded by what is read at once.
        let length = u32::try_from(content).unwrap_or(u32::MAX);
        bytes.extend(length.to_be_bytes());
        bytes.extend((!length).to_be_bytes());
        Self(bytes)
    }

    fn end(mut self, key: &LogKey) -> Self {
        self.0.extend(key.tag(&self.0));
        self
    }

    pub(super) fn of_accepted(accepted: &[Accepted], key: &LogKey) -> Self {
        let mut frame = Self::begin(KIND_ACCEPTED, accepted.len() * ACCEPTED);
        for Accepted { stream, seq, time_ms, fresh_until_ms, packet } in accepted {
            frame.0.extend(stream.0);
            frame.0.extend(seq.to_be_bytes());
            frame.0.extend(time_ms.to_be_bytes());
            frame.0.extend(fresh_until_ms.to_be_bytes());
            frame.packet(packet.as_ref());
        }
        frame.end(key)
    }

    pub(super) fn of_stream(hash: &StreamHash, state: &StreamState, key: &LogKey) -> Self {
        let content = 16 + STATE + state.packets.len() * (8 + PACKET);
        let mut frame = Self::begin(KIND_STREAM, content);
        frame.0.extend(hash.0);
        frame.0.extend(state.top.to_be_bytes());
        frame.0.extend(state.latest_ms.to_be_bytes());
        frame.0.extend(state.fresh_until_ms.to_be_bytes());
        state.seen.iter().for_each(|word| frame.0.extend(word.to_be_bytes()));
        for packet in &state.packets {
            frame.0.extend(packet.seq.to_be_bytes());
            frame.packet(Some(packet));
        }
        frame.end(key)
    }

    pub(super) fn of_floors(floors: Floors, key: &LogKey) -> Self {
        let mut frame = Self::begin(KIND_FLOOR, 16);
        frame.0.extend(floors.all_ms.to_be_bytes());
        frame.0.extend(floors.unknown_ms.to_be_bytes());
        frame.end(key)
    }

    pub(super) fn of_end(key: &LogKey) -> Self {
        Self::begin(KIND_END, 0).end(key)
    }

    /// All but its place in the stream. QoS 0 stands for none.
    fn packet(&mut self, packet: Option<&Packet>) {
        let nothing = Packet { seq: 0, tag: [0; 8], client: 0, id: 0, qos: 0 };
        let Packet { tag, client, id, qos, .. } = packet.unwrap_or(&nothing);
        self.0.extend(tag);
        self.0.extend(client.to_be_bytes());
        self.0.extend(id.to_be_bytes());
        self.0.push(*qos);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes of a packet, without its place.
const PACKET: usize = 8 + 8 + 2 + 1;

/// Takes fields off the start of bytes; nothing where they end too soon.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn accepted(&mut self) -> Option<Accepted> {
        let (stream, seq) = (self.stream()?, self.number()?);
        let (time_ms, fresh_until_ms) = (self.number()?, self.number()?);
        let packet = Some(self.packet(seq)?).filter(|packet| packet.qos > 0);
        Some(Accepted { stream, seq, time_ms, fresh_until_ms, packet })
    }

    fn packet(&mut self, seq: u64) -> Option<Packet> {
        let (tag, client) = (self.array()?, self.number()?);
        let id = self.array().map(u16::from_be_bytes)?;
        let [qos] = self.array()?;
        Some(Packet { seq, tag, client, id, qos })
    }

    pub(super) fn floors(&mut self) -> Option<Floors> {
        Some(Floors { all_ms: self.number()?, unknown_ms: self.number()? })
    }

    pub(super) fn stream(&mut self) -> Option<StreamHash> {
        self.array().map(StreamHash)
    }

    pub(super) fn state(&mut self) -> Option<StreamState> {
        let mut state = StreamState {
            top: self.number()?,
            latest_ms: self.number()?,
            fresh_until_ms: self.number()?,
            ..StreamState::default()
        };
        for word in &mut state.seen {
            *word = self.array().map(u64::from_be_bytes)?;
        }
        while !self.is_empty() {
            let seq = self.number()?;
            state.packets.push_back(self.packet(seq)?);
        }
        Some(state)
    }
}
