//! Sockets in temporary directories: whose they may be, who may have them, what becomes of them.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

use tempfile::TempDir;

use super::*;
use crate::unix::{SocketMode, UnixAccess};

fn settings(mode: SocketMode) -> UnixSettings {
    UnixSettings { mode, gid: None, access: UnixAccess::default() }
}

fn bind_at(path: &Path) -> Result<(UnixListener, SocketFile)> {
    bind(path, &settings(SocketMode::OWNER), 16)
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("own/mqtt.sock");
    (directory, path)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn complaint<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_directory_is_made_and_both_have_their_mode() {
    for (wanted, directory_mode) in [("0600", 0o700), ("0660", 0o750), ("0666", 0o755)] {
        let (_scratch, path) = place();
        let wanted = SocketMode::try_from(wanted.to_owned()).unwrap();
        let (_listener, _file) = bind(&path, &settings(wanted), 16).unwrap();
        assert_eq!(mode(&path), wanted.bits());
        assert_eq!(mode(path.parent().unwrap()), directory_mode);
        UnixStream::connect(&path).unwrap();
    }
}

#[test]
fn the_group_is_that_of_the_settings() {
    let (_scratch, path) = place();
    // The only group that every user may give a file to.
    let gid = nix::unistd::Gid::effective().as_raw();
    let settings = UnixSettings { gid: Some(gid), ..settings(SocketMode::GROUP) };
    let (_listener, _file) = bind(&path, &settings, 16).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().gid(), gid);
}

#[test]
fn a_socket_whose_process_is_gone_is_replaced() {
    let (_scratch, path) = place();
    fs::create_dir(path.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let (listener, _file) = bind_at(&path).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    drop(listener.accept().unwrap());
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_socket_that_is_served_is_left_alone_and_its_holder_named() {
    let (_scratch, path) = place();
    let (listener, _file) = bind_at(&path).unwrap();
    let said = complaint(bind_at(&path));
    let holder = format!("is served by process {} (", std::process::id());
    assert!(said.contains(&holder), "{said}");
    listener.accept().unwrap();
    assert!(path.exists());
}

#[test]
fn a_socket_whose_backlog_is_full_is_served_too() {
    let (_scratch, path) = place();
    let (_listener, _file) = bind(&path, &settings(SocketMode::OWNER), 0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let socket = new_socket().unwrap();
        match socket.connect(&SockAddr::unix(&path).unwrap()) {
            Ok(()) => waiting.push(socket),
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(complaint(bind_at(&path)).contains("is served by another process"));
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let (_scratch, path) = place();
    let directory = path.parent().unwrap();
    fs::create_dir(directory).unwrap();
    let elsewhere = directory.join("elsewhere.sock");
    let (_listener, _file) = bind_at(&elsewhere).unwrap();
    let file: fn(&Path) = |path| fs::write(path, "precious").unwrap();
    let folder: fn(&Path) = |path| fs::create_dir(path).unwrap();
    let link: fn(&Path) = |path| symlink(path.with_file_name("elsewhere.sock"), path).unwrap();
    let dangling: fn(&Path) = |path| symlink("nowhere", path).unwrap();
    for (name, make) in [("a", file), ("b", folder), ("c", link), ("d", dangling)] {
        let path = directory.join(name);
        make(&path);
        let before = fs::symlink_metadata(&path).unwrap().ino();
        assert!(complaint(bind_at(&path)).contains("exists and is no socket"), "{name}");
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before, "{name}");
    }
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    for mode in [0o777, 0o1777, 0o702] {
        let (_scratch, path) = place();
        let directory = path.parent().unwrap();
        fs::create_dir(directory).unwrap();
        chmod(directory, mode);
        let said = complaint(bind_at(&path));
        assert!(said.starts_with("everybody may write to "), "{said}");
        assert_eq!(said, complaint(check_socket_path(&path)));
        assert!(!path.exists());
        chmod(directory, 0o770);
        assert!(check_socket_path(&path).is_ok());
        assert!(bind_at(&path).is_ok());
    }
}

#[test]
fn a_directory_below_one_that_others_may_write_is_refused_unless_that_is_sticky() {
    let (scratch, path) = place();
    chmod(scratch.path(), 0o777);
    assert!(complaint(bind_at(&path)).starts_with("everybody may write to "));
    assert!(complaint(check_socket_path(&path)).starts_with("everybody may write to "));
    fs::remove_dir(path.parent().unwrap()).unwrap();
    chmod(scratch.path(), 0o1777);
    assert!(bind_at(&path).is_ok());
}

#[test]
fn a_link_to_a_directory_is_not_followed() {
    let (scratch, path) = place();
    fs::create_dir(scratch.path().join("real")).unwrap();
    symlink("real", path.parent().unwrap()).unwrap();
    for said in [complaint(bind_at(&path)), complaint(check_socket_path(&path))] {
        assert!(said.contains("is no directory, and symbolic links are not followed"), "{said}");
    }
}

#[test]
fn the_parent_of_the_directory_is_not_made() {
    let (scratch, _) = place();
    let path = scratch.path().join("no/such/mqtt.sock");
    for said in [complaint(bind_at(&path)), complaint(check_socket_path(&path))] {
        assert!(said.starts_with("there is no directory ") && said.ends_with("make it first"));
    }
}

#[test]
fn checking_changes_nothing() {
    let (_scratch, path) = place();
    check_socket_path(&path).unwrap();
    assert!(!path.parent().unwrap().exists());
}

#[test]
fn the_file_goes_with_its_socket_but_not_anothers() {
    let (_scratch, path) = place();
    let (listener, file) = bind_at(&path).unwrap();
    drop(file);
    assert!(!path.exists());
    let (_second, second_file) = bind_at(&path).unwrap();
    // Ours is removed under our feet, and another takes the name.
    fs::remove_file(&path).unwrap();
    let (third, _third_file) = bind_at(&path).unwrap();
    drop(second_file);
    assert!(path.exists());
    UnixStream::connect(&path).unwrap();
    third.accept().unwrap();
    drop(listener);
}

#[test]
fn two_that_start_at_once_do_not_take_the_socket_from_each_other() {
    let (_scratch, path) = place();
    fs::create_dir(path.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    let start = || {
        let path = path.clone();
        std::thread::spawn(move || bind_at(&path))
    };
    let bound: Vec<_> = (0..8).map(|_| start()).collect();
    let bound: Vec<_> = bound.into_iter().map(|thread| thread.join().unwrap()).collect();
    let lucky: Vec<_> = bound.iter().flatten().collect();
    assert_eq!(lucky.len(), 1, "{bound:?}");
    UnixStream::connect(&path).unwrap();
    lucky[0].0.accept().unwrap();
}
