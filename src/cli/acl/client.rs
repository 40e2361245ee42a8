//! The client that a question is about, as flags and tables name it.

use std::time::Duration;

use super::answer::Said;
use crate::acl::{ClientRules, Explanation, Permit, Policy, Request, Subject, time_of_week};
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
    /// Rules that it has beside the policy.
    pub(super) own: Option<ClientRules>,
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

    /// What `policy`, and the rules that it has to itself, allow it.
    pub(super) fn permit(&self, policy: &Policy) -> Permit {
        let subject = self.subject();
        let permit = policy.permit(&subject);
        match &self.own {
            Some(own) => permit.with_rules(own, &subject),
            None => permit,
        }
    }

    /// What `policy`, and the rules that it has to itself, say to `request`.
    pub(super) fn explain<'a>(
        &'a self,
        policy: &'a Policy,
        request: &Request<'_>,
    ) -> Explanation<'a> {
        policy.explain_with_rules(&self.subject(), self.own.as_ref(), request)
    }
}

/// The principal of exactly one of these; none, where there are more or fewer.
pub(super) fn principal(
    [user, certificate, token, unix, http]: [Option<&str>; 5],
    anonymous: bool,
) -> Option<Principal> {
    let named = [
        user.map(|name| Principal::User(name.into())),
        certificate.map(|name| Principal::Certificate(name.into())),
        token.map(|name| Principal::Token(name.into())),
        unix.map(|name| Principal::Unix(name.into())),
        http.map(|name| Principal::Http(name.into())),
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

/// What is asked about, with what the proof of `principal` says of it in any case, and what the HTTP
/// service has `said`.
pub(super) fn attributes_of(
    principal: &Principal,
    said: &Said,
    asked: impl IntoIterator<Item = Attribute>,
) -> Attributes {
    let source = match principal {
        Principal::Unix(_) => Some(AttributeSource::Unix),
        Principal::Http(_) => Some(AttributeSource::Http),
        _ => None,
    };
    let own = source.zip(principal.name()).map(|(source, name)| Attribute {
        source,
        name: "user".into(),
        value: name.into(),
    });
    let own: Attributes = own.into_iter().chain(asked).collect();
    match said {
        Some(said) => own.and(&said.attributes),
        None => own,
    }
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
        let token = principal([None, None, Some("t"), None, None], false);
        assert_eq!(token, Some(Principal::Token("t".into())));
        assert_eq!(principal([None; 5], true), Some(Principal::Anonymous));
        assert_eq!(principal([None; 5], false), None);
        assert_eq!(principal([Some("u"), None, None, Some("x"), None], false), None);
        assert_eq!(principal([Some("u"), None, None, None, None], true), None);
    }

    #[test]
    fn who_proves_itself_by_its_transport_comes_by_it() {
        let of = |names, expected| {
            let principal = principal(names, false).expect("one");
            assert_eq!(transport_of(&principal), expected, "{principal}");
        };
        of([Some("n"), None, None, None, None], TransportSecurity::Plain);
        of([None, Some("n"), None, None, None], TransportSecurity::MutualTls);
        of([None, None, Some("n"), None, None], TransportSecurity::Plain);
        of([None, None, None, Some("n"), None], TransportSecurity::Unix);
        of([None, None, None, None, Some("n")], TransportSecurity::Plain);
    }
}
