//! The sanctions that there are, found by whom they mean.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Allowed, Kind, Settings, Subject, Suspect};
use crate::identity::{ClientId, Network};

/// How often it is told at most that a sanction has refused somebody.
const BETWEEN_REPORTS: Duration = Duration::from_secs(60);

/// One sanction. Times are since the Unix epoch, so that they hold over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sanction {
    /// Whom it is about.
    pub subject: Subject,
    /// Who has made it.
    pub by: Author,
    /// Why, for people.
    pub why: Arc<str>,
    /// When it was made.
    pub since: Duration,
    /// When it ends; never where there is nothing.
    pub until: Option<Duration>,
}

/// Who has made a sanction. Its text is `operator:anna` or `rule:brute-force`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// Somebody who may command the broker, by the name of its user.
    Operator(Arc<str>),
    /// A rule of detection, by its name.
    Rule(Arc<str>),
}

/// A sanction, and what it has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The sanction.
    pub sanction: Sanction,
    /// How often it has refused somebody in this run of the broker.
    pub refused: u64,
}

/// Why there is no such sanction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The allow-list has it.
    #[error("{0} is in `allow` of [bans], which keeps it from that")]
    Allowed(Subject),
    /// There is no room.
    #[error(
        "there are {0} already, as many as `max_bans` of [bans] allows: lift some, or raise it"
    )]
    Full(usize),
}

/// The sanctions of one sort. Bounded; each lookup costs as many steps as there are lengths of prefixes.
#[derive(Debug)]
pub struct Table {
    standings: HashMap<Subject, Entry>,
    /// How many prefixes there are of each length, of IPv4 or not.
    lengths: BTreeMap<(bool, u8), usize>,
    /// None of them ends before that.
    next_end: Option<Duration>,
    allowed: Allowed,
    most: usize,
}

#[derive(Debug)]
struct Entry {
    sanction: Sanction,
    refused: u64,
    /// How many of them nobody has been told of.
    untold: u64,
    told_at: Option<Duration>,
}

impl Sanction {
    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether it lasts at least as long as `other`.
    fn outlasts(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => own >= others,
        }
    }
}

impl Author {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.split_once(':')? {
            ("operator", name) => Self::Operator(name.into()),
            ("rule", name) => Self::Rule(name.into()),
            _ => return None,
        })
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Rule(name) => write!(f, "rule:{name}"),
        }
    }
}

