//! A `mosquitto.conf` with its included files: settings of the broker, of listeners, of bridges.

use std::path::Path;

use super::conf_lines::{Directive, directives};
use super::finding::Place;
use super::source::{ImportError, Source};

/// Settings that belong to a listener: the one above them in the file, or else the default one.
const OF_LISTENERS: [&str; 35] = [
    "accept_protocol_versions",
    "bind_interface",
    "cafile",
    "capath",
    "certfile",
    "ciphers",
    "ciphers_tls1.3",
    "crlfile",
    "dhparamfile",
    "disable_client_cert_date_checks",
    "enable_proxy_protocol",
    "http_dir",
    "keyfile",
    "listener_allow_anonymous",
    "listener_auto_id_prefix",
    "max_connections",
    "max_qos",
    "max_topic_alias",
    "max_topic_alias_broker",
    "maximum_qos",
    "mount_point",
    "protocol",
    "proxy_protocol_v2_require_tls",
    "psk_hint",
    "require_certificate",
    "socket_domain",
    "tls_engine",
    "tls_engine_kpass_sha1",
    "tls_keyform",
    "tls_version",
    "use_identity_as_username",
    "use_subject_as_username",
    "use_username_as_clientid",
    "websockets_origin",
    "websockets_headers_size",
];

/// Settings that belong to a listener where `per_listener_settings` is true.
const OF_SECURITY: [&str; 8] = [
    "acl_file",
    "allow_anonymous",
    "allow_zero_length_clientid",
    "auto_id_prefix",
    "password_file",
    "psk_file",
    "plugin",
    "auth_plugin",
];

/// Settings of a bridge, besides those whose name begins with `bridge_` or `remote_` or `local_`.
const OF_BRIDGES: [&str; 18] = [
    "address",
    "addresses",
    "cleansession",
    "clientid",
    "idle_timeout",
    "keepalive_interval",
    "notification_topic",
    "notifications",
    "notifications_local_only",
    "password",
    "restart_timeout",
    "round_robin",
    "start_type",
    "threshold",
    "topic",
    "try_private",
    "username",
    "retry_interval",
];

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// A port at an address, or at every one.
    Tcp { port: u16, host: Option<String> },
    /// A path.
    Unix(String),
    /// Port 1883 of this machine: what Mosquitto does without a listener.
    Local,
}

/// A listener and what is set for it.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) place: Place,
    pub(super) binding: Binding,
    pub(super) settings: Vec<Directive>,
}

/// A whole configuration.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) settings: Vec<Directive>,
    /// At least one.
    pub(super) listeners: Vec<Listener>,
    /// The `connection` line of each bridge.
    pub(super) bridges: Vec<Directive>,
    pub(super) per_listener: bool,
}

impl Tree {
    pub(super) fn read(path: &Path, source: &Source<'_>) -> Result<Self, ImportError> {
        let mut reader = Reader { source, tree: Self::default(), default: Vec::new() };
        let text = source.read(path, None)?;
        let all = directives(path, &text);
        // Mosquitto wants it first; whoever has put it elsewhere meant it no less.
        for directive in all.iter().filter(|it| it.key == "per_listener_settings") {
            reader.tree.per_listener = directive.boolean()?;
        }
        reader.file(all, true)?;
        reader.finish(path)
    }

    /// Whether Mosquitto would only be reached from its own machine, and by everybody there.
    pub(super) fn is_local_only(&self) -> bool {
        matches!(&*self.listeners, [Listener { binding: Binding::Local, .. }])
    }
}

struct Reader<'a> {
    source: &'a Source<'a>,
    tree: Tree,
    /// What is set for the default listener.
    default: Vec<Directive>,
}

