//! `authenticators`: who finds out who the clients of a listener are, and in which order.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One way to find out who a client is. Each looks at what is offered to it alone: what another one
/// takes is not its business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authenticator {
    /// The client certificate is all that is needed; for clients that send neither a user name nor a
    /// password.
    Certificate,
    /// The client certificate, and the password of the user that it names.
    CertificateAndPassword,
    /// The user that the process at the other end of a Unix socket runs as; for clients that send
    /// neither a user name nor a password.
    Unix,
    /// SCRAM-SHA-256, by enhanced authentication.
    Scram,
    /// A JSON Web Token in the place of the password.
    Jwt,
    /// A user and its password, by the HTTP service.
    Http,
    /// A user and its password in the password file.
    Password,
    /// Nobody in particular; for clients that offer nothing.
    Anonymous,
}

/// The authenticators of one listener, in the order in which they are asked; at least one, and none
/// of them in vain.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Vec<String>")]
pub struct Authenticators(Arc<[Authenticator]>);

/// A list, or one text with commas between, as environment variables write it.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a list of authenticators such as [\"certificate\", \"password\"] is needed"
)]
enum Written {
    List(Vec<String>),
    Text(String),
}

/// Why a list of authenticators is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthenticatorsError {
    /// Nobody would get in.
    #[error("an empty list would let nobody in: name one authenticator at least")]
    Empty,
    /// There is none of this name.
    #[error("{0:?} is no authenticator; there are {names}", names = all_names())]
    Unknown(String),
    /// One is asked once.
    #[error("\"{0}\" is in the list twice")]
    Twice(Authenticator),
    /// The first lets in whom the second would not.
    #[error(
        "\"{0}\" lets clients in that \"certificate+password\" asks for more: remove one of them"
    )]
    Undermined(Authenticator),
    /// The one answers for everybody that the other could.
    #[error(
        "\"http\" behind \"password\" would never be asked: a user that the password file does not \
         know is refused. Put \"http\" first; its service may leave users to the next"
    )]
    NeverAsked,
}

impl Authenticator {
    /// All of them, in the order in which they are asked where the configuration names none: what
    /// costs least to refuse comes first.
    pub const ALL: [Self; 8] = [
        Self::Certificate,
        Self::CertificateAndPassword,
        Self::Unix,
        Self::Scram,
        Self::Jwt,
        Self::Http,
        Self::Password,
        Self::Anonymous,
    ];

    /// As the configuration and the log write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::CertificateAndPassword => "certificate+password",
            Self::Unix => "unix",
            Self::Scram => "scram",
            Self::Jwt => "jwt",
            Self::Http => "http",
            Self::Password => "password",
            Self::Anonymous => "anonymous",
        }
    }
}

impl fmt::Display for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Authenticator {
    type Err = AuthenticatorsError;

    fn from_str(name: &str) -> Result<Self, AuthenticatorsError> {
        let unknown = || AuthenticatorsError::Unknown(name.to_owned());
        Self::ALL.into_iter().find(|each| each.name() == name).ok_or_else(unknown)
    }
}

impl Authenticators {
    /// Checks that each of `list` is asked for a reason.
    ///
    /// # Errors
    /// An empty list, a repetition, one that lets in whom another asks for more, or one that would
    /// never be asked.
    pub fn new(list: Vec<Authenticator>) -> Result<Self, AuthenticatorsError> {
        use Authenticator::{Certificate, CertificateAndPassword, Http, Password, Scram};
        if list.is_empty() {
            return Err(AuthenticatorsError::Empty);
        }
        for (index, each) in list.iter().enumerate() {
            if list.iter().take(index).any(|earlier| earlier == each) {
                return Err(AuthenticatorsError::Twice(*each));
            }
        }
        if list.contains(&CertificateAndPassword) {
            let lets_in =
                |each: &&Authenticator| matches!(each, Certificate | Http | Password | Scram);
            if let Some(one) = list.iter().find(lets_in) {
                return Err(AuthenticatorsError::Undermined(*one));
            }
        }
        let place = |wanted| list.iter().position(|each| *each == wanted);
        if place(Http).zip(place(Password)).is_some_and(|(http, password)| password < http) {
            return Err(AuthenticatorsError::NeverAsked);
        }
        Ok(Self(list.into()))
    }

    /// Them, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = Authenticator> {
        self.0.iter().copied()
    }

    /// Whether `authenticator` is one of them.
    #[must_use]
    pub fn contains(&self, authenticator: Authenticator) -> bool {
        self.0.contains(&authenticator)
    }
}

impl fmt::Display for Authenticators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Authenticator::name).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Authenticators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authenticators({self})")
    }
}

impl TryFrom<Written> for Authenticators {
    type Error = AuthenticatorsError;

    fn try_from(written: Written) -> Result<Self, AuthenticatorsError> {
        let names = match written {
            Written::List(names) => names,
            Written::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        };
        Self::new(names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?)
    }
}

impl From<Authenticators> for Vec<String> {
    fn from(authenticators: Authenticators) -> Self {
        authenticators.iter().map(|each| each.name().to_owned()).collect()
    }
}

fn all_names() -> String {
    Authenticator::ALL.map(|each| format!("\"{each}\"")).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Authenticators, AuthenticatorsError> {
        Written::Text(text.to_owned()).try_into()
    }

    #[test]
    fn a_list_keeps_its_order() {
        let list = parse("anonymous, certificate,password").unwrap();
        assert_eq!(list.to_string(), "anonymous, certificate, password");
        assert_eq!(list.iter().next(), Some(Authenticator::Anonymous));
        assert!(!list.contains(Authenticator::Scram));
    }

    #[test]
    fn every_name_is_understood() {
        for authenticator in Authenticator::ALL {
            assert_eq!(parse(authenticator.name()).unwrap().to_string(), authenticator.name());
        }
    }

    #[test]
    fn a_name_that_there_is_not_is_told_those_that_there_are() {
        for name in ["", "passwd", "Password", "certificate + password"] {
            let error = parse(name).unwrap_err();
            assert_eq!(error, AuthenticatorsError::Unknown(name.to_owned()));
            assert!(
                error.to_string().contains("\"certificate+password\", \"unix\", \"scram\""),
                "{error}"
            );
        }
    }

    #[test]
    fn a_list_that_is_empty_or_repeats_itself_is_refused() {
        let empty = Authenticators::try_from(Written::List(Vec::new()));
        assert_eq!(empty, Err(AuthenticatorsError::Empty));
        let twice = parse("scram,password,scram");
        assert_eq!(twice, Err(AuthenticatorsError::Twice(Authenticator::Scram)));
    }

    #[test]
    fn one_that_would_never_be_asked_is_refused() {
        assert_eq!(parse("password,http"), Err(AuthenticatorsError::NeverAsked));
        assert!(parse("http,password").is_ok());
    }

    #[test]
    fn what_a_client_must_show_together_does_not_do_alone() {
        use Authenticator::{Certificate, Http, Password, Scram};
        for one in [Certificate, Http, Password, Scram] {
            for list in
                [format!("certificate+password,{one}"), format!("{one},certificate+password")]
            {
                assert_eq!(parse(&list), Err(AuthenticatorsError::Undermined(one)), "{list}");
            }
        }
        assert!(parse("certificate+password,anonymous").is_ok());
    }
}
