//! Every counter and gauge of the broker, each a handle that costs one atomic addition.

mod audit;
mod traces;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

pub use self::audit::AuditMetrics;
pub use self::traces::TracingMetrics;
use super::exposition::{self, Exposition, Kind};
use super::register::Register;
use super::{
    AclDecision, AdminLogin, BanKind, CipherSuite, Counters, DeniedAction, DropReason,
    EnvelopeRefusal, Gauges, HttpAuthResult, KeyExchange, Label as _, LockoutScope, LoginMethod,
    LoginResult, PacketKind, ProtocolFault, ProtocolVersion, Refusal, ReloadResult, Reloaded,
    ResponseOutcome, Revocation, RuleSort, SentinelResponse, StoreState, Tally, ThrottleAction,
    Throttled, WebhookResult, WorkerCounters, WorkerGauge, WorkerHistogram, logging, process,
    runtime,
};
use crate::message::QoS;

/// The metrics of one broker. Several brokers in one process do not share theirs.
#[derive(Debug)]
pub struct Metrics {
    /// Connections that are open now.
    pub connections_open: Gauge,
    /// Connections that were accepted by the operating system.
    pub connections_accepted: Tally,
    /// Times that connections had to wait, since there was no file descriptor or memory for them.
    pub accept_errors: Counter,
    /// Connections that ended before their CONNECT was judged.
    pub connections_refused: Counters<Refusal>,
    /// Those that the system has dropped for a flood, estimated by those of it that came through.
    pub connections_dropped: Counter,
    /// Clients that are let in now.
    pub clients_connected: Gauge,
    /// TLS handshakes that were completed.
    pub tls_handshakes: Counters<(CipherSuite, KeyExchange)>,
    /// Those by which a client went on with an earlier session.
    pub tls_resumptions: Counter,
    /// How long they took, the way to the client and back included.
    pub tls_handshake_seconds: WorkerHistogram<()>,
    /// Logins, by how the client proved itself and what became of it.
    pub logins: Counters<(LoginMethod, LoginResult)>,
    /// Logins of operators at the administrative page.
    pub admin_logins: Counters<AdminLogin>,
    /// Lock-outs after failed logins.
    pub lockouts: Counters<LockoutScope>,
    /// Who is locked out now.
    pub locked_out: Gauge,
    /// Bans that hold now.
    pub bans: Gauges<BanKind>,
    /// Connections and logins that a ban has refused.
    pub ban_refusals: Counters<BanKind>,
    /// Quarantines that hold now.
    pub quarantines: Gauges<BanKind>,
    /// Those who may publish less, and are sent less, for a time, by whom they are about.
    pub tightenings: Gauges<BanKind>,
    /// Messages and wills of clients in quarantine.
    pub quarantined_messages: Counter,
    /// Passwords that were not hashed, since they had been verified lately.
    pub credential_cache_hits: Counter,
    /// Logins that were put to the HTTP service, by what came of it.
    pub http_auth: Counters<HttpAuthResult>,
    /// Clients that were inside when it was asked about them again, by what came of it.
    pub http_revalidations: Counters<HttpAuthResult>,
    /// How long it took to ask it.
    pub http_auth_seconds: Histogram,
    /// 1 while it is left alone after too many failures.
    pub http_auth_breaker_open: Gauge,
    /// What the policy was asked, and what it said.
    pub acl_decisions: WorkerCounters<(DeniedAction, AclDecision)>,
    /// Envelopes that came and held.
    pub envelopes_verified: Counter,
    /// Envelopes that came again in the same packet, since their sender had not heard of them.
    pub envelopes_again: Counter,
    /// Payloads that the broker sealed.
    pub envelopes_sealed: Counter,
    /// Payloads that the broker opened, once for each recipient.
    pub envelopes_opened: Counter,
    /// Payloads that were refused.
    pub envelopes_refused: Counters<EnvelopeRefusal>,
    /// Packets from clients.
    pub packets_received: WorkerCounters<(PacketKind, ProtocolVersion)>,
    /// Packets to clients.
    pub packets_sent: WorkerCounters<(PacketKind, ProtocolVersion)>,
    /// Messages from clients.
    pub publishes_received: WorkerCounters<(QoS, ProtocolVersion)>,
    /// Messages to clients.
    pub publishes_sent: WorkerCounters<(QoS, ProtocolVersion)>,
    /// Bytes of the packets of messages from clients.
    pub publish_bytes_received: WorkerCounters<(QoS, ProtocolVersion)>,
    /// Bytes of the packets of messages to clients.
    pub publish_bytes_sent: WorkerCounters<(QoS, ProtocolVersion)>,
    /// Bytes of packets from clients, without TLS.
    pub bytes_received: WorkerCounters<()>,
    /// Bytes of packets to clients, without TLS.
    pub bytes_sent: WorkerCounters<()>,
    /// From when the packet of a publisher has come to when a socket has taken what a subscriber is sent:
    /// of the first message of each write.
    pub delivery_seconds: WorkerHistogram<QoS>,
    /// Messages of QoS 1 and 2 that clients, which are connected, have not acknowledged.
    pub in_flight: WorkerGauge,
    /// Messages that did not reach a recipient.
    pub messages_dropped: WorkerCounters<DropReason>,
    /// Buckets of `[[throttle]]` that were forgotten before they were empty.
    pub throttles_forgotten: Counter,
    /// Retained messages that are kept now.
    pub retained_messages: Gauge,
    /// Their bytes.
    pub retained_bytes: Gauge,
    /// Messages that wait for sessions.
    pub queued_messages: Gauge,
    /// Bytes of memory that messages waiting for sessions take.
    pub queued_memory_bytes: Gauge,
    /// Bytes of the messages that the store keeps for sessions.
    pub queued_kept_bytes: Gauge,
    /// Bytes of those that are on disk alone.
    pub queued_disk_bytes: Gauge,
    /// Sessions that are kept now, connected or not.
    pub sessions: Gauge,
    /// Subscriptions of all of them.
    pub subscriptions: Gauge,
    /// Connections that a client lost by breaking the protocol.
    pub protocol_faults: Counters<ProtocolFault>,
    /// Connections that were replaced by another of the same client id.
    pub takeovers: Counter,
    /// Sessions that ended because their client's identity was taken back.
    pub sessions_revoked: Counters<Revocation>,
    /// Logins that are under way.
    pub logins_under_way: Gauge,
    /// Files that were read while the broker runs, by what they are and what came of it.
    pub reloads: Counters<(Reloaded, ReloadResult)>,
    /// When each was last put in force, in Unix time.
    pub reload_last_success: Gauges<Reloaded>,
    /// 1 where what is in force is what is on disk.
    pub reload_in_force: Gauges<Reloaded>,
    /// Groups of changes that the store has kept.
    pub store_commits: Counter,
    /// Changes that others undid before they were written.
    pub store_changes_elided: Counter,
    /// Bytes that were written to the log of the store.
    pub store_bytes_written: Counter,
    store_sync_seconds: Histogram,
    /// Records that were read by their keys.
    pub store_reads: Counter,
    /// Damaged parts that were found when the store was opened.
    pub store_damage: Counter,
    /// Records that are live.
    pub store_records: Gauge,
    /// Bytes of these.
    pub store_live_bytes: Gauge,
    /// Bytes of all segments.
    pub store_bytes: Gauge,
    /// Segments.
    pub store_segments: Gauge,
    /// Bytes that are not kept yet.
    pub store_waiting_bytes: Gauge,
    /// 1 for how the disk is.
    pub store_state: Gauges<StoreState>,
    /// The audit log.
    pub audit: AuditMetrics,
    /// Events that the sentinel was told of.
    pub sentinel_events: Counter,
    /// Events that it was not, because too many waited.
    pub sentinel_events_lost: Counter,
    /// Keys that its rules remember.
    pub sentinel_keys: Gauge,
    /// Keys that they have forgotten, since there were too many.
    pub sentinel_keys_forgotten: Counters<RuleSort>,
    /// What was done to those who have broken rules of the sentinel.
    pub sentinel_responses: Counters<(SentinelResponse, ResponseOutcome)>,
    /// Alerts for the webhook.
    pub webhook_alerts: Counters<WebhookResult>,
    /// Traces, and the spans that they consist of.
    pub tracing: TracingMetrics,
    /// Wills that were published.
    pub wills_sent: Counter,
    /// Connections that a fault of our own ended.
    pub internal_errors: Counter,
    process: process::Gauges,
    exporter: PrometheusHandle,
    recorder: PrometheusRecorder,
    /// Times that the disk took since they were sorted into buckets.
    unsorted: AtomicU32,
}

