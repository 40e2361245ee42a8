//! Where the engines meet: logins, permissions, routing and the sessions that are alive.
//!
//! [`Broker`] is shared by all connections; [`Client`] is one of them, without its socket. What a
//! client says goes through its session to the one choke point, the gate, and from there to the
//! routes and the mailboxes of others.

mod authenticators;
mod authority;
mod bans;
mod bell;
mod buckets;
mod client;
mod counts;
mod credentials;
mod envelopes;
mod durable;
mod exchange;
mod gate;
mod hashing;
mod judging;
mod kept_queues;
mod kept_sessions;
mod kick;
mod knocks;
mod lane;
mod lease;
mod live;
mod load;
mod lockouts;
mod login;
mod mailbox;
mod message_record;
mod operators;
mod parked;
mod passwords;
mod publish;
mod publish_memo;
mod quarantine;
mod queue;
mod queue_budget;
mod queue_record;
mod recall;
mod records;
mod register;
mod registry;
mod replacements;
mod reports;
mod restoring;
mod retained;
mod retained_backlog;
mod revalidation;
mod review;
mod round;
mod routes;
mod sealed_publish;
mod seat;
mod sentinel;
mod session_keeping;
mod sessions;
mod settings;
mod slowest;
mod spilled;
mod subscribe;
mod sums;
mod sweeping;
mod sys;
mod throttles;
mod tightenings;
mod timers;
mod topic_memo;
mod turnstile;
mod wrapped_keys;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub use bell::Bell;
pub use client::{Client, Delivered};
pub use credentials::{KeepingError, VerifiedCredentials};
pub use durable::{Durable, DurableError, QueueMemory};
pub use envelopes::{EnvelopeSettings, Windows, WindowsError};
pub use kept_sessions::KeptSessions;
pub use kick::{Fate, Kicked};
pub use live::LiveSettings;
pub use login::Patience;
pub use operators::{OperatorLogin, OperatorLogins, PreparedOperators};
pub use register::{Kept, SanctionOrder, Sanctioned};
pub use reports::{BrokerReport, Reported, SessionReport, TopicsInUse};
pub use sentinel::RuleReport;
pub use settings::{Settings, ShareStrategy};
pub use slowest::{LongQueue, LongestQueues};

use self::authority::Authority;
use self::buckets::Buckets;
use self::counts::Counts;
use self::durable::Keeper;
use self::envelopes::Envelopes;
use self::knocks::Knocks;
use self::live::Live;
use self::lockouts::Lockouts;
use self::operators::Operators;
use self::passwords::{Means, Passwords};
use self::queue_budget::{Charge, QueueBudget};
use self::recall::Recall;
use self::register::Register;
use self::registry::Registry;
use self::retained::RetainedMessages;
use self::revalidation::Requests;
use self::routes::Routes;
use self::sentinel::Watch;
use self::sums::Sums;
use self::throttles::Throttles;
use self::tightenings::Tightenings;
use self::timers::Timers;
use self::turnstile::Turnstile;
use self::wrapped_keys::WrappedKeys;
use crate::acl::Policy;
use crate::audit::{self, AuditLog, Event};
use crate::auth::{self, PasswordFile, TokenVerifier};
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::envelope::KeyRing;
use crate::http_client::Access;
use crate::identity_service::IdentityService;
use crate::message::Message;
use crate::router::Retained;
use crate::sanctions;
use crate::sentinel::RuleSet;
use crate::session::{self, Redirect, Refusal};
use crate::store::{Store, Table};
use crate::telemetry::Metrics;
use crate::throttle::Rule;
use crate::tls::ListenerTls;
use crate::tracer::Tracer;
use crate::webhook::{Endpoint, Webhook};

/// Between two writings of the verified credentials: what a crash forgets is hashed again.
const BETWEEN_SAVES: Duration = Duration::from_secs(30);

