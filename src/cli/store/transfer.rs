//! `bastionmq store export` and `import`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use tempfile::NamedTempFile;

use super::place::PlaceArgs;
use super::{losses, tell};
use crate::keys::{MasterKey, MasterKeySource};
use crate::store::{Directory, Opened, TransferError, import};

const EXPORT_HELP: &str = "\
An archive is encrypted with AES-256-GCM under a key of its own, which is sealed under the master key of the
store, or under the key of --key-file. Whether it is whole is known when it has been read to its end.
With --plain it is JSON, one record a line, with the values in base64: anybody can read it.";

/// Write all records to a file
#[derive(Debug, Args)]
#[command(after_help = EXPORT_HELP)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Seal the archive under this key instead of the master key; made if it is missing
    #[arg(long, value_name = "KEY", conflicts_with = "plain")]
    key_file: Option<PathBuf>,
    /// Write lines of JSON that anybody can read
    #[arg(long)]
    plain: bool,
    /// The file, which must not be there yet: mode 0600; `-` is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Make a new store of what `export` has written
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// What the archive is sealed under, where that is not the master key
    #[arg(long, value_name = "KEY")]
    key_file: Option<PathBuf>,
    /// The file; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn export(args: &ExportArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let place = args.place.choose()?;
    let mut opened = place.open()?;
    let count = match is_standard(&args.file) {
        true => write(args, &place.master, &mut opened, &mut *out)?,
        false => write_file(&args.file, |file| write(args, &place.master, &mut opened, file))?,
    };
    // Standard output may be the archive.
    tell(&opened, &mut io::stderr())?;
    writeln!(io::stderr(), "{count} records are exported")?;
    Ok(losses(&opened) == 0)
}

fn write(
    args: &ExportArgs,
    master: &MasterKeySource,
    opened: &mut Opened<Directory>,
    out: impl Write,
) -> anyhow::Result<u64> {
    if args.plain {
        return Ok(opened.export_plain(out)?);
    }
    let key = match &args.key_file {
        Some(path) => MasterKeySource::File(path.clone()).read_or_make()?.0,
        None => master.read()?,
    };
    Ok(opened.export(&key, out)?)
}

/// Writes a file of mode 0600 that is whole or not there.
fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> anyhow::Result<u64>,
) -> anyhow::Result<u64> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let failed = || format!("cannot write {}", path.display());
    let file = NamedTempFile::new_in(parent).with_context(failed)?;
    let mut buffered = BufWriter::new(file.as_file());
    let count = write(&mut buffered)?;
    buffered.flush().with_context(failed)?;
    drop(buffered);
    file.as_file().sync_all().with_context(failed)?;
    file.persist_noclobber(path).map_err(|error| error.error).with_context(failed)?;
    File::open(parent).and_then(|parent| parent.sync_all()).with_context(failed)?;
    Ok(count)
}

pub(super) fn import_into_new(args: &ImportArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let place = args.place.choose()?;
    let source: Box<dyn io::Read> = match is_standard(&args.file) {
        true => Box::new(io::stdin()),
        false => Box::new(
            File::open(&args.file)
                .with_context(|| format!("cannot read {}", args.file.display()))?,
        ),
    };
    let directory = Directory::lock(&place.directory)?;
    let (master, _) = place.master.read_or_make()?;
    let named = args.key_file.clone().map(MasterKeySource::File);
    let key = || -> Result<MasterKey, TransferError> {
        let named = named.map_or_else(|| Ok(master.clone()), |source| source.read());
        named.map_err(|error| io::Error::other(error).into())
    };
    let name = place.directory.clone();
    let count = import(directory, name, &master, key, BufReader::new(source))?;
    writeln!(out, "{count} records are in the new store {}", place.directory.display())?;
    Ok(true)
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}
