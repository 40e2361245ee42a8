//! What is traced of a client: that it is let in, what it publishes, and what it is sent of what others publish.

use std::sync::Arc;
use std::time::Instant;

use super::{Client, Stage};
use crate::broker::login::Caller;
use crate::broker::sealed_publish::Settled;
use crate::clock::Now;
use crate::codec::{PacketId, ReasonCode, Version};
use crate::message::{Message, QoS};
use crate::session::{Closed, Outbound};
use crate::telemetry::ProtocolVersion;
use crate::trace_context::MessageTrace;
use crate::tracer::{
    self, ConnectTrace, DeliveryTrace, Identifiers, PublishSampler, PublishTrace, Tracer,
};

/// Publications of one client that are traced at a time, before they are acknowledged, and deliveries to it before
/// they have left.
const MOST_OPEN: usize = 64;

/// The traces that a connection has a part in.
#[derive(Debug)]
pub(super) struct Traces {
    sampler: PublishSampler,
    /// Until the client has its CONNACK.
    connect: Option<Box<ConnectTrace>>,
    /// Since when it leaves, and bytes that must have been sent for it to have left.
    connack: Option<Leaving>,
    /// Until they are acknowledged.
    publications: Vec<Publication>,
    deliveries: Vec<(DeliveryTrace, usize)>,
}

#[derive(Debug)]
struct Publication {
    trace: PublishTrace,
    packet_id: Option<PacketId>,
    /// Once it is in the output.
    acknowledgement: Option<Leaving>,
}

/// Something that is in the output.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    since: Instant,
    /// Bytes that must have been sent for it to have left.
    ahead: usize,
}

/// A message that is traced, and is about to be delivered: how many bytes there were to send before.
pub(super) type Traced = (Arc<MessageTrace>, QoS, usize);

impl Traces {
    pub(super) fn new(tracer: &Arc<Tracer>) -> Option<Box<Self>> {
        Some(Box::new(Self {
            sampler: tracer.publications()?,
            connect: None,
            connack: None,
            publications: Vec::new(),
            deliveries: Vec::new(),
        }))
    }

    pub(super) fn follow(&mut self) {
        self.sampler.follow();
    }

    pub(super) fn connect(&mut self) -> Option<&mut ConnectTrace> {
        self.connect.as_deref_mut()
    }

    /// The first `count` bytes of the output have left.
    fn on_sent(&mut self, count: usize, at: Instant) {
        if let Some(connack) = &mut self.connack {
            connack.ahead = connack.ahead.saturating_sub(count);
            if connack.ahead == 0 {
                self.end_connect(at);
            }
        }
        let has_left = |leaving: &mut Leaving| {
            leaving.ahead = leaving.ahead.saturating_sub(count);
            leaving.ahead == 0
        };
        for publication in
            self.publications.extract_if(.., |it| it.acknowledgement.as_mut().is_some_and(has_left))
        {
            publication.trace.end(at);
        }
        for (delivery, _) in self.deliveries.extract_if(.., |(_, ahead)| {
            *ahead = ahead.saturating_sub(count);
            *ahead == 0
        }) {
            delivery.end(at);
        }
    }

    fn end_connect(&mut self, at: Instant) {
        self.connack = None;
        if let Some(connect) = self.connect.take() {
            connect.end(at);
        }
    }

    /// Output is held, but for its first `free` bytes, until the store has what it tells of.
    fn on_held(&mut self, free: usize) {
        if let (Some(connect), Some(connack)) = (&mut self.connect, &self.connack)
            && connack.ahead > free
            && !connect.is_in(tracer::Stage::Commit)
        {
            connect.begin(tracer::Stage::Commit, connack.since);
        }
        for Publication { trace, acknowledgement, .. } in &mut self.publications {
            if let Some(Leaving { since, ahead }) = acknowledgement
                && *ahead > free
            {
                trace.await_commit(*since);
            }
        }
    }
}

impl Client {
    /// Traces that it is let in.
    #[must_use]
    pub fn traced_by(mut self, trace: Option<Box<ConnectTrace>>) -> Self {
        if let (Some(traces), Some(mut trace)) = (&mut self.traces, trace) {
            trace.begin(tracer::Stage::Connect, Instant::now());
            traces.connect = Some(trace);
        }
        self
    }

    /// The CONNECT has come.
    pub(super) fn trace_connect(&mut self, now: Now) {
        let ProtocolVersion::Known(version) = self.version else { return };
        if let Some(connect) = self.traces.as_mut().and_then(|it| it.connect()) {
            connect.set_version(version);
            connect.begin(tracer::Stage::Authenticate, now.instant);
        }
    }

    /// Who the client claims to be.
    pub(super) fn trace_caller(&mut self, caller: &Caller) {
        let Some(connect) = self.traces.as_mut().and_then(|it| it.connect()) else { return };
        connect.identify(Identifiers {
            client_id: &caller.request.client_id,
            user: caller.request.credentials.user_name.as_deref(),
            address: &self.peer.address,
        });
    }

    /// The client has been let in or refused, and its CONNACK is in the output where it gets one.
    pub(super) fn trace_connack(&mut self, now: Now, reason: ReasonCode) {
        let ahead = self.unsent();
        let Some(traces) = &mut self.traces else { return };
        let Some(connect) = &mut traces.connect else { return };
        connect.end_stage(now.instant);
        connect.set_reason(reason);
        traces.connack = Some(Leaving { since: now.instant, ahead });
        if ahead == 0 {
            traces.end_connect(now.instant);
        }
    }