/// What a broker is made of.
#[derive(Debug)]
pub struct Parts {
    /// `[broker]`.
    pub settings: Settings,
    /// `[mqtt]`.
    pub mqtt: session::Settings,
    /// `[auth]`.
    pub auth: auth::Settings,
    /// Bytes of the largest CONNECT packet.
    pub max_connect_size: usize,
    /// Who may do what.
    pub policy: Policy,
    /// Who has which password.
    pub passwords: PasswordFile,
    /// Who has proven its password lately.
    pub credentials: VerifiedCredentials,
    /// Whose tokens are believed; without it none are.
    pub tokens: Option<TokenVerifier>,
    /// Who is asked over HTTP who clients are; without it nobody is.
    pub identity_service: Option<IdentityService>,
    /// Where alerts are posted.
    pub webhook: Webhook,
    /// What traces connections and messages; without it none are.
    pub tracer: Option<Arc<Tracer>>,
    /// The keys of envelopes.
    pub ring: KeyRing,
    /// Which envelopes were accepted.
    pub windows: Windows,
    /// Directory of the keys that are wrapped for devices; without it none are given.
    pub wrapped_dir: Option<PathBuf>,
    /// Where state is kept that outlives the process; without it none does.
    pub durable: Option<Durable>,
    /// What is written down of security decisions; without it nothing is.
    pub audit: Option<Arc<AuditLog>>,
    /// `[bans]`.
    pub bans: sanctions::Settings,
    /// `[[throttle]]`.
    pub throttles: Vec<Rule>,
    /// `[sentinel]`.
    pub sentinel: RuleSet,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The state that all connections share.
#[derive(Debug)]
pub struct Broker {
    settings: Settings,
    live: Live,
    passwords: Arc<Passwords>,
    lockouts: Arc<Lockouts>,
    operators: Operators,
    authority: Authority,
    identity_service: Option<IdentityService>,
    webhook: Webhook,
    tracer: Option<Arc<Tracer>>,
    revalidations: Requests,
    envelopes: Envelopes,
    wrapped_keys: WrappedKeys,
    registry: Registry,
    routes: Routes,
    retained: RetainedMessages,
    queue_budget: Arc<QueueBudget>,
    /// Reads what waits on disk alone, where there is a disk.
    recall: Option<Recall>,
    /// What outlives the process is kept by it.
    keeper: Option<Keeper>,
    timers: Timers,
    throttles: Throttles,
    /// Logins that are under way.
    turnstile: Turnstile,
    /// What limits have refused and nobody has been told of.
    sums: Sums,
    knocks: Knocks,
    bans: Register,
    quarantines: Register,
    tightenings: Tightenings,
    counts: Arc<Counts>,
    next_number: AtomicU64,
    share_turn: AtomicUsize,
    is_shutting_down: AtomicBool,
    started: Instant,
}

impl Broker {
    /// Makes a broker without sessions, and starts the threads that check passwords.
    ///
    /// # Errors
    /// When the system gives no threads, or no randomness.
    pub fn new(parts: Parts) -> io::Result<Self> {
        let Parts {
            settings,
            mqtt,
            auth,
            max_connect_size,
            policy,
            passwords,
            credentials,
            tokens,
            identity_service,
            webhook,
            tracer,
            ring,
            windows,
            wrapped_dir,
            durable,
            audit,
            bans,
            throttles,
            sentinel,
            metrics,
        } = parts;
        let (max_messages, max_bytes) = settings.retained_bounds();
        let mut retained = Retained::new(max_messages, max_bytes);
        let (keeper, last_number, sanctioned) = match durable {
            Some(durable) => {
                restore(&mut retained, durable.retained);
                (Some(durable.keeper), durable.sessions.last_number, durable.sanctioned)
            }
            None => (None, 0, (Vec::new(), Vec::new())),
        };
        let (banned, quarantined) = sanctioned;
        let cache_hits = metrics.credential_cache_hits.clone();
        let queue_budget = Arc::new(QueueBudget::new(&settings, keeper.is_some()));
        let watch = Watch::new(sentinel, random_seed()?, Arc::clone(&metrics));
        let counts = Arc::new(Counts::new(Arc::clone(&metrics), audit, watch));
        let lockouts = Arc::new(Lockouts::new(&auth, random_seed()?, Arc::clone(&counts)));
        // Whoever guesses at the page takes no client with it that has the same address.
        let of_page = Lockouts::new(&auth, random_seed()?, Arc::clone(&counts));
        let operators = Operators::new(of_page);
        let recall = keeper.as_ref().map(|keeper| Recall::start(keeper, &counts)).transpose()?;
        let turnstile = Turnstile::new(&auth);
        let max_idle = settings.max_idle_throttles.get() as usize;
        let buckets = Buckets::new(max_idle, random_seed()?, metrics.throttles_forgotten.clone());
        let means = Means { credentials, lockouts: Arc::clone(&lockouts), cache_hits };
        let passwords = Arc::new(Passwords::start(passwords, &auth, means)?);
        Ok(Self {
            registry: Registry::new(settings.max_sessions.get() as usize),
            live: Live::new(mqtt, &settings, max_connect_size),
            settings,
            authority: Authority::new(policy, Arc::clone(&passwords), tokens, Now::read()),
            identity_service,
            webhook,
            tracer,
            revalidations: Requests::new(),
            wrapped_keys: WrappedKeys(wrapped_dir),
            envelopes: Envelopes::new(ring, windows, Arc::clone(&metrics)),
            passwords,
            lockouts,
            operators,
            routes: Routes::new(),
            retained: RetainedMessages::new(retained, keeper.clone()),
            queue_budget,
            recall,
            bans: Register::new(&bans, banned, keeper.clone(), Table::BAN),
            tightenings: Tightenings::new(&bans),
            quarantines: Register::new(&bans, quarantined, keeper.clone(), Table::QUARANTINE),
            keeper,
            timers: Timers::default(),
            throttles: Throttles::new(throttles, buckets, Arc::clone(&metrics)),
            turnstile,
            sums: Sums::default(),
            knocks: Knocks::default(),
            counts,
            next_number: AtomicU64::new(last_number.saturating_add(1)),
            share_turn: AtomicUsize::new(0),
            is_shutting_down: AtomicBool::new(false),
            started: Instant::now(),
        })
    }

