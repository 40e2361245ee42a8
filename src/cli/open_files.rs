//! Room for the files of the process: each connection is one.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside connections: listeners, logs, the store, and what is opened for a moment.
const OTHERS: u32 = 256;

/// Lets the process have as many files as the system allows it, and makes the table that they are kept
/// in large enough for `connections` at once. The system would double it when it is full, and then a
/// thread that accepts or opens stands still until every processor has seen the new one: for 10 to 150 ms
/// on a busy machine, and whoever is served by that thread with it.
pub(super) fn make_room(connections: u32) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = match raised {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, ?current, ?maximum, "the limit of open files stays as it is");
            current
        }
    };
    if let Err(error) = grow_table(files_for(connections, limit)) {
        tracing::debug!(%error, "the table of open files grows with the connections");
    }
}

fn files_for(connections: u32, limit: Option<u64>) -> u64 {
    let files = u64::from(connections) + u64::from(OTHERS);
    limit.map_or(files, |limit| files.min(limit))
}

/// The table has room for its highest file, and never shrinks.
fn grow_table(files: u64) -> io::Result<()> {
    let last = i32::try_from(files.saturating_sub(1)).unwrap_or(i32::MAX);
    let (file, _) = UnixStream::pair()?;
    drop(fcntl_dupfd_cloexec(&file, last)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_all_connections_as_far_as_the_limit_goes() {
        assert_eq!(files_for(100_000, Some(1_048_576)), 100_256);
        assert_eq!(files_for(100_000, Some(20_000)), 20_000);
        assert_eq!(files_for(u32::MAX, None), u64::from(u32::MAX) + 256);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_table_has_grown_before_the_files_come() {
        let size = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
            line.trim().parse::<u64>().unwrap()
        };
        let files = 2 * size();
        let limit = getrlimit(Resource::Nofile).current;
        assert!(limit.is_none_or(|limit| files <= limit), "{files} files are above {limit:?}");
        grow_table(files).unwrap();
        assert!(size() >= files);
    }
}
