//! Every session by its client identifier: who holds it, who takes it over, what waits for whom.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;
use tokio::sync::oneshot;

use super::gate::Who;
use super::mailbox::Mailbox;
use super::parked::{Handover, LastWill, Parked};
use super::seat::Seat;
use crate::codec::ReasonCode;
use crate::identity::{ClientId, Principal};
use crate::message::SessionKey;

/// The sessions of the broker. No guard of the map is held across a call into another module that
/// could come back here.
#[derive(Debug)]
pub(super) struct Registry {
    sessions: DashMap<ClientId, Entry>,
    /// How many of them each principal has. Its guards are taken within those of the sessions, never
    /// the other way round.
    by_principal: DashMap<Principal, u32>,
    max_sessions: AtomicUsize,
}

/// A session belongs to the principal that made it: nobody else takes it over by its name.
#[derive(Debug)]
struct Entry {
    principal: Principal,
    holder: Holder,
}

#[derive(Debug)]
enum Holder {
    /// A connection serves it, or is about to.
    Connected(Arc<Seat>),
    /// The client is away.
    Parked(Box<Parked>),
}

/// Where a session is.
#[derive(Debug)]
pub(super) enum Holding {
    /// At a connection.
    Connected(Arc<Seat>),
    /// Without one: whose, and which.
    Parked(Arc<Who>, SessionKey),
}

/// The outcome of a claim.
#[derive(Debug)]
pub(super) enum Claim {
    /// Nobody had this session.
    Vacant,
    /// It was parked, and is now the caller's.
    Parked(Box<Parked>),
    /// Another connection has it, and has been told to hand it over.
    Awaited(oneshot::Receiver<Handover>),
}

/// Why a session cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimError {
    /// It belongs to another principal.
    NotYours,
    /// There are too many sessions.
    Full,
    /// The principal has as many as its roles allow.
    TooMany,
}

impl Registry {
    pub(super) fn new(max_sessions: usize) -> Self {
        let max_sessions = max_sessions.into();
        Self { sessions: DashMap::new(), by_principal: DashMap::new(), max_sessions }
    }

    /// Another bound, for sessions that begin from now on.
    pub(super) fn set_max_sessions(&self, max_sessions: usize) {
        self.max_sessions.store(max_sessions, Ordering::Relaxed);
    }

    /// Makes `seat` the holder of the session. From here on, a newer connection of the same client
    /// turns to `seat`. A principal that has `most` sessions gets no other.
    pub(super) fn claim(
        &self,
        client_id: &ClientId,
        principal: &Principal,
        seat: &Arc<Seat>,
        most: Option<NonZeroU32>,
    ) -> Result<Claim, ClaimError> {
        // Counted before the guard is taken: len() locks every shard.
        let is_full = self.sessions.len() >= self.max_sessions.load(Ordering::Relaxed);
        match self.sessions.entry(client_id.clone()) {
            Place::Vacant(_) if is_full => Err(ClaimError::Full),
            Place::Vacant(place) => {
                if !self.count(principal, most) {
                    return Err(ClaimError::TooMany);
                }
                let holder = Holder::Connected(Arc::clone(seat));
                place.insert(Entry { principal: principal.clone(), holder });
                Ok(Claim::Vacant)
            }
            Place::Occupied(mut place) => {
                let entry = place.get_mut();
                if entry.principal != *principal {
                    return Err(ClaimError::NotYours);
                }
                let holder = Holder::Connected(Arc::clone(seat));
                Ok(match std::mem::replace(&mut entry.holder, holder) {
                    Holder::Parked(parked) => Claim::Parked(parked),
                    Holder::Connected(earlier) => {
                        let (sender, receiver) = oneshot::channel();
                        earlier.hand_over(sender, ReasonCode::SessionTakenOver);
                        Claim::Awaited(receiver)
                    }
                })
            }
        }
    }

    /// Takes the session from its connection, which is told `reason`, if it has one: `seat` holds it
    /// meanwhile, and whoever claims it turns to `seat`.
    pub(super) fn take_back(
        &self,
        client_id: &ClientId,
        seat: &Arc<Seat>,
        reason: ReasonCode,
    ) -> Option<oneshot::Receiver<Handover>> {
        let mut entry = self.sessions.get_mut(client_id)?;
        let Holder::Connected(holder) = &mut entry.holder else { return None };
        let earlier = std::mem::replace(holder, Arc::clone(seat));
        let (sender, receiver) = oneshot::channel();
        earlier.hand_over(sender, reason);
        Some(receiver)
    }

    /// Counts one more session of `principal`, unless it has `most` of them.
    fn count(&self, principal: &Principal, most: Option<NonZeroU32>) -> bool {
        let mut count = self.by_principal.entry(principal.clone()).or_default();
        let has_room = most.is_none_or(|most| *count < most.get());
        *count += u32::from(has_room);
        has_room
    }

