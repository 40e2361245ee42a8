//! `[control]`: where the socket may be, and for whom.

use std::{fs, os::unix::fs::PermissionsExt};

use bastionmq::unix::{SocketMode, accounts};

use crate::site::{PLAIN, Site, complaints};

fn site(control: &str) -> Site {
    Site::new(&format!("{PLAIN}\n[control]\n{control}\n"))
}

#[test]
fn without_a_socket_there_is_none() {
    let resolved = Site::new(PLAIN).resolve().unwrap();
    assert_eq!(resolved.control, None);
}

#[test]
fn the_socket_is_beside_the_file_and_for_the_broker_and_root() {
    let site = site("socket = \"control/ctl.sock\"");
    let control = site.resolve().unwrap().control.unwrap();
    assert_eq!(control.path, site.home().join("control/ctl.sock"));
    assert_eq!((control.unix.mode, control.unix.gid), (SocketMode::OWNER, None));
    assert_eq!(control.unix.access.uids, [0, accounts::own_uid()].into());
    assert!(control.unix.access.gids.is_empty());
    assert!(!site.home().join("control").exists(), "looking changes nothing");
}

#[test]
fn a_group_is_let_in_by_name() {
    let site = site("socket = \"control/ctl.sock\"\ngroup = \"root\"");
    let unix = site.resolve().unwrap().control.unwrap().unix;
    assert_eq!((unix.mode, unix.gid), (SocketMode::GROUP, Some(0)));
    assert_eq!(unix.access.gids, [0].into());
}

#[test]
fn what_cannot_be_is_an_error_at_its_line() {
    let deep = format!("socket = \"{}/ctl.sock\"", "d".repeat(120));
    for (control, told) in [
        ("group = \"root\"", "`control.group` has no effect without `control.socket`"),
        ("socket = \"no/such/ctl.sock\"", "`control.socket`: there is no directory"),
        (&*deep, "a Unix socket has at most 107"),
        ("socket = \"control/ctl.sock\"\ngroup = \"no-such-group\"", "no group \"no-such-group\""),
        ("socket = \"exposed/ctl.sock\"", "everybody may write to"),
    ] {
        let site = site(control);
        fs::create_dir(site.home().join("exposed")).unwrap();
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(site.home().join("exposed"), open).unwrap();
        let said = complaints(&site, site.resolve());
        let [only] = &said[..] else { panic!("{said:#?}") };
        assert!(only.starts_with("bastionmq.toml:") && only.contains(told), "{told}\n{only}");
    }
}