    /// Puts another policy in force. Every decision from now on is its, and every session is judged
    /// again: see [`Self::judge_sessions`].
    pub fn replace_policy(&self, policy: Policy) {
        self.authority.replace_policy(policy);
    }

    /// Puts another password file in force, for every login that is judged from now on. Sessions of
    /// users who are gone or have another password end: see [`Self::judge_sessions`].
    pub fn replace_passwords(&self, passwords: PasswordFile) {
        self.authority.replace_passwords(passwords);
    }

    /// Says who judges the certificates of clients, by the URL of their listener: before the first of
    /// them comes, and whenever there are other listeners. Sessions whose certificates are not believed
    /// any more end: see [`Self::judge_sessions`].
    pub fn judge_certificates_by(&self, listeners: HashMap<Arc<str>, Arc<ListenerTls>>) {
        self.authority.judge_certificates_by(listeners);
    }

    /// The certificates, authorities or revocation lists of a listener have been replaced: sessions
    /// whose certificates are not believed any more end, see [`Self::judge_sessions`].
    pub fn certificates_replaced(&self) {
        self.authority.has_changed();
    }

    /// Believes other tokens, for every login that is judged from now on. Sessions whose token was
    /// signed by a key that is gone end: see [`Self::judge_sessions`].
    pub fn replace_tokens(&self, tokens: Option<TokenVerifier>) {
        self.authority.replace_tokens(tokens);
    }

    /// Whether the HTTP service is asked nothing for a while, where there is one.
    #[must_use]
    pub fn leaves_http_service_alone(&self) -> Option<bool> {
        self.identity_service.as_ref().map(IdentityService::is_left_alone)
    }

    /// Reaches the HTTP service, where there is one, in another way: for every login from now on.
    pub fn replace_http_access(&self, access: Access) {
        if let Some(service) = &self.identity_service {
            service.replace_access(access);
        }
    }

