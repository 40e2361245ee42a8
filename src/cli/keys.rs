//! `bastionmq keys`: the keys of envelopes.

mod master;
mod show;
mod transfer;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};
use clap::{Args, Subcommand};

use self::master::RotateMasterArgs;
use self::show::{list_of, show_key, write_row};
use self::transfer::{ExportArgs, ImportArgs, UnwrapArgs, WrapArgs};
use super::ring::RingArgs;
use crate::clock::End;
use crate::clock::Now;
use crate::envelope::{Key, KeyId, KeyMaterial, KeyRing, KeyState, TopicKey};
use crate::keys::{Absent, IsVerifyOnly, RingFile, parse_topics};

const EXAMPLES: &str = "\
Examples:
  bastionmq keys create --ring ring --topic 'plant/#'        prints the id of the new key
  bastionmq keys list --ring ring
  bastionmq seal --ring ring --sender sensor-7 --topic plant/7 < payload > envelope
  bastionmq keys rotate --ring ring 00112233445566aa         the old one still opens and verifies
  bastionmq keys revoke --ring ring 00112233445566aa         and now it does not

For a broker that is to verify, and not to read:
  bastionmq keys export --ring ring --verify-only 00112233445566aa |
      bastionmq keys import --ring /etc/bastionmq/ring

For a device, by its certificate; the broker hands it what is in the directory:
  bastionmq keys wrap --ring ring --cert sensor-7.crt --out wrapped-keys 00112233445566aa
  bastionmq keys unwrap --key sensor-7.key < wrapped.json | bastionmq keys import --ring own-ring

A ring is sealed under the master key: `--help` of each command says where that is looked for. Where
nothing is set, it is made beside the ring, as FILE.master-key, for its owner alone; whoever has both
files has the keys, so keep them apart in backups.

Exit codes: 0 done, 1 it was not, 2 a mistake in the command line.";

/// Make, rotate, hand over and take back the keys of envelopes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(CreateArgs),
    List(ListArgs),
    Show(ShowArgs),
    Rotate(RotateArgs),
    Revoke(RevokeArgs),
    Export(ExportArgs),
    Import(ImportArgs),
    Wrap(WrapArgs),
    Unwrap(UnwrapArgs),
    RotateMaster(RotateMasterArgs),
}

/// Make a key for some topics; the ring as well, if there is none yet
#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// What it is called: 16 hexadecimal digits; drawn without it
    #[arg(long, value_name = "ID", value_parser = key_id)]
    id: Option<KeyId>,
    /// A topic filter that it is for; may be repeated
    #[arg(long = "topic", value_name = "FILTER", required = true)]
    topics: Vec<String>,
    /// When it ends: 2027-01-31, 2027-01-31T12:00:00Z, or 90d for days from now
    #[arg(long, value_name = "WHEN")]
    not_after: Option<End>,
    /// Print what it is as JSON, without the key
    #[arg(long)]
    json: bool,
}

/// List the keys of a ring, without the keys themselves
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// As JSON, one object a line, for scripts
    #[arg(long)]
    json: bool,
}

/// Show what is known of a key, without the key itself
#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// The key
    #[arg(value_name = "ID", value_parser = key_id)]
    id: KeyId,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

const ROTATE_HELP: &str = "\
The old key is then `retiring`: it opens and verifies what was sealed before, and seals nothing more.
Nothing is lost when the new key reaches those who verify and open first, and those who seal last:
export or wrap it for the former, then for the latter, and revoke the old key once nothing that was
sealed with it is on its way any more.";

/// Make a new key for the topics of an old one, which from then on only opens and verifies
#[derive(Debug, Args)]
#[command(after_help = ROTATE_HELP)]
struct RotateArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// The old key
    #[arg(value_name = "ID", value_parser = key_id)]
    id: KeyId,
    /// What the new one is called: 16 hexadecimal digits; drawn without it
    #[arg(long, value_name = "ID", value_parser = key_id)]
    new_id: Option<KeyId>,
    /// When the new one ends
    #[arg(long, value_name = "WHEN")]
    not_after: Option<End>,
    /// Print what the new one is as JSON, without the key
    #[arg(long)]
    json: bool,
}

/// Take keys back: what is sealed with them is refused, for good
#[derive(Debug, Args)]
struct RevokeArgs {
    #[command(flatten)]
    ring: RingArgs,
    /// The keys
    #[arg(value_name = "ID", value_parser = key_id, required = true)]
    ids: Vec<KeyId>,
}

/// Reads digits of either case.
pub(super) fn key_id(text: &str) -> anyhow::Result<KeyId> {
    Ok(text.to_ascii_lowercase().parse()?)
}

