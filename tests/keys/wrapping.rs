//! Keys that are wrapped for devices, and unwrapped here and in Python.

use std::fs;
use std::process::{Command, Output};

use crate::desk::{Desk, ID, complained, json, said};

/// Every kind of certificate that something can be wrapped for, by `openssl`.
const CERTIFICATES: [(&str, &str); 3] =
    [("rsa", "rsa:2048"), ("p256", "ec -pkeyopt ec_paramgen_curve:P-256"), ("ed25519", "ed25519")];

fn tool(desk: &Desk, script: &str) {
    let mut shell = Command::new("sh");
    let output = shell.args(["-ec", script]).current_dir(desk.path("")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn certificate(desk: &Desk, name: &str, kind: &str) {
    tool(
        desk,
        &format!(
            "openssl req -x509 -newkey {kind} -nodes -keyout {name}.key -out {name}.crt \
             -subj /CN=sensor-7"
        ),
    );
}

/// An independent implementation of docs/envelope-keys.md.
fn unwrap_in_python(desk: &Desk, key: &str, wrapped: &str) -> Output {
    let python = std::env::var("TEST_PYTHON").expect("tests/run sets TEST_PYTHON");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/unwrap.py");
    let mut command = Command::new(python);
    command.args([script, key, wrapped]).current_dir(desk.path("")).output().unwrap()
}

#[test]
fn a_key_is_wrapped_by_certificate_and_unwrapped_by_its_key_here_and_in_python() {
    let desk = Desk::with_key();
    for (name, kind) in CERTIFICATES {
        certificate(&desk, name, kind);
        let (crt, key) = (format!("{name}.crt"), format!("{name}.key"));
        for more in [&[][..], &["--verify-only"]] {
            let exported = said(&desk.keys(&[&["export", ID], more].concat()));
            let wrapped = desk.keys(&[&["wrap", ID, "--cert", &crt], more].concat());
            desk.write("wrapped.json", said(&wrapped));
            let words = ["keys", "unwrap", "--key", &key, "wrapped.json"];
            assert_eq!(said(&desk.run(&words)), exported, "{name}");
            let unwrapped = said(&unwrap_in_python(&desk, &key, "wrapped.json"));
            assert_eq!(json(&unwrapped), json(&exported), "{name}");
        }
        let said = json(&fs::read_to_string(desk.path("wrapped.json")).unwrap());
        assert_eq!(said["device"], "sensor-7");
        assert_eq!(said["key_id"], ID);
        assert_eq!(said["holds"], "mac_root");
    }
}

#[test]
fn a_public_key_by_itself_will_do_where_the_device_is_named() {
    let desk = Desk::new();
    let create = ["create", "--id", ID, "--topic", "plant/#", "--topic", "é", "--not-after", "9d"];
    said(&desk.keys(&create));
    tool(
        &desk,
        "openssl genpkey -algorithm x25519 -out d.key; openssl pkey -in d.key -pubout -out d.pub",
    );
    let words = ["wrap", ID, "--public-key", "d.pub"];
    assert_eq!(desk.keys(&words).status.code(), Some(2));
    let wrapped = desk.keys(&[&words[..], &["--device", "a/../b"]].concat());
    desk.write("wrapped.json", said(&wrapped));
    let exported = said(&desk.keys(&["export", ID]));
    let unwrapped = desk.run(&["keys", "unwrap", "--key", "d.key", "wrapped.json"]);
    assert_eq!(said(&unwrapped), exported);
    assert_eq!(json(&said(&unwrap_in_python(&desk, "d.key", "wrapped.json"))), json(&exported));
}

#[test]
fn older_forms_of_private_keys_are_read_as_well() {
    let desk = Desk::with_key();
    certificate(&desk, "rsa", "rsa:2048");
    certificate(&desk, "p256", "ec -pkeyopt ec_paramgen_curve:P-256");
    tool(
        &desk,
        "openssl rsa -in rsa.key -traditional -out rsa.old; openssl ec -in p256.key -out p256.old",
    );
    for name in ["rsa", "p256"] {
        desk.set_mode(&format!("{name}.old"), 0o600);
        let wrapped = said(&desk.keys(&["wrap", ID, "--cert", &format!("{name}.crt")]));
        let words = ["keys", "unwrap", "--key", &format!("{name}.old")];
        let unwrapped = desk.run_with(&words, wrapped.as_bytes());
        assert_eq!(said(&unwrapped), said(&desk.keys(&["export", ID])));
    }
}

#[test]
fn an_unwrapped_key_goes_into_the_ring_of_its_device() {
    let desk = Desk::with_key();
    certificate(&desk, "p256", "ec -pkeyopt ec_paramgen_curve:P-256");
    let envelope = desk.sealed();
    let deposited = said(&desk.keys(&["wrap", ID, "--cert", "p256.crt", "--out", "wrapped"]));
    let path = deposited.trim_end().rsplit(' ').next().unwrap();
    assert!(path.starts_with("wrapped/") && path.ends_with(&format!("/{ID}.json")), "{path}");
    assert_eq!((desk.mode("wrapped"), desk.mode(path)), (0o700, 0o600));
    let unwrapped = said(&desk.run(&["keys", "unwrap", "--key", "p256.key", path]));
    said(&desk.run_with(&["keys", "import", "--ring", "own"], unwrapped.as_bytes()));
    let opened = desk.run_with(&["open", "--ring", "own", "--topic", "plant/7"], &envelope);
    assert_eq!(said(&opened), "hello");
}

#[test]
fn whoever_is_not_meant_gets_nothing() {
    let desk = Desk::with_key();
    for (name, kind) in CERTIFICATES {
        certificate(&desk, name, kind);
    }
    certificate(&desk, "other", "ec -pkeyopt ec_paramgen_curve:P-256");
    let wrapped = said(&desk.keys(&["wrap", ID, "--cert", "p256.crt"]));
    let unwrap = |key: &str, text: &str| {
        complained(&desk.run_with(&["keys", "unwrap", "--key", key], text.as_bytes()))
    };
    assert!(unwrap("other.key", &wrapped).contains("another key"));
    assert!(unwrap("rsa.key", &wrapped).contains("P-256"));
    assert!(unwrap("p256.crt", &wrapped).contains("no private key"));
    let moved = wrapped.replace("sensor-7", "sensor-8");
    assert!(unwrap("p256.key", &moved).contains("has been changed"));
    assert!(unwrap("p256.key", "{}").contains("no wrapped key"));
    assert!(unwrap("p256.key", &" ".repeat(70_000)).contains("more than"));
    desk.write("moved.json", moved);
    assert!(!unwrap_in_python(&desk, "p256.key", "moved.json").status.success());
}

#[test]
fn what_nothing_can_be_wrapped_for_is_named() {
    let desk = Desk::with_key();
    certificate(&desk, "p384", "ec -pkeyopt ec_paramgen_curve:P-384");
    let complaint = complained(&desk.keys(&["wrap", ID, "--cert", "p384.crt"]));
    assert!(complaint.contains("p384.crt") && complaint.contains("P-256"), "{complaint}");
    assert!(complained(&desk.keys(&["wrap", ID, "--cert", "p384.key"])).contains("p384.key"));
    said(&desk.keys(&["revoke", ID]));
    certificate(&desk, "p256", "ec -pkeyopt ec_paramgen_curve:P-256");
    assert!(complained(&desk.keys(&["wrap", ID, "--cert", "p256.crt"])).contains("revoked"));
    assert_eq!(desk.keys(&["wrap", ID]).status.code(), Some(2));
}
