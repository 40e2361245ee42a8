//! Random envelopes, both ways: what Rust seals Python opens, what Python seals Rust opens, both make the
//! same bytes, and of what has been changed both say the same.

use std::cell::RefCell;
use std::time::Duration;

use bastionmq::envelope::{
    Check, Key, KeyId, KeyMaterial, KeyRing, KeyState, Opener, Options, Sealer, Signer, Suite,
    TopicKey,
};
use bastionmq::topic::{TopicFilter, TopicNameRef};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::reference::Reference;
use crate::vector::hexed;

const NOW_MS: u64 = 1_790_000_000_000;
const MAX_AGE_MS: u64 = 300_000;
const MAX_SKEW_MS: u64 = 60_000;
const ROUNDS: u32 = 120;

/// All that an envelope is sealed from.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    key_id: [u8; 8],
    topic_key: [u8; 32],
    topic: String,
    sender: String,
    stream: [u8; 16],
    seq: u64,
    time_ms: u64,
    payload: Vec<u8>,
    suite: u8,
    content_type: Option<String>,
    trace: Option<String>,
    private: Vec<(u8, Vec<u8>)>,
    /// 0: unsigned; else the algorithm.
    algorithm: u8,
    private_key: [u8; 32],
}

/// What somebody does to an envelope on its way.
#[derive(Clone, Debug)]
pub(crate) enum Tampering {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Append(Vec<u8>),
}

#[test]
fn rust_and_python_seal_alike_and_open_what_the_other_seals() {
    let python = RefCell::new(Reference::start());
    let mut runner = TestRunner::new(Config::with_cases(ROUNDS));
    let outcome = runner.run(&inputs(), |inputs| {
        let mut python = python.borrow_mut();
        let (by_rust, by_python) = (inputs.seal(), python.seal(&inputs.for_python()));
        prop_assert_eq!(hexed(&by_rust), hexed(&by_python));
        let opened = ("ok".to_owned(), inputs.payload.clone());
        prop_assert_eq!(inputs.judge(&by_python), opened.clone());
        prop_assert_eq!(python.judge(&inputs.for_python(), &by_rust), opened);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn rust_and_python_say_the_same_of_what_was_changed_on_its_way() {
    let python = RefCell::new(Reference::start());
    let mut runner = TestRunner::new(Config::with_cases(2 * ROUNDS));
    let outcome = runner.run(&(inputs(), tampering()), |(inputs, tampering)| {
        let mut python = python.borrow_mut();
        let changed = tampering.of(inputs.seal());
        let (rust, _) = inputs.judge(&changed);
        let (reference, _) = python.judge(&inputs.for_python(), &changed);
        prop_assert_eq!(&rust, &reference, "{}", hexed(&changed));
        prop_assert_ne!(rust, "ok");
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

impl Inputs {
    pub(crate) fn unsigned(self) -> Self {
        Self { algorithm: 0, ..self }
    }

    fn signer(&self) -> Option<Signer> {
        match self.algorithm {
            0 => None,
            1 => Some(Signer::ed25519(&self.private_key)),
            _ => Some(Signer::p256(&self.private_key).expect("a scalar")),
        }
    }

    fn topic(&self) -> TopicNameRef<'_> {
        TopicNameRef::parse(&self.topic).expect("a topic")
    }

    fn key(&self) -> Key {
        Key {
            id: KeyId(self.key_id),
            topics: vec![TopicFilter::parse("#").expect("a filter")],
            state: KeyState::Active,
            created_ms: 0,
            not_after_ms: None,
            material: KeyMaterial::Topic(TopicKey::new(self.topic_key)),
        }
    }

    pub(crate) fn seal(&self) -> Vec<u8> {
        let private = self.private.iter().map(|(kind, value)| (*kind, &**value));
        let (private, signer) = (private.collect::<Vec<_>>(), self.signer());
        let options = Options {
            suite: if self.suite == 1 { Suite::Sealed } else { Suite::Signed },
            content_type: self.content_type.as_deref(),
            trace: self.trace.as_deref(),
            private: &private,
            signer: signer.as_ref(),
        };
        let sealer = Sealer::new(&self.key(), &self.sender, self.stream).expect("a sealer");
        let sealed =
            sealer.resume_at(self.seq).seal(self.topic(), self.time_ms, &self.payload, &options);
        sealed.expect("sealed")
    }

    /// What Rust makes of `envelope`: `ok` and the payload, or a refusal.
    pub(crate) fn judge(&self, envelope: &[u8]) -> (String, Vec<u8>) {
        let mut ring = KeyRing::default();
        ring.insert(self.key());
        let sender_key = self.signer().map(|signer| signer.sender_key());
        let check = Check {
            sender: Some(&self.sender),
            max_age: Some(Duration::from_millis(MAX_AGE_MS)),
            max_skew: Duration::from_millis(MAX_SKEW_MS),
            sender_key: sender_key.as_ref(),
            ..Check::new(self.topic(), NOW_MS)
        };
        let mut payload = Vec::new();
        let opened = Opener::default().open(&ring, &check, envelope, &mut payload);
        let name = opened.map_or_else(|refusal| refusal.name(), |_| "ok");
        (name.to_owned(), payload)
    }

    /// In the words of the vectors. The public key is derived by the one who verifies.
    pub(crate) fn for_python(&self) -> Value {
        let mut vector = json!({
            "key_id": hexed(&self.key_id),
            "topic_key": hexed(&self.topic_key),
            "topics": ["#"],
            "state": "active",
            "topic": self.topic,
            "sender": self.sender,
            "now_ms": NOW_MS,
            "max_age_ms": MAX_AGE_MS,
            "max_skew_ms": MAX_SKEW_MS,
            "sealed_by": self.sender,
            "stream": hexed(&self.stream),
            "seq": self.seq,
            "time_ms": self.time_ms,
            "payload": hexed(&self.payload),
            "suite": self.suite,
            "content_type": self.content_type,
            "trace": self.trace,
            "private": self.private.iter().map(|(kind, value)| json!([kind, hexed(value)])).collect::<Vec<_>>(),
        });
        if self.algorithm != 0 {
            let private = hexed(&self.private_key);
            vector["signer"] = json!({ "algorithm": self.algorithm, "private_key": private });
            vector["signers"] =
                json!({ &self.sender: { "algorithm": self.algorithm, "private_key": private } });
        }
        vector
    }
}

impl Tampering {
    /// Something else than `envelope`, whatever it is.
    pub(crate) fn of(&self, mut envelope: Vec<u8>) -> Vec<u8> {
        let length = envelope.len();
        match self {
            Self::Flip(at, bits) => envelope[at.index(length)] ^= bits,
            Self::Cut(at) => envelope.truncate(at.index(length)),
            Self::Insert(at, byte) => envelope.insert(at.index(length), *byte),
            Self::Remove(at) => {
                envelope.remove(at.index(length));
            }
            Self::Append(more) => envelope.extend_from_slice(more),
        }
        envelope
    }
}

pub(crate) fn tampering() -> impl Strategy<Value = Tampering> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), 1_u8..).prop_map(|(at, bits)| Tampering::Flip(at, bits)),
        1 => at().prop_map(Tampering::Cut),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Tampering::Insert(at, byte)),
        1 => at().prop_map(Tampering::Remove),
        1 => vec(any::<u8>(), 1..40).prop_map(Tampering::Append),
    ]
}

