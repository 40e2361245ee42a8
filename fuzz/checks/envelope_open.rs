//! Any bytes as an envelope of a known key: no panic; nobody without the key makes one; whoever makes the
//! HMAC right gets a verdict that does not change, once; and nobody without the whole key makes what decrypts.

use bastionmq::envelope::{
    Check, Envelope, Key, KeyId, KeyMaterial, KeyRing, KeyState, Opener, StreamImage, Suite,
    TopicKey, Verified, Verifier,
};
use bastionmq::topic::{TopicFilter, TopicNameRef};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Those of most vectors, so that their envelopes are seeds.
const KEY_ID: [u8; 8] = 0x9eca_6a00_34f8_6e32_u64.to_be_bytes();
const TOPIC_KEY: [u8; 32] = [
    0x5b, 0x67, 0x83, 0xf9, 0xc4, 0x42, 0xc6, 0x69, 0x9e, 0x82, 0x57, 0xcd, 0x94, 0x4a, 0x78, 0x7f,
    0xc6, 0x5d, 0x1e, 0x7b, 0x56, 0x0b, 0x28, 0xd6, 0xb4, 0xe6, 0x88, 0x21, 0x65, 0x51, 0xb2, 0x90,
];
const TOPIC: &str = "plant/line1/temperature";
const NOW_MS: u64 = 1_790_000_000_000;

fn key() -> Key {
    Key {
        id: KeyId(KEY_ID),
        topics: vec![TopicFilter::parse("plant/#").unwrap()],
        state: KeyState::Active,
        created_ms: 0,
        not_after_ms: None,
        material: KeyMaterial::Topic(TopicKey::new(TOPIC_KEY)),
    }
}

pub(crate) fn check(bytes: &[u8]) {
    let mut ring = KeyRing::default();
    ring.insert(key());
    let check = Check::new(TopicNameRef::parse(TOPIC).unwrap(), NOW_MS);
    judge(&ring, &check, bytes);
    let Some(forged) = with_its_hmac(bytes) else { return };
    assert_ne!(judge(&ring, &check, &forged), "bad_tag");
    let mut other = forged;
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(judge(&ring, &check, &other), "bad_tag");
}

/// Verifies, opens, and does both again.
fn judge(ring: &KeyRing, check: &Check<'_>, bytes: &[u8]) -> &'static str {
    let (mut verifier, mut opener, mut payload) =
        (Verifier::default(), Opener::default(), Vec::new());
    let verified = name(verifier.verify(ring, check, bytes));
    let opened = name(opener.open(ring, check, bytes, &mut payload));
    assert!(opened == verified || (verified, opened) == ("ok", "decrypt_failed"), "{opened}");
    assert_eq!(verifier.streams().is_empty(), verified != "ok");
    assert_eq!(opener.streams().is_empty(), opened != "ok");
    if opened == "ok" {
        let envelope = Envelope::parse(bytes).unwrap();
        assert_eq!(payload.len(), envelope.payload_len());
        assert!(envelope.suite() == Suite::Sealed || payload == envelope.body());
    } else {
        assert!(payload.is_empty());
    }
    if verified == "ok" {
        assert_eq!(name(verifier.verify(ring, check, bytes)), "replayed");
        let mut kept = Vec::new();
        verifier.streams().images().for_each(|image| image.write(&mut kept));
        let mut restarted = Verifier::default();
        restarted.streams_mut().restore(&StreamImage::read(&kept).unwrap());
        assert_eq!(name(restarted.verify(ring, check, bytes)), "replayed");
    }
    verified
}

fn name(judged: Result<Verified<'_>, bastionmq::envelope::Refusal>) -> &'static str {
    judged.map_or_else(|refusal| refusal.name(), |_| "ok")
}

/// An envelope under our key as a holder of the verify-only key would send it.
fn with_its_hmac(bytes: &[u8]) -> Option<Vec<u8>> {
    let envelope = Envelope::parse(bytes).ok().filter(|envelope| envelope.key_id().0 == KEY_ID)?;
    let (sender, stream) = (envelope.sender().as_bytes(), envelope.stream());
    let mut mac_key = [0; 32];
    let root = key().verify_key();
    let info: [&[u8]; 3] = [&[sender.len() as u8], sender, &stream];
    Hkdf::<Sha256>::new(None, root.expose()).expand_multi_info(&info, &mut mac_key).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&mac_key).unwrap();
    let (covered, _) = bytes.split_at(bytes.len() - 35);
    mac.update(b"BMQ1");
    mac.update(&(TOPIC.len() as u16).to_be_bytes());
    mac.update(TOPIC.as_bytes());
    mac.update(covered);
    let mut forged = bytes.to_vec();
    let end = forged.len() - 32;
    forged[end..].copy_from_slice(&mac.finalize().into_bytes());
    Some(forged)
}
