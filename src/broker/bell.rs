//! How a connection is woken.

use tokio::sync::Notify;

/// The bell of one connection. A ring that nobody waits for is kept; several are one.
#[derive(Debug, Default)]
pub struct Bell(Notify);

impl Bell {
    /// Makes the connection look at its mailbox and its command.
    pub(super) fn ring(&self) {
        self.0.notify_one();
    }

    /// Returns once the bell has been rung since this last returned.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}
