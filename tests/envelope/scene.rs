//! A key, who holds it, and who forges with it.

use bastionmq::envelope::{
    Check, Key, KeyId, KeyMaterial, KeyRing, KeyState, Opener, Options, Refusal, Sealer, Suite,
    TopicKey, Verified, Verifier,
};
use bastionmq::topic::{TopicFilter, TopicNameRef};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub(crate) const NOW: u64 = 1_790_000_000_000;
pub(crate) const SENDER: &str = "sensor-7";
pub(crate) const STREAM: [u8; 16] = [0x5E; 16];
pub(crate) const TOPIC: &str = "plant/7/temperature";

/// Bytes of the HMAC with its type and length.
pub(crate) const TAG: usize = 35;

pub(crate) fn key() -> Key {
    Key {
        id: KeyId([1, 2, 3, 4, 5, 6, 7, 8]),
        topics: vec![TopicFilter::parse("plant/#").expect("a filter")],
        state: KeyState::Active,
        created_ms: 0,
        not_after_ms: None,
        material: KeyMaterial::Topic(TopicKey::new([0x42; 32])),
    }
}

pub(crate) fn verify_only() -> Key {
    Key { material: KeyMaterial::VerifyOnly(key().verify_key()), ..key() }
}

pub(crate) fn ring(keys: impl IntoIterator<Item = Key>) -> KeyRing {
    let mut ring = KeyRing::default();
    keys.into_iter().for_each(|key| assert_eq!(ring.insert(key), None));
    ring
}

pub(crate) fn topic(name: &str) -> TopicNameRef<'_> {
    TopicNameRef::parse(name).expect("a topic")
}

pub(crate) fn check() -> Check<'static> {
    Check { sender: Some(SENDER), ..Check::new(topic(TOPIC), NOW) }
}

pub(crate) fn sealer(sender: &str, stream: [u8; 16]) -> Sealer {
    Sealer::new(&key(), sender, stream).expect("a sealer")
}

pub(crate) fn seal(sealer: &mut Sealer, time_ms: u64) -> Vec<u8> {
    sealer.seal(topic(TOPIC), time_ms, b"21.5", &Options::default()).expect("sealed")
}

/// One envelope of the sender.
pub(crate) fn sealed(suite: Suite) -> Vec<u8> {
    let options = Options { suite, content_type: Some("text/plain"), ..Options::default() };
    sealer(SENDER, STREAM).seal(topic(TOPIC), NOW, b"21.5", &options).expect("sealed")
}

/// The name under which it is refused, or "ok".
pub(crate) fn name(judged: Result<Verified<'_>, Refusal>) -> &'static str {
    judged.map_or_else(|refusal| refusal.name(), |_| "ok")
}

/// What a verifier who has seen nothing says; what is refused leaves nothing behind.
pub(crate) fn verify(check: &Check<'_>, bytes: &[u8]) -> &'static str {
    let mut verifier = Verifier::default();
    let verdict = name(verifier.verify(&ring([verify_only()]), check, bytes));
    assert_eq!(verifier.streams().is_empty(), verdict != "ok", "{verdict}");
    verdict
}

/// What one says who opens and has seen nothing; what is refused leaves nothing behind.
pub(crate) fn open(check: &Check<'_>, bytes: &[u8]) -> &'static str {
    let (mut opener, mut payload) = (Opener::default(), Vec::new());
    let verdict = name(opener.open(&ring([key()]), check, bytes, &mut payload));
    assert_eq!(opener.streams().is_empty(), verdict != "ok", "{verdict}");
    assert_eq!(payload.is_empty(), verdict != "ok", "{verdict}");
    verdict
}

/// What the holder of a verify-only key makes of `bytes`: the HMAC that is right for them. They begin as an
/// envelope does, with SENDER and STREAM as in [`sealed`], and have no HMAC.
pub(crate) fn forge(bytes: &[u8]) -> Vec<u8> {
    forge_as(SENDER, STREAM, bytes)
}

pub(crate) fn forge_as(sender: &str, stream: [u8; 16], bytes: &[u8]) -> Vec<u8> {
    let mut mac_key = [0; 32];
    let info: [&[u8]; 3] = [&[sender.len() as u8], sender.as_bytes(), &stream];
    let root = key().verify_key();
    let hkdf = Hkdf::<Sha256>::new(None, root.expose());
    hkdf.expand_multi_info(&info, &mut mac_key).expect("32 bytes");
    let mut mac = Hmac::<Sha256>::new_from_slice(&mac_key).expect("a key");
    mac.update(b"BMQ1");
    mac.update(&(TOPIC.len() as u16).to_be_bytes());
    mac.update(TOPIC.as_bytes());
    mac.update(bytes);
    let mut forged = bytes.to_vec();
    forged.extend([0x7F, 0, 32]);
    forged.extend(mac.finalize().into_bytes());
    forged
}

/// A type with its value.
pub(crate) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u16).to_be_bytes();
    [&[tag], &length[..], value].concat()
}

/// The types of an envelope with their headers, without HMAC.
pub(crate) fn parts(envelope: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut parts) = (&envelope[4..envelope.len() - TAG], Vec::new());
    while let [_, high, low, ..] = rest {
        let (part, behind) = rest.split_at(3 + usize::from(u16::from_be_bytes([*high, *low])));
        parts.push(part.to_vec());
        rest = behind;
    }
    parts
}

/// The parts as an envelope without HMAC.
pub(crate) fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    [&[0xBA, 0x57, 1, 0], &*parts.concat()].concat()
}
