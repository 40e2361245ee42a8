//! `bastionmq seal`, `open`, `verify` and `inspect`, with the reference at the other end.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::devices::now_ms;
use crate::harness::{bastionmq, scratch};
use crate::reference::Reference;
use crate::vector::hexed;

const KEY_ID: &str = "00112233445566aa";
const TOPIC_KEY: &str = "4242424242424242424242424242424242424242424242424242424242424242";
const TOPIC: &str = "plant/press-7/reports";
const PAYLOAD: &str = "00ff{\"celsius\":21.5}";

#[test]
fn the_command_line_and_the_reference_open_what_the_other_seals() {
    let (files, mut reference) = (scratch(), Reference::start());
    let key = json!({ "key_id": KEY_ID, "topics": ["plant/#"], "topic_key": TOPIC_KEY });
    said(&run(files.path(), &["keys", "import", "--ring", "ring"], key.to_string().as_bytes()));
    let here = ["--ring", "ring", "--topic", TOPIC];

    for suite in ["1", "2"] {
        let seal =
            ["seal", "--sender", "press-7", "--suite", suite, "--content-type", "text/plain"];
        let sealed = said(&run(files.path(), &[&seal, &here[..]].concat(), PAYLOAD.as_bytes()));
        let judged = reference.judge(&conditions(1), &sealed);
        assert_eq!(judged, ("ok".to_owned(), PAYLOAD.as_bytes().to_vec()));
    }
    for suite in [1, 2] {
        let sealed = reference.seal(&conditions(suite));
        let with = |word| [&[word, "--sender", "press-7"], &here[..]].concat();
        let opened = said(&run(files.path(), &with("open"), &sealed));
        assert_eq!(opened, PAYLOAD.as_bytes());
        assert_eq!(said(&run(files.path(), &with("verify"), &sealed)), sealed);
        let inspected = said(&run(files.path(), &["inspect"], &sealed));
        assert!(String::from_utf8(inspected).unwrap().contains("press-7"));

        let mut changed = sealed;
        *changed.last_mut().unwrap() ^= 1;
        let refused = run(files.path(), &with("open"), &changed);
        assert_eq!((refused.status.code(), &*refused.stdout), (Some(1), &b""[..]));
        assert!(String::from_utf8(refused.stderr).unwrap().contains("bad_tag"));
    }
}

/// What the reference seals, and what it judges by.
fn conditions(suite: u8) -> Value {
    json!({
        "key_id": KEY_ID, "topic_key": TOPIC_KEY, "topics": ["plant/#"], "state": "active",
        "topic": TOPIC, "sender": "press-7", "now_ms": now_ms(), "max_age_ms": 300_000, "max_skew_ms": 60_000,
        "sealed_by": "press-7", "stream": "0123456789abcdef0123456789abcdef", "seq": 7, "time_ms": now_ms(),
        "suite": suite, "payload": hexed(PAYLOAD.as_bytes()),
        "content_type": null, "trace": null, "private": [],
    })
}

fn run(directory: &Path, words: &[&str], input: &[u8]) -> Output {
    let mut command = bastionmq();
    command.args(words).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// What a command that went well has printed.
fn said(output: &Output) -> Vec<u8> {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", output.status);
    output.stdout.clone()
}
