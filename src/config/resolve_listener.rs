//! One listener, from its settings to what can be bound.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Loaded, Problem, findings::Findings, listeners::MeantFor, load::listener_path,
    resolve_authenticators::resolve_authenticators, resolve_proxy::resolve_proxy,
    resolve_unix::resolve_unix, settings::listener_keys,
};
use crate::{
    auth::Authenticators,
    clock::Now,
    net::{
        BindAddress, Endpoint, ListenUrl, ListenerSettings, ProxySettings, Scheme,
        WebSocketSettings,
    },
    tls::{Alpn, ClientAuth, ListenerTls, Revocation, ServerFiles, ServerTls, server_config},
    unix::UnixSettings,
};

/// One listener, ready to be bound.
#[derive(Clone, Debug)]
pub struct ResolvedListener {
    /// As written.
    pub url: ListenUrl,
    /// The address to bind.
    pub address: BindAddress,
    /// What a Unix socket has to heed.
    pub unix: UnixSettings,
    /// The proxies that its connections come by, unless they come directly.
    pub proxy: Option<ProxySettings>,
    /// Its TLS, unless it is plain.
    pub tls: Option<Arc<ListenerTls>>,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
    /// Its WebSocket, unless MQTT is spoken without it.
    pub websocket: Option<WebSocketSettings>,
    /// Who finds out who its clients are.
    pub authenticators: Authenticators,
}

impl From<ResolvedListener> for Endpoint {
    fn from(listener: ResolvedListener) -> Self {
        let ResolvedListener { url, address, unix, proxy, tls, websocket, authenticators, .. } =
            listener;
        let authenticators = Arc::new(authenticators);
        Self { url, address, unix, proxy, tls, websocket, authenticators }
    }
}

/// Resolves every listener; what is wrong with one is reported and it is left out.
pub(super) fn resolve_listeners(
    loaded: &Loaded,
    now: Now,
    findings: &mut Findings,
) -> Vec<ResolvedListener> {
    let settings = &loaded.config.listener;
    if settings.is_empty() {
        findings.problems.push(Problem::missing(
            "there is no listener: add [[listener]] with a `url` to the file, or give --listen or \
             BASTIONMQ_LISTEN a URL such as mqtts://0.0.0.0:8883",
        ));
    }
    let resolved: Vec<_> = settings
        .iter()
        .enumerate()
        .filter_map(|(index, settings)| {
            OneListener { loaded, index, settings }.resolve(now, findings)
        })
        .collect();
    refuse_doubles(&resolved, findings);
    resolved
}

fn refuse_doubles(listeners: &[ResolvedListener], findings: &mut Findings) {
    let mut first_at = BTreeMap::new();
    let is_any_port =
        |address: &BindAddress| matches!(address, BindAddress::Tcp(address) if address.port() == 0);
    for listener in listeners.iter().filter(|listener| !is_any_port(&listener.address)) {
        if let Some(first) = first_at.insert(&listener.address, &listener.url) {
            let message = format!("two listeners at one address: {first} and {}", listener.url);
            findings.problems.push(Problem::missing(message));
        }
    }
}

impl Loaded {
    /// Whether a key of a listener was written at all.
    fn is_written(&self, index: usize, key: &str) -> bool {
        self.origins.contains_key(&listener_path(index, key))
    }

    /// A problem of one key of a listener; where that was not written, of the listener.
    fn listener_problem(&self, index: usize, key: &str, message: impl Into<String>) -> Problem {
        let origin = self
            .origins
            .get(&listener_path(index, key))
            .or_else(|| self.origins.get(&listener_path(index, "url")))
            .or_else(|| {
                let any = listener_path(index, "");
                self.origins.iter().find(|(key, _)| key.starts_with(&any)).map(|(_, at)| at)
            });
        Problem { origin: origin.cloned(), message: message.into() }
    }
}

struct OneListener<'a> {
    loaded: &'a Loaded,
    index: usize,
    settings: &'a ListenerSettings,
}

