//! What outlives the process, and where it is kept.

use std::sync::Arc;

use super::kept_sessions::KeptSessions;
use super::message_record;
use super::records::decode_sanction;
use super::settings::Settings;
use crate::clock::Now;
use crate::keys::{self, MasterKeyError};
use crate::message::Message;
use crate::sanctions::Sanction;
use crate::store::{
    self, Batch, Directory, DirectoryError, Disk, OpenError, Opened, Refused, Store, Table, Ticket,
};
use crate::telemetry::Metrics;
use crate::topic::TopicNameRef;

/// The store of a broker, and what was in it when it was opened.
#[derive(Debug)]
pub struct Durable {
    pub(super) keeper: Keeper,
    /// Messages that were retained, expired ones among them.
    pub(super) retained: Vec<Arc<Message>>,
    pub(super) sessions: KeptSessions,
    /// Bans and quarantines, those among them whose time is over.
    pub(super) sanctioned: (Vec<Sanction>, Vec<Sanction>),
}

/// The memory that messages may take which wait for sessions at the start, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct QueueMemory(usize);

impl QueueMemory {
    /// As much of it as is for clients that are away.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let (memory, _) = settings.queue_bounds();
        Self(memory / 2)
    }

    /// All of it stays on disk.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(0)
    }
}

/// Keeps retained messages, what waits for sessions, bans and quarantines.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    store: Arc<Store>,
    /// Both clocks at one moment, so that deadlines are times of day.
    clocks: Now,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// There is no master key.
    #[error("the store needs a master key: set `master_key_file` in [keys]")]
    NoMasterKey,
    /// The master key cannot be had.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Durable {
    /// Opens the store, where the settings say that there is one, and reads what is in it; the log says
    /// what is damaged. Makes the store and its master key, if need be: no master key is made for a store
    /// that has another already. Of what waits for sessions no more than `memory` is in memory. Waits for the
    /// disk.
    ///
    /// # Errors
    /// When another process has the store, or its keys are not to be had.
    pub fn open(
        settings: &store::Settings,
        keys: &keys::Settings,
        memory: QueueMemory,
        clocks: Now,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Self>, DurableError> {
        let Some(path) = settings.used_dir() else {
            tracing::info!(
                "nothing is kept on disk: retained messages and sessions end with the process"
            );
            return Ok(None);
        };
        let source = keys.master_key_source().ok_or(DurableError::NoMasterKey)?;
        let directory = Directory::lock(path)?;
        let master = match Opened::is_there(&directory)? {
            true => source.read()?,
            false => source.read_or_make()?.0,
        };
        let opened = Opened::open(directory, &master, clocks.unix)?;
        Ok(Some(Self::read(opened, settings, memory, clocks, metrics)?))
    }

    /// Reads what is in a store, and begins to write to it.
    pub(super) fn read<D: Disk>(
        mut opened: Opened<D>,
        settings: &store::Settings,
        memory: QueueMemory,
        clocks: Now,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let (mut retained, mut sessions) = (Vec::new(), KeptSessions::with_room(memory.0));
        let (mut bans, mut quarantines, mut unknown) = (Vec::new(), Vec::new(), 0);
        opened.each_live(|record| match record.table {
            Table::RETAINED => match message_record::decode(record.value, clocks) {
                Some(message) => {
                    sessions.note(message.publisher.map_or(0, |key| key.0));
                    retained.push(Arc::new(message));
                }
                None => unknown += 1,
            },
            table @ (Table::BAN | Table::QUARANTINE) => match decode_sanction(record.value) {
                Some(ban) if table == Table::BAN => bans.push(ban),
                Some(quarantine) => quarantines.push(quarantine),
                None => unknown += 1,
            },
            _ => unknown += u64::from(!sessions.add(record, clocks)),
        });
        if unknown > 0 {
            tracing::error!(
                "{unknown} records of the store have an unknown layout: they stay there"
            );
        }
        let sanctioned = (bans, quarantines);
        report(&opened);
        let store = Arc::new(opened.start(settings, metrics)?);
        Ok(Self { keeper: Keeper { store, clocks }, retained, sessions, sanctioned })
    }

    /// Takes the sessions that an earlier run has kept, for [`Broker::restore_sessions`].
    ///
    /// [`Broker::restore_sessions`]: super::Broker::restore_sessions
    #[must_use]
    pub fn take_sessions(&mut self) -> KeptSessions {
        let taken = std::mem::take(&mut self.sessions);
        self.sessions.note(taken.last_number);
        taken
    }

    /// What it is kept in.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.keeper.store
    }
}

fn report<D: Disk>(opened: &Opened<D>) {
    for damage in opened.damage() {
        match damage.is_loss() {
            true => tracing::error!("the store is damaged: {damage}"),
            false => tracing::warn!("the store was not closed in order: {damage}"),
        }
    }
    let (live, total) = opened.bytes();
    tracing::info!(
        records = opened.records(),
        bytes = live,
        bytes_on_disk = total,
        segments = opened.segments(),
        "the store is open: retained messages and sessions outlive the process"
    );
}

impl Keeper {
    /// Whether a change can be kept soon.
    pub(super) fn admit(&self) -> Result<(), Refused> {
        self.store.admit()
    }

    /// The change by which `message` is retained.
    pub(super) fn retaining(&self, message: &Message) -> Batch {
        let mut batch = Batch::default();
        let key = self.store.key(message.topic.as_str().as_bytes());
        batch.put_with(Table::RETAINED, key, |value| {
            message_record::encode(message, self.clocks, value);
        });
        batch
    }

    /// Adds to `batch` that nothing is retained for `topic`.
    pub(super) fn forget(&self, batch: &mut Batch, topic: TopicNameRef<'_>) {
        batch.delete(Table::RETAINED, self.store.key(topic.as_str().as_bytes()));
    }

    pub(super) fn keep(&self, batch: Batch) -> Ticket {
        self.store.append(batch)
    }

    /// Stands for all that was kept before.
    pub(super) fn latest(&self) -> Ticket {
        self.store.latest()
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Both clocks at one moment.
    pub(super) fn clocks(&self) -> Now {
        self.clocks
    }
}
