//! `bastionmq store`: what a broker keeps on disk, looked at and changed while no broker uses it.

mod place;
mod transfer;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::place::PlaceArgs;
use self::transfer::{ExportArgs, ImportArgs};
use crate::clock::Now;
use crate::keys::MasterKeySource;
use crate::store::{Directory, Opened, Table};

const EXAMPLES: &str = "\
Examples:
  bastionmq store info --config bastionmq.toml
  bastionmq store check --dir /var/lib/bastionmq --master-key-file master.key
  bastionmq store export --config bastionmq.toml store.archive      encrypted
  bastionmq store import --dir new --master-key-file master.key store.archive
  bastionmq store rekey --config bastionmq.toml                     new data keys
  bastionmq ctl store backup /var/backups/bastionmq/monday          while the broker runs

Run them as the user that the broker runs as, while it does not run: they lock the directory of the store.
All of them need the master key; `--help` of each says where it is looked for.

To replace the master key as well: `keys rotate-master`, `store rekey`, and `keys rotate-master --finish`.

Exit codes: 0 done, 1 it was not or something is damaged, 2 a mistake in the command line.";

/// Look at what a broker keeps on disk, check it, and write it anew
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Info(InfoArgs),
    Check(CheckArgs),
    Compact(CompactArgs),
    Export(ExportArgs),
    Import(ImportArgs),
    Rekey(RekeyArgs),
}

/// Show how many records there are, what they take, and how old the keys are
#[derive(Debug, Args)]
struct InfoArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Read every record, and say what is damaged and where; exit code 1 if anything is. Changes nothing
#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// Write again what is of use, and nothing else. It may be interrupted, and needs 32 MiB of room
#[derive(Debug, Args)]
struct CompactArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

/// Make a new data key, and write everything again under it. It may be interrupted, and run again
#[derive(Debug, Args)]
struct RekeyArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Another master key, which the store opens with from then on; made if it is missing
    #[arg(long, value_name = "FILE")]
    new_master_key_file: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: StoreArgs) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let is_well = match args.command {
        Command::Info(args) => info(&args, &mut out)?,
        Command::Check(args) => check(&args, &mut out)?,
        Command::Compact(args) => compact(&args, &mut out)?,
        Command::Export(args) => transfer::export(&args, &mut out)?,
        Command::Import(args) => transfer::import_into_new(&args, &mut out)?,
        Command::Rekey(args) => rekey(&args, &mut out)?,
    };
    out.flush()?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Serialize)]
struct Info<'a> {
    directory: &'a Path,
    layout: u32,
    records: usize,
    bytes: u64,
    bytes_on_disk: u64,
    segments: usize,
    closed_in_order: bool,
    damaged_parts: usize,
    tables: Vec<TableRow>,
    data_keys: Vec<KeyRow>,
}

#[derive(Serialize)]
struct TableRow {
    table: String,
    records: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct KeyRow {
    number: u32,
    age_days: u64,
    segments: usize,
}

fn info(args: &InfoArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let place = args.place.choose()?;
    let opened = place.open()?;
    let (bytes, bytes_on_disk) = opened.bytes();
    let tables = opened.tables().into_iter();
    let tables =
        tables.map(|(table, (records, bytes))| TableRow { table: name_of(table), records, bytes });
    let now = Now::read().unix;
    let keys = opened.data_keys().into_iter();
    let data_keys = keys.map(|key| KeyRow {
        number: key.id,
        age_days: now.saturating_sub(key.made).as_secs() / 86_400,
        segments: key.segments,
    });
    let info = Info {
        directory: &place.directory,
        layout: opened.schema(),
        records: opened.records(),
        bytes,
        bytes_on_disk,
        segments: opened.segments(),
        closed_in_order: opened.is_closed_in_order(),
        damaged_parts: losses(&opened),
        tables: tables.collect(),
        data_keys: data_keys.collect(),
    };
    if args.json {
        serde_json::to_writer(&mut *out, &info)?;
        writeln!(out)?;
    } else {
        show(&info, out)?;
    }
    Ok(true)
}

fn show(info: &Info<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "directory      {}", info.directory.display())?;
    writeln!(out, "layout         version {}", info.layout)?;
    writeln!(out, "records        {} ({} bytes)", info.records, info.bytes)?;
    for TableRow { table, records, bytes } in &info.tables {
        writeln!(out, "  {table:<12} {records} ({bytes} bytes)")?;
    }
    writeln!(out, "on disk        {} bytes in {} segments", info.bytes_on_disk, info.segments)?;
    for KeyRow { number, age_days, segments } in &info.data_keys {
        writeln!(out, "data key {number:<5} {age_days} days old, for {segments} segments")?;
    }
    let closed = if info.closed_in_order { "in order" } else { "not in order" };
    writeln!(out, "closed         {closed}")?;
    match info.damaged_parts {
        0 => writeln!(out, "damage         none"),
        parts => writeln!(out, "damage         {parts} parts: `bastionmq store check` names them"),
    }
}

fn name_of(table: Table) -> String {
    table.name().map_or_else(|| format!("table {}", table.0), str::to_owned)
}

fn losses(opened: &Opened<Directory>) -> usize {
    opened.damage().iter().filter(|damage| damage.is_loss()).count()
}

/// Tells what is damaged.
fn tell(opened: &Opened<Directory>, out: &mut impl Write) -> io::Result<()> {
    for damage in opened.damage() {
        match damage.is_loss() {
            true => writeln!(out, "damaged: {damage}")?,
            false => writeln!(out, "note: {damage}")?,
        }
    }
    Ok(())
}

fn check(args: &CheckArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut opened = args.place.choose()?.open()?;
    // Once more, by what is known of where they are.
    let mut read = 0;
    opened.each_live(|_| read += 1);
    tell(&opened, out)?;
    let (records, losses) = (opened.records(), losses(&opened));
    let is_whole = losses == 0 && read == records;
    match is_whole {
        true => writeln!(out, "{records} records, all of them whole")?,
        false => writeln!(out, "{read} records are whole; {losses} parts are damaged")?,
    }
    Ok(is_whole)
}

fn compact(args: &CompactArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let opened = args.place.choose()?.open()?;
    tell(&opened, &mut io::stderr())?;
    let (_, before) = opened.bytes();
    let after = opened.compact()?;
    writeln!(out, "{before} bytes before, {after} bytes now")?;
    Ok(true)
}

fn rekey(args: &RekeyArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let place = args.place.choose()?;
    let opened = place.open()?;
    tell(&opened, &mut io::stderr())?;
    let source = args.new_master_key_file.clone().map(MasterKeySource::File);
    let source = source.as_ref().unwrap_or(&place.master);
    let (master, _) = source.read_or_make()?;
    let bytes = opened.rekey(&master, Now::read())?;
    writeln!(out, "{bytes} bytes are written under a new data key, which {source} opens")?;
    Ok(true)
}
