//! Whole or not there, whoever writes at the same time, and for nobody else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::sync::mpsc;
use std::thread;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_file_is_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    replace(&path, b"one").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names_in(dir.path()), ["secret"]);
}

#[test]
fn replacing_an_open_file_closes_it_to_all_but_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    for (before, after) in [(0o666, 0o660), (0o640, 0o640), (0o604, 0o600), (0o400, 0o600)] {
        fs::write(&path, "one, and longer").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), after, "{before:o}");
    }
}

#[test]
fn who_reads_the_old_file_meanwhile_sees_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    replace(&path, b"one").unwrap();
    let mut open = File::open(&path).unwrap();
    replace(&path, b"two").unwrap();
    let mut seen = String::new();
    open.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "one");
}

#[test]
fn u13_a_replaced_file_keeps_its_owner_its_group_and_what_that_may_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    replace(&path, b"one").unwrap();
    let metadata = fs::metadata(&path).unwrap();
    let mine = (metadata.uid(), metadata.gid());
    // Only root may give a file away.
    let owner =
        if chown(&path, Some(12_345), Some(54_321)).is_ok() { (12_345, 54_321) } else { mine };
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    replace(&path, b"two").unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), owner);
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn u13_what_a_writer_that_was_killed_has_left_behind_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    replace(&path, b"one").unwrap();
    fs::write(dir.path().join(".secret.new"), "tw").unwrap();
    fs::hard_link(&path, dir.path().join(".secret.old")).unwrap();
    let directory = LockedDirectory::of(&path).unwrap();
    directory.stage(OsStr::new("secret"), b"two").unwrap().replace_and_keep().unwrap();
    assert_eq!(names_in(dir.path()), ["secret", "secret~"]);
    assert_eq!(fs::read(&path).unwrap(), b"two");
}

#[test]
fn u13_the_version_before_is_kept_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy");
    let directory = LockedDirectory::lock(dir.path()).unwrap();
    for text in ["one", "two", "three"] {
        directory.stage(OsStr::new("policy"), text.as_bytes()).unwrap().replace_and_keep().unwrap();
    }
    assert_eq!(names_in(dir.path()), ["policy", "policy~"]);
    assert_eq!(fs::read(&path).unwrap(), b"three");
    assert_eq!(fs::read(dir.path().join("policy~")).unwrap(), b"two");
}

#[test]
fn u13_what_is_staged_and_dropped_has_never_been() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    replace(&path, b"one").unwrap();
    let directory = LockedDirectory::of(&path).unwrap();
    drop(directory.stage(OsStr::new("secret"), b"two").unwrap());
    assert_eq!(names_in(dir.path()), ["secret"]);
    assert_eq!(fs::read(&path).unwrap(), b"one");
}

#[test]
fn u13_a_change_by_who_does_not_lock_is_noticed_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    let begin = || {
        let mut change = Change::begin(&path).unwrap();
        let text = change.read(100);
        (change, text)
    };
    let (change, text) = begin();
    assert!(text.unwrap_err().is_not_found());
    fs::write(&path, "by an editor").unwrap();
    assert!(matches!(change.write(b"ours"), Err(PrivateFileError::Changed { .. })));
    let (change, text) = begin();
    assert_eq!(text.unwrap(), b"by an editor");
    let other = dir.path().join("other");
    fs::write(&other, "by an editor").unwrap();
    fs::rename(&other, &path).unwrap();
    assert!(matches!(change.write(b"ours"), Err(PrivateFileError::Changed { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"by an editor");
    let (change, _) = begin();
    change.write(b"ours").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"ours");
    assert_eq!(names_in(dir.path()), ["users"]);
}

#[test]
fn a_link_is_neither_followed_nor_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let [target, link] = ["target", "link"].map(|name| dir.path().join(name));
    fs::write(&target, "old").unwrap();
    symlink(&target, &link).unwrap();
    let refused = replace(&link, b"new").unwrap_err();
    assert!(refused.to_string().contains("is a symbolic link"), "{refused}");
    assert!(matches!(create_new(&link, b"new"), Err(PrivateFileError::Exists { .. })));
    assert_eq!(fs::read(&target).unwrap(), b"old");
    assert_eq!(names_in(dir.path()), ["link", "target"]);
}

#[test]
fn a_link_to_nowhere_is_not_created_through() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    symlink(dir.path().join("target"), &link).unwrap();
    assert!(replace(&link, b"new").is_err());
    assert!(create_new(&link, b"new").is_err());
    assert_eq!(names_in(dir.path()), ["link"]);
}

#[test]
fn a_directory_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let refused = replace(dir.path(), b"new").unwrap_err();
    assert!(refused.to_string().contains("is a directory"), "{refused}");
}

#[test]
fn a_missing_directory_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing").join("secret");
    for refused in [replace(&path, b""), create_new(&path, b"")] {
        let refused = refused.unwrap_err();
        assert!(refused.is_not_found());
        let directory = path.parent().unwrap().to_str().unwrap();
        assert!(refused.to_string().contains(directory), "{refused}");
    }
}

#[test]
fn creating_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    create_new(&path, b"one").unwrap();
    assert!(matches!(create_new(&path, b"two"), Err(PrivateFileError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"one");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names_in(dir.path()), ["secret"]);
}

#[test]
fn new_directories_are_for_their_owner_only_and_old_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a").join("b");
    create_dir(&path).unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
    fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
    create_dir(&path).unwrap();
    assert_eq!(mode(&path), 0o750);
    fs::write(path.join("file"), "").unwrap();
    assert!(create_dir(&path.join("file")).is_err());
}

#[test]
fn reading_stops_at_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    fs::write(&path, "four").unwrap();
    assert_eq!(read_bounded(&path, 4).unwrap(), b"four");
    assert!(matches!(read_bounded(&path, 3), Err(PrivateFileError::TooLarge { limit: 3, .. })));
    let endless = read_bounded(Path::new("/dev/zero"), 1_000);
    assert!(matches!(endless, Err(PrivateFileError::TooLarge { limit: 1_000, .. })));
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!read_bounded(dir.path(), 10).unwrap_err().is_not_found());
    let missing = read_bounded(&dir.path().join("missing"), 10).unwrap_err();
    assert!(missing.is_not_found());
    assert!(missing.to_string().contains("missing"), "{missing}");
}

#[test]
fn a_second_change_waits_for_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let first = Change::begin(&path).unwrap();
    let (changes, order) = mpsc::channel();
    let second = thread::spawn({
        let (changes, path) = (changes.clone(), path.clone());
        move || {
            let _change = Change::begin(&path).unwrap();
            changes.send("second").unwrap();
        }
    });
    assert!(File::open(dir.path()).unwrap().try_lock().is_err());
    changes.send("first").unwrap();
    drop(first);
    second.join().unwrap();
    assert_eq!(order.try_iter().collect::<Vec<_>>(), ["first", "second"]);
}
