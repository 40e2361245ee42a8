//! The one choke point: everything that enters or leaves a client is decided here, on the concrete
//! topic, under the policy of now.

use std::sync::Arc;
use std::time::Instant;

use super::authority::{Authority, Revoked, Standing};
use super::counts::Counts;
use super::envelopes::EnvelopeMemo;
use super::sentinel::Pace;
use super::topic_memo::{Recalled, TopicMemo};
use super::wrapped_keys::ANSWERED_ON;
use crate::acl::{
    ClientRules, Decision, EnvelopeMode, EnvelopeTerms, Limits, Permit, SubscribeDecision,
};
use crate::audit::{Event, Subject};
use crate::identity::{Attributes, ClientId, PeerAddress, Principal, TransportSecurity};
use crate::message::{Message, QoS};
use crate::sentinel::{self, Kind};
use crate::telemetry::DeniedAction;
use crate::telemetry::logging::excerpt;
use crate::topic::{TopicFilterRef, TopicName};
use crate::tracer::Identifiers;

/// Of a client that is nobody any more.
const NOTHING: Decision = Decision { allowed: false, rule: None };

/// How many answers about deliveries one connection remembers.
const REMEMBERED: usize = 1_024;

/// What one client may do. Asked by its connection, and for its will when it has none.
#[derive(Debug)]
pub(super) struct Gate {
    who: Arc<Who>,
    /// Nothing any more, where its identity was taken back.
    permit: Result<Permit, Revoked>,
    generation: u64,
    /// Answers to [`Gate::may_receive`] under this generation; there is none before the first.
    deliveries: Option<Box<TopicMemo<Delivery, REMEMBERED>>>,
    /// There is none before the first envelope.
    pub(super) envelopes: Option<Box<EnvelopeMemo>>,
    /// When the client has last asked for its keys.
    pub(super) keys_asked: Option<Instant>,
    /// Of what the sentinel is told.
    pace: Pace,
}

/// How a message on some topic is delivered to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Not at all.
    #[default]
    Denied,
    /// With the payload that it has.
    AsItIs,
    /// With the payload that it has, if the broker has sealed that.
    Sealed,
    /// With the payload that the broker has sealed, opened.
    Opened,
}

/// Whom the gate keeps, for the permit and for the log. A session without a connection keeps who its
/// last one was, since a will may be left to publish.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) principal: Principal,
    pub(super) client_id: ClientId,
    /// What the proof of the principal says beyond its name.
    pub(super) attributes: Attributes,
    pub(super) address: PeerAddress,
    /// The URL of the listener.
    pub(super) listener: Arc<str>,
    pub(super) security: TransportSecurity,
    /// What its identity rests on.
    pub(super) standing: Standing,
    /// In seconds since the Unix epoch.
    pub(super) connected_at: u64,
    /// Rules that it has to itself.
    pub(super) rules: Option<ClientRules>,
}

impl Who {
    /// As the audit log names it.
    pub(super) fn as_subject(&self) -> Subject {
        Subject {
            principal: self.principal.to_string(),
            client_id: self.client_id.as_str().to_owned(),
            address: self.address.to_string(),
            listener: self.listener.to_string(),
            since: self.connected_at,
        }
    }

    /// As traces name it, where they do.
    pub(super) fn identifiers(&self) -> Identifiers<'_> {
        let (client_id, user) = (self.client_id.as_str(), self.principal.name());
        Identifiers { client_id, user, address: &self.address }
    }

    /// Something that it does, as the sentinel sees it.
    pub(super) fn as_event(&self, kind: Kind, reason: &'static str) -> sentinel::Event {
        sentinel::Event {
            principal: Some(self.principal.clone()),
            client: Some(self.client_id.clone()),
            certificate: self.standing.certificate.clone(),
            address: self.address.ip(),
            listener: Some(Arc::clone(&self.listener)),
            ..sentinel::Event::new(kind, reason)
        }
    }
}

impl Gate {
    pub(super) fn new(authority: &Authority, who: Arc<Who>) -> Self {
        // The generation is read first: a change that comes in between is then noticed.
        let generation = authority.generation();
        let permit = authority.permit(&who);
        let (deliveries, envelopes, keys_asked) = (None, None, None);
        Self { who, permit, generation, deliveries, envelopes, keys_asked, pace: Pace::default() }
    }