    /// Posts alerts elsewhere, or otherwise, or not any more, from the next attempt on.
    pub fn replace_webhook(&self, endpoint: Option<Endpoint>) {
        self.webhook.follow(endpoint);
    }

    /// Puts other keys of envelopes in force, for every payload from now on. What was sealed under one
    /// that is retiring goes on to be taken.
    pub fn replace_ring(&self, ring: KeyRing) {
        self.envelopes.replace_ring(ring);
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.counts.metrics
    }

    /// What traces connections and messages, where anything does.
    #[must_use]
    pub fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.tracer.as_ref()
    }

    /// Has the audit log written, where there is one.
    pub fn audit(&self, event: impl FnOnce() -> Event) {
        self.counts.audit(event);
    }

    /// As [`Self::audit`], for what is about to be done: whether it may be, by then. It may not where the audit
    /// log is strict, and has not got it on disk.
    pub async fn may_do(&self, deadline: Instant, event: impl FnOnce() -> Event) -> bool {
        let ticket = self.counts.audit(event);
        self.counts.is_written_by(deadline, ticket).await
    }

    /// As [`Self::may_do`], for what only a strict log is told of. This thread waits for it.
    pub fn may_soon_do(&self, event: impl FnOnce() -> Event) -> bool {
        !self.counts.has_strict_audit() || {
            let ticket = self.counts.audit(event);
            self.counts.is_soon_written(ticket)
        }
    }

    /// How the audit log is, where there is one, and whether what is decided waits for it.
    #[must_use]
    pub fn audit_condition(&self) -> Option<(audit::Condition, bool)> {
        Some((self.counts.audit_condition()?, self.counts.has_strict_audit()))
    }

    /// Sets the gauges that are read off the state rather than kept.
    fn update_gauges(&self) {
        let metrics = &self.counts.metrics;
        let (messages, bytes) = self.retained.size();
        metrics.retained_messages.set(messages as f64);
        metrics.retained_bytes.set(bytes as f64);
        let Charge { memory, kept, on_disk } = self.queue_budget.charged();
        metrics.queued_messages.set(self.queue_budget.messages.value() as f64);
        metrics.queued_memory_bytes.set(memory as f64);
        metrics.queued_kept_bytes.set(kept as f64);
        metrics.queued_disk_bytes.set(on_disk as f64);
        metrics.sessions.set(self.registry.len() as f64);
        let connected = self.counts.totals.clients_connected.load(Ordering::Relaxed);
        metrics.clients_connected.set(connected as f64);
        metrics.subscriptions.set(self.routes.len() as f64);
        let locked_out = self.lockouts.count() + self.operators.lockouts.count();
        metrics.locked_out.set(locked_out as f64);
        metrics.logins_under_way.set(f64::from(self.turnstile.passing()));
        self.update_gauges_of_bans();
        self.update_gauges_of_quarantines();
        self.update_gauges_of_tightenings();
        self.counts.show_audit();
    }

    /// Lets nobody in any more, and ends every connection: clients are sent to another server, where
    /// there is one, or told that this one shuts down.
    pub fn shut_down(&self, now: Instant) {
        self.is_shutting_down.store(true, Ordering::Release);
        self.publish_waiting_wills(now);
        for seat in self.registry.seats() {
            seat.end(self.shutdown_reason());
        }
    }

    /// Wakes every connection, to look whether it is told anything.
    pub fn wake_connections(&self) {
        for seat in self.registry.seats() {
            seat.bell().ring();
        }
    }

    /// Whether clients are sent to another server when this one shuts down.
    #[must_use]
    pub fn redirects(&self) -> bool {
        self.live.mqtt.load().redirection().is_some()
    }

    /// What clients are told when the broker shuts down.
    fn shutdown_reason(&self) -> ReasonCode {
        self.live.mqtt.load().redirection().unwrap_or(ReasonCode::ServerShuttingDown)
    }

