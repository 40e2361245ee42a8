//! The sessions that an earlier run has left in the store, put together from their records.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::gate::Who;
use super::kept_queues::KeptQueues;
use super::records::{SessionRecord, SubscriptionRecord, WillRecord};
use crate::clock::Now;
use crate::message::SessionKey;
use crate::store::{Record, Table};

/// Sessions as they were kept, and what is left of others.
#[derive(Debug, Default)]
pub struct KeptSessions {
    pub(super) sessions: BTreeMap<SessionKey, KeptSession>,
    pub(super) queues: KeptQueues,
    common: Common,
    /// No session, no will and no message had a higher one.
    pub(super) last_number: u64,
}

/// What many sessions have in common, and has been read with each of them.
#[derive(Debug, Default)]
struct Common {
    listeners: HashSet<Arc<str>>,
    /// Certificates between clients' and their authorities.
    chains: HashSet<Arc<[Box<[u8]>]>>,
}

impl Common {
    /// Lets `who` have in common with others what they have.
    fn share(&mut self, who: &mut Who) {
        share_one(&mut self.listeners, &mut who.listener);
        let certificate = who.standing.certificate.as_mut().and_then(Arc::get_mut);
        if let Some(evidence) = certificate.and_then(|it| it.evidence.as_mut()) {
            share_one(&mut self.chains, &mut evidence.between);
        }
    }
}

fn share_one<T: ?Sized + Eq + Hash>(known: &mut HashSet<Arc<T>>, one: &mut Arc<T>) {
    match known.get(&**one) {
        Some(first) => *one = Arc::clone(first),
        None => drop(known.insert(Arc::clone(one))),
    }
}

/// What is kept of one session.
#[derive(Debug, Default)]
pub(super) struct KeptSession {
    /// There is none of a client that had a will and no session to keep.
    pub(super) session: Option<SessionRecord>,
    pub(super) subscriptions: Vec<SubscriptionRecord>,
    pub(super) wills: Vec<WillRecord>,
}

impl KeptSessions {
    /// None yet. Of messages that wait, `room` bytes are held in memory.
    pub(super) fn with_room(room: usize) -> Self {
        Self { queues: KeptQueues::with_room(room), ..Self::default() }
    }

    /// Takes in a record, where it is one of a session; says whether it could be read.
    pub(super) fn add(&mut self, record: Record<'_>, clocks: Now) -> bool {
        let added = match record.table {
            Table::SESSION => self.add_session(record.value),
            Table::SUBSCRIPTION => self.add_subscription(record.value),
            Table::WILL => self.add_will(record.value),
            _ => {
                let is_read = self.queues.add(record, clocks);
                self.note(self.queues.last_number);
                return is_read;
            }
        };
        added.is_some()
    }

    fn add_session(&mut self, value: &[u8]) -> Option<()> {
        let mut record = SessionRecord::decode(value)?;
        self.common.share(&mut record.who.who);
        let key = record.key;
        self.of(key).session = Some(record);
        Some(())
    }

    fn add_subscription(&mut self, value: &[u8]) -> Option<()> {
        let record = SubscriptionRecord::decode(value)?;
        let key = record.session;
        self.of(key).subscriptions.push(record);
        Some(())
    }

    fn add_will(&mut self, value: &[u8]) -> Option<()> {
        let record = WillRecord::decode(value)?;
        self.note(record.number.get());
        let key = record.session;
        self.of(key).wills.push(record);
        Some(())
    }

    fn of(&mut self, key: SessionKey) -> &mut KeptSession {
        self.note(key.0);
        self.sessions.entry(key).or_default()
    }

    /// Whatever comes has a higher number.
    pub(super) fn note(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }
}

impl KeptSession {
    /// The will that counts, if there is one. Without a session there is no other.
    pub(super) fn take_will(&mut self) -> Option<WillRecord> {
        let last = match &self.session {
            Some(session) => session.will?,
            None => self.wills.iter().map(|will| will.number).max()?,
        };
        let at = self.wills.iter().position(|will| will.number == last)?;
        Some(self.wills.swap_remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::certified;
    use super::*;

    #[test]
    fn sessions_that_came_by_one_listener_and_one_authority_hold_one_copy_of_both() {
        let mut common = Common::default();
        let share = |_| {
            let mut who = certified().who;
            common.share(&mut who);
            let evidence = who.standing.certificate.as_ref().unwrap().evidence.as_ref();
            let between = Arc::clone(&evidence.unwrap().between);
            (who.listener, between)
        };
        let [(listener, chain), (other_listener, other_chain)] = [0, 1].map(share);
        assert!(Arc::ptr_eq(&listener, &other_listener) && Arc::ptr_eq(&chain, &other_chain));
    }
}
