//! What a file says in its first record: which one it is, what came before it, and what had been written to the
//! file before. That is how the broker knows the age and the size of its files, whatever the file system says.

use std::io::{BufRead as _, Read as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chain::{Keys, PublicKey, Tag, split_line};
use super::files::{AuditFile, lines_of};
use crate::clock::{End, Moment};

/// The `event` of such a record.
const FILE_BEGUN: &str = "file_begun";
/// Bytes of the longest.
const MOST_BYTES: u64 = 4_096;

/// What had been written to the file before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// Its number.
    pub(super) file: u64,
    /// Its bytes, before it was compressed.
    pub(super) bytes: u64,
    /// The time of its last record.
    pub(super) until: String,
}

/// The first record of a file, as the broker wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) seq: u64,
    /// When it was begun, since the Unix epoch.
    pub(super) at: Duration,
    /// Nothing in the first file of a log.
    pub(super) before: Option<Before>,
}

#[derive(Deserialize)]
struct Said {
    seq: u64,
    time: String,
    event: String,
    file: u64,
    previous: String,
    before: Option<Before>,
}

impl Before {
    pub(super) fn new(file: u64, bytes: u64, until: Duration) -> Self {
        Self { file, bytes, until: text_of(until) }
    }

    /// The time of its last record, since the Unix epoch.
    pub(super) fn until(&self) -> Option<Duration> {
        time_of(&self.until)
    }
}

/// What stands in the first record of the file with this number.
pub(super) fn body_of(
    number: u64,
    previous: &Tag,
    public: &PublicKey,
    before: Option<&Before>,
) -> String {
    let mut body = format!(
        "\"event\":\"{FILE_BEGUN}\",\"file\":{number},\"previous\":\"{previous}\",\
         \"public_key\":\"{public}\""
    );
    // There is nothing in it that cannot be written as JSON.
    if let Some(json) = before.and_then(|before| serde_json::to_string(before).ok()) {
        body.push_str(&format!(",\"before\":{json}"));
    }
    body
}

/// The first record of `file`; nothing where it has none that the broker wrote.
pub(super) fn begun_of(file: &AuditFile, keys: &Keys) -> Option<Begun> {
    let mut line = Vec::new();
    lines_of(file).ok()?.take(MOST_BYTES).read_until(b'\n', &mut line).ok()?;
    let (text, tag) = split_line(line.strip_suffix(b"\n")?)?;
    let said: Said = serde_json::from_slice(&[text, b"}"].concat()).ok()?;
    let is_authentic = keys.tag(&said.previous.parse().ok()?, text) == tag;
    let is_its_own = said.event == FILE_BEGUN && said.file == file.number;
    let at = time_of(&said.time)?;
    (is_authentic && is_its_own).then_some(Begun { seq: said.seq, at, before: said.before })
}

/// As records have it.
pub(super) fn text_of(time: Duration) -> String {
    format!("{:#}", Moment(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// Since the Unix epoch.
pub(super) fn time_of(text: &str) -> Option<Duration> {
    let (seconds, ms) = text.strip_suffix('Z')?.split_once('.')?;
    let End::At(Moment(whole)) = format!("{seconds}Z").parse().ok()? else { return None };
    let ms = ms.parse::<u64>().ok().filter(|ms| *ms < 1_000)?;
    Some(Duration::from_millis(whole.checked_add(ms)?))
}