/// Runs the command.
pub(super) fn run(args: KeysArgs) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let now_ms = now_ms();
    match args.command {
        Command::Create(args) => create(&args, now_ms, &mut out)?,
        Command::List(args) => list(&args, &mut out)?,
        Command::Show(args) => show(&args, &mut out)?,
        Command::Rotate(args) => rotate(&args, now_ms, &mut out)?,
        Command::Revoke(args) => revoke(&args, &mut out)?,
        Command::Export(args) => transfer::export(&args)?,
        Command::Import(args) => transfer::import(&args, now_ms, &mut out)?,
        Command::Wrap(args) => transfer::wrap(&args, &mut out)?,
        Command::Unwrap(args) => transfer::unwrap(&args, now_ms)?,
        Command::RotateMaster(args) => master::rotate(&args, &mut out)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The wall clock, in milliseconds since the Unix epoch.
pub(super) fn now_ms() -> u64 {
    u64::try_from(Now::read().unix.as_millis()).unwrap_or(u64::MAX)
}

fn create(args: &CreateArgs, now_ms: u64, out: &mut impl Write) -> anyhow::Result<()> {
    let id = args.id.map_or_else(draw_id, Ok)?;
    let topics = parse_topics(id, &args.topics)?;
    let not_after_ms = args.not_after.map(|end| end.ms(now_ms));
    ensure!(not_after_ms.is_none_or(|end| end > now_ms), "--not-after is in the past");
    let material = KeyMaterial::Topic(TopicKey::new(draw()?));
    let key =
        Key { id, topics, state: KeyState::Active, created_ms: now_ms, not_after_ms, material };
    let ring = args.ring.file()?;
    prepare(&ring)?;
    ring.change(Absent::Make, |keys| add(keys, key.clone(), ring.path()))?;
    if args.json {
        return write_row(out, &key);
    }
    let (topics, ring) = (list_of(&key.topics), ring.path().display());
    Ok(writeln!(out, "created key {id} for {topics} in {ring}")?)
}

fn add(keys: &mut KeyRing, key: Key, ring: &Path) -> anyhow::Result<()> {
    let (id, ring) = (key.id, ring.display());
    ensure!(keys.get(id).is_none(), "there is a key {id} in {ring} already; choose another id");
    keys.insert(key);
    Ok(())
}

/// Whoever is told to make a ring learns that its key lies beside it.
fn prepare(ring: &RingFile) -> anyhow::Result<()> {
    if ring.prepare()? {
        let master = ring.master();
        // Where nobody listens there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "note: made the master key {master}, without which the ring does not open: keep a copy, and \
             not with copies of the ring"
        );
    }
    Ok(())
}

fn list(args: &ListArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let ring = args.ring.file()?.read()?;
    ring.keys().try_for_each(|key| if args.json { write_row(out, key) } else { show_key(out, key) })
}

fn show(args: &ShowArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let ring = args.ring.file()?;
    let keys = ring.read()?;
    let key = find(&keys, args.id, ring.path())?;
    if args.json { write_row(out, key) } else { show_key(out, key) }
}

fn rotate(args: &RotateArgs, now_ms: u64, out: &mut impl Write) -> anyhow::Result<()> {
    let old = args.id;
    let new_id = args.new_id.map_or_else(draw_id, Ok)?;
    let not_after_ms = args.not_after.map(|end| end.ms(now_ms));
    ensure!(not_after_ms.is_none_or(|end| end > now_ms), "--not-after is in the past");
    let material = KeyMaterial::Topic(TopicKey::new(draw()?));
    let ring = args.ring.file()?;
    let new = ring.change(Absent::Refuse, |keys| {
        find(keys, old, ring.path())?;
        let key = keys.get_mut(old).context("it is there")?;
        ensure!(
            key.state == KeyState::Active,
            "key {old} is {} already; rotate the active one",
            show::state(key.state)
        );
        if matches!(key.material, KeyMaterial::VerifyOnly(_)) {
            bail!(
                "{}: rotate it in the ring that has it, and import the new one",
                IsVerifyOnly(old)
            );
        }
        key.state = KeyState::Retiring;
        // The newest one seals, whatever the clock says.
        let created_ms = now_ms.max(key.created_ms.saturating_add(1));
        let topics = key.topics.clone();
        let state = KeyState::Active;
        let new = Key { id: new_id, topics, state, created_ms, not_after_ms, material };
        add(keys, new.clone(), ring.path())?;
        anyhow::Ok(new)
    })?;
    if args.json {
        return write_row(out, &new);
    }
    let topics = list_of(&new.topics);
    Ok(writeln!(out, "key {new_id} now seals for {topics}; key {old} is retiring")?)
}

fn revoke(args: &RevokeArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let ring = args.ring.file()?;
    ring.change(Absent::Refuse, |keys| {
        args.ids.iter().try_for_each(|id| {
            find(keys, *id, ring.path())?;
            keys.get_mut(*id).context("it is there")?.state = KeyState::Revoked;
            anyhow::Ok(())
        })
    })?;
    let ring = ring.path().display();
    args.ids.iter().try_for_each(|id| Ok(writeln!(out, "key {id} in {ring} is revoked")?))
}

/// The key of that id.
pub(super) fn find<'a>(keys: &'a KeyRing, id: KeyId, ring: &Path) -> anyhow::Result<&'a Key> {
    let ring = ring.display();
    keys.get(id).ok_or_else(|| {
        anyhow!("there is no key {id} in {ring}; `bastionmq keys list --ring {ring}` shows those")
    })
}

fn draw_id() -> anyhow::Result<KeyId> {
    Ok(KeyId(draw()?))
}

/// Random bytes.
pub(super) fn draw<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    Ok(bytes)
}
