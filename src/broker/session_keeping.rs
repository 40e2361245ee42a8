//! The changes by which sessions, their subscriptions and their wills are kept, and forgotten.

use std::num::NonZeroU64;
use std::time::Instant;

use super::Broker;
use super::durable::Keeper;
use super::gate::Who;
use super::parked::{KeptWill, Parked, Stored};
use super::records::{
    LineMark, PasswordMark, SessionRecord, SubscriptionRecord, WhoRecord, WillRecord,
};
use super::round::Round;
use crate::auth::PasswordProof;
use crate::clock::Now;
use crate::message::SessionKey;
use crate::secret::Secret;
use crate::session::{Granted, Image, SessionExpiry, Will};
use crate::store::{Batch, Key, Table};
use crate::topic::{TopicFilter, TopicFilterRef};

/// A client that is let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    pub(super) who: &'a Who,
    pub(super) expiry: SessionExpiry,
    pub(super) will: Option<&'a Will>,
    /// Whether its session begins.
    pub(super) is_new: bool,
}

impl Keeper {
    pub(super) fn put_session(&self, batch: &mut Batch, record: &SessionRecord) {
        batch.put(Table::SESSION, key_of_session(record.key), &record.encode());
    }

    pub(super) fn put_will(&self, batch: &mut Batch, record: &WillRecord) {
        let key = Key::of_numbers(record.session.0, record.number.get());
        batch.put(Table::WILL, key, &record.encode());
    }

    pub(super) fn put_subscription(&self, batch: &mut Batch, record: &SubscriptionRecord) {
        let key = self.key_of_subscription(record.session, record.filter.borrowed());
        batch.put(Table::SUBSCRIPTION, key, &record.encode());
    }

    pub(super) fn forget_subscription(
        &self,
        batch: &mut Batch,
        session: SessionKey,
        filter: TopicFilterRef<'_>,
    ) {
        batch.delete(Table::SUBSCRIPTION, self.key_of_subscription(session, filter));
    }

    pub(super) fn forget_will(&self, batch: &mut Batch, session: SessionKey, will: NonZeroU64) {
        batch.delete(Table::WILL, Key::of_numbers(session.0, will.get()));
    }

    fn key_of_subscription(&self, session: SessionKey, filter: TopicFilterRef<'_>) -> Key {
        self.store().key(&[&session.0.to_be_bytes(), filter.as_str().as_bytes()].concat())
    }
}

impl Broker {
    /// The client of a session is let in. It is told so once that is kept, unless it has only come back and
    /// that cannot be kept now.
    pub(super) fn keep_arrival(
        &self,
        session: &mut Stored,
        arrival: Arrival<'_>,
        round: &mut Round,
    ) {
        let Arrival { who, expiry, will, is_new } = arrival;
        let Some(keeper) = self.keeper.as_ref() else { return };
        let key = session.key;
        let batch = round.batch();
        if let Some(earlier) = session.will.take() {
            keeper.forget_will(batch, key, earlier);
        }
        if let Some(will) = will {
            session.will = NonZeroU64::new(self.next_number());
            self.keep_will(batch, session, who, (None, will));
        }
        if session.mailbox.is_durable() {
            let who = self.record_of(keeper, who);
            let record = SessionRecord { key, expiry, left_ms: None, will: session.will, who };
            keeper.put_session(batch, &record);
        }
        // An ill disk keeps nobody out of whom all but this is known.
        let is_news = !batch.is_empty() && keeper.admit().is_ok();
        if is_news || (is_new && session.mailbox.is_durable()) {
            round.await_others();
        }
    }

    /// The client of a session has left, which waits for it.
    pub(super) fn keep_departure(&self, parked: &mut Parked, expiry: SessionExpiry, at: Instant) {
        let Some(keeper) = self.keeper.as_ref() else { return };
        let Parked { who, session, will, image, .. } = parked;
        if !session.mailbox.is_durable() {
            return;
        }
        let now = Now { instant: at, ..Now::read() };
        let mut round = Round::default();
        // It is sent what it may have had under the same packet identifiers, after a restart as well.
        for progress in image.in_flight.note_sent() {
            round.progress(session.key, &progress);
        }
        let batch = round.batch();
        match will {
            Some((due, will)) => {
                let due_ms = Some(now.unix_ms_of(*due));
                self.keep_will(batch, session, who, (due_ms, will));
            }
            None => {
                // The client has taken it along.
                if let Some(will) = session.will.take() {
                    keeper.forget_will(batch, session.key, will);
                }
            }
        }
        let left_ms = Some(now.unix_ms_of(now.instant));
        let who = self.record_of(keeper, who);
        let record = SessionRecord { key: session.key, expiry, left_ms, will: session.will, who };
        keeper.put_session(batch, &record);
        self.finish_round(&mut round);
    }