    fn uncount(&self, principal: &Principal) {
        if let Place::Occupied(mut count) = self.by_principal.entry(principal.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// The connection at `seat` leaves: its session is parked, or ends where there is nothing to
    /// park. `on_parked` is run before anybody else can claim it, and must not come back here. Gives
    /// back what was to be parked where a newer connection has claimed the session: it waits at
    /// `seat` for a hand-over.
    pub(super) fn release(
        &self,
        client_id: &ClientId,
        seat: &Arc<Seat>,
        parked: Option<Box<Parked>>,
        on_parked: impl FnOnce(&Parked),
    ) -> Result<(), Option<Box<Parked>>> {
        let Place::Occupied(mut place) = self.sessions.entry(client_id.clone()) else {
            return Err(parked);
        };
        let is_ours =
            matches!(&place.get().holder, Holder::Connected(holder) if Arc::ptr_eq(holder, seat));
        if !is_ours {
            return Err(parked);
        }
        match parked {
            Some(parked) => {
                on_parked(&parked);
                place.get_mut().holder = Holder::Parked(parked);
            }
            None => {
                let entry = place.remove();
                self.uncount(&entry.principal);
            }
        }
        Ok(())
    }

    /// Parks a session that an earlier run has kept, in place of any that its client had before that, which
    /// it gives back. `on_parked` is run first, and must not come back here.
    pub(super) fn restore(
        &self,
        parked: Box<Parked>,
        on_parked: impl FnOnce(&Parked),
    ) -> Option<Box<Parked>> {
        on_parked(&parked);
        let Who { client_id, principal, .. } = &*parked.who;
        let (client_id, principal) = (client_id.clone(), principal.clone());
        self.count(&principal, None);
        let entry = Entry { principal, holder: Holder::Parked(parked) };
        let earlier = self.sessions.insert(client_id, entry)?;
        self.uncount(&earlier.principal);
        match earlier.holder {
            Holder::Parked(parked) => Some(parked),
            Holder::Connected(_) => None,
        }
    }

    /// Ends the session `key` if it is parked and its time has come, and gives it to be taken apart.
    pub(super) fn expire(
        &self,
        client_id: &ClientId,
        key: SessionKey,
        now: Instant,
    ) -> Option<Box<Parked>> {
        self.remove_if(client_id, |parked| {
            parked.session.key == key && parked.expires.is_some_and(|expires| expires <= now)
        })
    }

    /// Every session there is now, connected or not.
    pub(super) fn client_ids(&self) -> Vec<ClientId> {
        self.sessions.iter().map(|entry| entry.key().clone()).collect()
    }

    /// As [`Self::client_ids`], and whose each of them is.
    pub(super) fn owners(&self) -> Vec<(ClientId, Principal)> {
        self.sessions.iter().map(|it| (it.key().clone(), it.value().principal.clone())).collect()
    }

    /// Where the session of `client_id` is.
    pub(super) fn holding(&self, client_id: &str) -> Option<Holding> {
        let entry = self.sessions.get(client_id)?;
        Some(match &entry.holder {
            Holder::Connected(seat) => Holding::Connected(Arc::clone(seat)),
            Holder::Parked(parked) => Holding::Parked(Arc::clone(&parked.who), parked.session.key),
        })
    }

    /// Works on the session `key`, if it is parked. `work` must not come back here, and holds up those
    /// who come for a session near this one.
    pub(super) fn with_parked<T>(
        &self,
        client_id: &ClientId,
        key: SessionKey,
        work: impl FnOnce(&mut Parked) -> T,
    ) -> Option<T> {
        let mut entry = self.sessions.get_mut(client_id)?;
        match &mut entry.holder {
            Holder::Parked(parked) if parked.session.key == key => Some(work(parked)),
            _ => None,
        }
    }

    /// Ends the session `key` if it is parked, and gives it to be taken apart.
    pub(super) fn remove_parked(
        &self,
        client_id: &ClientId,
        key: SessionKey,
    ) -> Option<Box<Parked>> {
        self.remove_if(client_id, |parked| parked.session.key == key)
    }

    fn remove_if(
        &self,
        client_id: &ClientId,
        is_ended: impl Fn(&Parked) -> bool,
    ) -> Option<Box<Parked>> {
        let is_ended = |entry: &Entry| match &entry.holder {
            Holder::Parked(parked) => is_ended(parked),
            Holder::Connected(_) => false,
        };
        let (_, entry) = self.sessions.remove_if(client_id, |_, entry| is_ended(entry))?;
        self.uncount(&entry.principal);
        match entry.holder {
            Holder::Parked(parked) => Some(parked),
            Holder::Connected(_) => None,
        }
    }

    /// Takes the will of the session `key` if it is parked and the will's delay is over.
    pub(super) fn take_due_will(
        &self,
        client_id: &ClientId,
        key: SessionKey,
        now: Instant,
    ) -> Option<LastWill> {
        let mut entry = self.sessions.get_mut(client_id)?;
        let Holder::Parked(parked) = &mut entry.holder else { return None };
        if parked.session.key != key {
            return None;
        }
        parked.take_will_if(|due| due <= now)
    }

    /// Takes every will that waits for a session that ends with the process.
    pub(super) fn take_mortal_wills(&self) -> Vec<LastWill> {
        self.sessions
            .iter_mut()
            .filter_map(|mut entry| {
                let Holder::Parked(parked) = &mut entry.holder else { return None };
                let is_mortal = !parked.session.mailbox.is_durable();
                parked.take_will_if(|_| is_mortal)
            })
            .collect()
    }

    /// Every connection there is now.
    pub(super) fn seats(&self) -> Vec<Arc<Seat>> {
        self.sessions
            .iter()
            .filter_map(|entry| match &entry.holder {
                Holder::Connected(seat) => Some(Arc::clone(seat)),
                Holder::Parked(_) => None,
            })
            .collect()
    }

    /// Shows `look` whose each session is, what waits for it, and whether its client is connected. `look` must
    /// not come back here, and holds up those who come for a session near this one.
    pub(super) fn for_each_mailbox(&self, mut look: impl FnMut(&Who, &Mailbox, bool)) {
        for entry in &self.sessions {
            match &entry.holder {
                Holder::Connected(seat) => {
                    if let (Some(who), Some(mailbox)) = (seat.who(), seat.mailbox()) {
                        look(who, mailbox, true);
                    }
                }
                Holder::Parked(parked) => look(&parked.who, &parked.session.mailbox, false),
            }
        }
    }

    /// How many sessions there are, connected or not.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }
}
