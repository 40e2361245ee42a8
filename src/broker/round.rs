//! What one round of work of a connection sets going elsewhere: in mailboxes, and in the store.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Broker;
use super::bell::Bell;
use super::mailbox::{Mailbox, Pushed};
use super::queue_record;
use super::sealed_publish::Pending;
use crate::codec::PacketId;
use crate::message::{Kept, QoS, SessionKey};
use crate::session::{Outbound, Progress, Stage};
use crate::store::{Batch, Ticket};
use crate::telemetry::DropReason;

/// It is over with [`Broker::finish_round`].
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Connections that have messages waiting since the round began.
    pub(super) wakes: Vec<Arc<Bell>>,
    /// How many messages were put before mailboxes: what the round costs.
    pub(super) pushes: usize,
    /// Publications that the policy has allowed, and deliveries.
    pub(super) allowed_publishes: u32,
    pub(super) allowed_deliveries: u32,
    pub(super) held: Held,
    /// Messages that wait until what was accepted with them is written down, in order.
    pub(super) pending: Pending,
    /// What the store is to have of it; mostly there is nothing.
    changes: Option<Box<Changes>>,
}

/// The latest messages of a round, as long as all of them have the same one recipient: they are put
/// into its mailbox together, under one lock.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) mailbox: Option<Arc<Mailbox>>,
    pub(super) messages: Vec<Outbound>,
}

/// What goes to the store together.
#[derive(Debug, Default)]
struct Changes {
    batch: Batch,
    /// Messages whose recipients are to be given them once the store has the batch, and not sooner: what
    /// becomes of a message is appended after the message itself.
    puts: Vec<(Arc<Mailbox>, Outbound)>,
    /// Whether the client is to be told nothing before the store has it.
    is_awaited: bool,
    /// From which byte of the output on that holds.
    start: Option<usize>,
    /// What is to be waited for, once it is known: it is all that was changed by then.
    ticket: Option<Ticket>,
}

impl Round {
    fn changes(&mut self) -> &mut Changes {
        self.changes.get_or_insert_default()
    }

    /// Changes of which nobody is told before they are kept.
    pub(super) fn awaited_batch(&mut self) -> &mut Batch {
        self.await_others();
        self.batch()
    }

    /// Changes that nobody waits for.
    pub(super) fn batch(&mut self) -> &mut Batch {
        &mut self.changes().batch
    }

    /// What was changed elsewhere is waited for as well.
    pub(super) fn await_others(&mut self) {
        let changes = self.changes();
        changes.is_awaited = true;
        changes.ticket = None;
    }

    /// Where anything is to be waited for, nothing from the byte `start` of the output on leaves before:
    /// the first call counts.
    pub(super) fn hold_from(&mut self, start: usize) {
        if let Some(changes) = self.changes.as_mut().filter(|it| it.is_awaited) {
            changes.start.get_or_insert(start);
        }
    }

    /// From which byte of the output on to wait for what, once the round is over.
    pub(super) fn take_hold(&mut self) -> Option<(usize, Ticket)> {
        let changes = self.changes.take()?;
        changes.start.zip(changes.ticket)
    }

    /// How many messages wait for [`Broker::commit`].
    pub(super) fn puts(&self) -> usize {
        self.changes.as_ref().map_or(0, |changes| changes.puts.len())
    }

    /// Has the message put into the mailbox once all that is changed by then is appended.
    pub(super) fn put_later(&mut self, mailbox: &Arc<Mailbox>, outbound: Outbound) {
        self.changes().puts.push((Arc::clone(mailbox), outbound));
    }

    /// A message has got on, which the store keeps for `session`.
    pub(super) fn progress(&mut self, session: SessionKey, progress: &Progress) {
        let Progress { kept, stage } = progress;
        match stage {
            Stage::Sent(_) | Stage::Released { .. } => {
                queue_record::put_sent(self.awaited_batch(), session, kept, stage);
            }
            Stage::Done { was_sent } => self.done(session, kept, *was_sent),
        }
    }

    /// The session needs the message no more.
    pub(super) fn done(&mut self, session: SessionKey, kept: &Kept, was_sent: bool) {
        queue_record::delete(self.batch(), session, kept, was_sent);
    }