    /// The connection ends before the client has been answered.
    pub(super) fn trace_close(&mut self, closed: Closed) {
        let Some(traces) = &mut self.traces else { return };
        let (None, Some(connect)) = (&traces.connack, &mut traces.connect) else { return };
        match closed {
            Closed::Malformed(error) => connect.break_off(format!("{:?}", error.reason())),
            Closed::Violation { reason, .. }
            | Closed::Refused(reason)
            | Closed::ByBroker(reason) => connect.break_off(format!("{reason:?}")),
            Closed::ByClient(_) | Closed::KeepAlive | Closed::Lost => {
                connect.break_off("connection_lost");
            }
        }
    }

    /// The trace of a message that is published, where it has one, and the message that is to be published in its
    /// place. One branch where nothing is traced.
    pub(super) fn begin_publication(
        &mut self,
        now: Now,
        message: &Message,
    ) -> Option<(PublishTrace, Arc<Message>)> {
        let traces = self.traces.as_mut()?;
        let considered = traces.sampler.considers(message)?;
        if traces.publications.len() >= MOST_OPEN {
            return None;
        }
        let version = version_of(self.version);
        let mut trace = traces.sampler.begin(considered, message, version, now)?;
        if let Stage::Inside(inside) = &self.stage {
            let who = inside.gate.who();
            trace.identify(who.identifiers(), message.topic.as_str());
        }
        let traced = Message { trace: Some(Arc::clone(trace.shared())), ..message.clone() };
        Some((trace, Arc::new(traced)))
    }

    /// The message was taken or refused for this `reason`; none means that this is still to be settled.
    pub(super) fn trace_publication(
        &mut self,
        mut trace: PublishTrace,
        packet_id: Option<PacketId>,
        reason: Option<ReasonCode>,
    ) {
        let (ahead, since) = (self.unsent(), Instant::now());
        let Some(traces) = &mut self.traces else { return };
        if let Some(reason) = reason {
            trace.set_reason(reason);
        }
        let acknowledgement = reason.map(|_| Leaving { since, ahead });
        match (packet_id, acknowledgement) {
            (None, Some(_)) => trace.end(since),
            _ => traces.publications.push(Publication { trace, packet_id, acknowledgement }),
        }
    }

    /// Messages that have waited were taken or refused, and those of QoS 0 among them have gone their way.
    pub(super) fn trace_settled(&mut self, settled: &[Settled]) {
        let ahead = self.unsent();
        let Some(traces) = &mut self.traces else { return };
        let since = Instant::now();
        for publication in &mut traces.publications {
            let is_it = |it: &&Settled| Some(it.packet_id) == publication.packet_id;
            if publication.acknowledgement.is_none()
                && let Some(settled) = settled.iter().find(is_it)
            {
                publication.trace.set_reason(settled.reason);
                publication.acknowledgement = Some(Leaving { since, ahead });
            }
        }
        for publication in traces.publications.extract_if(.., |it| it.packet_id.is_none()) {
            publication.trace.end(since);
        }
    }

    /// The round is over. Its output from the byte `start` on waits for the store, however soon that has it, and so does
    /// what comes behind output of earlier rounds that still does.
    pub(super) fn trace_holding(&mut self, start: Option<usize>) {
        let earlier = self.held.as_ref().and_then(|held| held.start());
        let Some(start) = start.into_iter().chain(earlier).min() else { return };
        if let Some(traces) = &mut self.traces {
            traces.on_held(start.saturating_sub(self.sent));
        }
    }

    /// What there is to be traced of a message that is delivered next. What waited before the client connected is
    /// not traced.
    pub(super) fn traced(&self, outbound: &Outbound) -> Option<Traced> {
        let trace = outbound.message.trace.as_ref()?;
        let (Stage::Inside(inside), Some(_)) = (&self.stage, &self.traces) else { return None };
        let is_new = trace.began.instant >= inside.since;
        is_new.then(|| (Arc::clone(trace), outbound.qos, self.unsent()))
    }

    /// It has been delivered, as far as the session is concerned.
    pub(super) fn trace_delivery(&mut self, (message, qos, unsent): Traced) {
        let ahead = self.unsent();
        let Some(traces) = &mut self.traces else { return };
        if ahead <= unsent || traces.deliveries.len() >= MOST_OPEN {
            return;
        }
        let (tracer, version) = (traces.sampler.tracer(), version_of(self.version));
        let Some(mut delivery) = DeliveryTrace::begin(tracer, &message, qos, version) else {
            return;
        };
        if let Stage::Inside(inside) = &self.stage {
            delivery.identify(tracer, inside.gate.who().identifiers());
        }
        traces.deliveries.push((delivery, ahead));
    }

    /// The first `count` bytes of the output have left.
    pub(super) fn trace_sent(&mut self, count: usize, now: Now) {
        if let Some(traces) = &mut self.traces {
            traces.on_sent(count, now.instant);
        }
    }

    /// Nothing of the output leaves any more.
    pub(super) fn trace_discarded(&mut self) {
        if let Some(traces) = &mut self.traces {
            traces.deliveries.clear();
            traces.publications.retain(|it| it.acknowledgement.is_none());
            if traces.connack.take().is_some() {
                traces.connect = None;
            }
        }
    }
}

/// Whoever publishes or receives anything has said it.
fn version_of(version: ProtocolVersion) -> Version {
    match version {
        ProtocolVersion::Known(version) => version,
        ProtocolVersion::Unknown => Version::V5,
    }
}