    /// Why nobody is let in, where nobody is.
    fn refusal_of_all(&self) -> Option<Refusal> {
        if self.is_shutting_down() {
            return Some(Refusal::new(self.shutdown_reason(), "the broker is stopping"));
        }
        let mqtt = self.live.mqtt.load();
        let reason = mqtt.redirection().filter(|_| mqtt.redirect == Redirect::Always)?;
        Some(Refusal::new(reason, "clients are served elsewhere"))
    }

    fn is_shutting_down(&self) -> bool {
        self.is_shutting_down.load(Ordering::Acquire)
    }

    /// Posts alerts to the webhook, while there is one. Never returns.
    pub async fn post_alerts(self: Arc<Self>) {
        self.webhook.run().await;
    }

    /// Keeps files up to date: hashes that others replace in the password file, and what is kept of
    /// credentials and replay windows over a restart. Never returns.
    pub async fn keep_files(self: Arc<Self>) {
        let mut every_second = tokio::time::interval(Duration::from_secs(1));
        let mut last_saved = Instant::now();
        loop {
            let now = every_second.tick().await.into_std();
            let is_due = now.saturating_duration_since(last_saved) >= BETWEEN_SAVES;
            if self.passwords.has_replacements() {
                self.in_background(|broker| broker.passwords.write_replacements()).await;
            }
            if is_due {
                last_saved = now;
                self.in_background(|broker| broker.passwords.save_credentials()).await;
                self.in_background(|broker| broker.envelopes.tidy(Now::read())).await;
            }
        }
    }

    /// Writes what [`keep_files`](Self::keep_files) would have written next.
    pub async fn save_files(self: &Arc<Self>) {
        self.in_background(|broker| broker.passwords.write_replacements()).await;
        self.in_background(|broker| broker.passwords.save_credentials()).await;
        self.in_background(|broker| broker.envelopes.close()).await;
    }

    /// Where state is kept that outlives the process, if there is such a place.
    #[must_use]
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.keeper.as_ref().map(Keeper::store)
    }

    /// Writes what is not on disk yet, and keeps nothing any more. Waits for the disk.
    pub fn close_store(&self) {
        if let Some(store) = self.store() {
            store.close();
        }
    }

    /// Runs what waits for the disk where nobody waits for it.
    async fn in_background(self: &Arc<Self>, work: fn(&Self)) {
        let broker = Arc::clone(self);
        // A bug in there is logged as a panic, and must not end the keeping of files.
        let _ = tokio::task::spawn_blocking(move || work(&broker)).await;
    }

    /// Does what is due while clients are away (wills, ends of sessions), forgets what has expired,
    /// and keeps gauges and `$SYS` topics up to date. Never returns.
    pub async fn keep_time(self: Arc<Self>) {
        let mut every_second = tokio::time::interval(Duration::from_secs(1));
        let mut sys = self.sys();
        loop {
            tokio::select! {
                () = self.timers.next_due() => {
                    self.run_timers(Instant::now());
                }
                now = every_second.tick() => {
                    self.authority.keep_time(Now::read());
                    self.retained.remove_expired(now.into_std()).await;
                    self.tell_sums();
                    self.tell_knocks();
                    self.tell_lockouts_again();
                    self.expire_bans();
                    self.expire_quarantines();
                    self.expire_tightenings();
                    self.update_gauges();
                }
                () = sys.tick() => self.publish_sys(&mut sys.loads),
            }
        }
    }
}

/// What was retained before. Limits may be lower than they were: what has no room is not served, and
/// stays on disk.
fn restore(retained: &mut Retained, messages: Vec<Arc<Message>>) {
    let refused = messages.into_iter().filter(|it| retained.set(Arc::clone(it)).is_err()).count();
    if refused > 0 {
        tracing::warn!(
            "{refused} retained messages of the store are not served: they are more than \
             max_retained_messages or max_retained_bytes of [broker] allow"
        );
    }
}

fn random_seed() -> io::Result<u64> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(u64::from_be_bytes(seed))
}
