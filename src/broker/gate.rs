//! The one choke point: everything that enters or leaves a client is decided here, on the concrete
//! topic, under the policy of now.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::counts::Counts;
use crate::acl::{Decision, Permit, Policy, Subject, SubscribeDecision};
use crate::identity::{Attributes, ClientId, Principal, TransportSecurity};
use crate::message::{Message, QoS};
use crate::telemetry::DeniedAction;
use crate::telemetry::logging::excerpt;
use crate::topic::{TopicFilterRef, TopicName};

/// The policy of now, and a generation that tells a connection when its permit is out of date.
#[derive(Debug)]
pub(super) struct Policies {
    current: ArcSwap<Policy>,
    generation: AtomicU64,
}

impl Policies {
    pub(super) fn new(policy: Policy) -> Self {
        Self { current: ArcSwap::from_pointee(policy), generation: AtomicU64::new(0) }
    }

    /// Puts another policy in force: every decision from now on is its.
    pub(super) fn replace(&self, policy: Policy) {
        self.current.store(Arc::new(policy));
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// How many answers about deliveries one connection remembers.
const REMEMBERED: usize = 1_024;

/// What one client may do. Asked by its connection, and for its will when it has none.
#[derive(Debug)]
pub(super) struct Gate {
    who: Arc<Who>,
    permit: Permit,
    generation: u64,
    /// Answers to [`Gate::may_receive`] under this generation; there is none before the first.
    deliveries: Option<Box<Answers>>,
}

/// What has been answered for each topic.
#[derive(Debug, Default)]
struct Answers {
    by_topic: HashMap<TopicName, bool, foldhash::fast::RandomState>,
    /// The last one that was asked for: mostly it is asked for again.
    last: Option<(TopicName, bool)>,
}

impl Answers {
    fn find(&mut self, topic: &TopicName) -> Option<bool> {
        match &self.last {
            Some((last, answer)) if last.is_clone_of(topic) => Some(*answer),
            _ => {
                let answer = *self.by_topic.get(topic)?;
                self.last = Some((topic.clone(), answer));
                Some(answer)
            }
        }
    }

    fn keep(&mut self, topic: &TopicName, answer: bool) {
        if self.by_topic.len() >= REMEMBERED {
            self.by_topic.clear();
        }
        self.by_topic.insert(topic.clone(), answer);
    }
}

/// Whom the gate keeps, for the permit and for the log. A session without a connection keeps who its
/// last one was, since a will may be left to publish.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) principal: Principal,
    pub(super) client_id: ClientId,
    /// What the proof of the principal says beyond its name.
    pub(super) attributes: Attributes,
    pub(super) address: SocketAddr,
    /// The URL of the listener.
    pub(super) listener: Arc<str>,
    pub(super) security: TransportSecurity,
}

impl Gate {
    pub(super) fn new(policies: &Policies, who: Arc<Who>) -> Self {
        // The generation is read first: a policy that comes in between is then noticed.
        let generation = policies.generation.load(Ordering::Acquire);
        let permit = who.permit(policies);
        Self { who, permit, generation, deliveries: None }
    }

    pub(super) fn who(&self) -> &Arc<Who> {
        &self.who
    }

    /// Takes up the policy of now, and says its generation. What was decided under another one is
    /// no longer true.
    pub(super) fn refresh(&mut self, policies: &Policies) -> u64 {
        let generation = policies.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.generation = generation;
            self.permit = self.who.permit(policies);
            self.deliveries = None;
        }
        generation
    }

    /// The generation of the policy that decides now.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the client may publish `message`, by a PUBLISH packet.
    pub(super) fn may_publish(&self, message: &Message, counts: &Counts) -> bool {
        self.publish(message, DeniedAction::Publish, counts)
    }

    /// Whether the client may publish `message` by its will.
    pub(super) fn may_leave_will(&self, message: &Message, counts: &Counts) -> bool {
        self.publish(message, DeniedAction::Will, counts)
    }

    fn publish(&self, message: &Message, what: DeniedAction, counts: &Counts) -> bool {
        let topic = message.topic.borrowed();
        let decision = self.permit.publish(topic, message.qos, message.retain);
        self.report(decision, what, topic.as_str(), counts)
    }

    /// The highest QoS at which the client may subscribe, if it may at all.
    pub(super) fn may_subscribe(&self, filter: TopicFilterRef<'_>, counts: &Counts) -> Option<QoS> {
        match self.permit.subscribe(filter) {
            SubscribeDecision::Granted { max_qos, .. } => Some(max_qos),
            SubscribeDecision::Refused { rule } => {
                let decision = Decision { allowed: false, rule };
                self.report(decision, DeniedAction::Subscribe, filter.as_str(), counts);
                None
            }
        }
    }

    /// Whether a message on `topic` may be delivered to the client.
    pub(super) fn may_receive(&mut self, topic: &TopicName, counts: &Counts) -> bool {
        if let Some(allowed) = self.deliveries.as_mut().and_then(|answers| answers.find(topic)) {
            if !allowed {
                counts.denied(DeniedAction::Receive);
            }
            return allowed;
        }
        let decision = self.permit.receive(topic.borrowed());
        let allowed = self.report(decision, DeniedAction::Receive, topic.as_str(), counts);
        self.deliveries.get_or_insert_default().keep(topic, allowed);
        allowed
    }

    /// As [`Self::may_receive`], for many topics of a session at once: nothing is remembered.
    pub(super) fn could_receive(&self, topic: &TopicName) -> bool {
        self.permit.receive(topic.borrowed()).allowed
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
                rule = %self.permit.describe(decision.rule),
                "denied"
            );
        }
        decision.allowed
    }
}

impl Who {
    fn permit(&self, policies: &Policies) -> Permit {
        let subject = Subject {
            principal: &self.principal,
            client_id: &self.client_id,
            attributes: &self.attributes,
            listener: &self.listener,
            security: self.security,
        };
        policies.current.load().permit(&subject)
    }
}
