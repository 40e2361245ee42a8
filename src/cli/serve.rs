//! `bastionmq serve`: opens the listeners and runs until told to stop.

use std::{
    fmt,
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    thread,
};

use anyhow::Context;
use clap::Args;
use sd_notify::NotifyState;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{open_files, small_pages};
use crate::{
    clock::Now,
    config::{Flags, Loaded, Resolved, Sources},
    control::Files,
    reload::ReloadHandle,
    server::Server,
    telemetry::logging,
};

const EXAMPLES: &str = "\
Examples:
  bastionmq serve --config bastionmq.toml
  bastionmq serve --config bastionmq.toml --listen mqtts://0.0.0.0:8883 --admin 127.0.0.1:9883
  BASTIONMQ_CONFIG=/etc/bastionmq/bastionmq.toml BASTIONMQ_LOG_LEVEL=debug bastionmq serve

Every setting is also an environment variable: `max_packet_size` in [mqtt] is
BASTIONMQ_MQTT_MAX_PACKET_SIZE, `tls_cert` of the listeners is BASTIONMQ_TLS_CERT. A flag counts
before a variable, a variable before the file, the file before the default.

Once all listeners are open, standard output has one line for each with its address, and then
`ready`. SIGTERM and SIGINT stop the broker in good order, a second one at once.";

/// Run the broker
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// The configuration file [env: BASTIONMQ_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here instead of where the file says: mqtts://ADDRESS:PORT (TLS), mqtt://ADDRESS:PORT
    /// (plain), wss:// or ws:// (WebSocket over either); repeatable, port 0 is any free one. TLS
    /// settings are those of the first TLS listener of the file [env: BASTIONMQ_LISTEN, with commas
    /// between]
    #[arg(long, value_name = "URL")]
    listen: Vec<String>,
    /// Certificate chain of the TLS listeners, PEM [env: BASTIONMQ_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM [env: BASTIONMQ_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Where metrics and health are served, or off [env: BASTIONMQ_ADMIN_ADDRESS]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// off, error, warn, info, debug or trace [env: BASTIONMQ_LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

/// What `serve` is told.
#[derive(Default)]
pub(super) struct ServeOptions {
    /// The configuration file.
    pub(super) config: Option<PathBuf>,
    /// Listener URLs that replace those of the file.
    pub(super) listen: Vec<String>,
    /// Certificate chain of the TLS listeners.
    pub(super) tls_cert: Option<PathBuf>,
    /// Its private key.
    pub(super) tls_key: Option<PathBuf>,
    /// Where metrics and health are served, or `off`.
    pub(super) admin: Option<String>,
    /// What is logged.
    pub(super) log_level: Option<String>,
    /// Asked for a text to print above the listener lines, once all listeners are open.
    pub(super) banner: Option<Banner>,
}

/// Makes a text of the bound listener URLs and of where the page of operators is, if there is one.
pub(super) type Banner = Box<dyn FnOnce(&[String], Option<SocketAddr>) -> String + Send>;

/// Runs the command.
pub(super) fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let ServeArgs { config, listen, tls_cert, tls_key, admin, log_level } = args;
    serve(ServeOptions { config, listen, tls_cert, tls_key, admin, log_level, banner: None })
}

