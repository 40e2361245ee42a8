//! `tests/vectors/envelope.json`: each envelope judged as it says, and sealed again byte for byte. What
//! its fields are is in the README beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::mem;
use std::path::Path;
use std::time::Duration;

use bastionmq::envelope::{
    Check, Envelope, Key, KeyId, KeyMaterial, KeyRing, KeyState, Limits, Opener, Options, Sealer,
    SenderKey, Signer, Streams, Suite, TopicKey, Verifier, VerifyKey,
};
use bastionmq::topic::{TopicFilter, TopicNameRef};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    key_id: KeyId,
    topics: Vec<String>,
    state: KeyState,
    topic_key: Option<Bytes>,
    mac_root: Option<Bytes>,
    /// Whether it is to be opened, where that is not what the key is for.
    open: Option<bool>,
    not_after_ms: Option<u64>,
    limits: Option<Room>,
    #[serde(default)]
    encrypted_only: bool,
    topic: String,
    sender: Option<String>,
    now_ms: u64,
    max_age_ms: Option<u64>,
    max_skew_ms: u64,
    #[serde(default)]
    signers: BTreeMap<String, PublicKey>,
    #[serde(default)]
    needs_signature: bool,
    #[serde(default)]
    steps: Vec<Step>,
    /// Where there are no steps.
    envelope: Option<Bytes>,
    expect: Option<String>,
    payload: Option<Bytes>,
    sealed_by: Option<String>,
    stream: Option<Bytes>,
    seq: Option<u64>,
    time_ms: Option<u64>,
    suite: Option<u8>,
    content_type: Option<String>,
    trace: Option<String>,
    #[serde(default)]
    private: Vec<(u8, Bytes)>,
    signer: Option<PrivateKey>,
}

/// One envelope of several, and what differs from the vector's own.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    envelope: Bytes,
    expect: String,
    payload: Option<Bytes>,
    topic: Option<String>,
    sender: Option<String>,
    now_ms: Option<u64>,
    needs_signature: Option<bool>,
    open: Option<bool>,
}

#[derive(Deserialize)]
struct Room {
    most: usize,
    most_of_sender: usize,
}

/// Hexadecimal parts; `5a*3` is a byte that stands three times.
#[derive(Clone)]
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(text.split(' ').flat_map(part).collect()))
    }
}

fn part(text: &str) -> Vec<u8> {
    let (digits, times) = text.split_once('*').unwrap_or((text, "1"));
    let pairs = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("ASCII"));
    let bytes: Vec<_> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
    bytes.repeat(times.parse().expect("a number"))
}

impl Bytes {
    fn exactly<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().expect("as many bytes")
    }
}

fn vectors() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/envelope.json");
    let text = fs::read_to_string(path).expect("the vectors");
    serde_json::from_str::<Vectors>(&text).expect("vectors").vectors
}

impl Vector {
    fn key(&self) -> Key {
        let material = match (&self.topic_key, &self.mac_root) {
            (Some(key), _) => KeyMaterial::Topic(TopicKey::new(key.exactly())),
            (None, root) => {
                let root = root.as_ref().expect("a key").exactly();
                KeyMaterial::VerifyOnly(VerifyKey::new(root))
            }
        };
        let topics = self.topics.iter().map(|topic| TopicFilter::parse(topic).expect("a filter"));
        Key {
            id: self.key_id,
            topics: topics.collect(),
            state: self.state,
            created_ms: 0,
            not_after_ms: self.not_after_ms,
            material,
        }
    }

    fn steps(&self) -> Vec<Step> {
        let Some(envelope) = &self.envelope else { return self.steps.clone() };
        vec![Step {
            envelope: envelope.clone(),
            expect: self.expect.clone().expect("a verdict"),
            payload: self.payload.clone(),
            topic: None,
            sender: None,
            now_ms: None,
            needs_signature: None,
            open: None,
        }]
    }
}

/// One who verifies or opens, with one memory of what has been seen.
struct Judge {
    ring: KeyRing,
    streams: Streams,
}

impl Judge {
    fn of(vector: &Vector) -> Self {
        let mut ring = KeyRing::default();
        ring.insert(vector.key());
        let limits = vector.limits.as_ref().map_or(Limits::default(), |room| Limits {
            streams: room.most,
            streams_per_sender: room.most_of_sender,
        });
        Self { ring, streams: Streams::new(limits) }
    }

