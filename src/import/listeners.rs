//! A listener of Mosquitto as a `[[listener]]`.

use super::conf_lines::Directive;
use super::conf_tree::{Binding, Listener};
use super::finding::Findings;
use super::lacking;
use super::output::Section;
use super::policy_text::quoted;
use super::source::{ImportError, Source};
use crate::net::ListenUrl;

/// Who finds out who the clients of a listener are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Logins {
    pub(super) passwords: bool,
    pub(super) anonymous: bool,
    /// Whether it must be said, because another listener has it otherwise.
    pub(super) differ: bool,
}

/// What is said of certificates.
#[derive(Default)]
struct Tls<'a> {
    certificate: Option<&'a Directive>,
    key: Option<&'a Directive>,
    authorities: Option<&'a Directive>,
    directory: Option<&'a Directive>,
    revoked: Option<&'a Directive>,
    version: Option<&'a Directive>,
    required: bool,
    names_user: Option<&'a Directive>,
}

/// Whether clients of `listener` are the users that their certificates name.
pub(super) fn names_users(listener: &Listener) -> Result<bool, ImportError> {
    let mut of_names =
        listener.settings.iter().filter(|directive| directive.key == "use_identity_as_username");
    of_names.try_fold(false, |named, directive| Ok(named | directive.boolean()?))
}

/// The section of `listener`; none where it cannot be opened as it is.
pub(super) fn translate(
    listener: &Listener,
    logins: Logins,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Result<Option<Section>, ImportError> {
    let tls = Tls::of(listener, findings)?;
    let is_websocket = value(listener, "protocol").is_some_and(|it| it.value == "websockets");
    let mut section = Section::default();
    if !set_url(&mut section, listener, tls.is_spoken(), is_websocket, findings) {
        return Ok(None);
    }
    if tls.is_spoken() {
        tls.set(&mut section, source, findings);
    } else if value(listener, "psk_hint").is_some() {
        let remedy = "without its keys it would be open, so it is left out: give it a certificate \
                      (tls_cert, tls_key)";
        findings.missing(&listener.place, "a listener with PSK", remedy);
        return Ok(None);
    }
    if is_websocket {
        set_origins(&mut section, listener, findings);
    }
    let authenticators = tls.authenticators(logins, matches!(listener.binding, Binding::Unix(_)));
    if let Some(names) = authenticators {
        let names: Vec<_> = names.into_iter().map(quoted).collect();
        section.set("authenticators", format!("[{}]", names.join(", ")), None);
    }
    Ok(Some(section))
}

fn value<'l>(listener: &'l Listener, key: &str) -> Option<&'l Directive> {
    listener.settings.iter().rfind(|directive| directive.key == key)
}

fn set_url(
    section: &mut Section,
    listener: &Listener,
    is_tls: bool,
    is_websocket: bool,
    findings: &mut Findings,
) -> bool {
    let scheme = match (is_websocket, is_tls) {
        (false, false) => "mqtt",
        (false, true) => "mqtts",
        (true, false) => "ws",
        (true, true) => "wss",
    };
    let url = match &listener.binding {
        Binding::Tcp { port, host } => {
            let only_ipv4 = value(listener, "socket_domain").is_some_and(|it| it.value == "ipv4");
            let host = match host {
                Some(host) if host.contains(':') => format!("[{host}]"),
                Some(host) => host.clone(),
                None if only_ipv4 => "0.0.0.0".to_owned(),
                None => "[::]".to_owned(),
            };
            format!("{scheme}://{host}:{port}")
        }
        Binding::Unix(path) => format!("unix://{path}"),
        Binding::Local => format!("{scheme}://127.0.0.1:1883"),
    };
    if let Err(error) = url.parse::<ListenUrl>() {
        let remedy = format!("{error}; the listener is left out");
        findings.missing(&listener.place, format!("a listener at {url}"), &remedy);
        return false;
    }
    section.set_text("url", &url, Some(&listener.place));
    match &listener.binding {
        Binding::Unix(_) => {
            let remedy = "the users whose programs may connect are named in `unix_allow_users` and \
                          its like: without them it is the user of the broker alone";
            findings.note(&listener.place, url, remedy);
        }
        Binding::Tcp { host, .. } if !is_tls && !is_loopback(host.as_deref()) => {
            section.set_text("plaintext", "i-understand", None);
            let remedy = "without TLS everybody on the way reads passwords and messages: give it a \
                          certificate, or the address of this machine alone";
            findings.note(&listener.place, url, remedy);
        }
        Binding::Tcp { .. } | Binding::Local => {}
    }
    true
}

