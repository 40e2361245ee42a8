//! The parts together: what is sealed is verified and opened, and the table keeps its promises.

use std::time::Duration;

use super::*;
use crate::topic::{TopicFilter, TopicNameRef};

const NOW: u64 = 1_790_000_000_000;
const STREAM: [u8; 16] = [0x5E; 16];

fn key() -> Key {
    Key {
        id: KeyId([1, 2, 3, 4, 5, 6, 7, 8]),
        topics: vec![TopicFilter::parse("plant/#").expect("a filter")],
        state: KeyState::Active,
        created_ms: 0,
        not_after_ms: None,
        material: KeyMaterial::Topic(TopicKey::new([0x42; 32])),
    }
}

fn verify_only(key: &Key) -> Key {
    Key { material: KeyMaterial::VerifyOnly(key.verify_key()), ..key.clone() }
}

fn ring(key: Key) -> KeyRing {
    let mut ring = KeyRing::default();
    ring.insert(key);
    ring
}

fn topic() -> TopicNameRef<'static> {
    TopicNameRef::parse("plant/7/temperature").expect("a topic")
}

fn check() -> Check<'static> {
    Check::new(topic(), NOW)
}

fn sealer_of(sender: &str, stream: [u8; 16]) -> Sealer {
    Sealer::new(&key(), sender, stream).expect("a sealer")
}

fn seal_at(sealer: &mut Sealer, time_ms: u64) -> Vec<u8> {
    sealer.seal(topic(), time_ms, b"21.5", &Options::default()).expect("sealed")
}

fn sealed() -> Vec<u8> {
    seal_at(&mut sealer_of("sensor-7", STREAM), NOW)
}

fn name(judged: Result<Verified<'_>, Refusal>) -> &'static str {
    judged.map_or_else(|refusal| refusal.name(), |_| "ok")
}

#[test]
fn both_suites_are_verified_by_who_cannot_open_and_opened_by_who_can() {
    for suite in [Suite::Sealed, Suite::Signed] {
        let options = Options {
            suite,
            content_type: Some("text/plain"),
            trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            private: &[(0x90, b"one"), (0xEF, b"")],
            signer: None,
        };
        let mut sealer = sealer_of("sensor-7", STREAM);
        let bytes = sealer.seal(topic(), NOW, b"21.5", &options).expect("sealed");
        let mut verifier = Verifier::default();
        let verified = verifier.verify(&ring(verify_only(&key())), &check(), &bytes);
        let envelope = verified.expect("verified").envelope;
        assert_eq!((envelope.suite(), envelope.sender(), envelope.seq()), (suite, "sensor-7", 1));
        assert_eq!(
            (envelope.content_type(), envelope.trace()),
            (options.content_type, options.trace)
        );
        assert_eq!(
            (envelope.value_of(0x90), envelope.value_of(0xEF)),
            (Some(&b"one"[..]), Some(&b""[..]))
        );
        assert_eq!(envelope.payload_len(), 4);
        let mut payload = Vec::new();
        let opened = Opener::default().open(&ring(key()), &check(), &bytes, &mut payload);
        assert_eq!((name(opened), &*payload), ("ok", &b"21.5"[..]));
    }
}

#[test]
fn a_body_of_any_length_survives_around_the_extended_length_too() {
    let mut sealer = sealer_of("s", STREAM);
    let mut opener = Opener::default();
    for suite in [Suite::Sealed, Suite::Signed] {
        for length in [0, 1, 15, 16, 65_518, 65_519, 65_520, 65_534, 65_535, 65_536, 200_000] {
            let payload = vec![7; length];
            let options = Options { suite, ..Options::default() };
            let bytes = sealer.seal(topic(), NOW, &payload, &options).expect("sealed");
            let mut opened = Vec::new();
            assert_eq!(
                name(opener.open(&ring(key()), &check(), &bytes, &mut opened)),
                "ok",
                "{length}"
            );
            assert_eq!(opened, payload);
        }
    }
}

#[test]
fn signatures_of_both_algorithms_are_checked_where_the_key_is_known() {
    let signers = [Signer::ed25519(&[3; 32]), Signer::p256(&[3; 32]).expect("a key")];
    for signer in &signers {
        let options = Options { signer: Some(signer), ..Options::default() };
        let bytes = sealer_of("s", STREAM).seal(topic(), NOW, b"x", &options).expect("sealed");
        let sender_key = signer.sender_key();
        let judge = |check: &Check<'_>| {
            let mut verifier = Verifier::default();
            let judged = verifier.verify(&ring(key()), check, &bytes);
            judged.map(|verified| verified.signed).map_err(|refusal| refusal.name())
        };
        let known = Check { sender_key: Some(&sender_key), ..check() };
        assert_eq!(judge(&known), Ok(Signed::Verified));
        assert_eq!(judge(&check()), Ok(Signed::Unchecked));
        let unknown = Check { signature_required: true, ..check() };
        assert_eq!(judge(&unknown), Err("bad_signature"));
        for other in [Signer::ed25519(&[4; 32]), Signer::p256(&[4; 32]).expect("a key")] {
            let other = other.sender_key();
            let wrong = Check { sender_key: Some(&other), ..check() };
            assert_eq!(judge(&wrong), Err("bad_signature"));
        }
    }
    let unsigned = Check { signature_required: true, ..check() };
    let bytes = sealed();
    let mut verifier = Verifier::default();
    assert_eq!(name(verifier.verify(&ring(key()), &unsigned, &bytes)), "bad_signature");
    assert_eq!(name(verifier.verify(&ring(key()), &check(), &bytes)), "ok", "nothing was noted");
}

