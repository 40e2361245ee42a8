//! `seal`, `open`, `verify` and `inspect`, between two pipes and two files.

use std::fs;

use crate::desk::{Desk, ID, complained, json, said};

const SEAL: [&str; 7] = ["seal", "--ring", "ring", "--topic", "plant/7", "--sender", "sensor-7"];

/// `openssl` and the like: what another tool makes.
fn tool(desk: &Desk, script: &str) {
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-ec", script]).current_dir(desk.path("")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_is_sealed_opens_again_whatever_it_holds() {
    let desk = Desk::with_key();
    for payload in [&b""[..], b"hello\n", &[0, 0xff, 0x0a], &[7; 200_000]] {
        for more in [&[][..], &["--key", ID], &["--suite", "2"], &["--content-type", "a/b"]] {
            let sealed = desk.run_with(&[&SEAL, more].concat(), payload);
            assert!(sealed.status.success(), "{sealed:?}");
            let opened = desk.open(&["--sender", "sensor-7"], &sealed.stdout);
            assert!(opened.status.success() && opened.stdout == payload, "{opened:?}");
        }
    }
}

#[test]
fn files_are_read_and_written_where_they_are_named() {
    let desk = Desk::with_key();
    desk.write("payload", "hello");
    let streams = ["--in", "payload", "--out", "envelope"];
    assert_eq!(said(&desk.run(&[&SEAL[..], &streams].concat())), "");
    assert_eq!(desk.mode("envelope"), 0o600);
    said(&desk.open(&["--in", "envelope", "--out", "opened"], b""));
    assert_eq!(fs::read(desk.path("opened")).unwrap(), b"hello");
    let missing = desk.open(&["--in", "nothing", "--out", "none"], b"");
    assert!(complained(&missing).contains("nothing"));
    assert!(!desk.path("none").exists());
}

#[test]
fn what_is_refused_is_named_gives_nothing_and_is_exit_code_1() {
    let desk = Desk::with_key();
    said(&desk.keys(&["create", "--id", "ffffffffffffffff", "--topic", "other/#"]));
    let envelope = desk.sealed();
    let mut forged = envelope.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let expect = |words: &[&str], bytes: &[u8], name: &str| {
        for command in ["open", "verify"] {
            let words = [&[command, "--ring", "ring"], words].concat();
            let complaint = complained(&desk.run_with(&words, bytes));
            assert!(complaint.starts_with(&format!("error: {name}: ")), "{complaint}");
        }
    };
    expect(&["--topic", "plant/8"], &envelope, "bad_tag");
    expect(&["--topic", "plant/7"], &forged, "bad_tag");
    expect(&["--topic", "other/7"], &envelope, "wrong_topic");
    expect(&["--topic", "plant/7", "--sender", "sensor-8"], &envelope, "sender_mismatch");
    let readable = desk.run_with(&[&SEAL[..], &["--suite", "2"]].concat(), b"hello").stdout;
    expect(&["--topic", "plant/7", "--encrypted-only"], &readable, "not_encrypted");
    expect(&["--topic", "plant/7"], &envelope[..50], "malformed");
    expect(&["--topic", "plant/7"], b"21.5", "malformed");
    expect(&["--topic", "plant/7"], b"", "malformed");
    said(&desk.run(&["keys", "create", "--ring", "empty", "--topic", "plant/#"]));
    let words = ["open", "--ring", "empty", "--topic", "plant/7"];
    let complaint = complained(&desk.run_with(&words, &envelope));
    assert!(complaint.starts_with("error: unknown_key: "), "{complaint}");
}

#[test]
fn a_capture_is_too_old_unless_its_age_is_of_no_interest() {
    let desk = Desk::with_key();
    let envelope = desk.sealed();
    assert_eq!(said(&desk.open(&["--max-age", "300"], &envelope)), "hello");
    assert_eq!(said(&desk.open(&["--max-age", "off"], &envelope)), "hello");
    // By the time that the next process reads the clock, some milliseconds have passed.
    let complaint = complained(&desk.open(&["--max-age", "0"], &envelope));
    assert!(complaint.starts_with("error: expired: "), "{complaint}");
    assert_eq!(desk.open(&["--max-age", "soon"], &envelope).status.code(), Some(2));
}