/// Serves until a signal says stop.
///
/// # Errors
/// A configuration that does not hold, or a listener that cannot be opened.
pub(super) fn serve(options: ServeOptions) -> anyhow::Result<ExitCode> {
    let (config, flags, banner) = options.into_parts()?;
    let resolved = Loaded::load(&Sources::of_process(config, flags))?.resolve(Now::read())?;
    let _log = logging::start(&resolved.log)?;
    for warning in &resolved.warnings {
        tracing::warn!("{warning}");
    }
    small_pages::choose();
    open_files::make_room(resolved.broker.max_connections.get());
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(resolved.network.workers(processors))
        .enable_all()
        .build()
        .context("cannot start the threads of the broker")?;
    let served = runtime.block_on(run_server(resolved, banner));
    // Nothing that still hangs on a name lookup or a slow disk may hold up the end.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

impl ServeOptions {
    fn into_parts(self) -> anyhow::Result<(Option<PathBuf>, Flags, Option<Banner>)> {
        let flags = Flags {
            listen: self.listen,
            tls_cert: self.tls_cert.map(into_text).transpose()?,
            tls_key: self.tls_key.map(into_text).transpose()?,
            admin: self.admin,
            log_level: self.log_level,
        };
        Ok((self.config, flags, self.banner))
    }
}

fn into_text(path: PathBuf) -> anyhow::Result<String> {
    path.into_os_string()
        .into_string()
        .map_err(|path| anyhow::anyhow!("the file name {} is not UTF-8", path.display()))
}

async fn run_server(resolved: Resolved, banner: Option<Banner>) -> anyhow::Result<()> {
    let mut signals = StopSignals::watch().context("cannot watch for signals")?;
    let hangup = signal(SignalKind::hangup()).context("cannot watch for signals")?;
    let server = tokio::select! {
        server = Server::bind(resolved) => server?,
        () = signals.next() => return Ok(()),
    };
    announce(&server, banner);
    tokio::spawn(reload_on(hangup, server.reload_handle()));
    server.run(stop_requested(signals)).await;
    tracing::info!("stopped");
    Ok(())
}

/// Reads all files anew whenever the signal comes, and lets systemd wait for it.
async fn reload_on(mut hangup: Signal, files: ReloadHandle) {
    while hangup.recv().await.is_some() {
        tracing::info!("SIGHUP: all files are read anew");
        match NotifyState::monotonic_usec_now() {
            Ok(since) => tell_systemd_all(&[NotifyState::Reloading, since]),
            Err(error) => tracing::warn!(%error, "systemd could not be told"),
        }
        files.reload().await;
        tell_systemd(NotifyState::Ready);
    }
}

/// Completes at the first signal; the second ends the process.
async fn stop_requested(mut signals: StopSignals) {
    signals.next().await;
    tracing::info!("stopping; another signal ends the process at once");
    tell_systemd(NotifyState::Stopping);
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(1);
    });
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn announce(server: &Server, banner: Option<Banner>) {
    let urls: Vec<String> = server.bound().iter().map(|listener| listener.url.clone()).collect();
    let admin = server.admin_address();
    let page = admin.filter(|_| server.has_page());
    let banner = banner.map(|banner| banner(&urls, page));
    let announcement = Announcement { banner: banner.as_deref(), urls: &urls, admin };
    // A broker whose standard output was closed is a broker all the same.
    let mut out = io::stdout().lock();
    let _ = write!(out, "{announcement}").and_then(|()| out.flush());
    tracing::info!(listeners = %urls.join(" "), "ready");
    tell_systemd(NotifyState::Ready);
}

/// What standard output says when all listeners are open.
struct Announcement<'a> {
    banner: Option<&'a str>,
    urls: &'a [String],
    admin: Option<SocketAddr>,
}

impl fmt::Display for Announcement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(banner) = self.banner {
            writeln!(f, "{}", banner.trim_end_matches('\n'))?;
        }
        for url in self.urls {
            writeln!(f, "listening on {url}")?;
        }
        if let Some(address) = self.admin {
            writeln!(f, "metrics on http://{address}/metrics")?;
        }
        writeln!(f, "ready")
    }
}

/// Says nothing where there is no systemd.
fn tell_systemd(state: NotifyState<'_>) {
    tell_systemd_all(&[state]);
}

fn tell_systemd_all(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announcement_ends_with_ready() {
        let urls = ["mqtts://0.0.0.0:8883".to_owned(), "mqtt://127.0.0.1:1883".to_owned()];
        let admin = Some(SocketAddr::from(([127, 0, 0, 1], 9883)));
        let shown = Announcement { banner: Some("hello\n"), urls: &urls, admin }.to_string();
        assert_eq!(
            shown,
            "hello\nlistening on mqtts://0.0.0.0:8883\nlistening on mqtt://127.0.0.1:1883\n\
             metrics on http://127.0.0.1:9883/metrics\nready\n"
        );
        let bare = Announcement { banner: None, urls: &urls[1..], admin: None }.to_string();
        assert_eq!(bare, "listening on mqtt://127.0.0.1:1883\nready\n");
    }
}