    /// The session is not sent a message, where the store keeps it.
    pub(super) fn drop_kept(&mut self, session: SessionKey, kept: Option<&Kept>) {
        if let Some(kept) = kept {
            self.done(session, kept, false);
        }
    }

    /// The session has received a message of QoS 2, and does not take it again until it is released.
    pub(super) fn receive(&mut self, session: SessionKey, packet_id: PacketId) {
        queue_record::put_received(self.awaited_batch(), session, packet_id);
    }

    /// The message that the session received has been released.
    pub(super) fn release(&mut self, session: SessionKey, packet_id: PacketId) {
        queue_record::delete_received(self.awaited_batch(), session, packet_id);
    }
}

impl Broker {
    /// Writes down for whom the store keeps what was put off last, all of it one message, behind the
    /// first `earlier` puts.
    pub(super) fn write_down(&self, earlier: usize, round: &mut Round) {
        let (Some(keeper), Some(changes)) = (&self.keeper, &mut round.changes) else { return };
        let Changes { batch, puts, is_awaited, .. } = &mut **changes;
        let puts = puts.get_mut(earlier..).unwrap_or_default();
        let is_kept = |(_, it): &&mut (Arc<Mailbox>, Outbound)| it.qos != QoS::AtMostOnce;
        let mut kept_for = puts.iter_mut().filter(is_kept).collect::<SmallVec<[_; 4]>>();
        let Some((_, first)) = kept_for.first() else { return };
        let number = self.next_number();
        let kept = match u32::try_from(kept_for.len()) {
            Ok(1) => Kept::alone(number),
            recipients => {
                keeper.put_message(batch, number, &first.message);
                Kept::shared(number, recipients.unwrap_or(u32::MAX))
            }
        };
        let kept = Arc::new(kept);
        for (mailbox, outbound) in &mut kept_for {
            outbound.kept = Some(Arc::clone(&kept));
            keeper.put_queued(batch, mailbox.key(), outbound);
        }
        *is_awaited = true;
    }

    /// A message that is about to be sent to a session, and did not wait for it in the store: a retained
    /// one. As long as its client is not done with it, it is kept.
    pub(super) fn kept(
        &self,
        mailbox: &Mailbox,
        mut outbound: Outbound,
        round: &mut Round,
    ) -> Outbound {
        let is_kept = outbound.kept.is_some() || outbound.qos == QoS::AtMostOnce;
        if is_kept || !mailbox.is_durable() {
            return outbound;
        }
        if let Some(keeper) = &self.keeper {
            let number = self.next_number();
            outbound.kept = Some(Arc::new(Kept::alone(number)));
            keeper.put_queued(round.batch(), mailbox.key(), &outbound);
        }
        outbound
    }

    /// Gives the store what the round has changed by now, and then the mailboxes what is kept for them.
    pub(super) fn commit(&self, round: &mut Round) {
        let Some(keeper) = &self.keeper else { return };
        while let Some(changes) = &mut round.changes {
            let batch = std::mem::take(&mut changes.batch);
            let puts = std::mem::take(&mut changes.puts);
            if !batch.is_empty() {
                changes.ticket = Some(keeper.keep(batch));
            }
            if puts.is_empty() {
                break;
            }
            for (mailbox, outbound) in puts {
                self.put(&mailbox, outbound, round);
            }
        }
        match &mut round.changes {
            Some(changes) if changes.start.is_some() => {
                changes.ticket.get_or_insert_with(|| keeper.latest());
            }
            changes => *changes = None,
        }
    }

    fn put(&self, mailbox: &Mailbox, outbound: Outbound, round: &mut Round) {
        let Some(kept) = outbound.kept.clone() else {
            match mailbox.push(outbound, &mut round.wakes) {
                Pushed::Waiting { shed } => self.counts.dropped(DropReason::QueueFull, shed),
                Pushed::Full => self.counts.dropped(DropReason::QueueFull, 1),
                Pushed::Away => self.counts.dropped(DropReason::OfflineQos0, 1),
                Pushed::Closed => {}
            }
            return;
        };
        // The session may have ended meanwhile.
        if let Err(outbound) = mailbox.push_reserved(outbound, &mut round.wakes) {
            if let Some(share) = &outbound.share {
                self.pass_on(share, &outbound.message, round);
            }
            round.done(mailbox.key(), &kept, false);
        }
    }
}