    pub(super) fn who(&self) -> &Arc<Who> {
        &self.who
    }

    /// Takes up what decides now, and says its generation. What was decided under another one is no
    /// longer true.
    pub(super) fn refresh(&mut self, authority: &Authority) -> u64 {
        let generation = authority.generation();
        if generation != self.generation {
            self.generation = generation;
            self.permit = authority.permit(&self.who);
            self.deliveries = None;
        }
        generation
    }

    /// Why the client is not any more who it has proven to be, where that is so. Nothing is allowed
    /// then.
    pub(super) fn revoked(&self) -> Option<Revoked> {
        self.permit.as_ref().err().copied()
    }

    /// The generation of what decides now.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The bytes of the largest payload that the client may publish in a message like this one; none
    /// where it may publish none. Holds for this generation.
    pub(super) fn largest_payload(&self, message: &Message) -> Option<u32> {
        let permit = self.permit.as_ref().ok()?;
        permit.largest_payload(message.topic.borrowed(), message.qos, message.retain)
    }

    /// Reports that a PUBLISH packet was denied.
    pub(super) fn report_denied(&mut self, message: &Message, counts: &Counts) {
        self.publish(message, DeniedAction::Publish, counts);
    }

    /// A PUBLISH packet was denied as one that the log knows of.
    pub(super) fn denied_again(&mut self, message: &Message, counts: &Counts) {
        counts.denied(DeniedAction::Publish);
        let topic = message.topic.as_str();
        self.watch(counts, Kind::Denied, DeniedAction::Publish.name(), topic);
    }

    /// Whether the client may publish `message`.
    pub(super) fn may_publish(&mut self, message: &Message, counts: &Counts) -> bool {
        self.publish(message, DeniedAction::Publish, counts)
    }

    /// Whether the client may publish `message` by its will.
    pub(super) fn may_leave_will(&mut self, message: &Message, counts: &Counts) -> bool {
        let is_allowed = self.publish(message, DeniedAction::Will, counts);
        counts.allowed(DeniedAction::Will, &mut u32::from(is_allowed));
        is_allowed
    }

    fn publish(&mut self, message: &Message, what: DeniedAction, counts: &Counts) -> bool {
        let topic = message.topic.borrowed();
        let bytes = message.payload.len();
        let decision = match &self.permit {
            Ok(permit) => permit.publish(topic, message.qos, message.retain, bytes),
            Err(_) => NOTHING,
        };
        let is_allowed = self.report(decision, what, topic.as_str(), counts);
        if !is_allowed {
            self.watch(counts, Kind::Denied, what.name(), topic.as_str());
        }
        is_allowed
    }

    /// Whether the client holds the role of this name.
    pub(super) fn has_role(&self, name: &str) -> bool {
        self.permit.as_ref().is_ok_and(|permit| permit.has_role(name))
    }

    /// The limits of the client's roles.
    pub(super) fn limits(&self) -> Limits {
        self.permit.as_ref().map(|permit| *permit.limits()).unwrap_or_default()
    }

    /// The highest QoS at which the client may subscribe, if it may at all.
    pub(super) fn may_subscribe(
        &mut self,
        filter: TopicFilterRef<'_>,
        counts: &Counts,
    ) -> Option<QoS> {
        let granted = self.may_keep(filter, counts);
        if granted.is_none() {
            self.watch(counts, Kind::Denied, DeniedAction::Subscribe.name(), filter.as_str());
        }
        granted
    }

    /// As [`Self::may_subscribe`], for a subscription that was granted before: who asks is the broker.
    pub(super) fn may_keep(&self, filter: TopicFilterRef<'_>, counts: &Counts) -> Option<QoS> {
        let decision = match &self.permit {
            Ok(permit) => permit.subscribe(filter),
            Err(_) => SubscribeDecision::Refused { rule: None },
        };
        match decision {
            SubscribeDecision::Granted { max_qos, .. } => {
                counts.allowed(DeniedAction::Subscribe, &mut 1);
                Some(max_qos)
            }
            SubscribeDecision::Refused { rule } => {
                let decision = Decision { allowed: false, rule };
                self.report(decision, DeniedAction::Subscribe, filter.as_str(), counts);
                None
            }
        }
    }

