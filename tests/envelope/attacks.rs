//! The attacks on an envelope, each refused by its own name and without a trace in the windows.

use bastionmq::envelope::{
    Check, Key, KeyId, KeyMaterial, Opener, StreamImage, Suite, TopicKey, Verifier,
};

use crate::scene::{
    NOW, SENDER, STREAM, TAG, TOPIC, check, forge, forge_as, join, key, name, open, parts, ring,
    seal, sealed, sealer, tlv, topic, verify, verify_only,
};

const SUITES: [Suite; 2] = [Suite::Sealed, Suite::Signed];

/// Where the values of SENDER, STREAM, SEQ and TIME begin in an envelope of the scene.
const SENDER_AT: usize = 4 + 4 + 11 + 3;
const STREAM_AT: usize = SENDER_AT + SENDER.len() + 3;
const TIME_AT: usize = STREAM_AT + 16 + 11 + 3;

#[test]
fn what_is_sealed_is_verified_and_opened() {
    for bytes in SUITES.map(sealed) {
        assert_eq!((verify(&check(), &bytes), open(&check(), &bytes)), ("ok", "ok"));
    }
}

#[test]
fn an_envelope_with_any_bit_turned_is_refused() {
    for bytes in SUITES.map(sealed) {
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            let verdict = verify(&check(), &turned);
            let expected = match bit / 8 {
                0..4 => &["malformed"][..],
                at if (11..19).contains(&at) => &["unknown_key"],
                at if (SENDER_AT..SENDER_AT + SENDER.len()).contains(&at) => {
                    &["sender_mismatch", "malformed"]
                }
                at if at >= bytes.len() - 32 => &["bad_tag"],
                _ => &["bad_tag", "malformed"],
            };
            assert!(expected.contains(&verdict), "bit {bit}: {verdict}");
            assert_eq!(open(&check(), &turned), verdict, "bit {bit}");
        }
    }
}

#[test]
fn an_envelope_that_ends_at_any_byte_is_malformed_and_so_is_a_longer_one() {
    for bytes in SUITES.map(sealed) {
        for end in 0..bytes.len() {
            assert_eq!(verify(&check(), &bytes[..end]), "malformed", "{end}");
        }
        for more in [&[0][..], &[0x80, 0, 0], &bytes] {
            assert_eq!(verify(&check(), &[&bytes, more].concat()), "malformed");
        }
    }
}

#[test]
fn on_another_topic_it_is_another_envelope() {
    let bytes = sealed(Suite::Sealed);
    let on = |name| Check { topic: topic(name), ..check() };
    for other in ["plant/7/temperaturf", "plant/7/temperature/", "plant/7", "plant"] {
        assert_eq!(verify(&on(other), &bytes), "bad_tag", "{other}");
    }
    assert_eq!(verify(&on("office/7/temperature"), &bytes), "wrong_topic");
}

#[test]
fn it_is_of_its_sender_alone() {
    let bytes = sealed(Suite::Sealed);
    let brought_by = |sender| Check { sender, ..check() };
    assert_eq!(verify(&brought_by(Some("sensor-8")), &bytes), "sender_mismatch");
    let mut renamed = bytes.clone();
    renamed[SENDER_AT + SENDER.len() - 1] = b'8';
    assert_eq!(verify(&brought_by(Some("sensor-8")), &renamed), "bad_tag");
    assert_eq!(verify(&brought_by(None), &renamed), "bad_tag");
}

#[test]
fn it_is_of_its_key_alone() {
    let bytes = sealed(Suite::Sealed);
    let other = KeyMaterial::Topic(TopicKey::new([0x43; 32]));
    let other = Key { id: KeyId([9; 8]), material: other, ..key() };
    let mut swapped = bytes.clone();
    swapped[11..19].copy_from_slice(&other.id.0);
    assert_eq!(verify(&check(), &swapped), "unknown_key");
    let (mut verifier, ring) = (Verifier::default(), ring([key(), other]));
    assert_eq!(name(verifier.verify(&ring, &check(), &swapped)), "bad_tag");
    assert_eq!(name(verifier.verify(&ring, &check(), &bytes)), "ok");
}

#[test]
fn what_is_spliced_from_two_streams_is_refused() {
    let one = seal(&mut sealer(SENDER, STREAM), NOW);
    let other = seal(&mut sealer(SENDER, [0xA5; 16]), NOW);
    let mut spliced = one.clone();
    spliced[STREAM_AT..STREAM_AT + 16].copy_from_slice(&other[STREAM_AT..STREAM_AT + 16]);
    assert_eq!(verify(&check(), &spliced), "bad_tag");
    let head = TIME_AT + 8;
    assert_eq!(verify(&check(), &[&one[..head], &other[head..]].concat()), "bad_tag");
    // A holder of the verify-only key makes the HMAC right, and still opens nothing with it.
    let body = &other[head..other.len() - TAG];
    let forged = forge(&[&one[..head], body].concat());
    assert_eq!((verify(&check(), &forged), open(&check(), &forged)), ("ok", "decrypt_failed"));
}