#[test]
fn a_signature_is_made_with_the_key_of_a_device_and_asked_for_by_its_certificate() {
    let desk = Desk::with_key();
    for (name, algorithm) in
        [("ec", "-newkey ec -pkeyopt ec_paramgen_curve:P-256"), ("ed", "-newkey ed25519")]
    {
        tool(
            &desk,
            &format!(
                "openssl req -x509 {algorithm} -nodes -keyout {name}.key -out {name}.crt \
                 -subj /CN=sensor-7"
            ),
        );
        let key = format!("{name}.key");
        let signed = desk.run_with(&[&SEAL[..], &["--sign-key", &key]].concat(), b"hello");
        assert!(signed.status.success(), "{signed:?}");
        let certificate = format!("{name}.crt");
        assert_eq!(said(&desk.open(&["--cert", &certificate], &signed.stdout)), "hello");
        let unsigned = desk.open(&["--cert", &certificate], &desk.sealed());
        assert!(complained(&unsigned).starts_with("error: bad_signature: "));
        let inspected = said(&desk.run_with(&["inspect"], &signed.stdout));
        assert!(inspected.contains("SIGNATURE"), "{inspected}");
    }
    let mixed = desk.run_with(&[&SEAL[..], &["--sign-key", "ec.key"]].concat(), b"hello");
    let other = desk.open(&["--cert", "ed.crt"], &mixed.stdout);
    assert!(complained(&other).starts_with("error: bad_signature: "));
}

#[test]
fn an_envelope_is_inspected_without_a_key_and_steers_no_terminal() {
    let desk = Desk::with_key();
    let hostile = "\u{1b}]0;pwned\u{7}";
    let words = ["seal", "--ring", "ring", "--topic", "plant/7", "--sender", hostile];
    let more = ["--content-type", "text/plain", "--suite", "2"];
    let sealed = desk.run_with(&[&words[..], &more].concat(), b"hello").stdout;
    let shown = said(&Desk::new().run_with(&["inspect"], &sealed));
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown:?}");
    let names: Vec<_> = shown.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let expected =
        ["SUITE", "KEY_ID", "SENDER", "STREAM", "SEQ", "TIME", "CONTENT_TYPE", "PLAINTEXT", "HMAC"];
    assert_eq!(names, expected);
    let read = json(&said(&Desk::new().run_with(&["inspect", "--json"], &sealed)));
    assert_eq!(read["length"], sealed.len());
    assert_eq!(read["tlvs"][2]["meaning"], hostile);
    assert_eq!(read["tlvs"][7]["hex"], "68656c6c6f");
    assert_eq!(read["tlvs"][1]["meaning"], ID);
    let complaint = complained(&desk.run_with(&["inspect"], b"no envelope"));
    assert!(complaint.starts_with("error: malformed: "), "{complaint}");
}

#[test]
fn what_cannot_be_sealed_says_why() {
    let desk = Desk::with_key();
    for (words, why) in [
        (&["--topic", "office", "--sender", "s"][..], "no key of the ring seals"),
        (&["--topic", "office", "--sender", "s", "--key", ID], "not meant for this topic"),
        (&["--topic", "plant/7", "--sender", ""], "1 to 128 bytes"),
        (&["--topic", "plant/7", "--sender", "s", "--trace", "\n"], "0x81"),
        (&["--topic", "plant/7", "--sender", "s", "--key", "0000000000000000"], "no key"),
    ] {
        let output = desk.run_with(&[&["seal", "--ring", "ring"], words].concat(), b"x");
        let complaint = complained(&output);
        assert!(complaint.contains(why), "{complaint}");
    }
    let words = ["seal", "--ring", "ring", "--topic", "plant/#", "--sender", "s"];
    assert_eq!(desk.run_with(&words, b"x").status.code(), Some(2));
}