    /// What holds for the payloads of `topic`, where they are not just what they are.
    pub(super) fn terms(&self, topic: &TopicName) -> Option<Arc<EnvelopeTerms>> {
        self.permit.as_ref().ok()?.envelope(topic.borrowed()).cloned()
    }

    /// Whether, and how, a message on `topic` may be delivered to the client.
    pub(super) fn may_receive(&mut self, topic: &TopicName, counts: &Counts) -> Delivery {
        let mut deliveries = self.deliveries.take().unwrap_or_default();
        let delivery = match deliveries.recall(topic) {
            Recalled::Known(delivery) => {
                if *delivery == Delivery::Denied {
                    counts.denied(DeniedAction::Receive);
                }
                *delivery
            }
            Recalled::Displaced(delivery) => {
                let decision = self.receive(topic);
                let is_allowed =
                    self.report(decision, DeniedAction::Receive, topic.as_str(), counts);
                *delivery = if is_allowed { self.delivery(topic) } else { Delivery::Denied };
                *delivery
            }
        };
        self.deliveries = Some(deliveries);
        delivery
    }

    /// How what may be delivered is.
    fn delivery(&self, topic: &TopicName) -> Delivery {
        let Ok(permit) = &self.permit else { return Delivery::Denied };
        let terms = permit.envelope(topic.borrowed());
        if terms.is_none_or(|terms| terms.mode != EnvelopeMode::Seal) {
            return Delivery::AsItIs;
        }
        match permit.open(topic.borrowed()).allowed {
            true => Delivery::Opened,
            false => Delivery::Sealed,
        }
    }

    /// As [`Self::may_receive`], for many topics of a session at once: nothing is remembered.
    pub(super) fn could_receive(&self, topic: &TopicName) -> bool {
        self.receive(topic).allowed
    }

    fn receive(&self, topic: &TopicName) -> Decision {
        // Nobody can publish there, and the broker answers nobody but who has asked.
        if topic.as_str() == ANSWERED_ON && self.permit.is_ok() {
            return Decision { allowed: true, rule: None };
        }
        self.permit.as_ref().map_or(NOTHING, |permit| permit.receive(topic.borrowed()))
    }

    fn report(&self, decision: Decision, what: DeniedAction, topic: &str, counts: &Counts) -> bool {
        if !decision.allowed {
            counts.denied(what);
        }
        // A subscription may be wider than its client's topics: what it then does not get is no news.
        let is_news = what != DeniedAction::Receive || tracing::enabled!(tracing::Level::DEBUG);
        if !decision.allowed && is_news {
            tracing::info!(
                principal = %self.who.principal,
                client_id = self.who.client_id.as_str(),
                address = %self.who.address,
                action = what.name(),
                topic = excerpt(topic),
                rule = %self.reason(decision),
                "denied"
            );
            counts.audit(|| Event::Denied {
                who: self.who.as_subject(),
                action: what.name(),
                topic: topic.to_owned(),
                rule: self.reason(decision),
            });
        }
        decision.allowed
    }

    /// Has the sentinel look at what the client does with a topic or a filter.
    pub(super) fn watch(&mut self, counts: &Counts, kind: Kind, reason: &'static str, topic: &str) {
        self.watch_measured(counts, kind, (reason, 1.0), topic);
    }

    /// As [`Self::watch`], where something was measured.
    pub(super) fn watch_measured(
        &mut self,
        counts: &Counts,
        kind: Kind,
        (reason, number): (&'static str, f64),
        topic: &str,
    ) {
        if !counts.watch.is_on() {
            return;
        }
        let Some(times) = self.pace.admit(kind, reason, topic, Instant::now()) else { return };
        counts.observe(|| sentinel::Event {
            topic: (!topic.is_empty()).then(|| excerpt(topic).into()),
            times,
            number,
            ..self.who.as_event(kind, reason)
        });
    }

    /// What decided, for the log.
    fn reason(&self, decision: Decision) -> String {
        match &self.permit {
            Ok(permit) => permit.describe(decision.rule).to_string(),
            Err(revoked) => revoked.to_string(),
        }
    }
}
