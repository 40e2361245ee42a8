//! Nobody learns of a decision that a strict audit log has not got on disk.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use super::Client;
use crate::audit::Ticket;

impl Client {
    /// Whether what was decided in this round is on disk by then; nothing, where there is nothing to wait
    /// for. To be asked on the thread that has done the round, before its output leaves.
    pub fn is_written_down(
        &self,
        by: Instant,
    ) -> Option<Pin<Box<dyn Future<Output = bool> + Send>>> {
        if !self.broker.counts.has_strict_audit() {
            return None;
        }
        let (ticket, broker) = (Ticket::take_last_here()?, Arc::clone(&self.broker));
        Some(Box::pin(async move { broker.counts.is_written_by(by, Some(ticket)).await }))
    }
}
