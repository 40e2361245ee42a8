//! What does not stop a listener from starting, but will stop its clients.

use std::fmt;
use std::path::PathBuf;

use super::certificate::{Certificate, Standing, Validity};
use crate::clock::Now;

/// Days before its end at which a certificate is worth a warning.
const SOON_DAYS: i64 = 30;

/// Something to say loudly at start. A broker that refused to start over an expired certificate
/// would turn a bad night into a worse one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A certificate outside of its validity, or close to its end.
    Validity {
        /// The file.
        path: PathBuf,
        /// Whom the certificate names.
        subject: String,
        /// How it stands.
        standing: Standing,
        /// The day on which it begins, or ends.
        day: String,
    },
    /// A revocation list that has run out, or does so within a day.
    List {
        /// The file.
        path: PathBuf,
        /// Whose list it is.
        issuer: String,
        /// How it stands.
        standing: Standing,
        /// The day on which it ends.
        day: String,
    },
    /// A revocation list of an authority that is not in `client_ca`.
    ListOfStranger {
        /// The file.
        path: PathBuf,
        /// Whose list it is.
        issuer: String,
    },
    /// A server certificate that clients cannot match with any host name.
    NoNames {
        /// The file.
        path: PathBuf,
    },
}

impl Warning {
    /// What is to be said of the validity of `certificate`, which lies in `path`.
    pub(super) fn of_validity(
        path: &std::path::Path,
        certificate: &Certificate,
        now: Now,
    ) -> Option<Self> {
        let standing = certificate.validity.standing(now);
        let day = match standing {
            Standing::Valid { days_left } if days_left >= SOON_DAYS => return None,
            Standing::Valid { .. } | Standing::Expired { .. } => certificate.validity.last_day(),
            Standing::NotYetValid { .. } => certificate.validity.first_day(),
        };
        let subject = certificate.subject.clone();
        Some(Self::Validity { path: path.to_owned(), subject, standing, day })
    }

    /// What is to be said of the age of a revocation list.
    pub(super) fn of_list(
        path: PathBuf,
        issuer: String,
        validity: Validity,
        now: Now,
    ) -> Option<Self> {
        let standing = validity.standing(now);
        let is_news = !matches!(standing, Standing::Valid { days_left } if days_left > 0);
        is_news.then(|| Self::List { path, issuer, standing, day: validity.last_day() })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validity { path, subject, standing, day } => {
                write!(f, "the certificate {} ({subject}) ", path.display())?;
                match standing {
                    Standing::Expired { .. } => {
                        write!(f, "expired on {day}: clients will refuse it; renew it")
                    }
                    Standing::NotYetValid { .. } => {
                        write!(f, "is not valid before {day}: check the clock of this machine")
                    }
                    Standing::Valid { .. } => write!(f, "ends on {day}: renew it"),
                }
            }
            Self::List { path, issuer, standing, day } => {
                let when = match standing {
                    Standing::Expired { .. } => "ran out",
                    _ => "runs out",
                };
                write!(
                    f,
                    "the revocation list {} of {issuer} {when} on {day}; unless client_crl_expired \
                     is \"allow\", its clients are refused from then on: fetch a newer one",
                    path.display()
                )
            }
            Self::ListOfStranger { path, issuer } => write!(
                f,
                "the revocation list {} is of {issuer}, which is not in client_ca: it counts only \
                 for clients that show the certificate of that authority as well",
                path.display()
            ),
            Self::NoNames { path } => write!(
                f,
                "the certificate {} has no subject alternative name: clients will refuse it; \
                 issue it again with the names that they connect to",
                path.display()
            ),
        }
    }
}
