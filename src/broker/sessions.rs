//! How sessions begin, change hands, wait and end.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Broker;
use super::gate::{Gate, Who};
use super::live::QueueBounds;
use super::mailbox::{Bounds, Mailbox};
use super::parked::{KeptWill, LastWill, Parked, Stored};
use super::registry::{Claim, ClaimError};
use super::retained_backlog::RetainedBacklog;
use super::review::{Review, Reviewed};
use super::round::Round;
use super::seat::Seat;
use super::timers::{Timer, What};
use crate::acl::Limits;
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::identity::ClientId;
use crate::message::SessionKey;
use crate::sentinel::Kind;
use crate::session::{self, ConnectRequest, Image, Refusal, Remains, SessionExpiry, Will};
use crate::telemetry::DropReason;

/// Deadlines that are served in one go, before others get their turn.
const TIMERS_AT_ONCE: usize = 64;

/// The session of a connection that is let in.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) session: Stored,
    /// What the client had at its earlier connection, where it goes on with that session.
    pub(super) resumed: Option<Image>,
    /// The earlier session, where the client starts clean: to be ended.
    pub(super) discarded: Option<Box<Parked>>,
}

impl Broker {
    /// Gets the session that `gate`'s client goes on with, or a new one. Waits until an earlier
    /// connection of the same client has let go. Must be run to its end: what it has claimed is
    /// otherwise lost.
    pub(super) async fn claim(
        &self,
        gate: &mut Gate,
        seat: &Arc<Seat>,
        request: &ConnectRequest,
    ) -> Result<Claimed, Refusal> {
        self.admit_session(gate, request)?;
        let Who { client_id, principal, .. } = &**gate.who();
        let most = gate.limits().max_sessions;
        let claim =
            self.registry.claim(client_id, principal, seat, most).map_err(ClaimError::refusal)?;
        let earlier = match claim {
            Claim::Vacant => None,
            Claim::Parked(parked) => Some(parked),
            Claim::Awaited(handover) => {
                self.counts.metrics.takeovers.increment(1);
                self.counts.observe(|| gate.who().as_event(Kind::TakenOver, ""));
                // A sender that is dropped is a connection that ended without a session.
                handover.await.unwrap_or_default()
            }
        };
        // The policy of now, after the wait.
        gate.refresh(&self.authority);
        match earlier {
            Some(parked) if !request.clean_start && self.is_upheld(&parked) => {
                Ok(self.resume(*parked, gate, seat))
            }
            discarded => {
                let session = self.begin(gate, seat, request.session_expiry);
                Ok(Claimed { session, resumed: None, discarded })
            }
        }
    }

    /// Whether a session that is to be kept can be: one that is there already is, whatever the disk does.
    fn admit_session(&self, gate: &Gate, request: &ConnectRequest) -> Result<(), Refusal> {
        let is_to_be_kept = request.session_expiry != SessionExpiry::Now;
        let keeper = self.keeper.as_ref().filter(|_| is_to_be_kept);
        if keeper.is_none_or(|keeper| keeper.admit().is_ok()) {
            return Ok(());
        }
        let client_id = gate.who().client_id.as_str();
        match self.registry.holding(client_id) {
            Some(_) if !request.clean_start => Ok(()),
            _ => {
                let text = "the disk cannot keep a session now";
                Err(Refusal::new(ReasonCode::QuotaExceeded, text))
            }
        }
    }

    /// Whether what the session was opened with still holds. Where it does not, it goes to nobody, even
    /// if whoever asks for it has proven the same name anew before it could be judged.
    fn is_upheld(&self, parked: &Parked) -> bool {
        let gate = Gate::new(&self.authority, Arc::clone(&parked.who));
        if let Some(revoked) = gate.revoked() {
            self.report_revoked(gate.who(), revoked);
        }
        gate.revoked().is_none()
    }

