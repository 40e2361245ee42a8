//! Where a connection is reached from outside: woken, ended, or asked to hand over its session.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::bell::Bell;
use super::gate::Who;
use super::mailbox::Mailbox;
use super::parked::Handover;
use super::reports::Question;
use crate::codec::ReasonCode;

/// The seat of one connection. Whoever has something for it leaves that here and wakes it.
#[derive(Debug, Default)]
pub(super) struct Seat {
    bell: Arc<Bell>,
    /// Who has it, once it is known.
    who: OnceLock<Arc<Who>>,
    /// What waits for it, once it has its session.
    mailbox: OnceLock<Arc<Mailbox>>,
    /// Whether what it publishes is diverted.
    is_quarantined: AtomicBool,
    /// Whether there are other limits than it has taken up.
    has_other_limits: AtomicBool,
    command: Mutex<Command>,
}

/// What a connection is told to do. A successor that waits for the session is never forgotten: only
/// one can wait at a seat, since the next one turns to that successor's own.
#[derive(Debug, Default)]
enum Command {
    /// Nothing.
    #[default]
    Stay,
    /// End, and say why.
    End(ReasonCode),
    /// Tell of the session.
    Report(Question),
    /// End, say why, and give the session away: to a newer connection of the same client, mostly.
    HandOver(oneshot::Sender<Handover>, ReasonCode),
    /// The connection is gone: it obeys no more.
    Left,
}

/// A command, for the connection that obeys it.
#[derive(Debug)]
pub(super) enum Order {
    /// To end, and say why.
    End(ReasonCode),
    /// To tell of its session.
    Tell(Question),
}

impl Seat {
    /// What wakes the connection.
    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// It is `who` that has it, and goes on to be: what else is known of it may change.
    pub(super) fn belongs_to(&self, who: &Arc<Who>) {
        self.who.get_or_init(|| Arc::clone(who));
    }

    /// Who has it, once it has been let in or is about to be.
    pub(super) fn who(&self) -> Option<&Arc<Who>> {
        self.who.get()
    }

    /// The connection empties `mailbox` from now on, and is woken for it.
    pub(super) fn serves(&self, mailbox: &Arc<Mailbox>) {
        self.mailbox.get_or_init(|| Arc::clone(mailbox));
        mailbox.connect(Arc::clone(&self.bell));
    }

    /// What waits for it, once it has its session.
    pub(super) fn mailbox(&self) -> Option<&Arc<Mailbox>> {
        self.mailbox.get()
    }

    /// Whether what it publishes is diverted: see [`super::quarantine`].
    pub(super) fn is_quarantined(&self) -> bool {
        self.is_quarantined.load(Ordering::Acquire)
    }

    pub(super) fn set_quarantined(&self, is_quarantined: bool) {
        self.is_quarantined.store(is_quarantined, Ordering::Release);
    }

    /// There are other limits now for who has it.
    pub(super) fn set_other_limits(&self) {
        self.has_other_limits.store(true, Ordering::Release);
    }

    /// Whether there are other limits since the last time that this was asked.
    pub(super) fn takes_other_limits(&self) -> bool {
        self.has_other_limits.load(Ordering::Relaxed)
            && self.has_other_limits.swap(false, Ordering::AcqRel)
    }

    /// Tells the connection to end. A hand-over under way ends it anyway.
    pub(super) fn end(&self, reason: ReasonCode) {
        let mut command = self.command.lock();
        if matches!(*command, Command::Stay | Command::Report(_)) {
            *command = Command::End(reason);
            drop(command);
            self.bell.ring();
        }
    }

    /// Asks the connection about its session. Where it is about to end, the question is dropped.
    pub(super) fn ask(&self, question: Question) {
        let mut command = self.command.lock();
        if matches!(*command, Command::Stay | Command::Report(_)) {
            *command = Command::Report(question);
            drop(command);
            self.bell.ring();
        }
    }

    /// Asks for the session, and says why. If the connection is gone without having released it, the sender is
    /// dropped and the receiver learns that there is nothing to take over.
    pub(super) fn hand_over(&self, to: oneshot::Sender<Handover>, reason: ReasonCode) {
        let mut command = self.command.lock();
        if !matches!(*command, Command::Left) {
            *command = Command::HandOver(to, reason);
            drop(command);
            self.bell.ring();
        }
    }

    /// What the connection is to do. A question is given once; a successor goes on waiting until the
    /// connection has left.
    pub(super) fn order(&self) -> Option<Order> {
        let mut command = self.command.lock();
        match &*command {
            Command::Stay | Command::Left => return None,
            Command::End(reason) | Command::HandOver(_, reason) => {
                return Some(Order::End(*reason));
            }
            Command::Report(_) => {}
        }
        match std::mem::take(&mut *command) {
            Command::Report(question) => Some(Order::Tell(question)),
            _ => None,
        }
    }

    /// Whether the connection is told or asked anything.
    pub(super) fn has_orders(&self) -> bool {
        !matches!(*self.command.lock(), Command::Stay | Command::Left)
    }

    /// The connection leaves; gives the successor that still waits, if there is one.
    pub(super) fn leave(&self) -> Option<oneshot::Sender<Handover>> {
        match std::mem::replace(&mut *self.command.lock(), Command::Left) {
            Command::HandOver(successor, _) => Some(successor),
            _ => None,
        }
    }
}
