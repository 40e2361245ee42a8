//! `--in`, `--out`: what a command reads and writes when it stands between two others.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use zeroize::Zeroizing;

use crate::private_file;

/// What is read of standard input at once: most payloads are smaller.
const FIRST_ROOM: usize = 64 << 10;

/// Where bytes come from and go to.
#[derive(Debug, Args)]
pub(super) struct StreamArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,
    /// Where to: a file, written whole with mode 0600; without it, standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Where bytes come from.
#[derive(Debug, Args)]
pub(super) struct InputArgs {
    /// Where from: a file; without it, standard input
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
}

impl InputArgs {
    /// All of it, if it is at most `limit` bytes.
    pub(super) fn read(&self, limit: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        read(self.input.as_deref(), limit)
    }
}

impl StreamArgs {
    /// Writes `bytes`, all or nothing where it is a file.
    pub(super) fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        write(self.out.as_deref(), bytes)
    }

    /// Whether it would be written to a terminal.
    pub(super) fn is_seen(&self) -> bool {
        self.out.is_none() && io::IsTerminal::is_terminal(&io::stdout())
    }
}

/// Reads a file, or standard input where there is none or it is called `-`.
pub(super) fn read(path: Option<&Path>, limit: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let Some(path) = path.filter(|path| *path != Path::new("-")) else {
        // Around the buffer of the standard library, which is never wiped.
        let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        return read_all(stdin, limit).context("cannot read standard input");
    };
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    Ok(Zeroizing::new(private_file::read_bounded(path, limit)?))
}

fn read_all(input: impl Read, limit: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(FIRST_ROOM));
    let longest = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    input.take(longest).read_to_end(&mut bytes)?;
    ensure!(bytes.len() <= limit, "there are more than {limit} bytes");
    Ok(bytes)
}

/// Writes a file, or standard output where there is none.
pub(super) fn write(path: Option<&Path>, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(path) = path {
        return Ok(private_file::replace(path, bytes)?);
    }
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("cannot write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_there_may_be() {
        assert_eq!(*read_all(&b"four"[..], 4).unwrap(), b"four");
        assert!(read_all(&b"four"[..], 3).is_err());
        assert!(read_all(io::repeat(0), 100_000).is_err());
        assert!(read(Some(Path::new("/dev/zero")), 100_000).is_err());
    }
}