#[test]
fn a_replay_carries_the_receipt_of_what_was_accepted() {
    let (bytes, ring, mut verifier) = (sealed(), ring(key()), Verifier::default());
    let receipt = verifier.verify(&ring, &check(), &bytes).expect("accepted").receipt;
    let again = verifier.verify(&ring, &check(), &bytes).expect_err("a replay");
    assert_eq!(again, Refusal::Replayed(receipt));
    let late = Check { now_ms: NOW + 301_000, ..check() };
    let late = verifier.verify(&ring, &late, &bytes).expect_err("too old");
    assert_eq!(late, Refusal::Expired(receipt));
}

#[test]
fn the_clock_lets_through_max_age_and_max_skew_and_not_a_millisecond_more() {
    let ring = ring(key());
    for (time_ms, expected) in [
        (NOW - 300_000, "ok"),
        (NOW - 300_001, "expired"),
        (NOW + 60_000, "ok"),
        (NOW + 60_001, "from_future"),
    ] {
        let bytes = seal_at(&mut sealer_of("s", STREAM), time_ms);
        assert_eq!(name(Verifier::default().verify(&ring, &check(), &bytes)), expected);
        let unjudged = Check { max_age: None, ..check() };
        assert_eq!(name(Verifier::default().verify(&ring, &unjudged, &bytes)), "ok");
    }
}

fn small() -> Verifier {
    Verifier::new(Streams::new(Limits { streams: 4, streams_per_sender: 2 }))
}

/// Judges an envelope of a new stream.
fn bring(verifier: &mut Verifier, sender: &str, stream: u8, now_ms: u64) -> &'static str {
    let bytes = seal_at(&mut sealer_of(sender, [stream; 16]), now_ms);
    name(verifier.verify(&ring(key()), &Check::new(topic(), now_ms), &bytes))
}

#[test]
fn one_sender_cannot_take_the_room_of_the_others() {
    let mut verifier = small();
    let brought: Vec<_> = (0..4).map(|stream| bring(&mut verifier, "a", stream, NOW)).collect();
    assert_eq!(brought, ["ok", "ok", "too_many_streams", "too_many_streams"]);
    assert_eq!(bring(&mut verifier, "b", 0, NOW), "ok");
    assert_eq!(bring(&mut verifier, "c", 0, NOW), "ok");
    assert_eq!(bring(&mut verifier, "d", 0, NOW), "too_many_streams");
    assert_eq!(verifier.streams().len(), 4);
}

#[test]
fn a_stream_is_forgotten_only_when_the_clock_refuses_all_of_it() {
    let mut verifier = small();
    assert_eq!(bring(&mut verifier, "a", 0, NOW), "ok");
    assert_eq!(bring(&mut verifier, "a", 1, NOW), "ok");
    assert_eq!(bring(&mut verifier, "a", 2, NOW + 300_000), "too_many_streams");
    assert_eq!(bring(&mut verifier, "a", 2, NOW + 300_001), "ok");
    assert_eq!((verifier.streams().len(), verifier.streams().floor_ms()), (1, Some(NOW)));
}