    fn keep_will(
        &self,
        batch: &mut Batch,
        session: &Stored,
        who: &Who,
        (due_ms, will): (Option<u64>, &Will),
    ) {
        if let (Some(keeper), Some(number)) = (&self.keeper, session.will) {
            let (session, who) = (session.key, self.record_of(keeper, who));
            let record = WillRecord { session, number, due_ms, will: will.clone(), who };
            keeper.put_will(batch, &record);
        }
    }

    /// A will is published, or will never be.
    pub(super) fn forget_will(&self, kept: Option<KeptWill>, round: &mut Round) {
        if let (Some(keeper), Some(KeptWill(session, number))) = (&self.keeper, kept) {
            keeper.forget_will(round.batch(), session, number);
        }
    }

    /// The session has ended.
    pub(super) fn forget_session(&self, session: &Stored, image: &Image, round: &mut Round) {
        let Some(keeper) = self.keeper.as_ref() else { return };
        let batch = round.batch();
        if let Some(will) = session.will {
            keeper.forget_will(batch, session.key, will);
        }
        if session.mailbox.is_durable() {
            batch.delete(Table::SESSION, key_of_session(session.key));
            for (filter, _) in image.subscriptions.iter() {
                keeper.forget_subscription(batch, session.key, filter.borrowed());
            }
        }
    }

    /// A subscription is less than it was, or nothing. Nobody waits for that.
    pub(super) fn keep_subscription(
        &self,
        session: &Stored,
        filter: &TopicFilter,
        granted: Option<Granted>,
    ) {
        let keeper = self.keeper.as_ref().filter(|_| session.mailbox.is_durable());
        let Some(keeper) = keeper else { return };
        let mut batch = Batch::default();
        match granted {
            Some(granted) => {
                let owes_retained = session.retained.owes_by_record(filter);
                let (session, filter) = (session.key, filter.clone());
                let record = SubscriptionRecord { session, filter, granted, owes_retained };
                keeper.put_subscription(&mut batch, &record);
            }
            None => keeper.forget_subscription(&mut batch, session.key, filter.borrowed()),
        }
        keeper.keep(batch);
    }

    /// A subscription has been sent all that was retained for it, which is kept behind the last of it.
    pub(super) fn keep_paid(
        &self,
        session: SessionKey,
        filter: TopicFilter,
        granted: Granted,
        round: &mut Round,
    ) {
        if let Some(keeper) = &self.keeper {
            let record = SubscriptionRecord { session, filter, granted, owes_retained: false };
            keeper.put_subscription(round.batch(), &record);
        }
    }

    /// What is kept of `who`.
    pub(super) fn record_of(&self, keeper: &Keeper, who: &Who) -> WhoRecord {
        let password = who.standing.password.map(|proof| {
            let user = who.principal.name().unwrap_or_default();
            let line = match self.passwords.file().proven_by(user, proof) {
                Some((_, true)) => LineMark::Replaced,
                Some((line, false)) => LineMark::Of(mark(keeper, &line)),
                None => LineMark::Gone,
            };
            PasswordMark { by_scram: proof.is_by_scram(), line }
        });
        WhoRecord { who: who.clone(), password }
    }

    /// Who was kept: what it has proven its password by holds if it is still there.
    pub(super) fn who_was(&self, keeper: &Keeper, record: WhoRecord) -> Who {
        let WhoRecord { mut who, password } = record;
        who.standing.password = password.map(|PasswordMark { by_scram, line }| {
            let (file, user) = (self.passwords.file(), who.principal.name().unwrap_or_default());
            let proof = file.proof(by_scram);
            let is_kept = match line {
                LineMark::Of(of) => {
                    file.proven_by(user, proof).is_some_and(|(line, _)| mark(keeper, &line) == of)
                }
                LineMark::Replaced => true,
                LineMark::Gone => false,
            };
            if is_kept { proof } else { PasswordProof::superseded(by_scram) }
        });
        who
    }
}

pub(super) fn key_of_session(session: SessionKey) -> Key {
    Key::of_numbers(session.0, 0)
}

/// Of what is kept of a password.
fn mark(keeper: &Keeper, line: &Secret) -> [u8; 16] {
    let name = Secret::new([b"password ", line.expose()].concat());
    keeper.store().key(name.expose()).0
}
