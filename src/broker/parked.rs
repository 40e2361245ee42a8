//! Sessions between two connections.

use std::num::NonZeroU64;
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
    /// What the will of its connection is kept by, or the one that waits, where one is.
    pub(super) will: Option<NonZeroU64>,
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

/// A will to be published.
#[derive(Debug)]
pub(super) struct LastWill {
    /// Who has left it.
    pub(super) who: Arc<Who>,
    pub(super) will: Box<Will>,
    /// Where it is kept.
    pub(super) kept: Option<KeptWill>,
}

/// Where a will is kept: its session, and its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptWill(pub(super) SessionKey, pub(super) NonZeroU64);

impl Stored {
    /// Where its will is kept; from now on by whoever takes this.
    pub(super) fn take_kept_will(&mut self) -> Option<KeptWill> {
        self.will.take().map(|number| KeptWill(self.key, number))
    }
}

impl Parked {
    /// Takes the will that waits, if `is_meant` says so of when it is due.
    pub(super) fn take_will_if(&mut self, is_meant: impl Fn(Instant) -> bool) -> Option<LastWill> {
        let Self { who, session, will, .. } = self;
        let (_, will) = will.take_if(|(due, _)| is_meant(*due))?;
        Some(LastWill { who: Arc::clone(who), will, kept: session.take_kept_will() })
    }
}

/// What one connection gives to the next of the same client; nothing where the session ended with
/// it.
pub(super) type Handover = Option<Box<Parked>>;