pub(crate) fn inputs() -> impl Strategy<Value = Inputs> {
    let text = "[a-z0-9/\u{e9}\u{6e29}]{1,12}";
    let keys = (any::<[u8; 8]>(), any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 16]>());
    let names = (text, "[a-zA-Z0-9_.\u{b0}-]{1,40}");
    let time = NOW_MS - MAX_AGE_MS..=NOW_MS + MAX_SKEW_MS;
    let seq = prop_oneof![1_u64..1_000, Just(u64::MAX), 1_u64..];
    let payload = prop_oneof![
        20 => vec(any::<u8>(), 0..300),
        1 => (65_500_usize..65_600, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ];
    let optional = (
        prop::option::of(text),
        prop::option::of("[ -~]{0,60}"),
        btree_map(0x90_u8..=0xEF, vec(any::<u8>(), 0..20), 0..3),
    );
    (keys, names, (seq, time), payload, 1_u8..=2, optional, 0_u8..=2).prop_map(
        |(keys, names, (seq, time_ms), payload, suite, optional, algorithm)| {
            let (key_id, topic_key, mut private_key, stream) = keys;
            // Below the order of P-256, and not 0.
            private_key[0] = 0x7F;
            let ((topic, sender), (content_type, trace, private)) = (names, optional);
            let private = private.into_iter().collect();
            Inputs {
                key_id,
                topic_key,
                topic,
                sender,
                stream,
                seq,
                time_ms,
                payload,
                suite,
                content_type,
                trace,
                private,
                algorithm,
                private_key,
            }
        },
    )
}