impl Table {
    /// There is none yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let mut this = Self {
            standings: HashMap::new(),
            lengths: BTreeMap::new(),
            next_end: None,
            allowed: Allowed::default(),
            most: 0,
        };
        this.follow(settings);
        this
    }

    /// Goes by another allow-list, at once, and by another bound for what is added from now on.
    pub fn follow(&mut self, settings: &Settings) {
        self.allowed = settings.allow.clone();
        self.most = settings.max_bans.get() as usize;
    }

    /// Whether the allow-list has `subject`.
    #[must_use]
    pub fn protects(&self, subject: &Subject) -> bool {
        self.allowed.protector(subject).is_some()
    }

    /// Whether nothing about `subject` concerns `suspect`, by the allow-list.
    #[must_use]
    pub fn exempts(&self, suspect: &Suspect<'_>, subject: &Subject) -> bool {
        self.allowed.exempts(suspect, subject)
    }

    /// Whether the allow-list has `address`.
    #[must_use]
    pub fn exempts_address(&self, address: IpAddr) -> bool {
        self.allowed.has_address(address)
    }

    /// Adds a sanction in place of any of the same subject, unless that is to last longer and this one is a
    /// rule's: no machine takes back what somebody has decided. Gives the one that holds now. Rules leave a
    /// tenth of the room free: whoever makes them ban a great many does not keep operators from it.
    ///
    /// # Errors
    /// When the allow-list has its subject, or there are too many.
    pub fn put(&mut self, sanction: Sanction) -> Result<&Sanction, PutError> {
        if let Some(entry) = self.allowed.protector(&sanction.subject) {
            return Err(PutError::Allowed(entry.clone()));
        }
        let subject = sanction.subject.clone();
        let earlier = self.standings.get(&subject).map(|entry| &entry.sanction);
        let is_by_rule = matches!(sanction.by, Author::Rule(_));
        let stays = earlier.is_some_and(|earlier| is_by_rule && earlier.outlasts(&sanction));
        let most = if is_by_rule { self.most - self.most / 10 } else { self.most };
        if earlier.is_none() && self.standings.len() >= most {
            return Err(PutError::Full(self.standings.len()));
        }
        if !stays {
            self.restore(sanction);
        }
        self.standings.get(&subject).map(|it| &it.sanction).ok_or(PutError::Full(self.most))
    }

    /// Adds a sanction that held before a restart, whatever the bounds are now.
    pub fn restore(&mut self, sanction: Sanction) {
        self.next_end = self.next_end.into_iter().chain(sanction.until).min();
        let subject = sanction.subject.clone();
        let entry = Entry { sanction, refused: 0, untold: 0, told_at: None };
        let (place, earlier) = (place_of(&subject), self.standings.insert(subject, entry));
        if let (Some(place), None) = (place, earlier) {
            *self.lengths.entry(place).or_default() += 1;
        }
    }

    /// Takes a sanction away.
    pub fn remove(&mut self, subject: &Subject) -> Option<Sanction> {
        let entry = self.standings.remove(subject)?;
        if let Some(place) = place_of(subject)
            && let Some(count) = self.lengths.get_mut(&place)
        {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&place);
            }
        }
        Some(entry.sanction)
    }

    /// Takes away those whose time is over. Costs nothing as long as there is none.
    pub fn expire(&mut self, now: Duration) -> Vec<Sanction> {
        if self.next_end.is_none_or(|end| end > now) {
            return Vec::new();
        }
        let all = self.standings.values().map(|entry| &entry.sanction);
        let over = all.filter(|it| it.is_over(now)).map(|it| it.subject.clone());
        let over = over.collect::<Vec<_>>();
        let over = over.iter().filter_map(|subject| self.remove(subject)).collect();
        self.next_end = self.standings.values().filter_map(|entry| entry.sanction.until).min();
        over
    }

    /// The sanction about whoever connects from `address`, of the longest prefix first.
    #[must_use]
    pub fn of_address(&self, address: IpAddr, now: Duration) -> Option<&Sanction> {
        let address = address.to_canonical();
        let is_allowed = || {
            let whole = Subject::Network(Network::around(address, u8::MAX));
            self.allowed.protector(&whole).is_some()
        };
        let lengths =
            self.lengths.keys().rev().filter(|(is_ipv4, _)| *is_ipv4 == address.is_ipv4());
        lengths
            .map(|(_, length)| Subject::Network(Network::around(address, *length)))
            .find_map(|subject| self.in_force(&subject, now))
            .filter(|_| !is_allowed())
    }

    /// The sanction about the client identifier that somebody comes with, who has not proven anything yet: none,
    /// where the allow-list may keep from it whoever that turns out to be.
    #[must_use]
    pub fn of_claimed(&self, client_id: &str, now: Duration) -> Option<&Sanction> {
        let subject = Subject::ClientId(ClientId::new(client_id));
        let may_be_exempt = self.allowed.has_principals() || self.protects(&subject);
        self.in_force(&subject, now).filter(|_| !may_be_exempt)
    }

    /// The sanction about `suspect`.
    #[must_use]
    pub fn of(&self, suspect: &Suspect<'_>, now: Duration) -> Option<&Sanction> {
        self.all_of(suspect, now).next()
    }

    /// The sanctions about `suspect`, of its address the one about the longest prefix.
    pub fn all_of(&self, suspect: &Suspect<'_>, now: Duration) -> impl Iterator<Item = &Sanction> {
        let names = [
            Subject::Principal(suspect.principal.clone()),
            Subject::ClientId(suspect.client_id.clone()),
        ];
        let of_names = names.into_iter().chain(suspect.marks());
        of_names
            .filter_map(move |subject| self.in_force(&subject, now))
            .chain(suspect.address.and_then(|address| self.of_address(address, now)))
            .filter(|sanction| !self.allowed.exempts(suspect, &sanction.subject))
    }

    /// Whether one sanction is about whoever connects from any address in `network`.
    #[must_use]
    pub fn bans_network(&self, network: Network, now: Duration) -> bool {
        let is_around = |(is_ipv4, length): &&(bool, u8)| {
            *is_ipv4 == network.is_ipv4() && *length <= network.length()
        };
        let around = self.lengths.keys().filter(is_around);
        around
            .map(|(_, length)| Subject::Network(Network::around(network.address(), *length)))
            .any(|subject| self.in_force(&subject, now).is_some())
    }

    /// Counts that the sanction about `subject` has refused somebody so many times. Now and then that is to be
    /// told: then gives how many it were since the last time.
    pub fn note_refusals(&mut self, subject: &Subject, times: u32, now: Duration) -> Option<u64> {
        let entry = self.standings.get_mut(subject)?;
        entry.refused += u64::from(times);
        entry.untold += u64::from(times);
        let is_due = entry.told_at.is_none_or(|at| now.saturating_sub(at) >= BETWEEN_REPORTS);
        is_due.then(|| {
            entry.told_at = Some(now);
            std::mem::take(&mut entry.untold)
        })
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Standing> {
        self.standings.values().map(|Entry { sanction, refused, .. }| Standing {
            sanction: sanction.clone(),
            refused: *refused,
        })
    }

    /// How many there are of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.standings.keys().filter(|subject| subject.kind() == kind).count()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.standings.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.standings.is_empty()
    }

    fn in_force(&self, subject: &Subject, now: Duration) -> Option<&Sanction> {
        let sanction = &self.standings.get(subject)?.sanction;
        (!sanction.is_over(now)).then_some(sanction)
    }
}

/// Where prefixes of its length are counted.
fn place_of(subject: &Subject) -> Option<(bool, u8)> {
    match subject {
        Subject::Network(network) => Some((network.is_ipv4(), network.length())),
        _ => None,
    }
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
