//! Everything together: the broker, its listeners, its administrative port, and their end.

mod inspection;

use std::future::{self, Future};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, timeout, timeout_at};

use crate::acl::Policy;
use crate::admin::{self, AdminState, Page};
use crate::audit::{self, AuditError, AuditLog, Event};
use crate::broker::{
    Broker, Durable, DurableError, EnvelopeSettings, KeepingError, Parts, QueueMemory,
    VerifiedCredentials, Windows, WindowsError,
};
use crate::clock::Now;
use crate::config::Resolved;
use crate::control::{ControlSocket, Desk};
use crate::identity_service::IdentityService;
use crate::keys::{self, MasterKeyError};
use crate::net::{self, Entrance, ListenError, Listener, Listeners, Shared};
use crate::reload::{ReloadHandle, Reloader};
use crate::telemetry::Metrics;
use crate::tracer::Tracer;
use crate::unix::UnixSocketError;
use crate::webhook::Webhook;

/// How long a shutdown waits for the disk.
const LAST_SAVE: Duration = Duration::from_secs(5);

/// How long it waits for the collector of traces.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// A broker whose ports are bound: whoever connects waits until it runs.
#[derive(Debug)]
pub struct Server {
    broker: Arc<Broker>,
    shared: Arc<Shared>,
    listeners: Arc<Listeners>,
    bound: Vec<BoundListener>,
    admin: Option<TcpListener>,
    admin_address: Option<SocketAddr>,
    admin_settings: admin::Settings,
    control: Option<ControlSocket>,
    shutdown_timeout: Duration,
    reload: ReloadHandle,
    audit: Option<Arc<AuditLog>>,
}

