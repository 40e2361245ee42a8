//! Which program the process at the other end of a Unix socket runs, without mistaking another process
//! for it that was given its number after it had ended.
//!
//! What remains: a process may execute another program after it has connected, or hand the connection
//! on. Both need a program that runs as the same user already, so an executable tells the programs of
//! one user apart only as long as none of them means harm.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};

/// A handle of the very process that connected, where the kernel gives one (Linux 6.5 and newer).
pub(super) fn handle_of_peer(stream: &impl AsFd) -> Option<OwnedFd> {
    getsockopt(stream, PeerPidfd).ok()
}

/// The path of the program that process `pid` of user `uid` runs. A file that has been replaced since
/// is shown with ` (deleted)` behind its path, as the kernel does.
///
/// # Errors
/// When the process has ended, or may not be looked at.
pub(super) fn executable(
    pid: Option<i32>,
    uid: u32,
    handle: Option<OwnedFd>,
) -> io::Result<PathBuf> {
    let pid = pid.ok_or_else(|| io::Error::other("it is in another namespace"))?;
    // An open directory of a process stays that of this process, whoever gets its number.
    let directory = File::open(format!("/proc/{pid}"))?;
    let link = format!("/proc/self/fd/{}/exe", directory.as_raw_fd());
    let path = std::fs::read_link(link)?;
    let is_peer = match handle {
        // It still lives, so its number was its own all the time.
        Some(handle) => lives(handle.as_fd())?,
        // The number may have passed on before the directory was opened, but then to a process of
        // the same user, which could have connected itself.
        None => directory.metadata()?.uid() == uid,
    };
    if is_peer { Ok(path) } else { Err(io::Error::other("it has ended")) }
}

/// Whether the process has not ended: its handle is readable once it has (pidfd_open(2)).
fn lives(handle: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(poll(&mut [PollFd::new(handle, PollFlags::POLLIN)], PollTimeout::ZERO)? == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    use super::*;

    fn own_pid() -> Option<i32> {
        i32::try_from(std::process::id()).ok()
    }

    fn own_uid() -> u32 {
        std::fs::metadata("/proc/self").unwrap().uid()
    }

    #[test]
    fn a_process_that_lives_is_seen_with_and_without_a_handle() {
        let (one, _other) = UnixStream::pair().unwrap();
        let own = std::env::current_exe().unwrap();
        assert_eq!(executable(own_pid(), own_uid(), handle_of_peer(&one)).unwrap(), own);
        assert_eq!(executable(own_pid(), own_uid(), None).unwrap(), own);
    }

    #[test]
    fn a_number_that_has_passed_to_another_user_is_not_taken_for_the_peer() {
        let error = executable(own_pid(), own_uid() + 1, None).unwrap_err();
        assert_eq!(error.to_string(), "it has ended");
        assert!(executable(None, own_uid(), None).is_err());
    }

    #[test]
    fn a_handle_whose_process_has_ended_vouches_for_nobody_who_has_its_number_now() {
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let flags = rustix::process::PidfdFlags::empty();
        let handle = || rustix::process::pidfd_open(pid, flags).unwrap();
        let (of_the_living, of_the_dead) = (handle(), handle());
        assert!(executable(own_pid(), own_uid(), Some(of_the_living)).is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        let error = executable(own_pid(), own_uid(), Some(of_the_dead)).unwrap_err();
        assert_eq!(error.to_string(), "it has ended");
    }
}
