//! Where a connection is reached from outside: woken, ended, or asked to hand over its session.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::bell::Bell;
use super::parked::Handover;
use crate::codec::ReasonCode;

/// The seat of one connection. Whoever has something for it leaves that here and wakes it.
#[derive(Debug, Default)]
pub(super) struct Seat {
    bell: Arc<Bell>,
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
    /// End, and give the session to a newer connection of the same client.
    HandOver(oneshot::Sender<Handover>),
    /// The connection is gone: it obeys no more.
    Left,
}

impl Seat {
    /// What wakes the connection.
    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Tells the connection to end. A hand-over under way ends it anyway.
    pub(super) fn end(&self, reason: ReasonCode) {
        let mut command = self.command.lock();
        if matches!(*command, Command::Stay) {
            *command = Command::End(reason);
            drop(command);
            self.bell.ring();
        }
    }

    /// Asks for the session. If the connection is gone without having released it, the sender is
    /// dropped and the receiver learns that there is nothing to take over.
    pub(super) fn hand_over(&self, to: oneshot::Sender<Handover>) {
        let mut command = self.command.lock();
        if !matches!(*command, Command::Left) {
            *command = Command::HandOver(to);
            drop(command);
            self.bell.ring();
        }
    }

    /// Why the connection must end, if it must. A successor goes on waiting until it has left.
    pub(super) fn must_end(&self) -> Option<ReasonCode> {
        match &*self.command.lock() {
            Command::Stay | Command::Left => None,
            Command::End(reason) => Some(*reason),
            Command::HandOver(_) => Some(ReasonCode::SessionTakenOver),
        }
    }

    /// The connection leaves; gives the successor that still waits, if there is one.
    pub(super) fn leave(&self) -> Option<oneshot::Sender<Handover>> {
        match std::mem::replace(&mut *self.command.lock(), Command::Left) {
            Command::HandOver(successor) => Some(successor),
            _ => None,
        }
    }
}
