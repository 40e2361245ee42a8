//! Listeners given by flag or variable, and what they take over from those of the file.

use super::{
    Problem,
    entry::{Entries, Entry},
};
use crate::net::Scheme;

const URL: &str = "url";
const AUTHENTICATORS: &str = "authenticators";

/// The listeners that a key means something for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MeantFor {
    All,
    Plain,
    Tls,
    WebSocket,
    /// A TCP port.
    Network,
    Unix,
}

impl MeantFor {
    pub(super) fn of_key(key: &str) -> Self {
        match key {
            URL | AUTHENTICATORS => Self::All,
            "plaintext" => Self::Plain,
            "websocket_path" | "websocket_origins" => Self::WebSocket,
            key if key.starts_with("proxy_") => Self::Network,
            key if key.starts_with("unix_") => Self::Unix,
            _ => Self::Tls,
        }
    }

    pub(super) fn includes(self, scheme: Scheme) -> bool {
        match self {
            Self::All => true,
            Self::Plain => matches!(scheme, Scheme::Mqtt | Scheme::Ws),
            Self::Tls => scheme.is_tls(),
            Self::WebSocket => scheme.is_websocket(),
            Self::Network => scheme != Scheme::Unix,
            Self::Unix => scheme == Scheme::Unix,
        }
    }

    /// How the URLs of those listeners begin.
    pub(super) fn schemes(self) -> &'static str {
        match self {
            Self::All => "mqtt://, mqtts://, ws://, wss:// or unix://",
            Self::Plain => "mqtt:// or ws://",
            Self::Tls => "mqtts:// or wss://",
            Self::WebSocket => "ws:// or wss://",
            Self::Network => "mqtt://, mqtts://, ws:// or wss://",
            Self::Unix => "unix://",
        }
    }
}

/// Listeners at `urls` instead of those of the file. Each TLS one is like the first of the file that
/// has a certificate, each WebSocket one is reached like the first WebSocket one of the file, each Unix
/// one lets in whom the first Unix one does; all ask who their clients are as the first of the file that
/// is as safe. Consent to plaintext was given for one address and is not taken over, nor is what is
/// believed of the proxies in front of it.
pub(super) fn replace(file: &[Entries], urls: Vec<Entry>) -> Vec<Entries> {
    let listener = |url: Entry| {
        let mut entries = Entries::new();
        if let Some(scheme) = scheme_of(&url) {
            for meant_for in [MeantFor::Tls, MeantFor::WebSocket, MeantFor::Unix] {
                if meant_for.includes(scheme) {
                    entries.extend(taken_over(file, meant_for));
                }
            }
            entries.extend(authenticators_of(file, scheme));
        }
        entries.insert(URL.to_owned(), url);
        entries
    };
    urls.into_iter().map(listener).collect()
}

/// What the first listener of the file that can be a model says to keys of one kind.
fn taken_over(file: &[Entries], meant_for: MeantFor) -> Entries {
    let is_model = |listener: &&Entries| match meant_for {
        MeantFor::Tls => listener.contains_key("tls_cert"),
        _ => is_included(listener, meant_for),
    };
    let model = file.iter().find(is_model).into_iter().flatten();
    let concerned = model.filter(|(key, _)| MeantFor::of_key(key) == meant_for);
    concerned.map(|(key, entry)| (key.clone(), entry.clone())).collect()
}

/// Another address must not let in whom the file would not.
fn authenticators_of(file: &[Entries], scheme: Scheme) -> Option<(String, Entry)> {
    let is_as_safe = |listener: &&Entries| {
        let of = listener.get(URL).and_then(scheme_of);
        let is_unix = |scheme| scheme == Scheme::Unix;
        of.is_some_and(|of| of.is_tls() == scheme.is_tls() && is_unix(of) == is_unix(scheme))
    };
    let entry = file.iter().find(is_as_safe)?.get(AUTHENTICATORS)?;
    Some((AUTHENTICATORS.to_owned(), entry.clone()))
}

/// Sets `key` on every listener that it means something for. One that changes nothing is an error:
/// it was given for a reason.
pub(super) fn set(
    listeners: &mut [Entries],
    key: &str,
    entry: &Entry,
    problems: &mut Vec<Problem>,
) {
    let meant_for = MeantFor::of_key(key);
    let mut concerned =
        listeners.iter_mut().filter(|listener| is_included(listener, meant_for)).peekable();
    if concerned.peek().is_none() {
        let message = format!("there is no {} listener to set", meant_for.schemes());
        problems.push(Problem::at(&entry.origin, message));
    }
    for listener in concerned {
        listener.insert(key.to_owned(), entry.clone());
    }
}

fn is_included(listener: &Entries, meant_for: MeantFor) -> bool {
    listener.get(URL).and_then(scheme_of).is_some_and(|scheme| meant_for.includes(scheme))
}

fn scheme_of(url: &Entry) -> Option<Scheme> {
    Scheme::named(url.as_text()?.split_once("://")?.0)
}