#[test]
fn its_time_is_shifted_neither_way() {
    for shift in [-600_000_i64, -1, 1, 600_000] {
        let mut shifted = sealed(Suite::Sealed);
        let time_ms = NOW.checked_add_signed(shift).expect("a time");
        shifted[TIME_AT..TIME_AT + 8].copy_from_slice(&time_ms.to_be_bytes());
        assert_eq!(verify(&check(), &shifted), "bad_tag", "{shift}");
    }
    let at = |now_ms| Check { now_ms, ..check() };
    assert_eq!(verify(&at(NOW + 300_001), &sealed(Suite::Sealed)), "expired");
    assert_eq!(verify(&at(NOW - 60_001), &sealed(Suite::Sealed)), "from_future");
}

#[test]
fn a_critical_type_that_is_not_known_is_malformed_though_its_hmac_is_right() {
    let parts = parts(&sealed(Suite::Sealed));
    assert_eq!(verify(&check(), &forge(&join(&parts))), "ok");
    for tag in (0..0x80).filter(|tag| !matches!(tag, 1..=6 | 0x10 | 0x11 | 0x20 | 0x7F)) {
        for place in 0..=parts.len() {
            let mut parts = parts.clone();
            parts.insert(place, tlv(tag, b"new"));
            assert_eq!(verify(&check(), &forge(&join(&parts))), "malformed", "{tag:#x} at {place}");
        }
    }
}

#[test]
fn a_non_critical_type_that_is_not_known_is_skipped_and_authenticated() {
    let mut parts = parts(&sealed(Suite::Sealed));
    parts.insert(7, tlv(0xF7, b"new"));
    let bytes = forge(&join(&parts));
    // AES-GCM covers it too: only who holds the whole key can add one.
    assert_eq!((verify(&check(), &bytes), open(&check(), &bytes)), ("ok", "decrypt_failed"));
}

#[test]
fn types_that_stand_twice_or_change_places_are_malformed_though_the_hmac_is_right() {
    for bytes in SUITES.map(sealed) {
        let parts = parts(&bytes);
        for place in 0..parts.len() {
            for again in 0..=parts.len() {
                let mut twice = parts.clone();
                twice.insert(again, parts[place].clone());
                let verdict = verify(&check(), &forge(&join(&twice)));
                assert_eq!(verdict, "malformed", "{place} again at {again}");
            }
            for other in 0..place {
                let mut swapped = parts.clone();
                swapped.swap(place, other);
                let verdict = verify(&check(), &forge(&join(&swapped)));
                assert_eq!(verdict, "malformed", "{place} and {other}");
            }
            // CONTENT_TYPE alone may be missing.
            let mut fewer = parts.clone();
            let removed = fewer.remove(place);
            let expected = if removed[0] == 0x80 { "ok" } else { "malformed" };
            assert_eq!(verify(&check(), &forge(&join(&fewer))), expected, "without {place}");
        }
    }
}

#[test]
fn no_length_can_be_written_in_two_ways() {
    let parts = parts(&sealed(Suite::Signed));
    for place in 0..parts.len() {
        let value = &parts[place][3..];
        for length in [value.len() as u32, 0, 0xFFFE, 0xFFFF, u32::MAX] {
            let mut extended = parts.clone();
            let header = [&[parts[place][0], 0xFF, 0xFF], &length.to_be_bytes()[..]].concat();
            extended[place] = [&header, value].concat();
            let verdict = verify(&check(), &forge(&join(&extended)));
            assert_eq!(verdict, "malformed", "{place}: {length}");
        }
        for length in (0..=value.len() as u16 + 64).filter(|length| *length != value.len() as u16) {
            let mut wrong = parts.clone();
            wrong[place][1..3].copy_from_slice(&length.to_be_bytes());
            let verdict = verify(&check(), &forge(&join(&wrong)));
            assert_eq!(verdict, "malformed", "{place}: {length}");
        }
    }
}

#[test]
fn suite_1_is_not_turned_into_suite_2() {
    let bytes = sealed(Suite::Sealed);
    let mut relabelled = bytes.clone();
    relabelled[7] = 2;
    assert_eq!(verify(&check(), &relabelled), "malformed");
    let mut parts = parts(&bytes);
    parts[0] = tlv(0x01, &[2]);
    *parts.last_mut().expect("a body") = tlv(0x11, b"99.9");
    let downgraded = join(&parts);
    let unforged = [&*downgraded, &bytes[bytes.len() - TAG..]].concat();
    assert_eq!(verify(&check(), &unforged), "bad_tag");
    // Who holds the verify-only key can: so who wants what is encrypted says so.
    let forged = forge(&downgraded);
    assert_eq!(open(&check(), &forged), "ok");
    let strict = Check { encrypted_only: true, ..check() };
    assert_eq!(
        (open(&strict, &forged), verify(&strict, &forged)),
        ("not_encrypted", "not_encrypted")
    );
    assert_eq!(open(&strict, &bytes), "ok");
}

