//! From one publish to its recipients: retain, match, one push per recipient.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Broker;
use super::gate::Gate;
use super::lane::Lane;
use super::mailbox::{Mailbox, Pushed};
use super::publish_memo::{Answer, PublishMemo};
use super::retained::{Full, Updated, WaitsFor};
use super::round::Round;
use super::sealed_publish::{Published, Publishing, Waiting, What};
use super::settings::ShareStrategy;
use super::wrapped_keys::ASKED_ON;
use crate::codec::{ReasonCode, SubscriptionIds};
use crate::message::{Message, QoS};
use crate::router::{
    Matches, Route, ShareGroup, Subscriber, choose_least_loaded, choose_round_robin,
};
use crate::session::Outbound;
use crate::telemetry::{DeniedAction, DropReason};
use crate::topic::TopicFilter;

/// Room that is made at first for the messages that a round holds for one recipient.
const HELD_AT_FIRST: usize = 16;

impl Broker {
    /// Publishes a client's message, if the client may. What that sets going is added to
    /// `round`.
    pub(super) fn publish(
        &self,
        gate: &mut Gate,
        memo: &mut PublishMemo,
        publishing: Publishing<'_>,
        round: &mut Round,
    ) -> Published {
        let Publishing { message, packet_id, now } = publishing;
        let policy = gate.refresh(&self.authority);
        let (known, _) = memo.known(&message.topic);
        known.refresh(policy, || gate.terms(&message.topic));
        let terms = known.terms().cloned();
        let answer = known.answer(message);
        let answer = answer.get_or_insert_with(|| Answer::of(gate.largest_payload(message)));
        if !answer.allows(message) {
            if message.topic.as_str() == ASKED_ON && gate.revoked().is_none() {
                return Published::KeysAsked;
            }
            // Asking counts, and so does not asking again.
            match answer.report() {
                true => gate.report_denied(message, &self.counts),
                false => gate.denied_again(message, &self.counts),
            }
            return Published::Done(ReasonCode::NotAuthorized);
        }
        round.allowed_publishes += 1;
        let recipients = known.remembered_recipients();
        memo.note(message, self.counts.watch.is_on(), now.instant);
        if let Some(terms) = terms {
            round.pending.expect(recipients);
            return self.publish_enveloped(gate, &terms, publishing, round);
        }
        if !round.pending.is_empty() {
            // What came before goes first.
            round.pending.push(Waiting {
                message: Arc::clone(message),
                packet_id,
                what: What::Plain,
            });
            return Published::Waits;
        }
        Published::Done(self.route(memo, message, round))
    }

    /// Routes a message that is allowed.
    pub(super) fn route(
        &self,
        memo: &mut PublishMemo,
        message: &Arc<Message>,
        round: &mut Round,
    ) -> ReasonCode {
        // Retained before routed: a subscription made in between gets the message by one way or
        // by both, never by neither. What cannot be retained is refused, but for QoS 0: its sender
        // would not hear of it.
        if message.retain {
            let (known, remembered) = memo.known(&message.topic);
            let recipients = known.recipients(message, &self.routes, remembered);
            if self.cannot_be_kept(message, recipients) {
                // Neither: its sender is told that it was not taken.
                return ReasonCode::QuotaExceeded;
            }
        }
        match self.retain(message) {
            Ok(None) => {}
            Ok(Some(Updated { waits_for, has_overwritten })) => {
                if has_overwritten && let Some(conduct) = memo.conduct() {
                    conduct.note_overwritten(&message.topic);
                }
                if waits_for == WaitsFor::TheStore {
                    round.await_others();
                }
            }
            Err(Full) if message.qos == QoS::AtMostOnce => {}
            Err(Full) => return ReasonCode::QuotaExceeded,
        }
        let (known, remembered) = memo.known(&message.topic);
        let recipients = known.recipients(message, &self.routes, remembered);
        if self.cannot_be_kept(message, recipients) {
            return ReasonCode::QuotaExceeded;
        }
        self.distribute(message, recipients, round)
    }

    /// Whether the message would have to be kept for a session, and the store cannot, or there is too much
    /// that waits for all sessions.
    fn cannot_be_kept(&self, message: &Message, matches: &Matches<Arc<Mailbox>>) -> bool {
        let Some(keeper) = &self.keeper else { return false };
        if message.qos == QoS::AtMostOnce {
            return false;
        }
        let recipients = matches.routes.len() + matches.shares.len();
        let can_keep = |recipients| self.queue_budget.can_keep(Lane::cost(message), recipients);
        match (keeper.admit(), can_keep(recipients)) {
            (Ok(()), true) => false,
            (Err(_), _) => mailboxes(matches).any(|mailbox| mailbox.is_durable()),
            (Ok(()), false) => {
                let routes = matches.routes.iter().filter(|it| it.recipient.is_durable()).count();
                let is_durable = |it: &Subscriber<Arc<Mailbox>>| it.recipient.is_durable();
                let shares = matches.shares.iter().filter(|it| it.members().iter().any(is_durable));
                match routes + shares.count() {
                    0 => false,
                    recipients => !can_keep(recipients),
                }
            }
        }
    }

