//! The one writer: it takes what waits, writes and syncs it, and says that it is kept. While it syncs
//! more comes, which the next sync serves: one is enough for all that waited.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::batch::{Batch, Change, changes};
use super::cleaning::Cleaning;
use super::commits::{Commits, Ticket, Work};
use super::data_keys::{DataKeys, random};
use super::elision::{Elision, Pending};
use super::index::Index;
use super::opened::SET_ASIDE;
use super::segment::{self, HEADER_BYTES, Header, Links, Written};
use super::{Disk, Health, Opened};
use crate::clock::Now;
use crate::keys::MasterKey;
use crate::telemetry::Metrics;

/// Bytes after which a segment is full. One record may be larger than that.
pub(super) const SEGMENT_BYTES: usize = 16 << 20;
/// Bytes that are encrypted before they are written.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes of a group after which the next one is gathered for a while. A fast disk would be asked so often
/// that each time serves few: acknowledgements would leave in ones and twos, and clients answer likewise.
const MUCH_BYTES: usize = 8 << 10;
/// How long a group is gathered as long as more keeps coming.
const GATHERING: Duration = Duration::from_millis(2);
/// How long the disk is left alone after it has failed, at first and at most.
pub(super) const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How long the writer waits for work, at most: data keys grow old meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// Owns the disk and what is known of it.
pub(super) struct Writer<D: Disk> {
    pub(super) disk: Arc<D>,
    pub(super) master: MasterKey,
    pub(super) keys: DataKeys,
    /// Changed by the writer alone.
    pub(super) index: Arc<RwLock<Index>>,
    pub(super) commits: Arc<Commits>,
    pub(super) limits: Limits,
    segment: Option<Segment<D::File>>,
    /// The number of the next segment.
    next: u32,
    /// The segment before the one that is written to, and how many of its bytes count.
    previous: (u32, u32),
    /// Batches that are not on disk for certain, in order.
    unsynced: Vec<Pending>,
    elision: Elision,
    /// How many of them the present segment has.
    written: usize,
    /// Bytes of the group that was taken last.
    last_bytes: usize,
    /// The last ticket that is in `unsynced` or before, and the last that was committed.
    taken: Ticket,
    committed: Ticket,
    /// Bytes of those in between.
    uncommitted_bytes: usize,
    last_sync: Instant,
    pub(super) cleaning: Option<Cleaning>,
    /// Segments before this one are written again, whatever is in them.
    pub(super) rewrite_before: u32,
    /// A segment that cannot be cleaned.
    pub(super) stuck_at: Option<u32>,
    /// When a new data key was tried last, since the Unix epoch.
    pub(super) renewal_tried: Option<Duration>,
    going: Option<Going>,
    /// The first segment that is needed: what the disk says.
    first: u32,
    rest: Duration,
    buffer: Vec<u8>,
    /// Where the records in it begin in their segment.
    places: Vec<u32>,
    pub(super) metrics: Arc<Metrics>,
}

/// What is not to be exceeded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long what is committed may stay unsynced; nothing is committed before it is synced where
    /// this is zero.
    pub(super) window: Duration,
    /// How old a data key may become.
    pub(super) data_key_age: Duration,
    /// Bytes after which a segment is full.
    pub(super) segment_bytes: usize,
    /// How long the disk is left alone after it has failed, at first.
    pub(super) rest: Duration,
}

/// The segment that is written to.
struct Segment<F> {
    file: F,
    number: u32,
    header: Header,
    end: usize,
    synced_end: usize,
}

/// How far a segment is on its way out. Between one state and the next all is synced: the system may
/// write in any order what is not.
#[derive(Clone, Copy, Debug)]
enum Going {
    /// What was live in it has been appended again.
    Emptied(u32),
    /// That nobody needs it has been appended.
    Unneeded(u32),
}

/// Whether the writer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    More,
    Closed,
}

impl<D: Disk> Writer<D> {
    pub(super) fn new(
        opened: Opened<D>,
        commits: Arc<Commits>,
        limits: Limits,
        metrics: Arc<Metrics>,
        now: Instant,
    ) -> Self {
        let last = opened.segments.last().copied().unwrap_or_default();
        Self {
            previous: (last.0, u32::try_from(last.1).unwrap_or(u32::MAX)),
            first: opened.index.first(),
            disk: Arc::new(opened.disk),
            master: opened.master,
            keys: opened.keys,
            index: Arc::new(RwLock::new(opened.index)),
            commits,
            limits,
            segment: None,
            next: opened.next,
            unsynced: Vec::new(),
            elision: Elision::default(),
            written: 0,
            last_bytes: 0,
            taken: Ticket::default(),
            committed: Ticket::default(),
            uncommitted_bytes: 0,
            last_sync: now,
            cleaning: None,
            rewrite_before: 0,
            stuck_at: None,
            renewal_tried: None,
            going: None,
            rest: limits.rest,
            buffer: Vec::new(),
            places: Vec::new(),
            metrics,
        }
    }

    /// Writes until the store is closed.
    pub(super) fn run(mut self) {
        while self.turn(Now::read()) == Turn::More {}
    }