    /// One that no session, no will and no message has had before, in this run or in an earlier one of which
    /// anything is kept.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    fn begin(&self, gate: &Gate, seat: &Arc<Seat>, expiry: SessionExpiry) -> Stored {
        let key = SessionKey(self.next_number());
        let bounds = self.bounds(gate.limits());
        let mailbox = match self.keeper.is_some() && expiry != SessionExpiry::Now {
            true => Arc::new(Mailbox::durable(key, bounds, &self.queue_budget)),
            false => Arc::new(Mailbox::new(key, bounds, &self.queue_budget)),
        };
        seat.serves(&mailbox);
        Stored { key, mailbox, retained: RetainedBacklog::default(), will: None }
    }

    /// What may wait for a session whose client has these limits.
    pub(super) fn bounds(&self, limits: Limits) -> Bounds {
        let QueueBounds { messages, bytes } = **self.live.queue.load();
        let messages = limits.max_queued_messages.map_or(messages, |most| most.get().min(messages));
        let bytes = limits.max_queued_bytes.map_or(bytes, |most| bytes.min(most.get().into()));
        Bounds { messages: messages as usize, bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }
    }

    /// A session goes on: its will is not sent `[MQTT-3.1.3-9]`, and what its client may no longer
    /// receive is dropped.
    fn resume(&self, parked: Parked, gate: &mut Gate, seat: &Arc<Seat>) -> Claimed {
        self.cancel_timers(&parked);
        let Parked { mut session, mut image, will, .. } = parked;
        drop(will);
        let (mut review, mut round) =
            (Review::begin(&session, &image.subscriptions), Round::default());
        let subscriptions = &mut image.subscriptions;
        let mut reviewed = Reviewed { stored: &mut session, subscriptions, gate };
        while self.review(&mut review, &mut reviewed, &mut round) {}
        self.review_in_flight(session.key, &mut image.in_flight, gate, &mut round);
        self.open_in_flight(session.key, &mut image.in_flight, gate, &mut round);
        self.finish_round(&mut round);
        session.mailbox.bound(self.bounds(gate.limits()));
        seat.serves(&session.mailbox);
        Claimed { session, resumed: Some(image), discarded: None }
    }

    /// The connection at `seat` has ended: parks what it leaves, hands it over, or ends it.
    pub(super) fn leave(
        &self,
        gate: &mut Gate,
        seat: &Arc<Seat>,
        session: Stored,
        remains: Remains,
        now: Instant,
    ) {
        // The will is published under the policy of now.
        gate.refresh(&self.authority);
        let missed = session.mailbox.disconnect();
        self.counts.dropped(DropReason::OfflineQos0, missed);
        let parked = self.park(gate, session, remains, now);
        let client_id = &gate.who().client_id;
        // Set while nobody else can claim the session: whoever does then finds them to cancel.
        let on_parked = |parked: &Parked| self.set_timers(parked, client_id);
        if let Err(parked) = self.registry.release(client_id, seat, parked, on_parked) {
            self.hand_over(seat, parked, now);
        }
    }

    /// What is left to be parked, after what ends with the connection has ended: all of it, where
    /// the session does.
    fn park(
        &self,
        gate: &mut Gate,
        mut session: Stored,
        remains: Remains,
        now: Instant,
    ) -> Option<Box<Parked>> {
        let Remains { expiry, will, image } = remains;
        // A client that is nobody any more leaves nothing behind.
        let expiry = if gate.revoked().is_some() { SessionExpiry::Now } else { expiry };
        let (lifetime, expires) = match expiry {
            SessionExpiry::Now => (Some(Duration::ZERO), Some(now)),
            SessionExpiry::After(lifetime) => (Some(lifetime), now.checked_add(lifetime)),
            SessionExpiry::Never => (None, None),
        };
        // The will waits for its delay or the end of the session, whichever is first
        // [MQTT-3.1.3-9]. What is not kept ends with the process.
        let ends_now = self.is_shutting_down() && !session.mailbox.is_durable();
        let lifetime = if ends_now { Some(Duration::ZERO) } else { lifetime };
        let delay = |will: &Will| lifetime.map_or(will.delay, |lifetime| will.delay.min(lifetime));
        let mut waiting = None;
        if let Some(will) = will {
            match delay(&will) {
                Duration::ZERO => {
                    let kept = session.take_kept_will();
                    self.publish_will(gate, *will, kept, now);
                }
                delay => waiting = Some((now + delay, will)),
            }
        }
        if expiry == SessionExpiry::Now {
            self.forget(&session, &image);
            return None;
        }
        let who = Arc::clone(gate.who());
        let mut parked = Box::new(Parked { who, session, image, expires, will: waiting });
        // Before anybody else can claim it, and change what is kept.
        self.keep_departure(&mut parked, expiry, now);
        Some(parked)
    }

    /// A newer connection has claimed the session and waits for it, or has already gone: then the
    /// session ends.
    pub(super) fn hand_over(&self, seat: &Seat, parked: Option<Box<Parked>>, now: Instant) {
        let unclaimed = match seat.leave() {
            Some(successor) => successor.send(parked).err().flatten(),
            None => parked,
        };
        if let Some(parked) = unclaimed {
            self.end(*parked, now);
        }
    }

    /// A session ends: its will is sent if it still waits and whoever left it may publish it, and
    /// nothing is routed to it any more.
    pub(super) fn end(&self, parked: Parked, now: Instant) {
        self.cancel_timers(&parked);
        let Parked { who, mut session, image, will, .. } = parked;
        if let Some((_, will)) = will {
            let kept = session.take_kept_will();
            self.publish_will(&mut Gate::new(&self.authority, who), *will, kept, now);
        }
        self.forget(&session, &image);
    }

    /// Nothing is routed to the session any more. What it has left of shared subscriptions goes to
    /// other members (5.0 section 4.8.2).
    fn forget(&self, session: &Stored, image: &Image) {
        for (filter, _) in image.subscriptions.iter() {
            self.routes.unsubscribe(filter.borrowed(), session.key);
        }
        let mut round = Round::default();
        self.forget_session(session, image, &mut round);
        for (share, message) in image.in_flight.owed_to_shares() {
            self.pass_on(share, message, &mut round);
        }
        let mut dropped = 0;
        for entry in session.mailbox.close() {
            if entry.share().is_none() {
                dropped += 1;
            } else if let Some(outbound) = self.fetched(session.key, &entry)
                && let Some(share) = &outbound.share
            {
                self.pass_on(share, &outbound.message, &mut round);
            }
            round.drop_kept(session.key, entry.kept());
        }
        self.counts.dropped(DropReason::SessionEnded, dropped);
        for progress in image.in_flight.done() {
            round.progress(session.key, &progress);
        }
        if session.mailbox.is_durable() {
            image.received.iter().for_each(|packet_id| round.release(session.key, packet_id));
        }
        self.finish_round(&mut round);
    }

    /// Publishes a will, if the client may publish it under the policy of now. It is not kept any more.
    fn publish_will(&self, gate: &mut Gate, will: Will, kept: Option<KeptWill>, now: Instant) {
        let mut round = Round::default();
        // Together with what comes of it: it is not published twice.
        self.forget_will(kept, &mut round);
        let mut message = will.message;
        message.expiry = will.message_expiry.and_then(|after| now.checked_add(after));
        if self.is_quarantined(gate.who()) {
            if gate.may_leave_will(&message, &self.counts) {
                self.divert_will(&message, gate.who(), &mut round);
            }
        } else if gate.may_leave_will(&message, &self.counts)
            && let Some(message) =
                self.sealed_will(gate, message, Now { instant: now, ..Now::read() })
        {
            self.counts.metrics.wills_sent.increment(1);
            gate.watch(&self.counts, Kind::Will, "", message.topic.as_str());
            self.publish_in(&Arc::new(message), &mut round);
        }
        self.finish_round(&mut round);
    }

    fn publish_last_will(&self, last: LastWill, now: Instant) {
        let LastWill { who, will, kept } = last;
        self.publish_will(&mut Gate::new(&self.authority, who), *will, kept, now);
    }

    /// The broker shuts down, and sessions that are not kept end with it: their wills that wait are
    /// published while those who are connected still hear of them.
    pub(super) fn publish_waiting_wills(&self, now: Instant) {
        for last in self.registry.take_mortal_wills() {
            self.publish_last_will(last, now);
        }
    }

    pub(super) fn set_timers(&self, parked: &Parked, client_id: &ClientId) {
        for timer in timers_of(parked) {
            self.timers.set(timer, client_id.clone());
        }
    }

    fn cancel_timers(&self, parked: &Parked) {
        for timer in timers_of(parked) {
            self.timers.cancel(timer);
        }
    }

    /// Does a slice of what is due at `now` for sessions without a connection, and says whether that was
    /// all; the rest stays due.
    pub(super) fn run_timers(&self, now: Instant) -> bool {
        let due = std::iter::from_fn(|| self.timers.take_due(now));
        let mut done = 0;
        for (timer, client_id) in due.take(TIMERS_AT_ONCE) {
            done += 1;
            match timer.what {
                What::Will => {
                    let due = self.registry.take_due_will(&client_id, timer.session, now);
                    if let Some(last) = due {
                        self.publish_last_will(last, now);
                    }
                }
                What::SessionEnd => {
                    if let Some(parked) = self.registry.expire(&client_id, timer.session, now) {
                        self.counts.totals.sessions_expired.fetch_add(1, Ordering::Relaxed);
                        self.end(*parked, now);
                    }
                }
            }
        }
        done < TIMERS_AT_ONCE
    }
}

