//! From where a client must come: by which listener, and how its transport is protected.

use super::Subject;
use crate::identity::TransportSecurity;

/// The places that a client may come from; everywhere, unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The URLs of listeners, any of which will do. A `*` at the end stands for any ending.
    pub(super) listeners: Option<Box<[Box<str>]>>,
    /// Any of these will do.
    pub(super) transport: Option<Box<[Transport]>>,
}

/// How a policy speaks of the protection of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// No protection: `plain`.
    Plain,
    /// TLS, be the client authenticated by it or not: `tls`.
    Tls,
    /// TLS with a client certificate: `mtls`.
    MutualTls,
    /// A Unix socket: `unix`.
    Unix,
}

impl Origin {
    pub(super) fn admits(&self, subject: &Subject<'_>) -> bool {
        self.has_listener(subject.listener) && self.has_transport(subject.security)
    }

    pub(super) fn has_listener(&self, url: &str) -> bool {
        self.listeners.as_ref().is_none_or(|urls| urls.iter().any(|wanted| is_named(url, wanted)))
    }

    /// What it says of listeners and is true of none of `urls`.
    pub(super) fn listeners_other_than(&self, urls: &[String]) -> impl Iterator<Item = &str> {
        let wanted = self.listeners.iter().flat_map(|listeners| listeners.iter());
        let is_missing = |wanted: &&str| !urls.iter().any(|url| is_named(url, wanted));
        wanted.map(|wanted| &**wanted).filter(is_missing)
    }

    pub(super) fn has_transport(&self, security: TransportSecurity) -> bool {
        self.transport.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind.includes(security)))
    }
}

fn is_named(url: &str, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => url.starts_with(start),
        None => url == wanted,
    }
}

impl Transport {
    pub(super) const ALL: [Self; 4] = [Self::Plain, Self::Tls, Self::MutualTls, Self::Unix];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::MutualTls => "mtls",
            Self::Unix => "unix",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn includes(self, security: TransportSecurity) -> bool {
        match security {
            TransportSecurity::Plain => self == Self::Plain,
            TransportSecurity::Tls => self == Self::Tls,
            TransportSecurity::MutualTls => matches!(self, Self::Tls | Self::MutualTls),
            TransportSecurity::Unix => self == Self::Unix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_includes_mutual_tls_and_nothing_includes_plain() {
        use TransportSecurity::{MutualTls, Plain, Tls, Unix};
        let kinds = |security| Transport::ALL.map(|kind| kind.includes(security));
        assert_eq!(kinds(Plain), [true, false, false, false]);
        assert_eq!(kinds(Tls), [false, true, false, false]);
        assert_eq!(kinds(MutualTls), [false, true, true, false]);
        assert_eq!(kinds(Unix), [false, false, false, true]);
    }
}
