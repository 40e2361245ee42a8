//! Users and groups of this machine, by name and by number. Every question may wait for the network:
//! the system may ask a directory service.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// What the system knows of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What it is called.
    pub name: String,
    /// Every group that it is in, the primary one too.
    pub gids: Vec<u32>,
}

/// The user with this number, if it has a name.
///
/// # Errors
/// When the system cannot tell.
pub fn account(uid: u32) -> io::Result<Option<Account>> {
    let Some(user) = User::from_uid(Uid::from_raw(uid))? else { return Ok(None) };
    let name = CString::new(user.name.as_str())?;
    let groups = getgrouplist(&name, user.gid)?;
    Ok(Some(Account { name: user.name, gids: groups.into_iter().map(Gid::as_raw).collect() }))
}

/// The number of the user of this name.
///
/// # Errors
/// When the system cannot tell.
pub fn uid_of(name: &str) -> io::Result<Option<u32>> {
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
}

/// The number of the group of this name.
///
/// # Errors
/// When the system cannot tell.
pub fn gid_of(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// The name of the group with this number, if it has one.
///
/// # Errors
/// When the system cannot tell.
pub fn group_name(gid: u32) -> io::Result<Option<String>> {
    Ok(Group::from_gid(Gid::from_raw(gid))?.map(|group| group.name))
}

/// The user that this process runs as.
#[must_use]
pub fn own_uid() -> u32 {
    Uid::effective().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_superuser_is_known_by_name_and_number() {
        let root = account(0).unwrap().unwrap();
        assert_eq!(uid_of(&root.name).unwrap(), Some(0));
        assert!(root.gids.contains(&0));
        let group = group_name(0).unwrap().unwrap();
        assert_eq!(gid_of(&group).unwrap(), Some(0));
    }

    #[test]
    fn who_does_not_exist_is_nobody_and_no_error() {
        assert_eq!(account(4_000_000_001).unwrap(), None);
        assert_eq!(uid_of("no such user").unwrap(), None);
        assert_eq!(gid_of("no such group").unwrap(), None);
        assert_eq!(uid_of("a\0b").unwrap(), None);
    }
}
