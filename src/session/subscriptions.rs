//! What a session is subscribed to.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use super::{Action, Output, Settings, SubscribeRequest, offer};
use crate::codec::{
    Packet, PacketId, ReasonCode, SubAck, Subscribe, SubscriptionOptions, Unsubscribe,
    UserProperties, Version,
};
use crate::message::QoS;
use crate::topic::{TopicFilter, TopicFilterRef};

/// The subscriptions of one session, by topic filter.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    granted: HashMap<TopicFilter, Granted, foldhash::fast::RandomState>,
}

/// What one subscription was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// With the granted QoS.
    pub options: SubscriptionOptions,
    /// The subscription identifier.
    pub id: Option<NonZeroU32>,
}

/// Filters of one packet that the session is not subscribed to yet.
type NewFilters<'a> = HashSet<&'a str, foldhash::fast::RandomState>;

impl Subscriptions {
    /// Every filter and what it was granted.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicFilter, Granted)> {
        self.granted.iter().map(|(filter, granted)| (filter, *granted))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.granted.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty()
    }

    /// What `filter` was granted, if it was.
    #[must_use]
    pub fn get(&self, filter: &TopicFilter) -> Option<Granted> {
        self.granted.get(filter).copied()
    }

    /// Lowers the QoS of a subscription to what policy still allows, and says what it has now.
    pub fn lower(&mut self, filter: &TopicFilter, maximum_qos: QoS) -> Option<Granted> {
        let granted = self.granted.get_mut(filter)?;
        granted.options.maximum_qos = granted.options.maximum_qos.min(maximum_qos);
        Some(*granted)
    }

    /// Forgets a subscription that policy no longer allows.
    pub fn remove(&mut self, filter: &TopicFilter) {
        self.granted.remove(filter);
    }

    pub(super) fn on_subscribe(
        &self,
        packet: &Subscribe<'_>,
        settings: &Settings,
        output: &mut Output,
    ) {
        let mut new = NewFilters::default();
        let requests = packet
            .filters
            .iter()
            .map(|(filter, mut options)| {
                self.admit(filter, settings, &mut new)?;
                // A server that does not go as far grants what it can [MQTT-3.2.2-10].
                options.maximum_qos = options.maximum_qos.min(settings.maximum_qos);
                let id = packet.subscription_id;
                Ok(SubscribeRequest { filter: filter.to_owned(), options, id })
            })
            .collect();
        output.actions.push(Action::Subscribe { packet_id: packet.packet_id, requests });
    }

    fn admit<'a>(
        &self,
        filter: TopicFilterRef<'a>,
        settings: &Settings,
        new: &mut NewFilters<'a>,
    ) -> Result<(), ReasonCode> {
        // A 5.0 client does not come as far. A 3.x client could not know (3.1.1 [MQTT-3.8.3-2]).
        if let Some((reason, _)) = offer::lacking(settings, filter) {
            return Err(reason);
        }
        let levels = usize::from(settings.max_topic_levels.get());
        if filter.unshared().levels().take(levels + 1).count() > levels {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        let filter = filter.as_str();
        if self.granted.contains_key(filter) || new.contains(filter) {
            return Ok(());
        }
        let most = usize::try_from(settings.max_subscriptions.get()).unwrap_or(usize::MAX);
        if self.granted.len() + new.len() >= most {
            return Err(ReasonCode::QuotaExceeded);
        }
        new.insert(filter);
        Ok(())
    }

    pub(super) fn on_subscribed(
        &mut self,
        packet_id: PacketId,
        outcomes: Vec<Result<SubscribeRequest, ReasonCode>>,
        version: Version,
        output: &mut Output,
    ) {
        let reasons = outcomes
            .into_iter()
            .map(|outcome| outcome.map_or_else(|reason| reason, |request| self.grant(request)))
            .collect::<Vec<_>>();
        output.send(&Packet::SubAck(acknowledgement(packet_id, reasons)), version);
    }

    fn grant(&mut self, request: SubscribeRequest) -> ReasonCode {
        let SubscribeRequest { filter, options, id } = request;
        self.granted.insert(filter, Granted { options, id });
        match options.maximum_qos {
            QoS::AtMostOnce => ReasonCode::Success,
            QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
            QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
        }
    }

    pub(super) fn on_unsubscribe(
        &mut self,
        packet: &Unsubscribe<'_>,
        version: Version,
        output: &mut Output,
    ) {
        let mut ended = Vec::new();
        let reasons = packet
            .filters
            .iter()
            .map(|filter| match self.granted.remove_entry(filter.as_str()) {
                Some((filter, _)) => {
                    ended.push(filter);
                    ReasonCode::Success
                }
                None => ReasonCode::NoSubscriptionExisted,
            })
            .collect::<Vec<_>>();
        if !ended.is_empty() {
            output.actions.push(Action::Unsubscribe(ended));
        }
        output.send(&Packet::UnsubAck(acknowledgement(packet.packet_id, reasons)), version);
    }
}

impl FromIterator<(TopicFilter, Granted)> for Subscriptions {
    fn from_iter<T: IntoIterator<Item = (TopicFilter, Granted)>>(granted: T) -> Self {
        Self { granted: granted.into_iter().collect() }
    }
}

fn acknowledgement(packet_id: PacketId, reasons: Vec<ReasonCode>) -> SubAck<'static> {
    SubAck {
        packet_id,
        reasons: reasons.into(),
        reason_string: None,
        user_properties: UserProperties::default(),
    }
}