impl Reader<'_> {
    fn file(&mut self, all: Vec<Directive>, is_first: bool) -> Result<(), ImportError> {
        // A file begins with the default listener, and without a bridge.
        let (mut listener, mut bridge) = (None, false);
        for directive in all {
            match &*directive.key {
                "per_listener_settings" => {}
                "include_dir" if is_first => self.include(&directive)?,
                "include_dir" => {
                    return Err(directive.broken("stands in the first file alone"));
                }
                "listener" => {
                    listener = Some(self.tree.listeners.len());
                    self.tree.listeners.push(Listener::of(&directive)?);
                }
                "connection" => {
                    bridge = true;
                    self.tree.bridges.push(directive);
                }
                key if bridge && is_of_bridge(key) => {}
                "port" | "bind_address" => self.default.push(directive),
                key if self.is_of_listener(key) => self.of_listener(listener, directive),
                _ => self.tree.settings.push(directive),
            }
        }
        Ok(())
    }

    fn include(&mut self, directive: &Directive) -> Result<(), ImportError> {
        let directory = self.source.locate(directive.text()?);
        for file in self.source.included(&directory, &directive.place)? {
            let text = self.source.read(&file, Some(&directive.place))?;
            self.file(directives(&file, &text), false)?;
        }
        Ok(())
    }

    fn is_of_listener(&self, key: &str) -> bool {
        let is_security = OF_SECURITY.contains(&key) || is_plugin_option(key);
        OF_LISTENERS.contains(&key) || self.tree.per_listener && is_security
    }

    fn of_listener(&mut self, listener: Option<usize>, directive: Directive) {
        let listener = listener.and_then(|place| self.tree.listeners.get_mut(place));
        match listener {
            Some(listener) => listener.settings.push(directive),
            None => self.default.push(directive),
        }
    }

    fn finish(mut self, path: &Path) -> Result<Tree, ImportError> {
        if let Some(listener) = default_listener(self.default)? {
            self.tree.listeners.insert(0, listener);
        }
        if self.tree.listeners.is_empty() {
            let place = Place { file: path.into(), line: 0 };
            let listener = Listener { place, binding: Binding::Local, settings: Vec::new() };
            self.tree.listeners.push(listener);
        }
        Ok(self.tree)
    }
}

/// Whether `key` is an option of the plugin above it.
pub(super) fn is_plugin_option(key: &str) -> bool {
    key.starts_with("plugin_opt_") || key.starts_with("auth_opt_")
}

fn is_of_bridge(key: &str) -> bool {
    let prefixes = ["bridge_", "remote_", "local_"];
    OF_BRIDGES.contains(&key) || prefixes.iter().any(|prefix| key.starts_with(prefix))
}

/// The listener of `port` and `bind_address`: there is one as soon as something is set for it.
fn default_listener(all: Vec<Directive>) -> Result<Option<Listener>, ImportError> {
    let Some(first) = all.first() else { return Ok(None) };
    let place = first.place.clone();
    let (mut port, mut host) = (1883, None);
    let mut settings = Vec::new();
    for directive in all {
        match &*directive.key {
            "port" => port = port_of(&directive, &directive.value)?,
            "bind_address" => host = Some(directive.text()?.to_owned()),
            _ => settings.push(directive),
        }
    }
    Ok(Some(Listener { place, binding: Binding::Tcp { port, host }, settings }))
}

impl Listener {
    /// What a `listener` line says.
    fn of(directive: &Directive) -> Result<Self, ImportError> {
        let mut words = directive.value.split(' ').filter(|word| !word.is_empty());
        let number = words.next().unwrap_or_default();
        let behind = words.next().filter(|word| !word.starts_with('#')).map(str::to_owned);
        let binding = match (number, behind) {
            ("0", Some(path)) => Binding::Unix(path),
            (number, host) => Binding::Tcp { port: port_of(directive, number)?, host },
        };
        Ok(Self { place: directive.place.clone(), binding, settings: Vec::new() })
    }
}

fn port_of(directive: &Directive, text: &str) -> Result<u16, ImportError> {
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| directive.broken("takes a port from 1 to 65535"))
}
