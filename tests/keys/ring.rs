//! Keys in a ring: made, shown, rotated, revoked, exported and imported.

use std::fs;
use std::process::{Child, Command};

use crate::desk::{Desk, ID, PROGRAM, complained, json, said};

#[test]
fn a_key_is_made_without_any_other_preparation() {
    let desk = Desk::new();
    let made = desk.keys(&["create", "--id", ID, "--topic", "plant/#", "--topic", "a/+"]);
    assert_eq!(said(&made), format!("created key {ID} for plant/#, a/+ in ring\n"));
    let noted = String::from_utf8(made.stderr).unwrap();
    assert!(noted.contains("ring.master-key"), "{noted}");
    assert_eq!(desk.names(), ["ring", "ring.master-key"]);
    let again = desk.keys(&["create", "--topic", "b"]);
    assert!(said(&again).starts_with("created key ") && again.stderr.is_empty(), "{again:?}");
    let listed = said(&desk.keys(&["list"]));
    assert_eq!(listed.lines().count(), 2);
    assert!(listed.contains(&format!("{ID}  active    plant/#, a/+  since 20")), "{listed}");
}

#[test]
fn r04_with_umask_000_ring_and_master_key_are_for_their_owner_only() {
    let desk = Desk::new();
    let script = "umask 000; \"$0\" keys create --ring ring --topic a && \
                  \"$0\" keys create --ring ring --topic b --master-key-file ring.master-key && \
                  \"$0\" keys rotate-master --ring ring";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, PROGRAM]).current_dir(desk.path(""));
    assert!(shell.output().unwrap().status.success());
    assert_eq!((desk.mode("ring"), desk.mode("ring.master-key")), (0o600, 0o600));
}

#[test]
fn an_exported_key_has_the_members_that_are_promised_and_no_others() {
    let desk = Desk::with_key();
    let whole = json(&said(&desk.keys(&["export", ID])));
    let members: Vec<_> = whole.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["key_id", "topic_key", "topics"]);
    assert_eq!(whole["key_id"], ID);
    assert_eq!(whole["topics"], serde_json::json!(["plant/#"]));
    assert_eq!(whole["topic_key"].as_str().unwrap().len(), 64);
    let less = json(&said(&desk.keys(&["export", "--verify-only", ID])));
    let members: Vec<_> = less.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["key_id", "mac_root", "topics"]);
    assert_ne!(less["mac_root"], whole["topic_key"]);
}

#[test]
fn an_exported_key_is_imported_from_a_pipe_or_a_file() {
    let desk = Desk::with_key();
    let envelope = desk.sealed();
    let exported = said(&desk.keys(&["export", ID]));
    said(&desk.run_with(&["keys", "import", "--ring", "other"], exported.as_bytes()));
    said(&desk.keys(&["export", "--out", "key.json", ID]));
    assert_eq!(desk.mode("key.json"), 0o600);
    said(&desk.run(&["keys", "import", "--ring", "third", "key.json"]));
    for ring in ["other", "third"] {
        let opened = desk.run_with(&["open", "--ring", ring, "--topic", "plant/7"], &envelope);
        assert_eq!(said(&opened), "hello");
    }
    let twice = desk.run(&["keys", "import", "--ring", "third", "key.json"]);
    assert!(complained(&twice).contains("--replace"));
    said(&desk.run(&["keys", "import", "--ring", "third", "--replace", "key.json"]));
}

#[test]
fn a_verify_only_ring_verifies_and_neither_opens_nor_seals_nor_exports_more() {
    let desk = Desk::with_key();
    let envelope = desk.sealed();
    let exported = said(&desk.keys(&["export", "--verify-only", ID]));
    said(&desk.run_with(&["keys", "import", "--ring", "broker"], exported.as_bytes()));
    let on = ["--ring", "broker", "--topic", "plant/7"];
    let verified = desk.run_with(&[&["verify"], &on[..]].concat(), &envelope);
    assert!(verified.status.success() && verified.stdout == envelope);
    let opened = desk.run_with(&[&["open"], &on[..]].concat(), &envelope);
    assert!(complained(&opened).starts_with("error: verify_only_key: "));
    let words = [&["seal", "--sender", "x", "--key", ID], &on[..]].concat();
    assert!(complained(&desk.run_with(&words, b"x")).contains("cannot seal"));
    let more = desk.run(&["keys", "export", "--ring", "broker", ID]);
    assert!(complained(&more).contains("--verify-only"));
    let rotated = desk.run(&["keys", "rotate", "--ring", "broker", ID]);
    assert!(complained(&rotated).contains("verify-only"));
}

#[test]
fn a_rotated_key_still_opens_and_the_new_one_seals() {
    let desk = Desk::with_key();
    let before = desk.sealed();
    let new = "ffffffffffffff01";
    let rotated = said(&desk.keys(&["rotate", ID, "--new-id", new]));
    assert_eq!(rotated, format!("key {new} now seals for plant/#; key {ID} is retiring\n"));
    let after = desk.sealed();
    let inspected = said(&desk.run_with(&["inspect"], &after));
    assert!(inspected.contains(new), "{inspected}");
    for envelope in [&before, &after] {
        assert_eq!(said(&desk.open(&[], envelope)), "hello");
    }
    let words = ["seal", "--ring", "ring", "--sender", "s", "--topic", "plant/7", "--key", ID];
    assert!(complained(&desk.run_with(&words, b"x")).contains("seals no more"));
    assert!(complained(&desk.keys(&["rotate", ID])).contains("retiring already"));

    said(&desk.keys(&["revoke", ID]));
    assert!(complained(&desk.open(&[], &before)).starts_with("error: revoked_key: "));
    assert_eq!(said(&desk.open(&[], &after)), "hello");
    assert!(said(&desk.keys(&["show", ID])).contains("revoked"));
}

