//! `[[envelope]]`: on which topics payloads are sealed, and what is asked of those that are.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::topic::{self, TopicFilter, TopicNameRef};

/// Of all tables of a policy: a publish to a topic that is not remembered asks one by one.
pub(super) const MAX_FILTERS: usize = 1_024;
/// How old an envelope may be, unless a table says otherwise.
pub(super) const MAX_AGE: Duration = Duration::from_secs(300);
/// How far ahead the clock of a device may be, unless a table says otherwise.
pub(super) const MAX_SKEW: Duration = Duration::from_secs(60);

/// What the broker does with the payloads of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeMode {
    /// Nothing: they are what they are.
    Plain,
    /// They are envelopes, and are refused unless they hold.
    Verify,
    /// They come as they are, and are sealed before anything else is done with them.
    Seal,
}

/// What holds for the payloads of some topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeTerms {
    /// What is done with them.
    pub mode: EnvelopeMode,
    /// How old an envelope may be.
    pub max_age: Duration,
    /// How far its time may be ahead.
    pub max_skew: Duration,
    /// Whether only those that are encrypted (suite 1) are taken.
    pub encrypted_only: bool,
    /// Whether each has to be signed by its sender.
    pub require_signature: bool,
    /// The line of the file that says so, from 1.
    pub line: u32,
}

/// The tables of a policy: the first one that names a topic holds for it.
#[derive(Debug, Default)]
pub(super) struct Envelopes(pub(super) Vec<Table>);

/// One `[[envelope]]`.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) topics: Box<[TopicFilter]>,
    pub(super) terms: Arc<EnvelopeTerms>,
}

impl EnvelopeMode {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Verify, Self::Seal];

    /// As policies write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Verify => "verify",
            Self::Seal => "seal",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for EnvelopeTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mode {:?}", self.mode.name())?;
        if self.mode != EnvelopeMode::Verify {
            return Ok(());
        }
        let encrypted = if self.encrypted_only { ", encrypted" } else { "" };
        let signed = if self.require_signature { ", signed" } else { "" };
        let (age, skew) = (self.max_age.as_secs(), self.max_skew.as_secs());
        write!(f, "{encrypted}{signed}, {age} s old at most and {skew} s ahead")
    }
}

impl Envelopes {
    /// What holds for `topic`; nothing where payloads are what they are. Topics of the broker's own
    /// never have anything that holds for them.
    pub(super) fn terms(&self, topic: TopicNameRef<'_>) -> Option<&Arc<EnvelopeTerms>> {
        let names = |table: &&Table| {
            table.topics.iter().any(|filter| topic::matches(filter.borrowed(), topic))
        };
        let terms = &self.0.iter().find(names)?.terms;
        (terms.mode != EnvelopeMode::Plain).then_some(terms)
    }

    /// Whether anything is verified or sealed at all.
    pub(super) fn need_keys(&self) -> bool {
        self.0.iter().any(|table| table.terms.mode != EnvelopeMode::Plain)
    }

    /// How far ahead the time of an envelope may be on any topic; as usual where none has any.
    pub(super) fn longest_skew(&self) -> Duration {
        let verified = self.0.iter().filter(|table| table.terms.mode == EnvelopeMode::Verify);
        verified.map(|table| table.terms.max_skew).max().unwrap_or(MAX_SKEW)
    }

    /// Whether `mode` holds for some topic of `filter`, as far as single tables tell.
    pub(super) fn has(&self, mode: EnvelopeMode, filter: &TopicFilter) -> bool {
        let of_mode = self.0.iter().filter(|table| table.terms.mode == mode);
        of_mode
            .flat_map(|table| &table.topics)
            .any(|topics| topic::overlaps(topics.borrowed(), filter.borrowed()))
    }
}