impl OneListener<'_> {
    fn resolve(&self, now: Now, findings: &mut Findings) -> Option<ResolvedListener> {
        let Some(url) = &self.settings.url else {
            let message = format!(
                "listener {} has no `url`: add one such as url = \"mqtts://0.0.0.0:8883\"",
                self.index + 1
            );
            findings.problems.push(self.loaded.listener_problem(self.index, "url", message));
            return None;
        };
        let address = self.address(url, findings);
        let authenticators = self.authenticators(url, findings);
        self.refuse_keys_without_meaning(url, findings);
        let proxy = self.proxy(url, findings);
        let mut unix = UnixSettings::default();
        let mut tls = None;
        if url.scheme().is_tls() {
            tls = Some(Arc::new(ListenerTls::new(self.tls(url, now, findings)?)));
        } else {
            match address.as_ref()? {
                BindAddress::Tcp(address) => self.refuse_open_plaintext(url, *address, findings),
                BindAddress::Unix(path) => unix = self.unix(path, findings)?,
            }
        }
        Some(ResolvedListener {
            url: url.clone(),
            address: address?,
            unix,
            proxy: proxy?,
            tls,
            client_auth: self.settings.client_auth,
            websocket: url.scheme().is_websocket().then(|| WebSocketSettings {
                path: self.settings.websocket_path.clone(),
                origins: self.settings.websocket_origins.clone(),
            }),
            authenticators: authenticators?,
        })
    }

    fn authenticators(&self, url: &ListenUrl, findings: &mut Findings) -> Option<Authenticators> {
        let config = &self.loaded.config;
        let explain =
            |each: String| self.report("authenticators", format!("{url}: {each}"), findings);
        match resolve_authenticators(self.settings, config) {
            Ok(authenticators) => Some(authenticators),
            // That nobody could log in anywhere is said once, and elsewhere.
            Err(_) if !config.lets_somebody_in() => None,
            Err(problems) => {
                problems.into_iter().for_each(explain);
                None
            }
        }
    }

    fn proxy(&self, url: &ListenUrl, findings: &mut Findings) -> Option<Option<ProxySettings>> {
        if url.scheme() == Scheme::Unix {
            return Some(None);
        }
        let explain = |(key, message)| self.report(key, format!("{url}: {message}"), findings);
        resolve_proxy(self.settings).map_err(explain).ok()
    }

    fn address(&self, url: &ListenUrl, findings: &mut Findings) -> Option<BindAddress> {
        let explain = |error| format!("cannot find the address of {url}: {error}");
        url.address().map_err(|error| self.report("url", explain(error), findings)).ok()
    }

    fn unix(&self, path: &Path, findings: &mut Findings) -> Option<UnixSettings> {
        let resolved = resolve_unix(path, self.settings);
        for (key, message) in &resolved.problems {
            self.report(key, message.clone(), findings);
        }
        findings.warnings.extend(resolved.warning);
        resolved.problems.is_empty().then_some(resolved.settings)
    }

    fn tls(&self, url: &ListenUrl, now: Now, findings: &mut Findings) -> Option<ServerTls> {
        let certificate = self.file("tls_cert", &self.settings.tls_cert, url, findings);
        let key = self.file("tls_key", &self.settings.tls_key, url, findings);
        let files = ServerFiles {
            certificate: certificate?,
            key: key?,
            client_auth: self.settings.client_auth,
            client_ca: self.settings.client_ca.clone(),
            revocation: Revocation {
                lists: self.settings.client_crl.clone(),
                depth: self.settings.client_crl_depth,
                unknown: self.settings.client_crl_unknown,
                expired: self.settings.client_crl_expired,
            },
            client_identity: self.settings.client_identity,
            minimum_version: self.settings.tls_min_version,
            alpn: if url.scheme().is_websocket() { Alpn::Http } else { Alpn::Mqtt },
        };
        match server_config(&files, now) {
            Ok(tls) => {
                findings.warnings.extend(tls.warnings.iter().map(ToString::to_string));
                Some(tls)
            }
            Err(error) => {
                self.report("url", format!("{url}: {error}"), findings);
                None
            }
        }
    }

    fn file(
        &self,
        key: &str,
        path: &Option<PathBuf>,
        url: &ListenUrl,
        findings: &mut Findings,
    ) -> Option<PathBuf> {
        if path.is_none() {
            let flag = key.replace('_', "-");
            let message = format!(
                "{url} is TLS and needs a certificate: `{key}` is not set (--{flag}); `bastionmq \
                 certs` makes one for development"
            );
            self.report(key, message, findings);
        }
        path.clone()
    }

    /// A setting that does nothing would leave its author believing in a protection that is not
    /// there.
    fn refuse_keys_without_meaning(&self, url: &ListenUrl, findings: &mut Findings) {
        for key in listener_keys() {
            let meant_for = MeantFor::of_key(key);
            if !meant_for.includes(url.scheme()) && self.loaded.is_written(self.index, key) {
                let schemes = meant_for.schemes();
                let message = format!(
                    "`{key}` means nothing for {url}: it is for {schemes} listeners; remove it"
                );
                self.report(key, message, findings);
            }
        }
    }

    fn refuse_open_plaintext(&self, url: &ListenUrl, address: SocketAddr, findings: &mut Findings) {
        if address.ip().to_canonical().is_loopback() || self.settings.plaintext.is_some() {
            return;
        }
        let message = format!(
            "{url} is plain TCP off loopback: everybody on the way reads passwords and messages; \
             use {}://, or set plaintext = \"i-understand\" for this listener",
            if url.scheme().is_websocket() { Scheme::Wss } else { Scheme::Mqtts }.name()
        );
        self.report("url", message, findings);
    }

    fn report(&self, key: &str, message: String, findings: &mut Findings) {
        findings.problems.push(self.loaded.listener_problem(self.index, key, message));
    }
}