/// A listener as clients can reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundListener {
    /// Its URL, with the port that was bound.
    pub url: String,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A listener cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The administrative port cannot be bound.
    #[error("cannot serve metrics on {address}: {}", net::explain(.source))]
    Admin {
        /// As configured.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The control socket cannot be bound.
    #[error("cannot open the control socket: {0}")]
    Control(UnixSocketError),
    /// What is known of credentials cannot be kept.
    #[error("cannot keep verified credentials: {0}")]
    Credentials(#[from] KeepingError),
    /// Replay windows cannot be kept.
    #[error("cannot keep replay windows: {0}")]
    Windows(#[from] WindowsError),
    /// There is no master key to seal with what they are kept by.
    #[error("cannot keep replay windows: {0}")]
    MasterKey(#[from] MasterKeyError),
    /// What is kept on disk cannot be opened.
    #[error("cannot open the store: {0}")]
    Store(#[from] DurableError),
    /// The audit log cannot be opened.
    #[error("cannot open the audit log: {0}")]
    Audit(#[from] AuditError),
    /// There is no key for what is remembered of the HTTP service's answers.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(io::Error),
    /// The threads that check passwords cannot be started.
    #[error("cannot start the threads that check passwords: {0}")]
    Threads(io::Error),
    /// The thread that accepts connections cannot be started.
    #[error("cannot start the thread that accepts connections: {0}")]
    Entrance(io::Error),
    /// The thread of the sentinel cannot be started.
    #[error("cannot start the thread of the sentinel: {0}")]
    Watch(io::Error),
    /// The thread that looks at the files cannot be started.
    #[error("cannot start the thread that looks at the files: {0}")]
    WatchFiles(io::Error),
}

impl Server {
    /// Binds every port. Nothing is accepted yet.
    ///
    /// # Errors
    /// When a port is taken or not allowed, or the system gives no threads.
    pub async fn bind(resolved: Resolved) -> Result<Self, ServerError> {
        let Resolved {
            listeners,
            policy,
            passwords,
            operators,
            tokens,
            http_access,
            http,
            webhook,
            tracing,
            auth,
            keys,
            key_ring,
            envelope,
            store,
            audit,
            throttles,
            bans,
            sentinel,
            mqtt,
            broker,
            network,
            admin,
            control,
            loaded,
            ..
        } = resolved;
        // Before anybody can connect: whoever does finds all that was kept.
        let metrics = Arc::new(Metrics::new());
        let mut durable =
            Durable::open(&store, &keys, QueueMemory::of(&broker), Now::read(), &metrics)?;
        let sessions = durable.as_mut().map(Durable::take_sessions).unwrap_or_default();
        let entrance = Entrance::open().map_err(ServerError::Entrance)?;
        let listeners = {
            let _entrance = entrance.enter();
            let bound = listeners.into_iter().map(|it| Listener::bind(it.into(), &network));
            bound.collect::<Result<Vec<_>, _>>()?
        };
        let admin = match admin {
            Some(address) => Some(bind_admin(address).await?),
            None => None,
        };
        let control = control.map(ControlSocket::bind).transpose().map_err(ServerError::Control)?;
        let max_connections = broker.max_connections.get();
        let shutdown_timeout = Duration::from_secs(broker.shutdown_timeout_seconds.into());
        let identity_service = http_access
            .map(|access| IdentityService::new(access, &http, Arc::clone(&metrics)))
            .transpose();
        let windows = open_windows(&envelope, &keys, &policy)?;
        let audit = open_audit_log(&audit, &keys)?.map(Arc::new);
        let parts = Parts {
            settings: broker,
            mqtt,
            max_connect_size: network.max_connect_size.get() as usize,
            policy,
            credentials: VerifiedCredentials::open(&keys, &auth)?,
            auth,
            passwords: passwords.unwrap_or_default(),
            tokens,
            identity_service: identity_service.map_err(ServerError::NoRandomness)?,
            tracer: tracing.map(|endpoint| {
                let settings = &loaded.config.tracing;
                Arc::new(Tracer::new(endpoint, settings, Arc::clone(&metrics)))
            }),
            webhook: Webhook::new(webhook, Arc::clone(&metrics)),
            ring: key_ring.unwrap_or_default(),
            windows,
            wrapped_dir: keys.wrapped_dir,
            durable,
            audit: audit.clone(),
            bans,
            throttles,
            sentinel,
            metrics,
        };
        let broker = Arc::new(Broker::new(parts).map_err(ServerError::Threads)?);
        let admin_settings = loaded.config.admin.clone();
        broker
            .replace_operators(operators, admin_settings.logins())
            .map_err(ServerError::Threads)?;
        let shared = Arc::new(Shared::new(Arc::clone(&broker), network, max_connections));
        let listeners = Arc::new(Listeners::new(Arc::clone(&shared), listeners, entrance));
        let bound = listeners.urls().into_iter().map(|url| BoundListener { url }).collect();
        let reloader =
            Reloader::new(Arc::clone(&broker), Arc::clone(&shared), Arc::clone(&listeners), loaded);
        let reload = reloader.start().map_err(ServerError::WatchFiles)?;
        broker.restore_sessions(sessions, Now::read());
        broker.keep_watch().map_err(ServerError::Watch)?;
        Ok(Self {
            bound,
            shared,
            broker,
            listeners,
            admin_address: admin.as_ref().and_then(|admin| admin.local_addr().ok()),
            admin,
            admin_settings,
            control,
            shutdown_timeout,
            reload,
            audit,
        })
    }

    /// Where clients can connect, in the order of the configuration.
    #[must_use]
    pub fn bound(&self) -> &[BoundListener] {
        &self.bound
    }

    /// Where metrics and health are served.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Whether operators find a page there.
    #[must_use]
    pub fn has_page(&self) -> bool {
        self.broker.has_operators()
    }

    /// What asks for all files to be read anew.
    #[must_use]
    pub fn reload_handle(&self) -> ReloadHandle {
        self.reload.clone()
    }

    /// Serves until `shutdown` returns, and then until every client has been sent away, or the
    /// shutdown timeout has passed.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { broker, shared, listeners, admin, shutdown_timeout, reload, audit, .. } = self;
        let desk = Desk::new(
            Arc::clone(&broker),
            reload.clone(),
            self.admin_address.map(|address| format!("http://{address}/metrics")),
        );
        let control = self.control.map(|socket| tokio::spawn(socket.serve(desk)));
        let ready = Arc::new(AtomicBool::new(true));
        let admin = admin.map(|socket| {
            let metrics = Arc::clone(broker.metrics());
            let store = broker.store().cloned();
            let inspect = inspection::of(Arc::clone(&broker), &reload, Arc::clone(&ready));
            let of_page = Arc::clone(&inspect);
            let page = Some(Page::new(Arc::clone(&broker), move || of_page()));
            let state = AdminState { metrics, inspect, store, page };
            let settings = self.admin_settings;
            tokio::spawn(
                async move { admin::serve(socket, &settings, state, future::pending()).await },
            )
        });
        let timekeeper = tokio::spawn(Arc::clone(&broker).keep_time());
        let revalidator = tokio::spawn(Arc::clone(&broker).revalidate_clients());
        let poster = tokio::spawn(Arc::clone(&broker).post_alerts());
        let exporter = broker.tracer().cloned().map(|tracer| {
            let exporting = Arc::clone(&tracer);
            (tracer, tokio::spawn(async move { exporting.run().await }))
        });
        let judge = tokio::spawn(Arc::clone(&broker).judge_sessions());
        let file_keeper = tokio::spawn(Arc::clone(&broker).keep_files());
        let sweeper = tokio::spawn(Arc::clone(&broker).sweep_queues());
        listeners.serve();
        shutdown.await;
        ready.store(false, Ordering::Release);
        let deadline = Instant::now() + shutdown_timeout;
        broker.shut_down(Instant::now().into_std());
        if broker.redirects() {
            // Whoever comes while others leave is told where to go as well. When the time is up, that
            // is seen below.
            let _ = timeout_at(deadline, shared.all_left()).await;
        }
        // Soon: none of them waits for anything else. Each removes its socket, if it has a file.
        listeners.stop().await;
        if timeout_at(deadline, shared.all_ended()).await.is_err() {
            tracing::warn!("some clients did not leave within the shutdown timeout");
        }
        if let Some(control) = control {
            control.abort();
            // Its socket is removed as it ends.
            let _ = control.await;
        }
        drop(reload);
        timekeeper.abort();
        poster.abort();
        judge.abort();
        revalidator.abort();
        file_keeper.abort();
        sweeper.abort();
        if let Some((tracer, mut exporter)) = exporter {
            tracer.close();
            if timeout(LAST_SPANS, &mut exporter).await.is_err() {
                exporter.abort();
                tracing::warn!("the collector of traces is too slow: the last spans are lost");
            }
        }
        if timeout(LAST_SAVE, broker.save_files()).await.is_err() {
            tracing::warn!("the disk is too slow: verified credentials are not kept");
        }
        let closing = Arc::clone(&broker);
        let closed = tokio::task::spawn_blocking(move || closing.close_store());
        if timeout(LAST_SAVE, closed).await.is_err() {
            tracing::error!("the disk is too slow: what was not acknowledged is not kept");
        }
        if let Some(audit) = audit {
            broker.tell_all_sums();
            audit.record(Now::read(), Event::Stopped);
            let closed = tokio::task::spawn_blocking(move || audit.close());
            if timeout(LAST_SAVE, closed).await.is_err() {
                tracing::error!("the disk is too slow: the end of the audit log is not written");
            }
        }
        if let Some(admin) = admin {
            admin.abort();
        }
    }
}

/// There is one where it has a directory.
fn open_audit_log(
    settings: &audit::Settings,
    keys: &keys::Settings,
) -> Result<Option<AuditLog>, ServerError> {
    let master = settings.dir.as_ref().and_then(|_| keys.master_key_source());
    let (Some(directory), Some(master)) = (&settings.dir, master) else { return Ok(None) };
    let log_keys = audit::Keys::open_or_make(directory, &master.read_or_make()?.0)?;
    let log = AuditLog::open(directory, log_keys, settings, Now::read())?;
    log.record(Now::read(), Event::Started { version: env!("CARGO_PKG_VERSION") });
    Ok(Some(log))
}

/// Whoever has a key ring may have envelopes, now or after a change of the policy.
fn open_windows(
    settings: &EnvelopeSettings,
    keys: &keys::Settings,
    policy: &Policy,
) -> Result<Windows, ServerError> {
    let (now, skew) = (Now::read(), policy.longest_skew());
    let master = keys.ring_file.as_ref().and_then(|_| keys.master_key_source());
    let Some(master) = master else { return Ok(Windows::in_memory(settings)?) };
    let Some(directory) = &settings.state_dir else {
        return Ok(Windows::forgetful(settings, skew, now)?);
    };
    Ok(Windows::open(settings, directory, &master.read()?, skew, now)?)
}

async fn bind_admin(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Admin { address, source })
}
