//! The client that a question is about, as flags and tables name it.

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
