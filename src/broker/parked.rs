//! Sessions between two connections.

use std::sync::Arc;
use std::time::Instant;

use super::gate::Who;
use super::mailbox::Mailbox;
use super::retained_backlog::RetainedBacklog;
use crate::message::SessionKey;
use crate::session::{Image, Will};

/// What the broker keeps of a session, whether it has a connection or not.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) key: SessionKey,
    pub(super) mailbox: Arc<Mailbox>,
    /// Retained messages that were still to be sent.
    pub(super) retained: RetainedBacklog,
}

/// A session without a connection.
#[derive(Debug)]
pub(super) struct Parked {
    /// Who its last connection belonged to.
    pub(super) who: Arc<Who>,
    pub(super) session: Stored,
    /// The protocol's part of it.
    pub(super) image: Image,
    /// When it ends; never without one.
    pub(super) expires: Option<Instant>,
    /// What is still to be published, and when.
    pub(super) will: Option<(Instant, Box<Will>)>,
}

/// What one connection gives to the next of the same client; nothing where the session ended with
/// it.
pub(super) type Handover = Option<Box<Parked>>;
