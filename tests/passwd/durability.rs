//! What is in the password file stays there: writers that are killed, disks that are full, and writers
//! that come at once.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Output};
use std::thread::yield_now;

use crate::{CHEAP, Desk, PROGRAM, said};

const OTHERS: usize = 3_000;

/// How far a writer has come when it is killed, if it is caught there.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Its file beside the old one is there.
    Begun,
    /// There is something in it.
    Writing,
    /// The old one has been replaced.
    Replaced,
}

impl Desk {
    /// With a file that takes a while to be written; all in it have the hash of one.
    fn with_many_users() -> Self {
        let desk = Self::new();
        said(&desk.add("other", "apple"));
        let line = desk.users();
        let (_, hash) = line.split_once(':').unwrap();
        let lines: String = (0..OTHERS).map(|number| format!("other{number}:{hash}")).collect();
        fs::write(desk.path("users"), lines).unwrap();
        desk
    }

    fn file(&self) -> u64 {
        fs::metadata(self.path("users")).unwrap().ino()
    }

    /// Returns once `child` has come to `moment`, or to its end.
    fn await_moment(&self, child: &mut Child, moment: Moment, before: u64) {
        let beside = self.path(".users.new");
        while child.try_wait().unwrap().is_none() {
            let bytes = fs::metadata(&beside).map(|metadata| metadata.len());
            let is_there = match moment {
                Moment::Begun => bytes.is_ok(),
                Moment::Writing => bytes.is_ok_and(|bytes| bytes > 0),
                Moment::Replaced => self.file() != before,
            };
            if is_there {
                return;
            }
            yield_now();
        }
    }

    /// Every user of a file in which no line is broken.
    fn whole(&self) -> BTreeSet<String> {
        let listed = said(&self.run(&["list", "users"], ""));
        listed.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
    }

    /// Runs a command that cannot write files longer than `kib`; a signal would end it otherwise.
    fn on_a_full_disk(&self, kib: u32, words: &[&str]) -> Output {
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" passwd \"$@\"");
        shell.args(["-c", &script, PROGRAM]).args(words);
        self.start_command(&mut shell, "pear").wait_with_output().unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn u13_a_writer_that_is_killed_loses_nothing_and_has_promised_nothing_that_is_not_there() {
    let desk = Desk::with_many_users();
    let moments = [Moment::Begun, Moment::Writing, Moment::Replaced];
    let mut promised = BTreeSet::new();
    for (number, moment) in (0..45).zip(moments.iter().cycle()) {
        let user = format!("new{number}");
        let before = desk.file();
        let mut child = desk.start(&["add", CHEAP[0], CHEAP[1], "users", &user], "apple");
        desk.await_moment(&mut child, *moment, before);
        // As `kill -9` does it; it may have come to its end.
        let _ = child.kill();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        if said.contains("added user") {
            promised.insert(user);
        }
        let there = desk.whole();
        assert!(promised.is_subset(&there), "killed at {moment:?}: {promised:?}");
        let others = there.iter().filter(|user| user.starts_with("other")).count();
        assert_eq!(others, OTHERS, "killed at {moment:?}");
    }
    said(&desk.add("last", "apple"));
    assert_eq!(desk.names(), ["users"], "who was killed has left something behind");
}

#[test]
fn u13_on_a_full_disk_the_old_file_stays_whole_and_nothing_is_promised() {
    let desk = Desk::with_many_users();
    let before = desk.users();
    for (kib, words) in [
        (0, &["add", CHEAP[0], CHEAP[1], "users", "ann"][..]),
        (16, &["add", CHEAP[0], CHEAP[1], "users", "ann"]),
        (16, &["add", CHEAP[0], CHEAP[1], "users", "other7"]),
        (16, &["remove", "users", "other7"]),
    ] {
        let failed = desk.on_a_full_disk(kib, words);
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
        assert!(failed.stdout.is_empty(), "{failed:?}");
        let complaint = String::from_utf8(failed.stderr).unwrap();
        assert!(complaint.contains("cannot write users"), "{complaint}");
        assert!(desk.users() == before, "{words:?} has changed the file");
        assert_eq!(desk.names(), ["users"]);
    }
    said(&desk.add("ann", "apple"));
    assert_eq!(desk.whole().len(), OTHERS + 1);
}

#[test]
fn u13_a_file_that_a_group_may_read_is_still_for_that_group_when_it_has_changed() {
    let desk = Desk::new();
    said(&desk.add("ann", "apple"));
    let users = desk.path("users");
    fs::set_permissions(&users, fs::Permissions::from_mode(0o640)).unwrap();
    let group = fs::metadata(&users).unwrap().gid();
    said(&desk.add("bob", "apple"));
    said(&desk.run(&["remove", "users", "ann"], ""));
    let metadata = fs::metadata(&users).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (0o640, group));
}