fn is_loopback(host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

fn set_origins(section: &mut Section, listener: &Listener, findings: &mut Findings) {
    let origins = listener.settings.iter().filter(|it| it.key == "websockets_origin");
    let origins: Vec<_> = origins.map(|it| quoted(&it.value)).collect();
    if origins.is_empty() {
        let remedy = "pages of other sites are not let in unless `websocket_origins` lists them, and \
                      the path is /mqtt unless `websocket_path` says otherwise; Mosquitto takes any";
        findings.note(&listener.place, "protocol websockets", remedy);
    } else {
        section.set("websocket_origins", format!("[{}]", origins.join(", ")), None);
    }
}

impl<'a> Tls<'a> {
    fn of(listener: &'a Listener, findings: &mut Findings) -> Result<Self, ImportError> {
        let mut tls = Self::default();
        for directive in &listener.settings {
            match &*directive.key {
                "certfile" => tls.certificate = Some(directive),
                "keyfile" => tls.key = Some(directive),
                "cafile" => tls.authorities = Some(directive),
                "capath" => tls.directory = Some(directive),
                "crlfile" => tls.revoked = Some(directive),
                "tls_version" => tls.version = Some(directive),
                "require_certificate" => tls.required = directive.boolean()?,
                "use_identity_as_username" => {
                    tls.names_user = directive.boolean()?.then_some(directive);
                }
                "use_subject_as_username" => {
                    if directive.boolean()? {
                        let remedy = "a name is the CN or an alternative name (client_identity), \
                                      never the whole subject: name users so in the policy";
                        findings.missing(&directive.place, directive.shown(), remedy);
                    }
                }
                // They are read elsewhere.
                "socket_domain"
                | "websockets_origin"
                | "psk_hint"
                | "max_connections"
                | "max_qos"
                | "maximum_qos"
                | "listener_allow_anonymous" => {}
                _ => lacking::report(directive, findings),
            }
        }
        if let (Some(certificate), None) = (tls.certificate, tls.key) {
            return Err(certificate.broken("has no `keyfile` beside it"));
        }
        Ok(tls)
    }

    fn is_spoken(&self) -> bool {
        self.certificate.is_some()
    }

    fn set(&self, section: &mut Section, source: &Source<'_>, findings: &mut Findings) {
        let mut set_file = |key, directive: Option<&Directive>| {
            if let Some(directive) = directive {
                let path = source.absolute(&directive.value);
                section.set_text(key, &path.to_string_lossy(), Some(&directive.place));
            }
        };
        set_file("tls_cert", self.certificate);
        set_file("tls_key", self.key);
        if self.required {
            set_file("client_ca", self.authorities);
            set_file("client_crl", self.revoked);
        }
        if let Some(version) = self.version {
            set_version(section, version, findings);
        }
        if self.required {
            section.set_text("client_auth", "required", None);
        }
        if let (true, Some(name)) = (self.required, self.names_user) {
            section.set_text("client_identity", "cn", Some(&name.place));
        }
        if let (true, Some(directory)) = (self.required, self.directory) {
            let remedy = "the authorities stand in one file: cat DIRECTORY/*.pem > ca.crt, and name it \
                          in client_ca";
            findings.missing(&directory.place, directory.shown(), remedy);
        }
    }

    /// None where the default says the same.
    fn authenticators(&self, logins: Logins, is_unix: bool) -> Option<Vec<&'static str>> {
        let is_named = self.is_spoken() && self.required && self.names_user.is_some();
        let is_gate = self.is_spoken() && self.required && !is_named;
        if !(logins.differ || is_gate || is_named || is_unix) {
            return None;
        }
        let by_certificate = is_named.then_some("certificate");
        let by_password = (logins.passwords && !is_named).then_some("password");
        let by_nothing = (logins.anonymous && !is_named).then_some("anonymous");
        let names: Vec<_> =
            by_certificate.into_iter().chain(by_password).chain(by_nothing).collect();
        (!names.is_empty()).then_some(names)
    }
}

fn set_version(section: &mut Section, version: &Directive, findings: &mut Findings) {
    match &*version.value {
        "tlsv1.3" => section.set_text("tls_min_version", "1.3", Some(&version.place)),
        "tlsv1.2" => section.set_text("tls_min_version", "1.2", Some(&version.place)),
        _ => {
            let remedy = "TLS 1.2 is the oldest that is spoken";
            findings.missing(&version.place, version.shown(), remedy);
        }
    }
}

/// What a setting of single listeners becomes, if they agree about it, for all of them.
pub(super) fn common<'l>(
    listeners: &'l [Listener],
    keys: &[&str],
    findings: &mut Findings,
) -> Option<&'l Directive> {
    let of = |listener: &'l Listener| {
        listener.settings.iter().rfind(|directive| keys.contains(&&*directive.key))
    };
    let first = listeners.iter().find_map(of)?;
    let differing = listeners.iter().any(|it| of(it).is_none_or(|it| it.value != first.value));
    if !differing {
        return Some(first);
    }
    for directive in listeners.iter().filter_map(of) {
        let remedy = "listeners share their limits: set it for all of them in bastionmq.toml";
        findings.missing(&directive.place, directive.shown(), remedy);
    }
    None
}
