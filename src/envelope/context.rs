//! What binds an envelope to its topic: it is authenticated with the envelope, and not sent.

use crate::topic::TopicNameRef;

/// `"BMQ1" | length(topic)(2) | topic`.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    head: [u8; 6],
    topic: &'a str,
}

impl<'a> Context<'a> {
    pub(super) fn of(topic: TopicNameRef<'a>) -> Self {
        let topic = topic.as_str();
        // A topic has at most 65,535 bytes.
        let [high, low] = u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes();
        Self { head: [b'B', b'M', b'Q', b'1', high, low], topic }
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn topic(&self) -> &'a [u8] {
        self.topic.as_bytes()
    }

    /// Replaces what is in `into` by the context and `bytes`.
    pub(super) fn join(&self, bytes: &[u8], into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.head);
        into.extend_from_slice(self.topic());
        into.extend_from_slice(bytes);
    }
}