#[test]
fn a_verify_only_key_opens_nothing_but_what_is_open() {
    let (mut opener, mut payload, ring) = (Opener::default(), Vec::new(), ring([verify_only()]));
    let encrypted = sealed(Suite::Sealed);
    let opened = opener.open(&ring, &check(), &encrypted, &mut payload);
    assert_eq!((name(opened), payload.len()), ("verify_only_key", 0));
    assert!(opener.streams().is_empty());
    let plain = sealed(Suite::Signed);
    assert_eq!(name(opener.open(&ring, &check(), &plain, &mut payload)), "ok");
    assert_eq!(payload, b"21.5");
}

#[test]
fn a_replay_is_refused_at_once_after_the_window_after_a_restart_and_by_the_clock() {
    let (mut verifier, ring) = (Verifier::default(), ring([verify_only()]));
    let mut sealer = sealer(SENDER, STREAM);
    let first = seal(&mut sealer, NOW);
    assert_eq!(name(verifier.verify(&ring, &check(), &first)), "ok");
    assert_eq!(name(verifier.verify(&ring, &check(), &first)), "replayed");
    for _ in 0..1_100 {
        assert_eq!(name(verifier.verify(&ring, &check(), &seal(&mut sealer, NOW))), "ok");
    }
    assert_eq!(name(verifier.verify(&ring, &check(), &first)), "replayed");

    let mut kept = Vec::new();
    verifier.streams().images().for_each(|image| image.write(&mut kept));
    let mut restarted = Verifier::default();
    restarted.streams_mut().restore(&StreamImage::read(&kept).expect("an image"));
    assert_eq!(name(restarted.verify(&ring, &check(), &first)), "replayed");
    let later = Check { now_ms: NOW + 300_001, ..check() };
    assert_eq!(name(restarted.verify(&ring, &later, &first)), "expired");
}

#[test]
fn two_devices_with_one_stream_are_told_from_a_replay() {
    let (mut verifier, ring) = (Verifier::default(), ring([verify_only()]));
    let (mut device, mut clone) = (sealer(SENDER, STREAM), sealer(SENDER, STREAM));
    let mut judge =
        |bytes: &[u8], now_ms| name(verifier.verify(&ring, &Check { now_ms, ..check() }, bytes));
    // Beside each other, in the same millisecond, with other payloads.
    let ours = seal(&mut device, NOW);
    let theirs = clone.seal(topic(TOPIC), NOW, b"99.9", &Default::default()).expect("sealed");
    assert_eq!(judge(&ours, NOW), "ok");
    assert_eq!(judge(&theirs, NOW), "stream_reused");
    assert_eq!(judge(&ours, NOW), "replayed");
    // The clone is restored from a backup, and far behind.
    for _ in 0..2_000 {
        assert_eq!(judge(&seal(&mut device, NOW), NOW), "ok");
    }
    assert_eq!(judge(&seal(&mut clone, NOW + 1), NOW + 1), "stream_reused");
}

#[test]
fn forged_envelopes_of_a_thousand_streams_leave_nothing_behind() {
    let (mut verifier, ring) = (Verifier::default(), ring([verify_only()]));
    for stream in 0..1_000_u128 {
        let mut bytes = sealed(Suite::Sealed);
        bytes[STREAM_AT..STREAM_AT + 16].copy_from_slice(&stream.to_be_bytes());
        assert_eq!(name(verifier.verify(&ring, &check(), &bytes)), "bad_tag");
    }
    assert!(verifier.streams().is_empty());
}

#[test]
fn senders_whose_names_run_into_their_streams_have_keys_of_their_own() {
    let long = sealer("ab", *b"cdefghijklmnopqr");
    let mut parts = parts(&seal(&mut { long }, NOW));
    // The HMAC of sender "a" with the stream that goes on with "b".
    let made = forge_as("a", *b"bcdefghijklmnopq", &join(&parts));
    assert_eq!(verify(&Check { sender: None, ..check() }, &made), "bad_tag");
    parts[2] = tlv(0x03, b"a");
    parts[3] = tlv(0x04, b"bcdefghijklmnopq");
    let made = forge_as("a", *b"bcdefghijklmnopq", &join(&parts));
    assert_eq!(verify(&Check { sender: None, ..check() }, &made), "ok");
}