#[test]
fn scripts_read_json_without_keys_in_it() {
    let desk = Desk::new();
    let made = desk.keys(&["create", "--json", "--topic", "a", "--not-after", "2d"]);
    let made = json(&said(&made));
    let id = made["key_id"].as_str().unwrap().to_owned();
    let lasts = made["not_after_ms"].as_u64().unwrap() - made["created_ms"].as_u64().unwrap();
    assert_eq!(lasts, 2 * 86_400_000);
    assert_eq!(json(&said(&desk.keys(&["show", "--json", &id]))), made);
    assert_eq!(json(&said(&desk.keys(&["list", "--json"]))), made);
    assert_eq!(made["state"], "active");
    assert_eq!(made["holds"], "topic_key");
    let rotated = json(&said(&desk.keys(&["rotate", "--json", &id])));
    assert_ne!(rotated["key_id"], id);
    let exported = json(&said(&desk.keys(&["export", &id])));
    assert_eq!(exported["state"], "retiring");
    let secret = exported["topic_key"].as_str().unwrap();
    for words in [&["list"][..], &["list", "--json"], &["show", &id], &["show", "--json", &id]] {
        assert!(!said(&desk.keys(words)).contains(secret));
    }
}

#[test]
fn keys_made_at_the_same_time_are_all_there() {
    let desk = Desk::new();
    let start = |id: &str| {
        desk.start(&["keys", "create", "--ring", "ring", "--id", id, "--topic", "a"], b"")
    };
    let ids: Vec<_> = (0..12).map(|number| format!("{number:016x}")).collect();
    let children: Vec<Child> = ids.iter().map(|id| start(id)).collect();
    for child in children {
        said(&child.wait_with_output().unwrap());
    }
    let listed = said(&desk.keys(&["list"]));
    let listed: Vec<_> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(listed, ids);
    assert_eq!(desk.names(), ["ring", "ring.master-key"], "a temporary file was left");
}

#[test]
fn a_mistake_makes_no_ring_and_no_master_key() {
    let desk = Desk::new();
    for (words, why) in [
        (&["create", "--topic", "a/#/b"][..], "no topic filter"),
        (&["create", "--topic", "$share/g/a"], "shared subscription"),
        (&["create", "--topic", "a", "--not-after", "2020-01-01"], "past"),
        (&["list"], "no key ring ring"),
        (&["export", ID], "no key ring ring"),
        (&["revoke", ID], "no key ring ring"),
        (&["import"], "no key"),
    ] {
        let complaint = complained(&desk.keys(words));
        assert!(complaint.contains(why), "{complaint}");
    }
    for words in [&["create", "--id", "12", "--topic", "a"][..], &["create"], &["export", "x"]] {
        assert_eq!(desk.keys(words).status.code(), Some(2), "{words:?}");
    }
    assert!(complained(&desk.run(&["keys", "list"])).contains("--ring"));
    assert!(desk.names().is_empty());
}

#[test]
fn an_id_that_is_taken_or_unknown_is_told_and_changes_nothing() {
    let desk = Desk::with_key();
    let before = fs::read(desk.path("ring")).unwrap();
    let taken = desk.keys(&["create", "--id", ID, "--topic", "b"]);
    assert!(complained(&taken).contains("already"));
    for words in [["show", "00"], ["export", "00"], ["revoke", "00"], ["rotate", "00"]] {
        let unknown = "0000000000000000";
        let complaint = complained(&desk.keys(&[words[0], unknown]));
        assert!(complaint.contains(&format!("no key {unknown} in ring")), "{complaint}");
    }
    let half = desk.keys(&["revoke", ID, "0000000000000000"]);
    assert!(complained(&half).contains("no key"));
    assert_eq!(fs::read(desk.path("ring")).unwrap(), before);
}

#[test]
fn a_ring_that_is_broken_cut_off_or_foreign_is_an_error_for_every_command_and_stays() {
    let desk = Desk::with_key();
    let good = fs::read(desk.path("ring")).unwrap();
    let mut flipped = good.clone();
    flipped[200] ^= 1;
    for bytes in [&good[..good.len() - 1], &good[..30], &flipped, b"", b"user:hash\n"] {
        desk.write("ring", bytes);
        for words in [
            &["create", "--topic", "b"][..],
            &["list"],
            &["show", ID],
            &["rotate", ID],
            &["revoke", ID],
            &["export", ID],
            &["rotate-master"],
        ] {
            let complaint = complained(&desk.keys(words));
            assert!(complaint.contains("ring"), "{complaint}");
        }
        assert!(fs::read(desk.path("ring")).unwrap() == bytes);
    }
    desk.write("ring", &good);
    said(&desk.keys(&["list"]));
}

#[test]
fn r24_a_key_shows_in_no_output_but_an_export() {
    let desk = Desk::with_key();
    let exported = said(&desk.keys(&["export", ID]));
    let secret = json(&exported)["topic_key"].as_str().unwrap().to_owned();
    let faulty = exported.replace(&secret, &format!("{secret}0"));
    let swapped = exported.replace("\"topic_key\"", "\"key\"");
    let unfinished = exported.trim_end().trim_end_matches('}');
    for text in [&faulty, &swapped, unfinished, "canary"] {
        let words = ["keys", "import", "--ring", "other"];
        let complaint = complained(&desk.run_with(&words, text.as_bytes()));
        assert!(!complaint.contains(&secret[..16]) && !complaint.contains("canary"), "{complaint}");
    }
    assert!(!desk.path("other").exists());
}
