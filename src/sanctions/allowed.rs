//! Who is never banned, by anybody.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Subject, SubjectError, Suspect};

/// The allow-list: whom no sanction is about, neither one that a rule makes nor an operator's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Vec<String>")]
pub struct Allowed(Vec<Subject>);

/// A list, or one text with commas between, as environment variables write it.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a list such as [\"10.0.0.0/8\", \"user:admin\", \"client:console\"] is needed"
)]
enum Written {
    List(Vec<String>),
    Text(String),
}

impl Allowed {
    /// The entry that keeps `subject` from a sanction: it itself, or a network that it overlaps.
    #[must_use]
    pub fn protector(&self, subject: &Subject) -> Option<&Subject> {
        self.0.iter().find(|entry| match (entry, subject) {
            (Subject::Network(allowed), Subject::Network(meant)) => allowed.overlaps(*meant),
            (entry, subject) => *entry == subject,
        })
    }

    /// Whether it has principals, of whom nobody is one before that is proven.
    pub(super) fn has_principals(&self) -> bool {
        self.0.iter().any(|entry| matches!(entry, Subject::Principal(_)))
    }

    /// Whether it has `address`, or a network of it.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        let has = |entry: &Subject| matches!(entry, Subject::Network(it) if it.contains(address));
        self.0.iter().any(has)
    }

    /// Whether a sanction about `subject` does not concern `suspect`: a principal that is allowed has none,
    /// whatever it is called and shows; an address, a client identifier and a certificate keep from those
    /// of their kind.
    pub(super) fn exempts(&self, suspect: &Suspect<'_>, subject: &Subject) -> bool {
        self.0.iter().any(|entry| entry.is_as_good_as(subject) && entry.means(suspect))
    }
}

impl Subject {
    fn is_as_good_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Principal(_), _)
            | (Self::Network(_), Self::Network(_))
            | (Self::ClientId(_), Self::ClientId(_)) => true,
            (Self::Fingerprint(_) | Self::Serial(_), other) => {
                matches!(other, Self::Fingerprint(_) | Self::Serial(_))
            }
            _ => false,
        }
    }
}

impl TryFrom<Written> for Allowed {
    type Error = SubjectError;

    fn try_from(written: Written) -> Result<Self, SubjectError> {
        let texts = match written {
            Written::List(texts) => texts,
            Written::Text(text) if text.trim().is_empty() => Vec::new(),
            Written::Text(text) => text.split(',').map(|each| each.trim().to_owned()).collect(),
        };
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Allowed> for Vec<String> {
    fn from(allowed: Allowed) -> Self {
        allowed.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protector(list: &str, subject: &str) -> Option<String> {
        let allowed = Allowed::try_from(Written::Text(list.to_owned())).expect(list);
        let subject = subject.parse().expect(subject);
        allowed.protector(&subject).map(ToString::to_string)
    }

    #[test]
    fn an_address_is_in_the_list_by_itself_or_by_its_network() {
        let allowed = Allowed::try_from(Written::Text("10.0.0.0/8, 192.0.2.1, user:x".to_owned()));
        let has = |text: &str| allowed.as_ref().unwrap().has_address(text.parse().unwrap());
        assert!(has("10.1.2.3") && has("192.0.2.1") && has("::ffff:10.1.2.3"));
        assert!(!has("192.0.2.2") && !has("2001:db8::1"));
    }

    #[test]
    fn a_network_keeps_what_is_in_it_and_what_it_is_in() {
        let list = "10.0.0.0/8, user:admin";
        for subject in ["10.1.2.3", "10.0.0.0/8", "10.1.0.0/16", "8.0.0.0/5"] {
            assert_eq!(protector(list, subject).as_deref(), Some("10.0.0.0/8"), "{subject}");
        }
        assert_eq!(protector(list, "user:admin").as_deref(), Some("user:admin"));
        for subject in ["11.0.0.1", "user:anna", "client:admin", "certificate:admin"] {
            assert_eq!(protector(list, subject), None, "{subject}");
        }
    }
}