    /// Publishes a message of the broker's own, or one that was allowed before: nobody remembers
    /// its recipients. There is nobody to refuse it to, so it is sent even if it cannot be retained.
    pub(super) fn publish_directly(&self, message: &Arc<Message>) -> ReasonCode {
        let mut round = Round::default();
        let reason = self.publish_in(message, &mut round);
        self.finish_round(&mut round);
        reason
    }

    /// As [`Self::publish_directly`], in a round that has other things to do.
    pub(super) fn publish_in(&self, message: &Arc<Message>, round: &mut Round) -> ReasonCode {
        // Nobody waits for an answer, and who counts has been told.
        let _ = self.retain(message);
        let mut matches = Matches::new();
        self.routes.matches(message.topic.borrowed(), message.publisher, &mut matches);
        self.distribute(message, &matches, round)
    }

    /// Puts into mailboxes what is held, and wakes each connection that has messages waiting.
    pub(super) fn finish_round(&self, round: &mut Round) {
        self.push_all(round);
        round.wakes.drain(..).for_each(|bell| bell.ring());
        round.pushes = 0;
        self.counts.allowed(DeniedAction::Publish, &mut round.allowed_publishes);
        self.counts.allowed(DeniedAction::Receive, &mut round.allowed_deliveries);
    }

    /// Retains it, if it is to be retained at all.
    fn retain(&self, message: &Arc<Message>) -> Result<Option<Updated>, Full> {
        if !message.retain {
            return Ok(None);
        }
        let outcome = match self.is_envelope_of_nothing(message) {
            true => self.retained.update(&Arc::new(message.without_payload())),
            false => self.retained.update(message),
        };
        if outcome.is_err() {
            self.counts.dropped(DropReason::RetainedFull, 1);
        }
        outcome.map(Some)
    }

    fn distribute(
        &self,
        message: &Arc<Message>,
        matches: &Matches<Arc<Mailbox>>,
        round: &mut Round,
    ) -> ReasonCode {
        if let Some(trace) = &message.trace {
            trace.set_routed(matches.routes.len() + matches.shares.len(), Instant::now());
        }
        if matches.is_empty() {
            return ReasonCode::NoMatchingSubscribers;
        }
        if let ([route], []) = (&matches.routes[..], &matches.shares[..])
            && !route.recipient.is_durable()
        {
            self.hold(&route.recipient, message, Terms::from(route), round);
            return ReasonCode::Success;
        }
        self.push_held(round);
        let earlier = round.puts();
        for route in &matches.routes {
            self.push(&route.recipient, message, Terms::from(route), round);
        }
        if !matches.shares.is_empty() {
            let turn = self.share_turn.fetch_add(1, Ordering::Relaxed);
            for group in &matches.shares {
                self.push_to_one_of(group, message, turn, round);
            }
        }
        self.write_down(earlier, round);
        ReasonCode::Success
    }

    /// Sends a message that a member of `share` has left to another, if there is one.
    pub(super) fn pass_on(&self, share: &TopicFilter, message: &Arc<Message>, round: &mut Round) {
        let mut matches = Matches::new();
        self.routes.matches(message.topic.borrowed(), None, &mut matches);
        let turn = self.share_turn.fetch_add(1, Ordering::Relaxed);
        let earlier = round.puts();
        match matches.shares.iter().find(|group| group.filter() == share) {
            Some(group) => self.push_to_one_of(group, message, turn, round),
            None => self.counts.dropped(DropReason::NoMember, 1),
        }
        self.write_down(earlier, round);
    }

    fn push_to_one_of(
        &self,
        group: &ShareGroup<Arc<Mailbox>>,
        message: &Arc<Message>,
        mut turn: usize,
        round: &mut Round,
    ) {
        // Who has the least to do is seen in the mailboxes.
        self.push_held(round);
        let members = group.members();
        let chosen = match self.settings.shared_subscriptions {
            ShareStrategy::LeastLoaded => {
                choose_least_loaded(members, &mut turn, |mailbox| mailbox.load())
            }
            ShareStrategy::RoundRobin => {
                choose_round_robin(members, &mut turn, |mailbox| mailbox.load().is_some())
            }
        };
        // The session of the one chosen may be full, or may have ended since: then it is the turn of
        // the next, and only what nobody takes is lost.
        let mut refusal = None;
        for member in chosen.into_iter().chain(in_turn(members, turn)).take(members.len()) {
            let route = member.route();
            let terms = Terms { share: Some(group.filter()), ..Terms::from(&route) };
            match self.offer(&member.recipient, message, terms, round) {
                Ok(()) => return,
                Err(refused) => refusal = refusal.or(refused),
            }
        }
        if let Some(reason) = refusal {
            self.counts.dropped(reason, 1);
        }
    }

