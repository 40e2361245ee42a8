//! Which program the process at the other end of a Unix socket runs, and what that calls itself, without
//! mistaking another process for it that was given its number after it had ended.
//!
//! A process chooses its name (`prctl(PR_SET_NAME)`), so a name is what a program says of itself.
//! What remains: a process may execute another program after it has connected, or hand the connection
//! on. Both need a program that runs as the same user already, so an executable tells the programs of
//! one user apart only as long as none of them means harm.

use std::fs::{self, File};
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

/// Bytes of the longest name that the kernel keeps of a process.
pub const MAX_PROCESS_NAME: usize = 15;

/// A process, as far as it may be looked at.
#[derive(Debug)]
pub(super) struct Seen {
    /// The path of its program. A file that has been replaced since is shown with ` (deleted)` behind
    /// its path, as the kernel does. Of another user's process the kernel shows it to the privileged
    /// alone.
    pub(super) executable: io::Result<PathBuf>,
    /// What it calls itself: at most [`MAX_PROCESS_NAME`] bytes.
    pub(super) name: io::Result<String>,
}

/// Looks at process `pid` of user `uid`.
///
/// # Errors
/// When the process has ended, or may not be looked at at all.
pub(super) fn look_at(pid: Option<i32>, uid: u32, handle: Option<OwnedFd>) -> io::Result<Seen> {
    let pid = pid.ok_or_else(|| io::Error::other("it is in another namespace"))?;
    // An open directory of a process stays that of this process, whoever gets its number.
    let directory = File::open(format!("/proc/{pid}"))?;
    let path = |name| format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    let executable = fs::read_link(path("exe"));
    let name = fs::read_to_string(path("comm"));
    let name = name.map(|name| name.strip_suffix('\n').unwrap_or(&name).to_owned());
    let is_peer = match handle {
        // It still lives, so its number was its own all the time.
        Some(handle) => lives(handle.as_fd())?,
        // The number may have passed on before the directory was opened, but then to a process of
        // the same user, which could have connected itself.
        None => directory.metadata()?.uid() == uid,
    };
    if is_peer { Ok(Seen { executable, name }) } else { Err(io::Error::other("it has ended")) }
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
        for handle in [handle_of_peer(&one), None] {
            let seen = look_at(own_pid(), own_uid(), handle).unwrap();
            assert_eq!(seen.executable.unwrap(), own);
            let name = fs::read_to_string("/proc/self/comm").unwrap();
            assert_eq!(seen.name.unwrap() + "\n", name);
        }
    }

    #[test]
    fn a_number_that_has_passed_to_another_user_is_not_taken_for_the_peer() {
        let error = look_at(own_pid(), own_uid() + 1, None).unwrap_err();
        assert_eq!(error.to_string(), "it has ended");
        assert!(look_at(None, own_uid(), None).is_err());
    }

    #[test]
    fn a_handle_whose_process_has_ended_vouches_for_nobody_who_has_its_number_now() {
        let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let flags = rustix::process::PidfdFlags::empty();
        let handle = || rustix::process::pidfd_open(pid, flags).unwrap();
        let (of_the_living, of_the_dead) = (handle(), handle());
        assert!(look_at(own_pid(), own_uid(), Some(of_the_living)).is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        let error = look_at(own_pid(), own_uid(), Some(of_the_dead)).unwrap_err();
        assert_eq!(error.to_string(), "it has ended");
    }
}
