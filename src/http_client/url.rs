//! The URL of a service, taken apart once.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;
use thiserror::Error;

/// Where questions are posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl {
    pub(super) is_tls: bool,
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port, as the service wants to read them.
    pub(super) authority: HeaderValue,
    pub(super) path: PathAndQuery,
}

/// Why a URL is not one of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ServiceUrlError {
    /// It cannot be read at all.
    #[error("is no URL; write one such as \"https://id.example.com/mqtt/login\"")]
    Form,
    /// It is spoken to in another way.
    #[error("is neither an https:// nor an http:// URL")]
    Scheme,
    /// It would show in the log and in `check-config`.
    #[error("names a user: a secret belongs in a file, see `token_file`")]
    User,
    /// It would show in the log and in `check-config`, or would never be sent.
    #[error("has a `?` or a `#`: a secret belongs in a file, see `token_file`")]
    Query,
}

impl FromStr for ServiceUrl {
    type Err = ServiceUrlError;

    fn from_str(text: &str) -> Result<Self, ServiceUrlError> {
        if text.contains(['?', '#']) {
            return Err(ServiceUrlError::Query);
        }
        let uri = text.parse::<Uri>().map_err(|_| ServiceUrlError::Form)?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(ServiceUrlError::Scheme),
            None => return Err(ServiceUrlError::Form),
        };
        let authority = uri.authority().ok_or(ServiceUrlError::Form)?;
        if authority.as_str().contains('@') {
            return Err(ServiceUrlError::User);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_port_given = authority.as_str().ends_with(authority.host());
        let port = match authority.port_u16() {
            Some(port) => port,
            None if !is_port_given => return Err(ServiceUrlError::Form),
            None if is_tls => 443,
            None => 80,
        };
        if host.is_empty() || port == 0 {
            return Err(ServiceUrlError::Form);
        }
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port,
            authority: HeaderValue::from_str(authority.as_str())
                .map_err(|_| ServiceUrlError::Form)?,
            path: uri.path_and_query().cloned().ok_or(ServiceUrlError::Form)?,
        })
    }
}

impl ServiceUrl {
    /// Whether what is sent there is protected on its way.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Where on the service it is.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.path()
    }

    /// Whether what is sent there stays on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        let authority = self.authority.to_str().unwrap_or_default();
        write!(f, "{scheme}://{authority}{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServiceUrl, ServiceUrlError> {
        text.parse()
    }

    #[test]
    fn a_url_is_taken_apart_with_the_ports_of_its_scheme() {
        for (text, is_tls, host, port, path) in [
            ("https://id.example.com/mqtt/login", true, "id.example.com", 443, "/mqtt/login"),
            ("http://localhost", false, "localhost", 80, "/"),
            ("https://[::1]:8443/a", true, "::1", 8443, "/a"),
            ("http://127.0.0.1:8080/", false, "127.0.0.1", 8080, "/"),
        ] {
            let url = parse(text).unwrap();
            assert_eq!((url.is_tls, &*url.host, url.port), (is_tls, host, port), "{text}");
            assert_eq!(url.path.as_str(), path);
        }
        assert_eq!(parse("https://[::1]:8443/a").unwrap().to_string(), "https://[::1]:8443/a");
    }

    #[test]
    fn what_stays_on_this_machine_is_known_by_its_address_or_as_localhost() {
        for (text, is_loopback) in [
            ("http://localhost/", true),
            ("http://LocalHost/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://localhost.example.com/", false),
            ("http://127.0.0.1.example.com/", false),
            ("http://10.0.0.1/", false),
            ("http://0.0.0.0/", false),
        ] {
            assert_eq!(parse(text).unwrap().is_loopback(), is_loopback, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_service_is_refused() {
        use ServiceUrlError::{Form, Query, Scheme, User};
        for (text, error) in [
            ("", Form),
            ("id.example.com", Form),
            ("/login", Form),
            ("https://", Form),
            ("https:///login", Form),
            ("https://host:port/", Form),
            ("https://host:70000/", Form),
            ("https://host:0/", Form),
            ("https://a b/", Form),
            ("ftp://host/", Scheme),
            ("https://user:secret@host/", User),
            ("https://host/?key=secret", Query),
            ("https://host/#top", Query),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }
}