    fn push(
        &self,
        mailbox: &Arc<Mailbox>,
        message: &Arc<Message>,
        terms: Terms<'_>,
        round: &mut Round,
    ) {
        if let Err(Some(reason)) = self.offer(mailbox, message, terms, round) {
            self.counts.dropped(reason, 1);
        }
    }

    /// Leaves the message with those that go into the same mailbox, if the next one does.
    fn hold(
        &self,
        mailbox: &Arc<Mailbox>,
        message: &Arc<Message>,
        terms: Terms<'_>,
        round: &mut Round,
    ) {
        if !round.held.mailbox.as_ref().is_some_and(|held| Arc::ptr_eq(held, mailbox)) {
            self.push_held(round);
            round.held.mailbox = Some(Arc::clone(mailbox));
            round.held.messages.reserve(HELD_AT_FIRST);
        }
        round.pushes += 1;
        round.held.messages.push(terms.outbound(message));
    }

    /// Puts into their mailboxes all messages of the round. What the end of the connection sets going may
    /// not overtake them.
    pub(super) fn push_all(&self, round: &mut Round) {
        self.push_held(round);
        self.commit(round);
    }

    /// Puts into their mailbox the messages that are held. No other message of the round may overtake them.
    fn push_held(&self, round: &mut Round) {
        let Some(mailbox) = round.held.mailbox.take() else { return };
        let messages = std::mem::take(&mut round.held.messages);
        let lost = mailbox.push_all(messages, &mut round.wakes);
        self.counts.dropped(DropReason::QueueFull, lost.full);
        self.counts.dropped(DropReason::OfflineQos0, lost.away);
    }

    /// Puts the message into the mailbox, or says why it is dropped; for no reason that counts where
    /// the session has ended.
    fn offer(
        &self,
        mailbox: &Arc<Mailbox>,
        message: &Arc<Message>,
        terms: Terms<'_>,
        round: &mut Round,
    ) -> Result<(), Option<DropReason>> {
        round.pushes += 1;
        let outbound = terms.outbound(message);
        let pushed = match (mailbox.is_durable(), outbound.qos) {
            (true, QoS::AtLeastOnce | QoS::ExactlyOnce) => {
                let reserved = mailbox.reserve(message);
                if matches!(reserved, Pushed::Waiting { .. }) {
                    round.put_later(mailbox, outbound);
                }
                reserved
            }
            // It overtakes nothing that was published before.
            (true, QoS::AtMostOnce) if round.puts() > 0 => {
                round.put_later(mailbox, outbound);
                return Ok(());
            }
            _ => mailbox.push(outbound, &mut round.wakes),
        };
        match pushed {
            Pushed::Waiting { shed } => {
                self.counts.dropped(DropReason::QueueFull, shed);
                Ok(())
            }
            Pushed::Closed => Err(None),
            Pushed::Full => Err(Some(DropReason::QueueFull)),
            Pushed::Away => Err(Some(DropReason::OfflineQos0)),
        }
    }
}

/// Whoever may get a message that matches so.
fn mailboxes(matches: &Matches<Arc<Mailbox>>) -> impl Iterator<Item = &Arc<Mailbox>> {
    let members = matches.shares.iter().flat_map(|group| group.members());
    let routes = matches.routes.iter().map(|route| &route.recipient);
    routes.chain(members.map(|member| &member.recipient))
}

/// All members, beginning with that at `turn`.
fn in_turn<R>(members: &[Subscriber<R>], turn: usize) -> impl Iterator<Item = &Subscriber<R>> {
    let first = turn.checked_rem(members.len()).unwrap_or(0);
    members.iter().cycle().skip(first).take(members.len())
}

/// What the recipient's subscriptions ask for.
#[derive(Clone, Copy)]
struct Terms<'a> {
    qos: QoS,
    retain_as_published: bool,
    subscription_ids: &'a SubscriptionIds,
    /// The group that it is a member of for this message.
    share: Option<&'a TopicFilter>,
}

impl Terms<'_> {
    fn outbound(self, message: &Arc<Message>) -> Outbound {
        Outbound {
            message: Arc::clone(message),
            qos: message.qos.min(self.qos),
            retain: message.retain && self.retain_as_published,
            subscription_ids: self.subscription_ids.clone(),
            share: self.share.cloned(),
            kept: None,
            was_sent: false,
        }
    }
}

impl<'a, R> From<&'a Route<R>> for Terms<'a> {
    fn from(route: &'a Route<R>) -> Self {
        Self {
            qos: route.qos,
            retain_as_published: route.retain_as_published,
            subscription_ids: &route.subscription_ids,
            share: None,
        }
    }
}
