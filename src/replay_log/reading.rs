//! What is left of earlier runs.

use std::fs;
use std::path::Path;

use super::format::{
    FRAME_HEAD, Fields, HEADER, KIND_ACCEPTED, KIND_END, KIND_FLOOR, KIND_STREAM, LogKey, MAGIC,
    TAG,
};
use super::{Loss, Recovered, ReplayLogError, path_of};
use crate::private_file;

/// Where Linux says which run of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// No file is larger, unless its disk was full of others for weeks.
const LARGEST_FILE: u64 = 4 << 30;

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As its writer wanted.
    Closed,
    /// After a whole frame, or within the last one: its writer was stopped.
    Open,
    /// Not as it was written.
    Damaged,
}

/// Which run of the machine this is: the same until it starts anew. Zero where it cannot be told.
pub(super) fn machine_run() -> [u8; 16] {
    let digits = fs::read_to_string(BOOT_ID).unwrap_or_default().replace('-', "");
    u128::from_str_radix(digits.trim(), 16).unwrap_or(0).to_be_bytes()
}

/// Reads the files of those numbers. What is damaged is left out from there on, and said.
pub(super) fn read(
    directory: &Path,
    key: &LogKey,
    numbers: &[u64],
) -> Result<Recovered, ReplayLogError> {
    let mut recovered = Recovered { is_new: numbers.is_empty(), ..Recovered::default() };
    let now = machine_run();
    for (place, number) in numbers.iter().enumerate() {
        let path = path_of(directory, *number);
        let bytes = private_file::read_bounded(&path, LARGEST_FILE)?;
        let is_last = place + 1 == numbers.len();
        let (end, run) = read_file(&bytes, *number, key, &mut recovered);
        let is_same_run = run == Some(now) && now != [0; 16];
        let loss = match end {
            End::Damaged => Some(Loss::Damaged(path.display().to_string())),
            // Whoever began the next file had written all of this one in the same run, or lost it too.
            End::Open if !is_same_run && is_last => Some(Loss::MachineStopped),
            End::Open | End::Closed => None,
        };
        recovered.loss = recovered.loss.or(loss);
    }
    Ok(recovered)
}

fn read_file(
    bytes: &[u8],
    number: u64,
    key: &LogKey,
    into: &mut Recovered,
) -> (End, Option<[u8; 16]>) {
    // Nothing was written behind a header that is not whole.
    let Some((header, mut rest)) = bytes.split_at_checked(HEADER) else { return (End::Open, None) };
    let (content, tag) = header.split_at(HEADER - TAG);
    let begins = content.strip_prefix(&MAGIC).and_then(|it| it.strip_prefix(&number.to_be_bytes()));
    let run = begins.and_then(|run| <[u8; 16]>::try_from(run).ok());
    if run.is_none() || !key.is_tag_of(tag, content) {
        return (End::Damaged, None);
    }
    let mut end = End::Open;
    while !rest.is_empty() {
        let Some(length) = length_of(rest) else {
            // Cut off within: its writer was killed, and what was in it does not count as accepted.
            let is_cut = rest.len() < FRAME_HEAD;
            return (if is_cut { End::Open } else { End::Damaged }, run);
        };
        let Some((frame, kind, after)) = next_frame(rest, length) else { return (End::Open, run) };
        let (signed, tag) = frame.split_at(frame.len() - TAG);
        let content = signed.get(FRAME_HEAD..).unwrap_or_default();
        if !key.is_tag_of(tag, signed) || take(kind, content, into).is_none() {
            return (End::Damaged, run);
        }
        end = if kind == KIND_END { End::Closed } else { End::Open };
        rest = after;
    }
    (end, run)
}

/// A whole frame at the start of `bytes`, its kind, and what comes behind.
fn next_frame(bytes: &[u8], content: usize) -> Option<(&[u8], u8, &[u8])> {
    let length = FRAME_HEAD.checked_add(content)?.checked_add(TAG)?;
    let (frame, after) = bytes.split_at_checked(length)?;
    Some((frame, *frame.first()?, after))
}

/// Bytes of its content, where both say the same.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let (length, rest) = bytes.get(1..)?.split_first_chunk::<4>()?;
    let (length, turned) = (u32::from_be_bytes(*length), u32::from_be_bytes(*rest.first_chunk()?));
    (length == !turned).then_some(length)?.try_into().ok()
}

/// Nothing where the content is not of its kind.
fn take(kind: u8, content: &[u8], into: &mut Recovered) -> Option<()> {
    let mut fields = Fields(content);
    match kind {
        KIND_ACCEPTED => {
            while !fields.is_empty() {
                let accepted = fields.accepted()?;
                into.streams.entry(accepted.stream).or_default().note(&accepted);
            }
        }
        KIND_STREAM => {
            let hash = fields.stream()?;
            let state = fields.state()?;
            into.streams.entry(hash).or_default().join(&state);
        }
        KIND_FLOOR => into.floors = into.floors.and(fields.floors()?),
        KIND_END if content.is_empty() => {}
        _ => return None,
    }
    Some(())
}
