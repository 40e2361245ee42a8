//! `bastionmq passwd`, as a person or a script runs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod durability;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bastionmq");
/// The least that argon2 computes with.
const CHEAP: [&str; 2] = ["--memory-kib=8", "--iterations=1"];

/// A directory of its own, in which the password file is `users`.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn users(&self) -> String {
        fs::read_to_string(self.path("users")).unwrap()
    }

    fn start(&self, words: &[&str], input: &str) -> Child {
        let mut command = Command::new(PROGRAM);
        command.arg("passwd").args(words);
        self.start_command(&mut command, input)
    }

    fn start_command(&self, command: &mut Command, input: &str) -> Child {
        let mut child = command
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails before it asks for the password has closed the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child
    }

    fn run(&self, words: &[&str], input: &str) -> Output {
        self.start(words, input).wait_with_output().unwrap()
    }

    fn add(&self, user: &str, password: &str) -> Output {
        self.run(&["add", CHEAP[0], CHEAP[1], "users", user], password)
    }
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complained(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_user_is_added_verified_listed_and_removed() {
    let desk = Desk::new();
    assert_eq!(said(&desk.add("ann", "apple\n")), "added user ann to users\n");
    assert_eq!(said(&desk.run(&["list", "users"], "")), "ann  argon2id m=8,t=1,p=1\n");
    assert_eq!(said(&desk.run(&["verify", "users", "ann"], "apple")), "the password is right\n");
    assert_eq!(said(&desk.run(&["remove", "users", "ann"], "")), "removed user ann from users\n");
    assert_eq!(desk.users(), "");
}

#[test]
fn unless_told_otherwise_a_hash_takes_19_mib() {
    let desk = Desk::new();
    said(&desk.run(&["add", "--stdin", "users", "ann"], "apple\n"));
    assert!(desk.users().starts_with("ann:$argon2id$v=19$m=19456,t=2,p=1$"), "{}", desk.users());
}

#[test]
fn a_wrong_password_is_exit_code_1() {
    let desk = Desk::new();
    said(&desk.add("ann", "apple"));
    let wrong = desk.run(&["verify", "--stdin", "users", "ann"], "pear\n");
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(wrong.stdout, b"the password is wrong\n");
}

#[test]
fn a_password_can_come_from_a_file() {
    let desk = Desk::new();
    fs::write(desk.path("secret"), "apple\n").unwrap();
    said(
        &desk
            .run(&["add", CHEAP[0], CHEAP[1], "--password-file", "secret", "users", "ann"], "pear"),
    );
    said(&desk.run(&["verify", "users", "ann"], "apple"));
}

#[test]
fn removing_an_unknown_user_is_an_error_that_says_where_to_look() {
    let desk = Desk::new();
    said(&desk.add("ann", "apple"));
    let complaint = complained(&desk.run(&["remove", "users", "eve"], ""));
    assert!(complaint.contains("no user \"eve\" in users"), "{complaint}");
    assert!(complaint.contains("bastionmq passwd list users"), "{complaint}");
}

#[test]
fn r06_a_broken_file_is_an_error_for_every_command_and_is_not_written() {
    let desk = Desk::new();
    let broken = "# users\nann:\n";
    fs::write(desk.path("users"), broken).unwrap();
    for words in [
        &["add", "users", "ann"][..],
        &["verify", "users", "ann"],
        &["remove", "users", "ann"],
        &["list", "users"],
    ] {
        let complaint = complained(&desk.run(words, "apple"));
        assert!(complaint.contains("users: line 2: "), "{complaint}");
    }
    assert_eq!(desk.users(), broken);
}

#[test]
fn r04_with_umask_000_the_file_is_for_its_owner_only() {
    let desk = Desk::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\" passwd add \"$@\"", PROGRAM]);
    shell.args(CHEAP).args(["users", "ann"]);
    said(&desk.start_command(&mut shell, "apple").wait_with_output().unwrap());
    let mode = fs::metadata(desk.path("users")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn r24_a_password_shows_in_no_output() {
    let desk = Desk::new();
    let canary = "canary-7f3a";
    let mut outputs = vec![
        desk.add("ann", canary),
        desk.add("ann", canary),
        desk.add("b:b", canary),
        desk.add("bob", &format!("{canary}\n{canary}\n")),
        desk.run(&["list", "users"], ""),
    ];
    for attempt in [canary, "canary"] {
        outputs.push(desk.run(&["verify", "users", "ann"], attempt));
    }
    fs::write(desk.path("users"), format!("ann:{canary}\n{canary}\n")).unwrap();
    outputs.push(desk.run(&["list", "users"], ""));
    for output in outputs {
        let shown = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8(shown).unwrap();
        assert!(!shown.is_empty() && !shown.contains("canary"), "{shown}");
    }
}

#[test]
fn users_added_at_the_same_time_are_all_there() {
    let desk = Desk::new();
    let names: Vec<String> = (0..20).map(|number| format!("user{number}")).collect();
    let children: Vec<Child> = names
        .iter()
        .map(|name| desk.start(&["add", CHEAP[0], CHEAP[1], "users", name], "apple"))
        .collect();
    for child in children {
        said(&child.wait_with_output().unwrap());
    }
    let text = desk.users();
    let mut listed: Vec<&str> =
        text.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    listed.sort_unstable();
    let mut expected: Vec<&str> = names.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    assert_eq!(fs::read_dir(desk.0.path()).unwrap().count(), 1, "a temporary file was left");
}

#[test]
fn a_password_file_that_is_a_link_is_refused_with_the_reason() {
    let desk = Desk::new();
    fs::write(desk.path("elsewhere"), "# nobody\n").unwrap();
    symlink("elsewhere", desk.path("users")).unwrap();
    let complaint = complained(&desk.add("ann", "apple"));
    assert!(complaint.contains("symbolic link"), "{complaint}");
    assert_eq!(desk.users(), "# nobody\n");
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let desk = Desk::new();
    let complaint = complained(&desk.run(&["add", "missing/users", "ann"], "apple"));
    assert!(complaint.contains("missing"), "{complaint}");
}

/// What `mosquitto_passwd` writes by default: 1.6, 2.0 and 2.1. The first is of `password`, the others
/// are of `secret`.
const MOSQUITTO: &str = "\
old:$6$vZY4TS+/HBxHw38S$vvjVFECzb8dyuu/mruD2QKTfdFn0WmKxbc+1TsdB0L8EdHk3v9JRmfjHd56+VaTnUcSZOZ/hzkdvWC\
txlX7AUQ==
usual:$7$101$DW8oHJo47f+3TUnM$QFKHMbKiuydmFs0ZrAynU3l48o2nZzg6kGD/8eGq3sWnKI4ZvN6y2hoieCUMGHmchXXAmQ7Zj\
LtlauBNEcxuRw==
new:$argon2id$v=19$m=47104,t=1,p=1$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEy\
MzQ1Njc4OTo7PD0+Pw$jN8KVtBuy9rOg+xx4HEO7K//Ei2hf4aegEDgCD4okj4rugUys2dVUsAyHcBFDFrGlWl198NIEs4dtHiTXPg\
qvA
";

#[test]
fn a_file_of_mosquitto_is_used_as_it_is() {
    let desk = Desk::new();
    fs::write(desk.path("users"), MOSQUITTO).unwrap();
    assert_eq!(
        said(&desk.run(&["list", "users"], "")),
        "old    SHA-512 of Mosquitto ($6$), until the next login\n\
         usual  PBKDF2-SHA-512 of Mosquitto ($7$) i=101, until the next login\n\
         new    argon2id m=47104,t=1,p=1\n"
    );
    for (user, password) in [("old", "password"), ("usual", "secret"), ("new", "secret")] {
        let verified = desk.run(&["verify", "users", user], password);
        assert_eq!(said(&verified), "the password is right\n", "{user}");
        let verified = desk.run(&["verify", "users", user], "other");
        assert_eq!(verified.status.code(), Some(1), "{user}");
    }
    said(&desk.add("ann", "apple"));
    assert!(desk.users().starts_with(MOSQUITTO));
}
