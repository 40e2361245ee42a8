//! Files that are read anew while the broker runs: when they change, at SIGHUP, and on command.
//!
//! Each is read whole and becomes a value of its own before anything changes; what is broken, missing
//! or cannot be read changes nothing, is said once, and shows in the metrics until it is mended. Files
//! are looked at several times a second, by what the system says of them: so no way of replacing a
//! file goes unseen, and no descriptor is needed to see it.

mod settings;
mod signature;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::settings::Differences;
use self::signature::Signature;
use crate::audit::Event;
use crate::broker::{Broker, PreparedOperators};
use crate::clock::Now;
use crate::config::{ConfigError, Loaded};
use crate::control::{FileStatus, Files};
use crate::identity_service::Settings;
use crate::net::{ListenerSettings, Listeners, Shared};
use crate::telemetry::logging::{self, excerpt};
use crate::telemetry::{ReloadResult, Reloaded};
use crate::webhook;

/// Between two looks at the files. A change is taken up once two looks have seen the same.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How soon, and how late, a file is tried again that could not be read and has not changed since.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Notes about one kind of file that are kept, and changes.
const MOST_NOTES: usize = 100;

/// Asks for everything to be read anew. Once nobody can ask any more, nobody looks at the files.
#[derive(Clone, Debug)]
pub struct ReloadHandle {
    requests: Sender<oneshot::Sender<()>>,
    standing: Arc<Mutex<Vec<FileStatus>>>,
    listeners: Arc<Listeners>,
}

/// Everything that is read anew.
#[derive(Debug)]
pub struct Reloader {
    broker: Arc<Broker>,
    shared: Arc<Shared>,
    listeners: Arc<Listeners>,
    /// Names the files.
    loaded: Loaded,
    states: Vec<State>,
    /// The same, for whoever asks.
    standing: Arc<Mutex<Vec<FileStatus>>>,
}

/// What is known of the files of one kind.
#[derive(Debug)]
struct State {
    what: Reloaded,
    /// Those that were last read, or tried.
    tried: Signature,
    /// Those that were last looked at.
    looked_at: Signature,
    /// When what is in force was read, in seconds since the Unix epoch.
    read_at: u64,
    /// What has come of what was read last.
    outcome: Outcome,
    /// Why they are not in force, if they are not.
    failure: Option<Failure>,
}

/// What has come of reading files that hold.
#[derive(Debug, Default)]
struct Outcome {
    /// What ought to be known of them.
    notes: Vec<String>,
    /// What is another than it was, where that is told.
    changes: Vec<String>,
}

#[derive(Debug)]
struct Failure {
    why: String,
    retry_at: Instant,
    patience: Duration,
}

impl ReloadHandle {
    /// Tells how the files stand, without having them looked at for longer.
    pub fn standings(&self) -> impl Fn() -> Vec<FileStatus> + Send + Sync + use<> {
        let standing = Arc::clone(&self.standing);
        move || standing.lock().clone()
    }
}

impl Files for ReloadHandle {
    async fn reload(&self) -> Option<Vec<FileStatus>> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(answer).ok()?;
        answered.await.ok()?;
        Some(self.standing())
    }

    fn standing(&self) -> Vec<FileStatus> {
        self.standing.lock().clone()
    }

    fn listeners(&self) -> Vec<String> {
        self.listeners.urls()
    }
}

impl Reloader {
    /// Knows the files as they were when `loaded` was resolved, a moment ago.
    #[must_use]
    pub fn new(
        broker: Arc<Broker>,
        shared: Arc<Shared>,
        listeners: Arc<Listeners>,
        loaded: Loaded,
    ) -> Self {
        let states = Reloaded::all().map(|what| {
            let now = Signature::of(&files(what, &loaded));
            broker.metrics().reload_in_force.set(what, 1.0);
            broker.metrics().reload_last_success.set(what, Now::read().unix.as_secs_f64());
            let read_at = Now::read().unix.as_secs();
            State {
                what,
                tried: now.clone(),
                looked_at: now,
                read_at,
                outcome: Outcome::default(),
                failure: None,
            }
        });
        let states = states.collect();
        let this = Self { states, broker, shared, listeners, loaded, standing: Arc::default() };
        this.publish();
        this
    }

