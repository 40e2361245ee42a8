//! What an envelope costs whoever verifies or opens it, and what the primitives alone cost on the same
//! bytes, keyed beforehand.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use bastionmq::envelope::{
    Check, Envelope, Key, KeyId, KeyMaterial, KeyRing, KeyState, Opener, Options, Sealer, TopicKey,
    Verifier,
};
use bastionmq::topic::{TopicFilter, TopicNameRef};
use divan::black_box;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const TOPIC: &str = "plant/7/line/3/temperature";
const NOW_MS: u64 = 1_790_000_000_000;

/// So many different envelopes one after the other; then a verifier that has seen none of them.
const STREAM: usize = 1024;

/// Bytes of the HMAC with its type and length.
const TAG: usize = 35;

fn key() -> Key {
    Key {
        id: KeyId([7; 8]),
        topics: vec![TopicFilter::parse("plant/#").unwrap()],
        state: KeyState::Active,
        created_ms: 0,
        not_after_ms: None,
        material: KeyMaterial::Topic(TopicKey::new([0x42; 32])),
    }
}

fn ring() -> KeyRing {
    let mut ring = KeyRing::default();
    ring.insert(key());
    ring
}

fn topic() -> TopicNameRef<'static> {
    TopicNameRef::parse(TOPIC).unwrap()
}

fn check() -> Check<'static> {
    Check { sender: Some("sensor-7"), ..Check::new(topic(), NOW_MS) }
}

fn envelopes(payload: usize) -> Vec<Vec<u8>> {
    let mut sealer = Sealer::new(&key(), "sensor-7", [9; 16]).unwrap();
    let payload = vec![0x42; payload];
    let seal = |_| sealer.seal(topic(), NOW_MS, &payload, &Options::default()).unwrap();
    (0..STREAM).map(seal).collect()
}

/// An envelope is parsed.
pub(crate) fn parse(payload: usize) -> impl FnMut() -> usize {
    let bytes = envelopes(payload).swap_remove(0);
    move || Envelope::parse(black_box(&bytes)).unwrap().payload_len()
}

/// An envelope is verified.
pub(crate) fn verify(payload: usize) -> impl FnMut() -> usize {
    let (envelopes, ring, check) = (envelopes(payload), ring(), check());
    let (mut verifier, mut next) = (Verifier::default(), 0);
    move || {
        if next == STREAM {
            (verifier, next) = (Verifier::default(), 0);
        }
        next += 1;
        let verified = verifier.verify(&ring, &check, black_box(&envelopes[next - 1])).unwrap();
        verified.envelope.payload_len()
    }
}

/// An envelope is opened.
pub(crate) fn open(payload: usize) -> impl FnMut() -> usize {
    let (envelopes, ring, check) = (envelopes(payload), ring(), check());
    let (mut opener, mut next, mut into) = (Opener::default(), 0, Vec::with_capacity(payload));
    move || {
        if next == STREAM {
            (opener, next) = (Opener::default(), 0);
        }
        next += 1;
        into.clear();
        opener.open(&ring, &check, black_box(&envelopes[next - 1]), &mut into).unwrap();
        into.len()
    }
}

/// An envelope is sealed.
pub(crate) fn seal(payload: usize) -> impl FnMut() -> usize {
    let mut sealer = Sealer::new(&key(), "sensor-7", [9; 16]).unwrap();
    let payload = vec![0x42; payload];
    move || sealer.seal(topic(), NOW_MS, black_box(&payload), &Options::default()).unwrap().len()
}

/// Whether the primitives are keyed once, as the library keys them for each stream, or for each message, as
/// who calls them alone does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keyed {
    Once,
    EachTime,
}

/// The HMAC alone, on what it covers.
pub(crate) fn hmac(payload: usize, keyed: Keyed) -> impl FnMut() -> usize {
    let (envelopes, mac) = (envelopes(payload), mac());
    let mut next = 0;
    move || {
        next = (next + 1) % STREAM;
        let mac = match keyed {
            Keyed::Once => mac.clone(),
            Keyed::EachTime => self::mac(),
        };
        usize::from(authenticate(mac, black_box(&envelopes[next]))[0])
    }
}

fn mac() -> Hmac<Sha256> {
    Hmac::new_from_slice(black_box(&[7; 32])).unwrap()
}

fn authenticate(mut mac: Hmac<Sha256>, envelope: &[u8]) -> [u8; 32] {
    mac.update(b"BMQ1\0\x1a");
    mac.update(TOPIC.as_bytes());
    mac.update(&envelope[..envelope.len() - TAG]);
    mac.finalize().into_bytes().into()
}

/// The HMAC, then AES-GCM on a copy of the ciphertext, with as much authenticated besides.
pub(crate) fn hmac_and_gcm(payload: usize, keyed: Keyed) -> impl FnMut() -> usize {
    let (envelopes, mac, cipher) = (envelopes(payload), mac(), cipher());
    let nonce = Nonce::from([0; 12]);
    let beside = envelopes[0].len() - TAG - payload - 16 - 3 + 6 + TOPIC.len();
    let aad = vec![1; beside];
    let mut sealed = vec![0x42; payload];
    let tag: Tag =
        cipher.encrypt_inout_detached(&nonce, &aad, sealed.as_mut_slice().into()).unwrap();
    let (mut into, mut next) = (Vec::with_capacity(payload), 0);
    move || {
        next = (next + 1) % STREAM;
        into.clear();
        into.extend_from_slice(black_box(&sealed));
        let (fresh_mac, fresh_cipher);
        let (mac, cipher) = match keyed {
            Keyed::Once => (&mac, &cipher),
            Keyed::EachTime => {
                (fresh_mac, fresh_cipher) = (self::mac(), self::cipher());
                (&fresh_mac, &fresh_cipher)
            }
        };
        black_box(authenticate(mac.clone(), black_box(&envelopes[next])));
        let opened = cipher.decrypt_inout_detached(&nonce, &aad, into.as_mut_slice().into(), &tag);
        opened.unwrap();
        into.len()
    }
}

fn cipher() -> Aes256Gcm {
    Aes256Gcm::new(black_box(&[7; 32]).into())
}
