//! The sanctions of one sort: shared, counted, and kept where there is a store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::durable::Keeper;
use super::gate::Who;
use super::records::encode_sanction;
use crate::clock::Now;
use crate::sanctions::{Author, PutError, Sanction, Settings, Standing, Subject, Suspect, Table};
use crate::store::{self, Batch, Ticket};

/// Bytes of the longest reason; the rest is left out.
const MAX_REASON: usize = 256;

/// The sanctions in force. The store has their changes in the order in which they were made here, because
/// they are appended to it under the lock.
#[derive(Debug)]
pub(super) struct Register {
    table: Mutex<Table>,
    /// How many there are: mostly none, and then nobody takes the lock.
    count: AtomicUsize,
    keeper: Option<Keeper>,
    /// Where the store has them.
    kept_in: store::Table,
}

/// A sanction that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SanctionOrder {
    /// Whom it is about.
    pub subject: Subject,
    /// Who asks for it.
    pub by: Author,
    /// Why, for people: 256 bytes at most, the rest is left out.
    pub why: String,
    /// For how long; for good where there is nothing.
    pub lasts: Option<Duration>,
}

/// What has come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sanctioned {
    /// The one that holds now: another one, where that lasts longer and a rule has asked for this.
    pub sanction: Sanction,
    /// How many connections it concerned at once.
    pub connections: usize,
    /// Where it is kept.
    pub kept: Kept,
}

/// Where a change is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In memory alone: there is no store, or its disk is ill.
    InMemory,
    /// On disk, as soon as it has this.
    OnDisk(Ticket),
}

impl SanctionOrder {
    pub(super) fn begin(self) -> Sanction {
        let Self { subject, by, mut why, lasts } = self;
        why.truncate(why.floor_char_boundary(MAX_REASON));
        let since = Now::read().unix;
        let until = lasts.map(|lasts| since.saturating_add(lasts));
        Sanction { subject, by, why: why.into(), since, until }
    }
}

impl Register {
    /// Those that held `before` a restart, whose time may be over by now.
    pub(super) fn new(
        settings: &Settings,
        before: Vec<Sanction>,
        keeper: Option<Keeper>,
        kept_in: store::Table,
    ) -> Self {
        let mut table = Table::new(settings);
        before.into_iter().for_each(|sanction| table.restore(sanction));
        let count = table.len().into();
        Self { table: Mutex::new(table), count, keeper, kept_in }
    }

    /// Goes by other settings.
    pub(super) fn follow(&self, settings: &Settings) {
        self.table.lock().follow(settings);
    }

    /// Whether there is none: one load.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Changes of it wait meanwhile.
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Whether one of them means `who`.
    pub(super) fn means(&self, who: &Who) -> bool {
        let now = || Now::read().unix;
        !self.is_empty() && self.table.lock().of(&who.as_suspect(), now()).is_some()
    }

    /// Tells whether one of them means `who`, while none comes or goes.
    pub(super) fn tell(&self, who: &Who, told: impl FnOnce(bool)) {
        let table = self.table.lock();
        told(!table.is_empty() && table.of(&who.as_suspect(), Now::read().unix).is_some());
    }

    /// Whether the allow-list has `subject`.
    pub(super) fn protects(&self, subject: &Subject) -> bool {
        self.table.lock().protects(subject)
    }

    /// Whether nothing about `subject` concerns `who`, by the allow-list.
    pub(super) fn exempts(&self, who: &Who, subject: &Subject) -> bool {
        self.table.lock().exempts(&who.as_suspect(), subject)
    }

    /// Those that hold now, in no order.
    pub(super) fn standings(&self) -> Vec<Standing> {
        let now = Now::read().unix;
        self.table.lock().iter().filter(|standing| !standing.sanction.is_over(now)).collect()
    }

    /// Gives the one that holds now, and where it is kept.
    pub(super) fn put(&self, sanction: Sanction) -> Result<(Sanction, Kept), PutError> {
        self.change(|table| {
            let holds = table.put(sanction)?.clone();
            let mut batch = Batch::default();
            if let Some(keeper) = &self.keeper {
                let key = key_of(keeper, &holds.subject);
                batch.put(self.kept_in, key, &encode_sanction(&holds));
            }
            Ok((holds, self.keep(batch)))
        })
    }

    /// Takes away that of a subject, or all where there is none. Gives what is gone.
    pub(super) fn lift(&self, subject: Option<&Subject>) -> (Vec<Sanction>, Kept) {
        self.remove(|table| match subject {
            Some(subject) => table.remove(subject).into_iter().collect(),
            None => {
                let all = table.iter().map(|it| it.sanction.subject).collect::<Vec<_>>();
                all.iter().filter_map(|subject| table.remove(subject)).collect()
            }
        })
    }

    /// Takes away those whose time is over.
    pub(super) fn expire(&self) -> Vec<Sanction> {
        match self.is_empty() {
            true => Vec::new(),
            false => self.remove(|table| table.expire(Now::read().unix)).0,
        }
    }

    fn remove(&self, take: impl FnOnce(&mut Table) -> Vec<Sanction>) -> (Vec<Sanction>, Kept) {
        self.change(|table| {
            let gone = take(table);
            let mut batch = Batch::default();
            for sanction in &gone {
                if let Some(keeper) = &self.keeper {
                    batch.delete(self.kept_in, key_of(keeper, &sanction.subject));
                }
            }
            let kept = self.keep(batch);
            (gone, kept)
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.lock();
        let outcome = change(&mut table);
        self.count.store(table.len(), Ordering::Release);
        outcome
    }

    /// What holds must hold now, whatever the disk does: where it is ill, until the process ends.
    fn keep(&self, batch: Batch) -> Kept {
        match &self.keeper {
            Some(keeper) if batch.is_empty() => Kept::OnDisk(keeper.latest()),
            Some(keeper) if keeper.admit().is_ok() => Kept::OnDisk(keeper.keep(batch)),
            _ => Kept::InMemory,
        }
    }
}

fn key_of(keeper: &Keeper, subject: &Subject) -> store::Key {
    keeper.store().key(subject.to_string().as_bytes())
}

impl Who {
    /// As a sanction may mean it.
    pub(super) fn as_suspect(&self) -> Suspect<'_> {
        Suspect {
            principal: &self.principal,
            client_id: &self.client_id,
            address: self.address.ip(),
            certificate: self.standing.certificate.as_deref(),
        }
    }
}