#[test]
fn what_was_forgotten_is_refused_though_the_clock_were_set_back_or_max_age_raised() {
    let (ring, mut verifier) = (ring(key()), small());
    let bytes = sealed();
    assert_eq!(name(verifier.verify(&ring, &check(), &bytes)), "ok");
    verifier.streams_mut().sweep(NOW + 300_001);
    assert!(verifier.streams().is_empty());
    assert_eq!(name(verifier.verify(&ring, &check(), &bytes)), "expired");
    let patient = Check { max_age: Some(Duration::from_secs(86_400)), ..check() };
    assert_eq!(name(verifier.verify(&ring, &patient, &bytes)), "expired");
}

#[test]
fn where_time_is_not_judged_no_stream_is_forgotten() {
    let (ring, mut verifier) = (ring(key()), small());
    let unjudged = Check { max_age: None, ..check() };
    assert_eq!(name(verifier.verify(&ring, &unjudged, &sealed())), "ok");
    verifier.streams_mut().sweep(u64::MAX);
    assert_eq!(name(verifier.verify(&ring, &unjudged, &sealed())), "replayed");
}

#[test]
fn a_full_table_makes_room_of_what_is_stale_of_anybody() {
    let mut verifier = small();
    for sender in ["a", "b", "c", "d"] {
        assert_eq!(bring(&mut verifier, sender, 0, NOW), "ok");
    }
    assert_eq!(bring(&mut verifier, "e", 0, NOW + 300_001), "ok");
    assert_eq!(verifier.streams().len(), 1);
}

#[test]
fn windows_survive_export_and_never_move_back() {
    let (ring, mut verifier) = (ring(key()), Verifier::default());
    let mut sealer = sealer_of("sensor-7", STREAM);
    let messages: Vec<_> = (0..5).map(|_| seal_at(&mut sealer, NOW)).collect();
    let judge = |verifier: &mut Verifier, place: usize| {
        name(verifier.verify(&ring, &check(), &messages[place]))
    };
    assert_eq!((judge(&mut verifier, 0), judge(&mut verifier, 3)), ("ok", "ok"));
    let mut bytes = Vec::new();
    verifier.streams().images().for_each(|image| image.write(&mut bytes));
    let image = StreamImage::read(&bytes).expect("an image");
    assert_eq!(StreamImage::read(&bytes[..bytes.len() - 9]), Err(NotAnImage));

    let mut restarted = Verifier::default();
    restarted.streams_mut().restore(&image);
    assert_eq!((judge(&mut restarted, 0), judge(&mut restarted, 3)), ("replayed", "replayed"));
    assert_eq!((judge(&mut restarted, 1), judge(&mut restarted, 4)), ("ok", "ok"));
    restarted.streams_mut().restore(&image);
    assert_eq!((judge(&mut restarted, 1), judge(&mut restarted, 4)), ("replayed", "replayed"));
    assert_eq!(judge(&mut restarted, 2), "ok");
}

#[test]
fn one_message_in_a_journal_is_seen_after_a_restart() {
    let (ring, bytes) = (ring(key()), sealed());
    let verified =
        Verifier::default().verify(&ring, &check(), &bytes).expect("accepted").to_owned();
    let mut journal = Vec::new();
    StreamImage::of_message(&verified, Some(300_000)).write(&mut journal);
    let mut restarted = Verifier::default();
    restarted.streams_mut().restore(&StreamImage::read(&journal).expect("an image"));
    assert_eq!(name(restarted.verify(&ring, &check(), &bytes)), "replayed");
}

#[test]
fn what_finds_no_room_when_restored_is_refused_by_its_time() {
    let (ring, bytes, mut full) = (ring(key()), sealed(), Verifier::default());
    assert_eq!(name(full.verify(&ring, &check(), &bytes)), "ok");
    let mut none = Verifier::new(Streams::new(Limits { streams: 0, streams_per_sender: 0 }));
    full.streams().images().for_each(|image| none.streams_mut().restore(&image));
    assert_eq!(name(none.verify(&ring, &check(), &bytes)), "expired");
}

#[test]
fn a_key_that_is_replaced_under_its_id_is_used_at_once() {
    let (bytes, mut verifier) = (sealed(), Verifier::default());
    assert_eq!(name(verifier.verify(&ring(key()), &check(), &bytes)), "ok");
    let other = Key { material: KeyMaterial::Topic(TopicKey::new([0x43; 32])), ..key() };
    assert_eq!(name(verifier.verify(&ring(other), &check(), &bytes)), "bad_tag");
}

#[test]
fn each_name_is_there_once() {
    let names = std::collections::BTreeSet::from(Refusal::NAMES);
    assert_eq!(names.len(), Refusal::NAMES.len());
    assert!(names.contains(Refusal::BadTag.name()));
}
