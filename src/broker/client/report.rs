//! A connection tells an operator of its session.

use super::{Client, Inside, Stage};
use crate::broker::reports::{Question, SessionReport, TopicsInUse};

impl Client {
    /// Answers the operator who has asked.
    pub(super) fn tell(&self, Question { with_topics, answer }: Question) {
        let Stage::Inside(inside) = &self.stage else { return };
        let Some(subscriptions) = self.session.subscriptions() else { return };
        let Inside { gate, memo, stored, .. } = &**inside;
        let report = SessionReport::of(gate.who(), &stored.mailbox, subscriptions.len());
        let topics = with_topics.then(|| {
            let published = memo.iter().flat_map(|memo| memo.topics());
            TopicsInUse::of(subscriptions, published.map(|topic| topic.as_str()))
        });
        // Who has asked may have gone.
        let _ = answer.send(Box::new(SessionReport { is_connected: true, topics, ..report }));
    }
}
