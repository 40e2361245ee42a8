//! `bastionmq inspect`: what an envelope says of itself, without any key.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::ctl::printable;
use super::judging::{MAX_ENVELOPE, named};
use super::streams::InputArgs;
use crate::clock::Moment;
use crate::envelope::{Algorithm, Envelope, Refusal, Suite, Tlv, tag};

const EXAMPLES: &str = "\
Examples:
  mosquitto_sub -h localhost -t plant/7 -C 1 -N | bastionmq inspect
  bastionmq inspect --json --in envelope

Nothing of it is proven: without the key anybody can write anything there. `bastionmq verify` proves it.";

/// Bytes of a value that are shown to people.
const SHOWN_BYTES: usize = 32;

/// Show what an envelope is made of, without any key
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InspectArgs {
    #[command(flatten)]
    input: InputArgs,
    /// As JSON, with every value whole in hexadecimal digits
    #[arg(long)]
    json: bool,
}

/// A type and its value, as scripts read it.
#[derive(Serialize)]
struct Row {
    #[serde(rename = "type")]
    tag: u8,
    name: &'static str,
    critical: bool,
    /// Bytes from the magic.
    offset: usize,
    length: usize,
    hex: String,
    /// What it means, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<String>,
}

#[derive(Serialize)]
struct Rows {
    version: u8,
    length: usize,
    tlvs: Vec<Row>,
}

/// Runs the command.
pub(super) fn run(args: InspectArgs) -> anyhow::Result<ExitCode> {
    let bytes = args.input.read(MAX_ENVELOPE)?;
    let envelope = Envelope::parse(&bytes).map_err(|it| named(Refusal::from(it)))?;
    let mut out = io::stdout().lock();
    if args.json {
        let tlvs = envelope.tlvs().map(|tlv| row(&envelope, tlv, usize::MAX)).collect();
        serde_json::to_writer(&mut out, &Rows { version: 1, length: bytes.len(), tlvs })?;
        writeln!(out)?;
    } else {
        envelope.tlvs().try_for_each(|tlv| show(&mut out, &row(&envelope, tlv, SHOWN_BYTES)))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn show(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let Row { tag, name, length, hex, meaning, .. } = row;
    let cut = if hex.len() < length * 2 { "…" } else { "" };
    let told = meaning.clone().unwrap_or_else(|| format!("{hex}{cut}"));
    writeln!(out, "{tag:#04x}  {name:12}  {length:>5}  {}", printable(&told))
}

fn row(envelope: &Envelope<'_>, tlv: Tlv<'_>, shown: usize) -> Row {
    Row {
        tag: tlv.tag,
        name: name(tlv.tag),
        critical: tlv.is_critical(),
        offset: tlv.at,
        length: tlv.value.len(),
        hex: hex(tlv.value.get(..shown).unwrap_or(tlv.value)),
        meaning: meaning(envelope, tlv.tag),
    }
}

fn meaning(envelope: &Envelope<'_>, tag: u8) -> Option<String> {
    Some(match tag {
        tag::SUITE => match envelope.suite() {
            Suite::Sealed => "1: AES-256-GCM and HMAC-SHA-256".to_owned(),
            Suite::Signed => "2: HMAC-SHA-256, not encrypted".to_owned(),
        },
        tag::KEY_ID => envelope.key_id().to_string(),
        tag::SENDER => envelope.sender().to_owned(),
        tag::SEQ => envelope.seq().to_string(),
        tag::TIME => Moment(envelope.time_ms()).to_string(),
        tag::CONTENT_TYPE => envelope.content_type()?.to_owned(),
        tag::TRACE => envelope.trace()?.to_owned(),
        tag::SIGNATURE => match envelope.signature()?.algorithm {
            Algorithm::Ed25519 => "1: Ed25519".to_owned(),
            Algorithm::P256 => "2: ECDSA P-256 with SHA-256".to_owned(),
        },
        _ => return None,
    })
}

fn name(tag: u8) -> &'static str {
    match tag {
        tag::SUITE => "SUITE",
        tag::KEY_ID => "KEY_ID",
        tag::SENDER => "SENDER",
        tag::STREAM => "STREAM",
        tag::SEQ => "SEQ",
        tag::TIME => "TIME",
        tag::CONTENT_TYPE => "CONTENT_TYPE",
        tag::TRACE => "TRACE",
        tag::CIPHERTEXT => "CIPHERTEXT",
        tag::PLAINTEXT => "PLAINTEXT",
        tag::SIGNATURE => "SIGNATURE",
        tag::HMAC => "HMAC",
        0x90..=0xEF => "private use",
        _ => "unknown",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