/// What holds for the session of a client with these limits, where that is not what holds for
/// everybody.
pub(super) fn narrowed(
    settings: &session::Settings,
    limits: Limits,
) -> Option<Arc<session::Settings>> {
    let Limits { max_subscriptions, max_inflight, .. } = limits;
    let inflight = max_inflight.and_then(|most| NonZeroU16::try_from(most).ok());
    if max_subscriptions.is_none() && inflight.is_none() {
        return None;
    }
    let mut settings = settings.clone();
    settings.max_subscriptions = max_subscriptions
        .map_or(settings.max_subscriptions, |it| it.min(settings.max_subscriptions));
    settings.max_inflight =
        inflight.map_or(settings.max_inflight, |most| most.min(settings.max_inflight));
    Some(Arc::new(settings))
}

fn timers_of(parked: &Parked) -> impl Iterator<Item = Timer> {
    let session = parked.session.key;
    let will = parked.will.as_ref().map(|(at, _)| Timer { at: *at, session, what: What::Will });
    let end = parked.expires.map(|at| Timer { at, session, what: What::SessionEnd });
    will.into_iter().chain(end)
}

impl ClaimError {
    fn refusal(self) -> Refusal {
        match self {
            Self::NotYours => Refusal::new(
                ReasonCode::ClientIdentifierNotValid,
                "this client identifier belongs to another principal",
            ),
            Self::Full => Refusal::new(ReasonCode::QuotaExceeded, "too many sessions"),
            Self::TooMany => Refusal::new(
                ReasonCode::QuotaExceeded,
                "as many sessions as the roles of this principal allow",
            ),
        }
    }
}
