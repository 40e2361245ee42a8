//! What a connection remembers of the topics that it publishes to: decisions and recipients.

use std::sync::Arc;
use std::time::Instant;

use super::mailbox::Mailbox;
use super::routes::Routes;
use super::sentinel::{Class, Conduct};
use super::topic_memo::{Recalled, TopicMemo};
use crate::acl::EnvelopeTerms;
use crate::message::Message;
use crate::router::Matches;
use crate::topic::TopicName;

/// How many topics one publisher's decisions and recipients are remembered for.
const REMEMBERED: usize = 256;

/// How many recipients one publisher remembers, over all topics: with many subscribers of many
/// topics, each publisher would otherwise hold a copy of the routing table.
const REMEMBERED_RECIPIENTS: usize = 2_048;

/// What a connection remembers of the topics that it publishes to.
#[derive(Debug, Default)]
pub(super) struct PublishMemo {
    topics: TopicMemo<Box<Known>, REMEMBERED>,
    /// Over all topics.
    recipients: usize,
    /// There is none where nobody looks at it.
    conduct: Option<Conduct>,
}

/// What is known of one topic, and under which policy and routing table it was true.
#[derive(Debug, Default)]
pub(super) struct Known {
    policy_generation: Option<u64>,
    /// By QoS and retain flag; empty where it has not been asked.
    answers: [Option<Answer>; 6],
    /// What holds for its payloads.
    terms: Option<Arc<EnvelopeTerms>>,
    routes_generation: Option<u64>,
    matches: Matches<Arc<Mailbox>>,
    /// Of its topic, once something was published there.
    class: Option<Class>,
}

/// What a client may publish.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// Bytes of payload; none where it may publish nothing.
    largest: Option<u32>,
    /// Whether the log knows that something was denied: once is enough.
    is_reported: bool,
}

impl Answer {
    pub(super) fn of(largest: Option<u32>) -> Self {
        Self { largest, is_reported: false }
    }

    pub(super) fn allows(&self, message: &Message) -> bool {
        self.largest.is_some_and(|largest| message.payload.len() <= largest as usize)
    }

    /// Whether the log is still to be told that something was denied.
    pub(super) fn report(&mut self) -> bool {
        !std::mem::replace(&mut self.is_reported, true)
    }
}

impl PublishMemo {
    /// What is known of `topic`, and the number of all remembered recipients.
    pub(super) fn known(&mut self, topic: &TopicName) -> (&mut Known, &mut usize) {
        // One topic alone may have more.
        if self.recipients > REMEMBERED_RECIPIENTS && !self.topics.is_last(topic) {
            *self = Self { conduct: self.conduct.take(), ..Self::default() };
        }
        let known = match self.topics.recall(topic) {
            Recalled::Known(known) => known,
            Recalled::Displaced(known) => {
                known.policy_generation = None;
                known.routes_generation = None;
                known.class = None;
                known
            }
        };
        (known, &mut self.recipients)
    }

    /// The client may publish `message`, and does: that counts for what the sentinel is told from time to
    /// time, if `is_watched`.
    pub(super) fn note(&mut self, message: &Message, is_watched: bool, now: Instant) {
        if !is_watched && self.conduct.is_none() {
            return;
        }
        let conduct = self.conduct.get_or_insert_with(|| Conduct::since(now));
        let (Recalled::Known(known) | Recalled::Displaced(known)) =
            self.topics.recall(&message.topic);
        conduct.note(&mut known.class, message);
    }

    /// What was published, where somebody looks at it.
    pub(super) fn conduct(&mut self) -> Option<&mut Conduct> {
        self.conduct.as_mut()
    }

    /// Every topic that something is remembered of.
    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.topics()
    }

    /// Counted anew, and compared with the count that is kept.
    #[cfg(test)]
    pub(super) fn recipients(&self) -> usize {
        let count = self.topics.values().map(|known| known.matches.routes.len()).sum();
        assert_eq!(self.recipients, count);
        count
    }
}

impl Known {
    /// Forgets what was found out under another policy than `policy`; the terms of payloads are then what
    /// `terms` says.
    pub(super) fn refresh(
        &mut self,
        policy: u64,
        terms: impl FnOnce() -> Option<Arc<EnvelopeTerms>>,
    ) {
        if self.policy_generation != Some(policy) {
            self.policy_generation = Some(policy);
            self.answers = [None; 6];
            self.terms = terms();
        }
    }

    /// What holds for its payloads, where they are not just what they are.
    pub(super) fn terms(&self) -> Option<&Arc<EnvelopeTerms>> {
        self.terms.as_ref()
    }

    /// How many recipients it had when it was last routed.
    pub(super) fn remembered_recipients(&self) -> usize {
        self.matches.routes.len()
    }

    /// What was answered about such a message, to be filled in where it is empty.
    pub(super) fn answer(&mut self, message: &Message) -> &mut Option<Answer> {
        let question = message.qos as usize * 2 + usize::from(message.retain);
        &mut self.answers[question]
    }

    /// Who receives `message` now; `remembered` follows their number.
    pub(super) fn recipients(
        &mut self,
        message: &Message,
        routes: &Routes,
        remembered: &mut usize,
    ) -> &Matches<Arc<Mailbox>> {
        if self.routes_generation != Some(routes.generation()) {
            *remembered -= self.matches.routes.len();
            let generation =
                routes.matches(message.topic.borrowed(), message.publisher, &mut self.matches);
            *remembered += self.matches.routes.len();
            self.routes_generation = Some(generation);
        }
        &self.matches
    }
}