    /// Does what there is to do, and waits for it where there is nothing.
    pub(super) fn turn(&mut self, now: Now) -> Turn {
        let is_settled = self.is_settled();
        self.clean(now);
        if self.last_bytes >= MUCH_BYTES {
            self.commits.gather(now.instant + GATHERING);
        }
        let Work { batches, last, is_closing } = self.commits.take(self.patience(now.instant));
        self.last_bytes = batches.iter().map(|it| it.bytes().len()).sum();
        self.uncommitted_bytes += self.last_bytes;
        let index = self.index.read();
        let (left, elided) = self.elision.condense(batches, is_settled.then_some(&index));
        drop(index);
        self.metrics.store_changes_elided.increment(elided);
        self.unsynced.extend(left);
        self.taken = last;
        if is_closing {
            let mut closed = Batch::default();
            closed.push(Change::Closed);
            self.append(closed);
        }
        match self.write().and_then(|()| self.commit(is_closing)) {
            Ok(()) => self.recover(),
            Err(error) => self.fail(&error, is_closing),
        }
        if is_closing { Turn::Closed } else { Turn::More }
    }

    pub(super) fn patience(&self, now: Instant) -> Duration {
        let cleans = self.cleaning.is_some()
            || self.going.is_none() && self.next_to_clean().is_some()
            || self.going.is_some() && self.unsynced.is_empty();
        let is_busy = cleans && !self.commits.is_cleaning_paused();
        if is_busy || self.rewrite_before > 0 || self.written < self.unsynced.len() {
            Duration::ZERO
        } else if self.unsynced.is_empty() {
            PATIENCE
        } else {
            (self.last_sync + self.limits.window).saturating_duration_since(now)
        }
    }

    /// Writes what is not written yet.
    fn write(&mut self) -> io::Result<()> {
        while self.written < self.unsynced.len() {
            let is_full =
                self.segment.as_ref().is_some_and(|it| it.end >= self.limits.segment_bytes);
            if is_full && !self.is_within_span() {
                self.change_segments()?;
            }
            if self.segment.is_none() {
                self.begin_segment()?;
            }
            self.write_some()?;
        }
        Ok(())
    }

    /// Whether what is written next belongs to what was written last. Nothing is synced in between, and
    /// all of it is in one segment.
    fn is_within_span(&self) -> bool {
        let last = self.written.checked_sub(1).and_then(|last| self.unsynced.get(last));
        last.is_some_and(|last| last.goes_on)
    }

