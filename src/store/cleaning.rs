//! Room for more: what is still needed of the oldest segment is written again, and the segment removed.
//!
//! It is always the oldest, so that what was deleted cannot come back: when a deletion goes, nothing
//! older is left. As long as no more than half of the log is of no use it is left alone, so on the whole
//! a byte is written again at most once for each that becomes free.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::Disk;
use super::batch::Batch;
use super::index::{Index, Usage};
use super::reading::read_record;
use super::records::{Found, Records, batch_of};
use super::segment::{HEADER_BYTES, Header, name_of};
use super::writer::Writer;
use crate::clock::Now;

/// Bytes of a segment that are looked at between two commits: more than clients write meanwhile, on
/// the whole, or the log would only grow.
const SLICE_BYTES: usize = 2 << 20;

/// After how long a new data key is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// To find the few records of a segment that are live, all that are live anywhere are looked at, where
/// the segment has so many bytes for each: decrypting it whole would take longer.
const BYTES_PER_LOOK: u64 = 128;
/// Records that are read one by one at most: commits wait meanwhile.
const MAX_READS: usize = 256;

/// A segment that is on its way out.
pub(super) struct Cleaning {
    number: u32,
    header: Header,
    bytes: Vec<u8>,
    at: usize,
}

impl<D: Disk> Writer<D> {
    /// Does a slice of what there is to clean. Only what the index knows of may be judged.
    pub(super) fn clean(&mut self, now: Now) {
        if !self.is_settled() || self.is_dropping() || self.commits.is_cleaning_paused() {
            return;
        }
        self.renew_data_key(now);
        if self.cleaning.is_none() {
            self.cleaning = self.begin_cleaning();
        }
        if let Some(cleaning) = self.cleaning.take() {
            self.cleaning = self.clean_slice(cleaning);
        }
    }

    /// Makes a new data key where the newest has become too old.
    fn renew_data_key(&mut self, now: Now) {
        let age = now.unix.saturating_sub(self.keys.newest_made());
        if age < self.limits.data_key_age
            || self.renewal_tried.is_some_and(|at| now.unix < at + RETRY)
        {
            return;
        }
        self.renewal_tried = Some(now.unix);
        if let Err(error) = self.try_renewal(now) {
            tracing::warn!("the store gets no new data key: {error}");
        }
    }

    fn try_renewal(&mut self, now: Now) -> io::Result<()> {
        let mut keys = self.keys.clone();
        keys.add(now.unix)?;
        keys.write(&*self.disk, &self.master)?;
        self.keys = keys;
        self.change_segments()
    }

    /// The segment that ought to go next, if any ought to.
    pub(super) fn next_to_clean(&self) -> Option<u32> {
        let index = self.index.read();
        let (number, usage) = index.oldest()?;
        let (live, total) = index.bytes();
        let allowed = live.max(2 * self.limits.segment_bytes as u64);
        let is_outdated = self.keys.newest().is_some_and(|(id, _)| id != usage.key_id);
        let is_left = number < self.rewrite_before;
        let is_wanted = is_outdated || is_left || total - live > allowed;
        let is_possible = Some(number) != self.present_segment() && Some(number) != self.stuck_at;
        (is_wanted && is_possible).then_some(number)
    }

    fn begin_cleaning(&mut self) -> Option<Cleaning> {
        let number = self.next_to_clean()?;
        let usage = self.index.read().usage(number);
        if usage.live == 0 {
            // Nothing in it is to be written again.
            self.drop_segment(number);
            return None;
        }
        if let Some(places) = self.few_live(number, usage) {
            match self.take_out(number, places) {
                Ok(()) => self.drop_segment(number),
                Err(error) => self.give_up(number, &error),
            }
            return None;
        }
        let read = self.disk.read(&name_of(number)).and_then(|bytes| {
            let header = Header::read(number, &self.keys, &bytes).map_err(io::Error::other)?;
            Ok(Cleaning { number, header, bytes, at: HEADER_BYTES })
        });
        read.inspect_err(|error| self.give_up(number, error)).ok()
    }

    /// What is behind the segment waits for the next start, which finds out what can be read.
    fn give_up(&mut self, number: u32, error: &io::Error) {
        tracing::error!("{} of the store cannot be cleaned: {error}", name_of(number));
        self.stuck_at = Some(number);
    }

    /// Where in the segment something is live, with the size of a change there, if that is sooner found and
    /// read than the whole segment.
    fn few_live(&self, number: u32, usage: Usage) -> Option<BTreeMap<u32, u32>> {
        let index = self.index.read();
        if index.len() as u64 > usage.bytes / BYTES_PER_LOOK {
            return None;
        }
        let places = index.live_places(number);
        (places.len() <= MAX_READS).then_some(places)
    }

    /// Writes again what is live at these places of the segment.
    fn take_out(&mut self, number: u32, places: BTreeMap<u32, u32>) -> io::Result<()> {
        let cipher = self.index.read().cipher(number);
        let cipher = cipher.ok_or_else(|| io::Error::other("no key for a segment"))?;
        let (name, mut again) = (name_of(number), Vec::new());
        for (at, size) in places {
            // What is damaged has been reported, and is set aside with its segment.
            if let Some(opened) = read_record(&*self.disk, &name, &cipher, at, size)? {
                again.extend(live_of(&self.index.read(), number, at, batch_of(&opened)));
            }
        }
        again.into_iter().for_each(|batch| self.append(batch));
        Ok(())
    }

    fn clean_slice(&mut self, mut cleaning: Cleaning) -> Option<Cleaning> {
        let Cleaning { number, header, bytes, at } = &mut cleaning;
        let mut again = Vec::new();
        let index = self.index.read();
        let mut records = Records::starting_at(&header.cipher, bytes, *at);
        while records.at() < at.saturating_add(SLICE_BYTES) {
            match records.next() {
                Some(Found::Record(read)) => {
                    again.extend(live_of(&index, *number, read.at, read.batch));
                }
                // Reported and set aside when the store was opened.
                Some(Found::Damage(..) | Found::Torn(_)) => {}
                None => break,
            }
        }
        *at = records.at();
        drop(index);
        let (number, is_over) = (*number, *at >= bytes.len());
        again.into_iter().for_each(|batch| self.append(batch));
        if !is_over {
            return Some(cleaning);
        }
        self.drop_segment(number);
        None
    }
}

/// What is live of a batch that was written at `at` of the segment `number`.
fn live_of(index: &Index, number: u32, at: u32, batch: &[u8]) -> Option<Batch> {
    let mut again = Batch::default();
    let live = index.live(number, at, batch);
    live.for_each(|record| again.put(record.table, record.key, record.value));
    (!again.is_empty()).then_some(again)
}