/// The findings of the sentinel.
const FINDINGS: &str = "bastionmq_sentinel_findings_total";

/// What was over a rule of `[[throttle]]`.
const THROTTLED: &str = "bastionmq_throttled_total";

/// How many are sorted at once.
const MAX_UNSORTED: u32 = 4_096;

/// The bounds of the buckets of histograms: from what a service on this machine takes to what nobody
/// waits for.
const SECONDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The same for what stays in this process, or goes over a network: in microseconds.
const MICROS: [u32; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// The same for the disk: from what has a battery to one that makes everybody wait.
const SYNC_SECONDS: [f64; 10] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

impl Metrics {
    /// Registers everything; all of it shows from the start, at 0.
    #[must_use]
    pub fn new() -> Self {
        let syncs = Matcher::Full("bastionmq_store_sync_seconds".to_owned());
        let builder = PrometheusBuilder::new()
            .set_buckets(&SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(syncs, &SYNC_SECONDS));
        // Buckets are refused where there are none.
        let recorder = builder.unwrap_or_default().build_recorder();
        let register = Register(&recorder);
        register.build_info();
        let help = "Findings of the sentinel, by rule and severity";
        recorder.describe_counter(KeyName::from_const_str(FINDINGS), None, help.into());
        let help =
            "Doings of clients over a rate, by rule, by what they were and what became of them";
        recorder.describe_counter(KeyName::from_const_str(THROTTLED), None, help.into());
        Self {
            connections_open: register
                .gauge("bastionmq_connections_open", "Connections that are open now"),
            connections_accepted: Tally::new(
                register.counter("bastionmq_connections_accepted_total", "Connections accepted"),
            ),
            accept_errors: register.counter(
                "bastionmq_accept_errors_total",
                "Times that connections had to wait for file descriptors or memory",
            ),
            connections_refused: register.counters(
                "bastionmq_connections_refused_total",
                "Connections that ended before their CONNECT was judged",
            ),
            connections_dropped: register.counter(
                "bastionmq_connections_dropped_total",
                "Attempts to connect that the system dropped for a flood, estimated",
            ),
            clients_connected: register
                .gauge("bastionmq_clients_connected", "Clients that are let in now"),
            tls_handshakes: register.counters(
                "bastionmq_tls_handshakes_total",
                "TLS handshakes completed, by version, cipher and key exchange",
            ),
            tls_resumptions: register.counter(
                "bastionmq_tls_resumptions_total",
                "TLS handshakes by which a client went on with an earlier session",
            ),
            tls_handshake_seconds: WorkerHistogram::new(
                "bastionmq_tls_handshake_seconds",
                "How long completed TLS handshakes took, the network included",
                &MICROS,
            ),
            logins: register.counters("bastionmq_logins_total", "Logins by method and result"),
            admin_logins: register.counters(
                "bastionmq_admin_logins_total",
                "Logins of operators at the administrative page, by result",
            ),
            lockouts: register
                .counters("bastionmq_lockouts_total", "Lock-outs after failed logins, by scope"),
            locked_out: register.gauge(
                "bastionmq_locked_out",
                "Users and addresses that are locked out now after failed logins",
            ),
            bans: register.gauges("bastionmq_bans", "Bans that hold now, by whom they are about"),
            ban_refusals: register.counters(
                "bastionmq_ban_refusals_total",
                "Connections and logins refused by a ban, by whom that is about",
            ),
            tightenings: register.gauges(
                "bastionmq_tightenings",
                "Limits that rules of the sentinel have set for a time, by whom they are about",
            ),
            quarantines: register
                .gauges("bastionmq_quarantines", "Quarantines that hold now, by whom they are about"),
            quarantined_messages: register.counter(
                "bastionmq_quarantined_messages_total",
                "Messages and wills published to $bastion/quarantine in place of their topics",
            ),
            credential_cache_hits: register.counter(
                "bastionmq_credential_cache_hits_total",
                "Passwords not hashed since they had been verified lately",
            ),
            http_auth: register.counters(
                "bastionmq_http_auth_total",
                "Logins put to the HTTP service, by what came of it",
            ),
            http_revalidations: register.counters(
                "bastionmq_http_revalidations_total",
                "Clients that were inside when the HTTP service was asked about them again, by what came of it",
            ),
            http_auth_seconds: register.histogram(
                "bastionmq_http_auth_seconds",
                "How long it took to ask the HTTP service",
            ),
            http_auth_breaker_open: register.gauge(
                "bastionmq_http_auth_breaker_open",
                "1 while the HTTP service is left alone after too many failures",
            ),
            acl_decisions: register.worker_counters(
                "bastionmq_acl_decisions_total",
                "What the policy allowed and denied, by action; answers that are remembered count",
            ),
            envelopes_verified: register
                .counter("bastionmq_envelopes_verified_total", "Envelopes that came and held"),
            envelopes_again: register.counter(
                "bastionmq_envelopes_again_total",
                "Envelopes that came again in the same packet, acknowledged and not routed again",
            ),
            envelopes_sealed: register
                .counter("bastionmq_envelopes_sealed_total", "Payloads that the broker sealed"),
            envelopes_opened: register.counter(
                "bastionmq_envelopes_opened_total",
                "Payloads that the broker opened, once for each recipient",
            ),
            envelopes_refused: register.counters(
                "bastionmq_envelopes_refused_total",
                "Payloads refused as envelopes, by reason; stream_reused is what clones of a device do",
            ),
            packets_received: register.worker_counters(
                "bastionmq_packets_received_total",
                "Packets from clients, by type and version of MQTT",
            ),
            packets_sent: register.worker_counters(
                "bastionmq_packets_sent_total",
                "Packets to clients, by type and version of MQTT",
            ),
            publishes_received: register.worker_counters(
                "bastionmq_publishes_received_total",
                "Messages from clients, by QoS and version of MQTT",
            ),
            publishes_sent: register.worker_counters(
                "bastionmq_publishes_sent_total",
                "Messages to clients, by QoS and version of MQTT",
            ),
            publish_bytes_received: register.worker_counters(
                "bastionmq_publishes_received_bytes_total",
                "Bytes of PUBLISH packets from clients, by QoS and version of MQTT",
            ),
            publish_bytes_sent: register.worker_counters(
                "bastionmq_publishes_sent_bytes_total",
                "Bytes of PUBLISH packets to clients, by QoS and version of MQTT",
            ),
            bytes_received: register.worker_counters(
                "bastionmq_received_bytes_total",
                "Bytes of packets from clients, without those of TLS and WebSocket",
            ),
            bytes_sent: register.worker_counters(
                "bastionmq_sent_bytes_total",
                "Bytes of packets to clients, without those of TLS and WebSocket",
            ),
            delivery_seconds: WorkerHistogram::new(
                "bastionmq_delivery_seconds",
                "From the arrival of a PUBLISH to the socket of a subscriber, for the first message of each write",
                &MICROS,
            ),
            in_flight: WorkerGauge::new(),
            messages_dropped: register.worker_counters(
                "bastionmq_messages_dropped_total",
                "Messages that did not reach a recipient, by reason",
            ),
            throttles_forgotten: register.counter(
                "bastionmq_throttles_forgotten_total",
                "Buckets of clients that are away, forgotten before they were empty",
            ),
            retained_messages: register
                .gauge("bastionmq_retained_messages", "Retained messages kept now"),
            retained_bytes: register
                .gauge("bastionmq_retained_bytes", "Bytes of the retained messages kept now"),
            queued_messages: register
                .gauge("bastionmq_queued_messages", "Messages waiting for sessions"),
            queued_memory_bytes: register.gauge(
                "bastionmq_queued_memory_bytes",
                "Bytes of memory that messages waiting for sessions take",
            ),
            queued_kept_bytes: register.gauge(
                "bastionmq_queued_kept_bytes",
                "Bytes of the messages waiting for sessions that the store keeps",
            ),
            queued_disk_bytes: register.gauge(
                "bastionmq_queued_disk_bytes",
                "Bytes of the messages waiting for sessions that are on disk alone",
            ),
            sessions: register.gauge("bastionmq_sessions", "Sessions kept now, connected or not"),
            subscriptions: register
                .gauge("bastionmq_subscriptions", "Subscriptions of all sessions"),
            protocol_faults: register.counters(
                "bastionmq_protocol_faults_total",
                "Connections that a client lost by breaking the protocol, by reason",
            ),
            takeovers: register.counter(
                "bastionmq_takeovers_total",
                "Connections replaced by another of the same client id",
            ),
            sessions_revoked: register.counters(
                "bastionmq_sessions_revoked_total",
                "Sessions ended because their user, certificate or token was taken back, by reason",
            ),
            logins_under_way: register
                .gauge("bastionmq_logins_under_way", "Logins that have begun and are not answered"),
            reloads: register.counters(
                "bastionmq_reload_total",
                "Files read while the broker runs, by what they are and what came of it",
            ),
            reload_last_success: register.gauges(
                "bastionmq_reload_last_success_timestamp_seconds",
                "When what is in force was read, in Unix time",
            ),
            reload_in_force: register.gauges(
                "bastionmq_reload_in_force",
                "1 where what is in force is what is on disk, 0 where that is newer and broken",
            ),
 store_commits: register.counter(
                "bastionmq_store_commits_total",
                "Groups of changes that the store has kept, each by one sync at most",
            ),
            store_changes_elided: register.counter(
                "bastionmq_store_changes_elided_total",
                "Changes never written, since later ones of their group undid them",
            ),
            store_bytes_written: register.counter(
                "bastionmq_store_written_bytes_total",
                "Bytes written to the log of the store, cleaning included",
            ),
            store_sync_seconds: register.histogram(
                "bastionmq_store_sync_seconds",
                "How long the disk took to say that it has what was written",
            ),
            store_reads: register
                .counter("bastionmq_store_reads_total", "Records read by their keys"),
            store_damage: register.counter(
                "bastionmq_store_damage_total",
                "Damaged parts of the store found at the start, and set aside",
            ),
            store_records: register
                .gauge("bastionmq_store_records", "Records that the store keeps now"),
            store_live_bytes: register
                .gauge("bastionmq_store_live_bytes", "Bytes of the records that the store keeps"),
            store_bytes: register.gauge(
                "bastionmq_store_bytes",
                "Bytes of all segments of the store, of use or not",
            ),
            store_segments: register
                .gauge("bastionmq_store_segments", "Files that the log of the store consists of"),
            store_waiting_bytes: register.gauge(
                "bastionmq_store_waiting_bytes",
                "Bytes of changes that are not kept yet",
            ),
            store_state: register.gauges(
                "bastionmq_store_state",
                "1 for the state that the disk of the store is in, 0 for the others",
            ),
            audit: AuditMetrics::register(&register),
            sentinel_events: register.counter(
                "bastionmq_sentinel_events_total",
                "Events that the sentinel has looked at",
            ),
            sentinel_events_lost: register.counter(
                "bastionmq_sentinel_events_lost_total",
                "Events that the sentinel has not looked at, since too many waited",
            ),
            sentinel_keys: register.gauge(
                "bastionmq_sentinel_keys",
                "Keys that the rules of the sentinel remember, such as addresses and clients",
            ),
            sentinel_keys_forgotten: register.counters(
                "bastionmq_sentinel_keys_forgotten_total",
                "Keys that rules of the sentinel have forgotten to make room for others",
            ),
            sentinel_responses: register.counters(
                "bastionmq_sentinel_responses_total",
                "What was done to those who have broken rules of the sentinel, by what has come of it",
            ),
            webhook_alerts: register.counters(
                "bastionmq_webhook_alerts_total",
                "Alerts for the webhook, by what has become of them",
            ),
            tracing: TracingMetrics::register(&register),
            wills_sent: register.counter("bastionmq_wills_sent_total", "Wills published"),
            internal_errors: register.counter(
                "bastionmq_internal_errors_total",
                "Connections that a fault of the broker itself ended",
            ),
            process: process::Gauges::register(|name, help| register.gauge(name, help)),
            exporter: recorder.handle(),
            recorder,
            unsorted: AtomicU32::new(0),
        }
    }

    /// Records how long the disk of the store took. What was recorded takes room until it is sorted into
    /// buckets, which has to be done where nobody asks for metrics as well.
    pub fn store_synced(&self, took: Duration) {
        self.store_sync_seconds.record(took);
        if self.unsorted.fetch_add(1, Ordering::Relaxed) >= MAX_UNSORTED {
            self.unsorted.store(0, Ordering::Relaxed);
            self.exporter.run_upkeep();
        }
    }

    /// Shows a rule of the sentinel, at 0, before anything is found by it.
    pub fn shows_rule(&self, rule: &str, severity: &'static str) {
        self.findings_by(rule, severity).increment(0);
    }

    /// A rule of the sentinel is broken. There are as many of them as the configuration names.
    pub fn found(&self, rule: &str, severity: &'static str) {
        self.findings_by(rule, severity).increment(1);
    }

    fn findings_by(&self, rule: &str, severity: &'static str) -> Counter {
        let labels = vec![
            metrics::Label::new("rule", rule.to_owned()),
            metrics::Label::from_static_parts("severity", severity),
        ];
        let register = Register(&self.recorder);
        register.zeroed_counter(Key::from_parts(FINDINGS, labels))
    }

    /// Counts what is over a rule of `[[throttle]]`, and becomes this; it shows from now on, at 0. There are as
    /// many of them as the configuration has named since the start, and at most two of each.
    pub fn throttled(&self, rule: &str, what: Throttled, action: ThrottleAction) -> Counter {
        let name = metrics::Label::new("rule", rule.to_owned());
        let labels = std::iter::once(name).chain(what.pairs()).chain(action.pairs());
        let register = Register(&self.recorder);
        register.zeroed_counter(Key::from_parts(THROTTLED, labels.collect::<Vec<_>>()))
    }

    /// Everything in the text format of Prometheus (version 0.0.4).
    #[must_use]
    pub fn render(&self) -> String {
        self.process.update();
        self.show_workers();
        let mut own = Exposition::default();
        self.delivery_seconds.expose(&mut own);
        self.tls_handshake_seconds.expose(&mut own);
        let in_flight = "bastionmq_in_flight_messages";
        let help = "Messages of QoS 1 and 2 that connected clients have not acknowledged";
        own.family(in_flight, Kind::Gauge, help);
        own.sample(in_flight, &[], self.in_flight.value());
        process::expose(&mut own);
        runtime::expose(&mut own);
        logging::expose(&mut own);
        self.exporter.render() + &own.into_text()
    }

    /// The same in the format of OpenMetrics (version 1.0.0).
    #[must_use]
    pub fn render_openmetrics(&self) -> String {
        exposition::openmetrics(&self.render())
    }

    /// Sums what every worker has counted for itself.
    fn show_workers(&self) {
        self.acl_decisions.show();
        self.packets_received.show();
        self.packets_sent.show();
        self.publishes_received.show();
        self.publishes_sent.show();
        self.publish_bytes_received.show();
        self.publish_bytes_sent.show();
        self.bytes_received.show();
        self.bytes_sent.show();
        self.messages_dropped.show();
        self.tracing.traces.show();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
