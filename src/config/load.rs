//! The first step: file, environment and flags become one [`Config`], and every value remembers
//! where it was written.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    Config, ConfigError, Origin, Problem, document,
    entry::{Entries, Entry, Layers},
    environment,
    overrides::Overrides,
    read_file::read_text,
    section::read,
    settings::{LISTENER, SENTINEL_RULE, THROTTLE},
};

/// Bytes of the largest configuration file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if one was named on the command line.
    pub file: Option<PathBuf>,
    /// The environment, as `std::env::vars_os` gives it, less the master key.
    pub environment: Vec<(OsString, OsString)>,
    /// The flags.
    pub flags: Flags,
}

/// Settings given on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`: replaces the listeners of the file.
    pub listen: Vec<String>,
    /// `--tls-cert`: for every TLS listener.
    pub tls_cert: Option<String>,
    /// `--tls-key`: for every TLS listener.
    pub tls_key: Option<String>,
    /// `--admin`: an address, or `off`.
    pub admin: Option<String>,
    /// `--log-level`.
    pub log_level: Option<String>,
}

/// A configuration that is sound in its form.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What was written, and defaults for what was not.
    pub config: Config,
    pub(super) origins: BTreeMap<String, Origin>,
    pub(super) sources: Sources,
}

impl Sources {
    /// The sources of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Flags) -> Self {
        Self { file, environment: environment::of_process(), flags }
    }

    fn config_file(&self) -> Option<PathBuf> {
        let variable = || environment::value_of(&self.environment, environment::CONFIG);
        self.file.clone().or_else(|| variable().map(PathBuf::from))
    }
}

impl Loaded {
    /// Reads the file and puts environment and flags above it.
    ///
    /// # Errors
    /// Everything that is wrong with the form: syntax, unknown names, types, ranges.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let layers = match sources.config_file() {
            Some(file) => read_layers(&file, &mut problems),
            None => Layers::default(),
        };
        Self::of_layers(layers, sources, problems)
    }

    /// As [`Self::load`], where the file has been read already: `text` is what `file` holds. Reads
    /// nothing itself.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(file: &Path, text: &str, sources: &Sources) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let layers = document::parse(file, text, &mut problems);
        Self::of_layers(layers, sources, problems)
    }

    /// The configuration file, where there is one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.sources.config_file()
    }

    fn of_layers(
        mut layers: Layers,
        sources: &Sources,
        mut problems: Vec<Problem>,
    ) -> Result<Self, ConfigError> {
        let overrides = environment::read(&sources.environment, &mut problems)
            .overridden_by(Overrides::from_flags(&sources.flags));
        overrides.apply(&mut layers, &mut problems);
        let config = config_of(&layers, &mut problems);
        if problems.is_empty() {
            Ok(Self { config, origins: origins_of(&layers), sources: sources.clone() })
        } else {
            Err(ConfigError::of(problems))
        }
    }
}

impl Overrides {
    fn from_flags(flags: &Flags) -> Self {
        let entry = |text: &String, flag| Entry::text(text, Origin::Flag(flag));
        let certificate = flags.tls_cert.as_ref().map(|file| entry(file, "--tls-cert"));
        let key = flags.tls_key.as_ref().map(|file| entry(file, "--tls-key"));
        let admin = flags.admin.as_ref().map(|address| entry(address, "--admin"));
        let level = flags.log_level.as_ref().map(|level| entry(level, "--log-level"));
        Self {
            listen: flags.listen.iter().map(|url| entry(url, "--listen")).collect(),
            listener: [("tls_cert", certificate), ("tls_key", key)]
                .into_iter()
                .filter_map(|(key, entry)| Some((key, entry?)))
                .collect(),
            sections: [(("admin", "address"), admin), (("log", "level"), level)]
                .into_iter()
                .filter_map(|(key, entry)| Some((key, entry?)))
                .collect(),
        }
    }
}

fn read_layers(file: &Path, problems: &mut Vec<Problem>) -> Layers {
    match read_text(file, MAX_FILE_BYTES) {
        Ok(text) => document::parse(file, &text, problems),
        Err(message) => {
            problems.push(Problem::missing(message));
            Layers::default()
        }
    }
}

fn config_of(layers: &Layers, problems: &mut Vec<Problem>) -> Config {
    let none = Entries::new();
    let of = |name| layers.sections.get(name).unwrap_or(&none);
    Config {
        listener: layers.listeners.iter().map(|each| read(LISTENER, each, problems)).collect(),
        auth: read("auth", of("auth"), problems),
        keys: read("keys", of("keys"), problems),
        envelope: read("envelope", of("envelope"), problems),
        store: read("store", of("store"), problems),
        audit: read("audit", of("audit"), problems),
        sentinel: read("sentinel", of("sentinel"), problems),
        sentinel_rule: (layers.sentinel_rules.iter())
            .map(|each| read(SENTINEL_RULE, each, problems))
            .collect(),
        jwt: read("jwt", of("jwt"), problems),
        http: read("http", of("http"), problems),
        webhook: read("webhook", of("webhook"), problems),
        acl: read("acl", of("acl"), problems),
        throttle: layers.throttles.iter().map(|each| read(THROTTLE, each, problems)).collect(),
        bans: read("bans", of("bans"), problems),
        mqtt: read("mqtt", of("mqtt"), problems),
        broker: read("broker", of("broker"), problems),
        network: read("network", of("network"), problems),
        admin: read("admin", of("admin"), problems),
        tracing: read("tracing", of("tracing"), problems),
        control: read("control", of("control"), problems),
        log: read("log", of("log"), problems),
    }
}

fn origins_of(layers: &Layers) -> BTreeMap<String, Origin> {
    let of_sections = layers.sections.iter().flat_map(|(section, entries)| {
        entries.iter().map(move |(key, entry)| (format!("{section}.{key}"), entry))
    });
    let of_listeners = layers.listeners.iter().enumerate().flat_map(|(index, entries)| {
        entries.iter().map(move |(key, entry)| (listener_path(index, key), entry))
    });
    let of_throttles = layers.throttles.iter().enumerate().flat_map(|(index, entries)| {
        entries.iter().map(move |(key, entry)| (throttle_path(index, key), entry))
    });
    let of_rules = layers.sentinel_rules.iter().enumerate().flat_map(|(index, entries)| {
        entries.iter().map(move |(key, entry)| (sentinel_rule_path(index, key), entry))
    });
    of_sections
        .chain(of_listeners)
        .chain(of_throttles)
        .chain(of_rules)
        .map(|(path, entry)| (path, entry.origin.clone()))
        .collect()
}

/// How the origin of the key of a limit is looked up.
pub(super) fn throttle_path(index: usize, key: &str) -> String {
    format!("{THROTTLE}.{index}.{key}")
}

/// How the origin of the key of a rule of the sentinel is looked up.
pub(super) fn sentinel_rule_path(index: usize, key: &str) -> String {
    format!("{SENTINEL_RULE}.{index}.{key}")
}

/// How the origin of a listener's key is looked up.
pub(super) fn listener_path(index: usize, key: &str) -> String {
    format!("{LISTENER}.{index}.{key}")
}