    /// The verdict, and the payload where it was opened.
    fn judge(&mut self, vector: &Vector, step: &Step) -> (&'static str, Option<Vec<u8>>) {
        let bytes = &step.envelope.0;
        let topic = step.topic.as_ref().unwrap_or(&vector.topic);
        let topic = TopicNameRef::parse(topic).expect("a topic");
        let sender_key = signer_of(vector, bytes);
        let check = Check {
            sender: step.sender.as_deref().or(vector.sender.as_deref()),
            max_age: vector.max_age_ms.map(Duration::from_millis),
            max_skew: Duration::from_millis(vector.max_skew_ms),
            sender_key: sender_key.as_ref(),
            signature_required: step.needs_signature.unwrap_or(vector.needs_signature),
            encrypted_only: vector.encrypted_only,
            ..Check::new(topic, step.now_ms.unwrap_or(vector.now_ms))
        };
        let open = step.open.or(vector.open).unwrap_or(vector.topic_key.is_some());
        let (streams, mut payload) = (mem::take(&mut self.streams), Vec::new());
        let judged = if open {
            let mut opener = Opener::new(streams);
            let judged = opener.open(&self.ring, &check, bytes, &mut payload);
            self.streams = mem::take(opener.streams_mut());
            judged
        } else {
            let mut verifier = Verifier::new(streams);
            let judged = verifier.verify(&self.ring, &check, bytes);
            self.streams = mem::take(verifier.streams_mut());
            judged
        };
        let opened = open && judged.is_ok();
        (judged.map_or_else(|refusal| refusal.name(), |_| "ok"), opened.then_some(payload))
    }
}

#[derive(Deserialize)]
struct PublicKey {
    algorithm: u8,
    public_key: Bytes,
}

#[derive(Deserialize)]
struct PrivateKey {
    algorithm: u8,
    private_key: Bytes,
}

/// The public key of who the envelope says it is from.
fn signer_of(vector: &Vector, bytes: &[u8]) -> Option<SenderKey> {
    let envelope = Envelope::parse(bytes).ok()?;
    let key = vector.signers.get(envelope.sender())?;
    let made = match key.algorithm {
        1 => SenderKey::ed25519(&key.public_key.exactly()),
        _ => SenderKey::p256(&key.public_key.0),
    };
    Some(made.expect("a key"))
}

/// Seals what a vector was made from; `None` where it does not say or has no key for it, or where it has
/// types that no version of the format knows yet.
fn seal_again(vector: &Vector) -> Option<Vec<u8>> {
    let sender = vector.sealed_by.as_deref().filter(|_| vector.topic_key.is_some())?;
    if vector.private.iter().any(|(tag, _)| !(0x90..=0xEF).contains(tag)) {
        return None;
    }
    let stream = vector.stream.as_ref().expect("a stream").exactly();
    let signer = vector.signer.as_ref().map(|key| match key.algorithm {
        1 => Signer::ed25519(&key.private_key.exactly()),
        _ => Signer::p256(&key.private_key.exactly()).expect("a key"),
    });
    let private: Vec<_> = vector.private.iter().map(|(tag, value)| (*tag, &*value.0)).collect();
    let options = Options {
        suite: if vector.suite == Some(1) { Suite::Sealed } else { Suite::Signed },
        content_type: vector.content_type.as_deref(),
        trace: vector.trace.as_deref(),
        private: &private,
        signer: signer.as_ref(),
    };
    let topic = TopicNameRef::parse(&vector.topic).expect("a topic");
    let key = Key { state: KeyState::Active, ..vector.key() };
    let sealer = Sealer::new(&key, sender, stream).expect("a sealer");
    let mut sealer = sealer.resume_at(vector.seq.expect("a number"));
    let payload = &vector.payload.as_ref().expect("a payload").0;
    let time_ms = vector.time_ms.expect("a time");
    let sealed = sealer.seal(topic, time_ms, payload, &options);
    Some(sealed.unwrap_or_else(|error| panic!("{}: {error}", vector.name)))
}

#[test]
fn each_vector_is_judged_as_it_says() {
    let (vectors, mut wrong) = (vectors(), String::new());
    assert!(vectors.len() >= 40);
    for vector in &vectors {
        let mut judge = Judge::of(vector);
        for (number, step) in vector.steps().iter().enumerate() {
            let (verdict, payload) = judge.judge(vector, step);
            if verdict != step.expect {
                let Vector { name, .. } = vector;
                let expected = &step.expect;
                writeln!(wrong, "{name}, {number}: {verdict}, not {expected}").expect("memory");
            }
            if let (Some(opened), Some(expected)) = (payload, &step.payload) {
                assert_eq!(opened, expected.0, "{}, {number}", vector.name);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn what_a_good_vector_was_made_from_gives_its_bytes() {
    let mut sealed = 0;
    for vector in vectors() {
        let (Some(bytes), Some(envelope)) = (seal_again(&vector), &vector.envelope) else {
            continue;
        };
        assert!(bytes == envelope.0, "{}", vector.name);
        sealed += 1;
    }
    assert!(sealed >= 40, "{sealed}");
}
