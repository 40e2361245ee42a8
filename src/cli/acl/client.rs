//! The client that a question is about, as flags and tables name it.

use std::sync::Arc;
use std::time::Duration;

use crate::acl::{Subject, time_of_week};
use crate::identity::{
    Attribute, AttributeSource, Attributes, ClientId, Principal, TransportSecurity,
};

/// A client that is asked about.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) principal: Principal,
    pub(super) client_id: ClientId,
    pub(super) attributes: Attributes,
    pub(super) listener: String,
    pub(super) security: TransportSecurity,
    /// Since the Unix epoch.
    pub(super) time: Duration,
}

impl Client {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            principal: &self.principal,
            client_id: &self.client_id,
            attributes: &self.attributes,
            listener: &self.listener,
            security: self.security,
            time: self.time,
        }
    }
}

/// The principal of exactly one of these; none, where there are more or fewer.
pub(super) fn principal(
    [user, certificate, token, unix]: [Option<&str>; 4],
    anonymous: bool,
) -> Option<Principal> {
    let named = [
        user.map(|name| Principal::User(name.into())),
        certificate.map(|name| Principal::Certificate(name.into())),
        token.map(|name| Principal::Token(name.into())),
        unix.map(|name| Principal::Unix(name.into())),
        anonymous.then_some(Principal::Anonymous),
    ];
    let mut named = named.into_iter().flatten();
    named.next().filter(|_| named.next().is_none())
}

/// What protects the transport of `principal` where nobody says so: some prove themselves by it.
pub(super) fn transport_of(principal: &Principal) -> TransportSecurity {
    match principal {
        Principal::Certificate(_) => TransportSecurity::MutualTls,
        Principal::Unix(_) => TransportSecurity::Unix,
        Principal::Anonymous | Principal::User(_) | Principal::Token(_) | Principal::Http(_) => {
            TransportSecurity::Plain
        }
    }
}

/// What is asked about, with what the proof of `principal` says of it in any case.
pub(super) fn attributes_of(
    principal: &Principal,
    said: impl IntoIterator<Item = Attribute>,
) -> Attributes {
    let own = match principal {
        Principal::Unix(name) => Some(Attribute {
            source: AttributeSource::Unix,
            name: "user".into(),
            value: Arc::clone(name),
        }),
        _ => None,
    };
    own.into_iter().chain(said).collect()
}

/// `certificate.ou=plant-1`: the word of the policy for the proof, the name there, the value.
pub(super) fn parse_attribute(text: &str) -> Result<Attribute, String> {
    let wrong = || {
        format!("{text:?} is no attribute: write certificate.NAME=VALUE, unix., claims. or http.")
    };
    let (source, rest) = text.split_once('.').ok_or_else(wrong)?;
    let (name, value) = rest.split_once('=').ok_or_else(wrong)?;
    let source = AttributeSource::named(source).ok_or_else(wrong)?;
    Ok(Attribute { source, name: name.into(), value: value.into() })
}

/// `plain`, `tls`, `mtls` or `unix`.
pub(super) fn parse_transport(text: &str) -> Result<TransportSecurity, String> {
    let wrong = || "a transport is plain, tls, mtls or unix".to_owned();
    TransportSecurity::named(text).ok_or_else(wrong)
}

/// `mon 08:00`, in UTC.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    time_of_week(text).ok_or_else(|| format!("{text:?} is no time: write \"mon 08:00\", in UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_proves_itself_in_exactly_one_way() {
        let token = principal([None, None, Some("t"), None], false);
        assert_eq!(token, Some(Principal::Token("t".into())));
        assert_eq!(principal([None; 4], true), Some(Principal::Anonymous));
        assert_eq!(principal([None; 4], false), None);
        assert_eq!(principal([Some("u"), None, None, Some("x")], false), None);
        assert_eq!(principal([Some("u"), None, None, None], true), None);
    }

    #[test]
    fn who_proves_itself_by_its_transport_comes_by_it() {
        let of = |names, expected| {
            let principal = principal(names, false).expect("one");
            assert_eq!(transport_of(&principal), expected, "{principal}");
        };
        of([Some("n"), None, None, None], TransportSecurity::Plain);
        of([None, Some("n"), None, None], TransportSecurity::MutualTls);
        of([None, None, Some("n"), None], TransportSecurity::Plain);
        of([None, None, None, Some("n")], TransportSecurity::Unix);
    }
}
