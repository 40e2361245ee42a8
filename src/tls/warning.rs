//! What does not stop a listener from starting, but will stop its clients.

use std::fmt;
use std::path::PathBuf;

use super::certificate::{Certificate, Standing};
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
            Self::NoNames { path } => write!(
                f,
                "the certificate {} has no subject alternative name: clients will refuse it; \
                 issue it again with the names that they connect to",
                path.display()
            ),
        }
    }
}