    /// Starts the thread that looks at the files.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(self) -> io::Result<ReloadHandle> {
        let (requests, asked) = mpsc::channel();
        let (standing, listeners) = (Arc::clone(&self.standing), Arc::clone(&self.listeners));
        thread::Builder::new().name("reload".to_owned()).spawn(move || self.run(&asked))?;
        Ok(ReloadHandle { requests, standing, listeners })
    }

    fn run(mut self, asked: &Receiver<oneshot::Sender<()>>) {
        loop {
            match asked.recv_timeout(LOOK_EVERY) {
                Ok(answer) => {
                    logging::reopen();
                    self.reload(true);
                    // Who has asked may have gone.
                    let _ = answer.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.reload(false),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads what has changed, or everything.
    fn reload(&mut self, everything: bool) {
        let mut has_read = false;
        for at in 0..self.states.len() {
            let Some(state) = self.states.get_mut(at) else { continue };
            let now = Signature::of(&files(state.what, &self.loaded));
            if everything || state.is_due(&now) {
                let what = state.what;
                let may = self.broker.may_soon_do(|| Event::Reloading { what: what.name() });
                let result = match may {
                    true => self.read(what),
                    false => Err("the audit log, which is strict, cannot be written".to_owned()),
                };
                self.settle(at, now, result);
                has_read = true;
            }
        }
        if has_read {
            self.publish();
        }
    }

    /// Lets those know how it stands who ask.
    fn publish(&self) {
        *self.standing.lock() =
            self.states.iter().map(|state| state.status(&self.loaded)).collect();
    }

    fn read(&mut self, what: Reloaded) -> Result<Outcome, String> {
        let of_notes = |notes| Outcome { notes, changes: Vec::new() };
        match what {
            Reloaded::Config => self.read_config(),
            Reloaded::Certificates => self.read_certificates().map(of_notes),
            Reloaded::Operators => self.read_operators().map(of_notes),
            _ => self.read_file(what).map(of_notes).map_err(|error| error.to_string()),
        }
    }

    /// Gives what ought to be known of what was read.
    fn read_file(&self, what: Reloaded) -> Result<Vec<String>, ConfigError> {
        let mut notes = Vec::new();
        match what {
            // These are more than a file.
            Reloaded::Config | Reloaded::Certificates | Reloaded::Operators => {}
            Reloaded::Policy => {
                let (policy, warnings) = self.loaded.policy()?;
                self.broker.replace_policy(policy);
                notes = warnings;
            }
            Reloaded::Passwords => {
                let (passwords, warnings) = self.loaded.passwords()?;
                self.broker.replace_passwords(passwords.unwrap_or_default());
                notes = warnings;
            }
            Reloaded::TokenKeys => {
                let (tokens, warnings) = self.loaded.tokens()?;
                self.broker.replace_tokens(tokens);
                notes = warnings;
            }
            Reloaded::KeyRing => {
                self.broker.replace_ring(self.loaded.key_ring()?.unwrap_or_default());
            }
            Reloaded::HttpAccess => {
                if let Some(access) = self.loaded.http_access()? {
                    self.broker.replace_http_access(access);
                }
            }
            Reloaded::Webhook => self.broker.replace_webhook(self.loaded.webhook()?),
        }
        Ok(notes)
    }

    fn read_operators(&self) -> Result<Vec<String>, String> {
        let (operators, warnings) = self.prepare_operators(&self.loaded)?;
        self.broker.open_to_operators(operators);
        Ok(warnings)
    }

    /// Those that `loaded` names, and what ought to be known of them.
    fn prepare_operators(
        &self,
        loaded: &Loaded,
    ) -> Result<(PreparedOperators, Vec<String>), String> {
        let (operators, warnings) = loaded.operators().map_err(|error| error.to_string())?;
        let prepared = self.broker.prepare_operators(operators, loaded.config.admin.logins());
        Ok((prepared.map_err(|error| error.to_string())?, warnings))
    }

    /// All listeners or none: authorities that are the same are the same everywhere.
    fn read_certificates(&self) -> Result<Vec<String>, String> {
        let now = Now::read();
        let listeners = self.listeners.tls();
        let read = listeners.iter().map(|listener| listener.read(now));
        let read = read.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let mut notes = Vec::new();
        for (listener, tls) in listeners.iter().zip(read) {
            notes.extend(tls.warnings.iter().map(ToString::to_string));
            listener.replace(tls);
        }
        self.broker.certificates_replaced();
        Ok(notes)
    }

    /// What takes effect while the broker runs is taken up, and files that are named are then read; all
    /// else is named.
    fn read_config(&mut self) -> Result<Outcome, String> {
        let (loaded, resolved) = self.loaded.reload().map_err(|error| error.to_string())?;
        let mut notes = resolved.warnings;
        let Differences { live, restart } =
            settings::differences(&self.loaded.config, &loaded.config);
        let adopted = settings::adopt(&self.loaded, loaded);
        // Without what needs a restart, listeners may be others than with it.
        let listeners = adopted.listeners().map_err(|error| match &*restart {
            [] => error.to_string(),
            names => format!("{error}\n(before a restart, which {} need)", names.join(", ")),
        })?;
        let listeners = listeners.into_iter().map(Into::into).collect();
        let listeners = self.listeners.rearrange(listeners).map_err(|error| error.to_string())?;
        let is_of_operators = |it: &String| settings::LOGINS_OF_OPERATORS.contains(&it.as_str());
        let operators = match live.iter().any(is_of_operators) {
            true => Some(self.prepare_operators(&adopted)?.0),
            false => None,
        };
        // The last of what can fail: it is there before what it takes the place of goes.
        let log = logging::prepare(&adopted.config.log).map_err(|error| error.to_string())?;
        log.take_effect().map_err(|error| error.to_string())?;
        let (throttles, sentinel) = (resolved.throttles, resolved.sentinel);
        settings::apply(&adopted.config, throttles, sentinel, &self.broker, &self.shared);
        self.broker.replace_webhook(resolved.webhook);
        let mut changes = listeners.take_effect();
        if let Some(operators) = operators {
            self.broker.open_to_operators(operators);
        }
        self.loaded = adopted;
        changes.extend(live.iter().map(|setting| format!("`{setting}` is in force")));
        let waits = |setting| format!("`{setting}` has changed and needs a restart to take effect");
        notes.extend(restart.iter().map(waits));
        Ok(Outcome { notes, changes })
    }

    /// Remembers what came of reading, and says it where that is news.
    fn settle(&mut self, at: usize, now: Signature, mut result: Result<Outcome, String>) {
        let said = match &mut result {
            Ok(outcome) => self.take_over_notes(at, &mut outcome.notes),
            Err(_) => Vec::new(),
        };
        let Some(state) = self.states.get_mut(at) else { return };
        let (what, metrics) = (state.what, self.broker.metrics());
        let is_same = state.tried == now;
        state.looked_at = now.clone();
        state.tried = now;
        match result {
            Ok(mut outcome) => {
                for change in &outcome.changes {
                    tracing::info!("{change}");
                }
                for note in outcome.notes.iter().filter(|note| !said.contains(note)) {
                    tracing::warn!("{note}");
                }
                self.broker.audit(|| Event::Reloaded {
                    what: what.name(),
                    in_force: true,
                    said: outcome.changes.iter().take(MOST_NOTES).cloned().collect(),
                });
                outcome.changes.truncate(MOST_NOTES);
                outcome.notes.truncate(MOST_NOTES);
                state.outcome = outcome;
                state.read_at = Now::read().unix.as_secs();
                state.failure = None;
                metrics.reloads.increment((what, ReloadResult::Applied));
                metrics.reload_in_force.set(what, 1.0);
                metrics.reload_last_success.set(what, Now::read().unix.as_secs_f64());
                tracing::info!(what = what.name(), "reloaded");
            }
            Err(why) => {
                metrics.reloads.increment((what, ReloadResult::Failed));
                metrics.reload_in_force.set(what, 0.0);
                let before = state.failure.take().filter(|_| is_same);
                if before.as_ref().is_none_or(|before| before.why != why) {
                    tracing::error!(
                        what = what.name(),
                        "not reloaded, what was in force stays: {why}"
                    );
                    let (what, said) = (what.name(), vec![excerpt(&why).to_owned()]);
                    self.broker.audit(|| Event::Reloaded { what, in_force: false, said });
                }
                state.failure = Some(Failure::again(why, before));
            }
        }
    }
}

impl Reloader {
    /// What ought to be known of a file is found with the configuration that names it as well: it stands with the
    /// file. Takes from `notes` of the configuration what stands with a file, and from the configuration what is
    /// among those of a file, which it gives: that has been said.
    fn take_over_notes(&mut self, at: usize, notes: &mut Vec<String>) -> Vec<String> {
        let is_config = |state: &State| state.what == Reloaded::Config;
        if self.states.get(at).is_some_and(is_config) {
            let of_files = self.states.iter().filter(|state| !is_config(state));
            let standing: Vec<_> = of_files.flat_map(|state| &state.outcome.notes).collect();
            notes.retain(|note| !standing.contains(&note));
            return Vec::new();
        }
        let config = self.states.iter_mut().filter(|state| is_config(state));
        config.flat_map(|it| it.outcome.notes.extract_if(.., |note| notes.contains(note))).collect()
    }
}

impl State {
    fn status(&self, loaded: &Loaded) -> FileStatus {
        let files = files(self.what, loaded);
        FileStatus {
            what: self.what.name().to_owned(),
            files: files.iter().map(|path| path.display().to_string()).collect(),
            read_at: self.read_at,
            fault: self.failure.as_ref().map(|failure| failure.why.clone()),
            notes: self.outcome.notes.clone(),
            changes: self.outcome.changes.clone(),
        }
    }

    /// Whether the files are others than those that were tried last, and not being written now; or it
    /// is time to try them again.
    fn is_due(&mut self, now: &Signature) -> bool {
        let is_settled = self.looked_at == *now;
        self.looked_at = now.clone();
        if self.tried != *now {
            return is_settled;
        }
        self.failure.as_ref().is_some_and(|failure| failure.retry_at <= Instant::now())
    }
}

impl Failure {
    /// Each time it takes longer until it is tried again.
    fn again(why: String, before: Option<Self>) -> Self {
        let (soon, late) = RETRY;
        let patience = before.map_or(soon, |before| (before.patience * 2).min(late));
        Self { why, retry_at: Instant::now() + patience, patience }
    }
}

/// The files of one kind.
fn files(what: Reloaded, loaded: &Loaded) -> Vec<PathBuf> {
    let config = &loaded.config;
    let paths = match what {
        Reloaded::Config => vec![loaded.file()],
        Reloaded::Policy => vec![config.acl.policy_file.clone()],
        Reloaded::Passwords => vec![config.auth.password_file.clone()],
        Reloaded::Operators => vec![config.admin.password_file.clone()],
        Reloaded::TokenKeys => vec![config.jwt.key_file.clone()],
        Reloaded::KeyRing => vec![config.keys.ring_file.clone()],
        Reloaded::HttpAccess => {
            let Settings { ca_file, client_cert, client_key, token_file, .. } = &config.http;
            [ca_file, client_cert, client_key, token_file].map(Clone::clone).to_vec()
        }
        Reloaded::Webhook => {
            let webhook::Settings { ca_file, token_file, secret_file, .. } = &config.webhook;
            [ca_file, token_file, secret_file].map(Clone::clone).to_vec()
        }
        Reloaded::Certificates => {
            let of_listener = |listener: &ListenerSettings| {
                let ListenerSettings { tls_cert, tls_key, client_ca, client_crl, .. } = listener;
                [tls_cert, tls_key, client_ca, client_crl].map(Clone::clone)
            };
            config.listener.iter().flat_map(of_listener).collect()
        }
    };
    paths.into_iter().flatten().collect()
}
