//! Who is in quarantine: it stays connected, and what it publishes goes where only those see it who may.

use std::sync::Arc;

use super::Broker;
use super::gate::{Gate, Who};
use super::register::{Kept, SanctionOrder, Sanctioned};
use super::round::Round;
use super::seat::Seat;
use crate::audit::Event;
use crate::codec::{Property, ReasonCode};
use crate::identity::ClientId;
use crate::message::Message;
use crate::sanctions::{Author, Kind, PutError, Standing, Subject};
use crate::topic::TopicName;

/// What a message is published to in place of its topic, and the client identifier behind it.
const TOPIC: &str = "$bastion/quarantine/";
/// The user property that has the topic of the message.
const ORIGINAL_TOPIC: &str = "original-topic";

impl Broker {
    /// Puts somebody in quarantine from now on: those who are connected, and those who come. Does not wait
    /// for the disk: see [`Self::until_kept`].
    ///
    /// # Errors
    /// When the allow-list has its subject, or there are too many.
    pub fn quarantine(&self, order: SanctionOrder) -> Result<Sanctioned, PutError> {
        let lasts = order.lasts;
        let asked_for = order.begin();
        let (sanction, kept) = self.quarantines.put(asked_for.clone())?;
        if sanction == asked_for {
            let (subject, by, why) = (&sanction.subject, &sanction.by, &*sanction.why);
            let seconds = lasts.map(|lasts| lasts.as_secs());
            tracing::warn!(%subject, %by, why, seconds, "in quarantine");
            self.counts.audit(|| Event::Quarantined {
                kind: subject.kind().name(),
                subject: subject.to_string(),
                by: by.to_string(),
                why: why.to_owned(),
                seconds,
            });
        }
        let seats = self.seats_of(&sanction.subject);
        seats.iter().for_each(|seat| self.look_whether_quarantined(seat));
        let connections = seats.iter().filter(|seat| seat.is_quarantined()).count();
        Ok(Sanctioned { sanction, connections, kept })
    }

    /// Who is in quarantine now, in no order.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Standing> {
        self.quarantines.standings()
    }

    /// Lets a subject out of quarantine, or all where there is none. Gives how many that were, and where it
    /// is kept that they are out.
    pub fn lift_quarantine(&self, subject: Option<&Subject>, by: &Author) -> (usize, Kept) {
        let (lifted, kept) = self.quarantines.lift(subject);
        for sanction in &lifted {
            let subject = &sanction.subject;
            tracing::info!(%subject, %by, "out of quarantine");
            self.let_out(subject, by.to_string());
        }
        (lifted.len(), kept)
    }

    /// Lets those out whose time is over.
    pub(super) fn expire_quarantines(&self) {
        for sanction in self.quarantines.expire() {
            let subject = &sanction.subject;
            tracing::info!(%subject, "quarantine has ended");
            self.let_out(subject, "time".to_owned());
        }
    }

    fn let_out(&self, subject: &Subject, by: String) {
        self.seats_of(subject).iter().for_each(|seat| self.look_whether_quarantined(seat));
        self.counts.audit(|| Event::QuarantineEnded {
            kind: subject.kind().name(),
            subject: subject.to_string(),
            by,
        });
    }

    /// Has the connection at `seat` know whether it is in quarantine now.
    pub(super) fn look_whether_quarantined(&self, seat: &Seat) {
        let Some(who) = seat.who() else { return };
        // One after the other: what is found last is what is noted last.
        self.quarantines.tell(who, |is_meant| seat.set_quarantined(is_meant));
    }

    /// Publishes a message where those see it who may look at what comes from clients in quarantine, if the
    /// client may publish it at all. It is not retained, and nobody verifies or opens it.
    pub(super) fn publish_in_quarantine(
        &self,
        gate: &mut Gate,
        message: &Message,
        round: &mut Round,
    ) -> ReasonCode {
        gate.refresh(&self.authority);
        if !gate.may_publish(message, &self.counts) {
            return ReasonCode::NotAuthorized;
        }
        if let Some(message) = diverted(message, gate.who()) {
            self.counts.metrics.quarantined_messages.increment(1);
            self.publish_in(&Arc::new(message), round);
        }
        ReasonCode::Success
    }

    /// Whether what `who` publishes is diverted.
    pub(super) fn is_quarantined(&self, who: &Who) -> bool {
        self.quarantines.means(who)
    }

    /// As [`Self::publish_in_quarantine`], of a will that the client may leave.
    pub(super) fn divert_will(&self, message: &Message, who: &Who, round: &mut Round) {
        if let Some(message) = diverted(message, who) {
            self.counts.metrics.quarantined_messages.increment(1);
            self.publish_in(&Arc::new(message), round);
        }
    }

    pub(super) fn update_gauges_of_quarantines(&self) {
        let table = self.quarantines.table();
        for kind in Kind::ALL {
            self.counts.metrics.quarantines.set(kind.into(), table.count(kind) as f64);
        }
    }
}

/// The message as it is published in place of `message`.
fn diverted(message: &Message, who: &Who) -> Option<Message> {
    let original = Property::User(ORIGINAL_TOPIC, message.topic.as_str());
    let properties = [&message.properties[..], &Property::encode_all([original])].concat();
    Some(Message {
        topic: TopicName::parse(&topic_of(&who.client_id)).ok()?,
        properties: properties.into(),
        retain: false,
        ..message.clone()
    })
}

/// One level for each client: what would end it, or be a wildcard, is written as in URLs.
fn topic_of(client_id: &ClientId) -> String {
    let mut topic = TOPIC.to_owned();
    for character in client_id.as_str().chars() {
        match character {
            '%' => topic.push_str("%25"),
            '/' => topic.push_str("%2F"),
            '+' => topic.push_str("%2B"),
            '#' => topic.push_str("%23"),
            other => topic.push(other),
        }
    }
    topic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_level_whatever_it_is_called() {
        let topic = topic_of(&ClientId::new("a/b+#%é"));
        assert_eq!(topic, "$bastion/quarantine/a%2Fb%2B%23%25é");
        assert!(TopicName::parse(&topic).is_ok());
    }
}