    /// Encrypts and appends batches, as many as are written at once or as the segment takes.
    fn write_some(&mut self) -> io::Result<()> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        self.buffer.clear();
        self.places.clear();
        let room = self.limits.segment_bytes.saturating_sub(segment.end).min(WRITE_BYTES);
        for pending in self.unsynced.iter().skip(self.written) {
            let place = place(segment.end + self.buffer.len())?;
            let synced = u32::try_from(segment.synced_end).unwrap_or(u32::MAX);
            let cipher = &segment.header.cipher;
            let record = Written { synced, goes_on: pending.goes_on, batch: pending.batch.bytes() };
            segment::push_record(cipher, place, &record, &mut self.buffer)
                .ok_or(io::ErrorKind::FileTooLarge)?;
            self.places.push(place);
            if self.buffer.len() >= room {
                break;
            }
        }
        let appended = self.disk.append(&mut segment.file, &self.buffer);
        segment.end += self.buffer.len();
        let mut index = self.index.write();
        index.grow(segment.number, self.buffer.len());
        if appended.is_ok() {
            // Whoever finds them can read them.
            let written = self.unsynced.iter().skip(self.written).zip(&self.places);
            for (pending, place) in written {
                let changes = changes(pending.batch.bytes());
                changes.for_each(|change| index.apply(segment.number, *place, &change));
            }
            self.written += self.places.len();
            self.metrics.store_bytes_written.increment(self.buffer.len() as u64);
        }
        drop(index);
        if self.buffer.capacity() > 2 * WRITE_BYTES {
            self.buffer = Vec::new();
        }
        appended
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let number = self.next;
        let salt = random()?;
        let (previous, previous_end) = self.previous;
        let links = Links { previous, previous_end, first: self.first };
        let (header, bytes) = Header::begin(number, &self.keys, &salt, links)
            .ok_or_else(|| io::Error::other("no key for a segment"))?;
        let name = segment::name_of(number);
        let mut file = match self.disk.create(&name) {
            Ok(file) => file,
            Err(error) => {
                // One whose beginning has failed, and that could not be removed.
                let is_there = error.kind() == io::ErrorKind::AlreadyExists;
                self.next = number.saturating_add(u32::from(is_there));
                return Err(error);
            }
        };
        let begun = self.disk.append(&mut file, &bytes);
        let begun = begun.and_then(|()| self.disk.sync(&mut file));
        if let Err(error) = begun.and_then(|()| self.disk.sync_names()) {
            let _ = self.disk.remove(&name);
            return Err(error);
        }
        let mut index = self.index.write();
        index.add_segment(number, &header);
        index.grow(number, HEADER_BYTES);
        drop(index);
        self.next = number.saturating_add(1);
        let (end, synced_end) = (HEADER_BYTES, HEADER_BYTES);
        self.segment = Some(Segment { file, number, header, end, synced_end });
        Ok(())
    }

    /// Nothing is written to the present segment any more.
    fn leave_segment(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.previous = (segment.number, u32::try_from(segment.synced_end).unwrap_or(u32::MAX));
        }
    }

    /// Says what is kept, once it is.
    fn commit(&mut self, is_closing: bool) -> io::Result<()> {
        let is_due = self.last_sync.elapsed() >= self.limits.window;
        if is_due || is_closing {
            self.sync()?;
        }
        if self.committed < self.taken {
            self.committed = self.taken;
            self.metrics.store_commits.increment(1);
            self.commits.commit(self.taken, std::mem::take(&mut self.uncommitted_bytes));
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.written == 0 {
            // A segment of which nothing was live: nothing had to be appended.
            if self.unsynced.is_empty() {
                self.move_on();
            }
            return Ok(());
        }
        if let Some(segment) = &mut self.segment {
            let started = Instant::now();
            self.disk.sync(&mut segment.file)?;
            self.metrics.store_synced(started.elapsed());
            segment.synced_end = segment.end;
        }
        self.unsynced.drain(..self.written);
        self.written = 0;
        self.last_sync = Instant::now();
        if self.unsynced.is_empty() {
            self.move_on();
        }
        Ok(())
    }

    /// All is synced: the segment that is on its way out gets one step further.
    fn move_on(&mut self) {
        if self.commits.is_cleaning_paused() {
            return;
        }
        match self.going.take() {
            Some(Going::Emptied(number)) => {
                let mut batch = Batch::default();
                batch.push(Change::First(number.saturating_add(1)));
                self.append(batch);
                self.going = Some(Going::Unneeded(number));
            }
            Some(Going::Unneeded(number)) => {
                self.first = number.saturating_add(1);
                self.remove_segment(number);
            }
            None => {}
        }
    }

    /// Nobody reads the segment again. If it cannot be removed, that is done at the next start.
    fn remove_segment(&mut self, number: u32) {
        let name = segment::name_of(number);
        let unreadable = self.index.read().usage(number).live;
        let removed = if unreadable == 0 {
            self.disk.remove(&name)
        } else {
            tracing::error!("{unreadable} bytes in {name} of the store cannot be read any more");
            self.disk.rename(&name, &format!("{name}{SET_ASIDE}"))
        };
        if let Err(error) = removed {
            tracing::warn!("{name} of the store is not needed any more, and stays: {error}");
        }
        let mut index = self.index.write();
        index.remove_segment(number);
        drop(index);
        self.forget_old_keys();
    }

    /// Those that nothing is written under any more.
    pub(super) fn forget_old_keys(&mut self) {
        let (keys, index) = (&mut self.keys, self.index.read());
        if keys.forget_unused(|id| index.segments().any(|(_, usage)| usage.key_id == id))
            && let Err(error) = self.keys.write(&*self.disk, &self.master)
        {
            tracing::warn!("old data keys of the store are not forgotten: {error}");
        }
    }

    /// New records are written under the newest key from here on.
    pub(super) fn change_segments(&mut self) -> io::Result<()> {
        self.sync()?;
        self.leave_segment();
        Ok(())
    }

    /// Appends what is still needed of a segment that goes.
    pub(super) fn append(&mut self, batch: Batch) {
        self.unsynced.push(batch.into());
    }

    /// What is live in the segment has been appended again.
    pub(super) fn drop_segment(&mut self, number: u32) {
        self.going = Some(Going::Emptied(number));
    }

    pub(super) fn is_dropping(&self) -> bool {
        self.going.is_some()
    }

    pub(super) fn present_segment(&self) -> Option<u32> {
        self.segment.as_ref().map(|segment| segment.number)
    }

    /// Whether all that was taken has been written, so that the index knows of it.
    pub(super) fn is_settled(&self) -> bool {
        self.written == self.unsynced.len()
    }

    /// The disk has failed: what may not be there is written again, to another segment.
    fn fail(&mut self, error: &io::Error, is_closing: bool) {
        let health = Health::of(error);
        if self.commits.health() != health {
            self.commits.set_health(health);
            tracing::error!("the store cannot be written: {health} ({error}); it is tried again");
        }
        self.leave_segment();
        self.written = 0;
        if is_closing {
            let lost = self.unsynced.len() - 1;
            tracing::error!("the store ends with {lost} changes that are not written");
            return;
        }
        self.commits.rest(self.rest);
        self.rest = (self.rest * 2).min(LONGEST_REST);
    }

    fn recover(&mut self) {
        if self.commits.health() != Health::Good {
            self.commits.set_health(Health::Good);
            tracing::info!("the store can be written again");
        }
        self.rest = self.limits.rest;
    }
}

fn place(end: usize) -> io::Result<u32> {
    u32::try_from(end).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
