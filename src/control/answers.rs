//! What answers are made of: numbers and texts, for people and for scripts.

use serde::{Deserialize, Serialize};

use crate::acl::ClientRules;
use crate::broker::{Kicked, Reported, RuleReport, SessionReport, TopicsInUse};
use crate::identity::{Attribute, AttributeSource, ClientId, Principal};
use crate::sanctions::Sanction;

/// How the broker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of its program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since it was started.
    pub uptime_seconds: u64,
    /// Whether it lets nobody in any more.
    pub stopping: bool,
    /// The URLs that clients can connect to.
    pub listeners: Vec<String>,
    /// Where metrics and health are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// Clients that are connected.
    pub connected: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Subscriptions of all of them.
    pub subscriptions: u64,
    /// Retained messages.
    pub retained_messages: u64,
    /// Their bytes.
    pub retained_bytes: u64,
    /// Lock-outs after failed logins.
    pub lockouts: u64,
    /// The files that are read anew.
    pub files: Vec<FileStatus>,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevelRow {
    /// What is in force.
    pub level: String,
    /// What the configuration says, and is in force again once it is read anew.
    pub configured: String,
    /// In how many seconds it is in force again without that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// One kind of file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatus {
    /// What is in them: `config`, `policy`, `passwords`, `token_keys`, `certificates`.
    pub what: String,
    /// Where they are.
    pub files: Vec<String>,
    /// When what is in force was read, in seconds since the Unix epoch.
    pub read_at: u64,
    /// Why what is in them now is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What ought to be known of what was read last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What reading it last has changed, where that is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its client identifier.
    pub client_id: String,
    /// Whose it is, as `user:anna`.
    pub principal: String,
    /// Whether its client is connected.
    pub state: SessionState,
    /// Where the client connects from, or last did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The URL of the listener that it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// What protects its transport: `plain`, `tls`, `mtls` or `unix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// When it connected last, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<u64>,
    /// How many subscriptions it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<u64>,
    /// Messages that wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<u64>,
    /// What it uses, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<TopicRows>,
}

/// Whether the client of a session is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It is.
    Connected,
    /// It is away.
    Away,
    /// A connection waits for the session, and has told nothing of it.
    Waiting,
}

/// What a client uses, and what its permissions go by beside its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRows {
    /// The filters that it is subscribed to.
    pub filters: Vec<String>,
    /// Topics that it has published to of late.
    pub published: Vec<String>,
    /// Whether there are more than are told.
    pub is_cut: bool,
    /// What its proof says of it.
    pub attributes: Vec<AttributeRow>,
    /// Rules that it has beside the policy, each as a policy file would have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// One thing that a proof says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeRow {
    /// `certificate`, `unix`, `claims` or `http`.
    pub source: String,
    /// What it is called there.
    pub name: String,
    /// What it is.
    pub value: String,
}

/// Somebody who may not try to log in for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockoutRow {
    /// The user; all of that address, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where from.
    pub address: String,
    /// How often it has failed.
    pub failures: u32,
    /// For how long yet.
    pub seconds: u64,
}

/// Somebody who is banned, or in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SanctionRow {
    /// Whom it is about: `user:anna`, `192.0.2.0/24`.
    pub subject: String,
    /// `principal`, `client_id`, `address`, `prefix` or `certificate`.
    pub kind: String,
    /// Who has made it: `operator:` or `rule:` and a name.
    pub by: String,
    /// Why.
    pub why: String,
    /// When it was made, in seconds since the Unix epoch.
    pub since: u64,
    /// When it ends, in seconds since the Unix epoch; never where there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// How often it has refused somebody since the broker was started; a quarantine refuses nobody.
    pub refused: u64,
}

/// A rule of the sentinel that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRow {
    /// Its name.
    pub name: String,
    /// What it means when it is broken.
    pub about: String,
    /// `info`, `notice`, `warning` or `critical`.
    pub severity: String,
    /// Whether it is only tried.
    pub dry_run: bool,
    /// What is done: `log`, `alert`, `disconnect`, `quarantine`, `ban`, `tighten`.
    pub responses: Vec<String>,
    /// How often it was broken, since it has been in force as it is.
    pub found: u64,
    /// When it was last, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// How many keys it remembers.
    pub keys: u64,
}

/// Where a sanction, or that it was lifted, is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SanctionKept {
    /// On disk: it holds over a restart.
    OnDisk,
    /// In memory alone: it ends with the process.
    InMemory,
    /// In memory, and the disk has it soon, if it is well.
    SoonOnDisk,
}

impl From<RuleReport> for RuleRow {
    fn from(report: RuleReport) -> Self {
        let RuleReport { name, about, severity, dry_run, responses, found, last, keys } = report;
        Self {
            name,
            about,
            severity: severity.to_owned(),
            dry_run,
            responses: responses.into_iter().map(str::to_owned).collect(),
            found,
            last: last.map(|last| last.as_secs()),
            keys: keys as u64,
        }
    }
}

impl SanctionRow {
    pub(super) fn of(sanction: &Sanction, refused: u64) -> Self {
        Self {
            subject: sanction.subject.to_string(),
            kind: sanction.subject.kind().name().to_owned(),
            by: sanction.by.to_string(),
            why: sanction.why.to_string(),
            since: sanction.since.as_secs(),
            until: sanction.until.map(|until| until.as_secs()),
            refused,
        }
    }
}

/// What has become of a client that was kicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KickOutcome {
    /// There is no such session.
    Unknown,
    /// It is not connected, and its session waits as before.
    Away,
    /// It was not connected, and its session has ended.
    AwayAndForgotten,
    /// Its connection has ended, and its session waits.
    Disconnected,
    /// Its connection has ended, and its session with it.
    DisconnectedAndForgotten,
    /// Its connection has been told to end, and has not yet.
    Pending,
}

impl SessionRow {
    /// What has come of asking for the session of `client_id`; nothing where it has ended.
    pub(super) fn of(client_id: &ClientId, owner: &Principal, reported: Reported) -> Option<Self> {
        match reported {
            Reported::Known(report) => Some(Self::known(*report)),
            Reported::Silent => Some(Self {
                client_id: client_id.to_string(),
                principal: owner.to_string(),
                state: SessionState::Waiting,
                address: None,
                listener: None,
                transport: None,
                connected_at: None,
                subscriptions: None,
                queued: None,
                topics: None,
            }),
            Reported::Gone => None,
        }
    }

    fn known(report: SessionReport) -> Self {
        let attributes = report.attributes;
        let topics = report.topics.map(|topics| {
            let TopicsInUse { filters, published, is_cut } = topics;
            let attributes = attributes.iter().map(AttributeRow::of).collect();
            let rules = report.rules.iter().flat_map(ClientRules::texts).collect();
            TopicRows { filters, published, is_cut, attributes, rules }
        });
        Self {
            client_id: report.client_id.to_string(),
            principal: report.principal.to_string(),
            state: if report.is_connected { SessionState::Connected } else { SessionState::Away },
            address: Some(report.address.to_string()),
            listener: Some(report.listener.to_string()),
            transport: Some(report.security.name().to_owned()),
            connected_at: Some(report.connected_at),
            subscriptions: Some(report.subscriptions as u64),
            queued: Some(report.queued as u64),
            topics,
        }
    }
}

impl AttributeRow {
    fn of(attribute: &Attribute) -> Self {
        Self {
            source: attribute.source.name().to_owned(),
            name: attribute.name.to_string(),
            value: attribute.value.to_string(),
        }
    }

    /// The attribute that it tells of, unless it is of a proof that is not known here.
    #[must_use]
    pub fn attribute(&self) -> Option<Attribute> {
        let source = AttributeSource::named(&self.source)?;
        Some(Attribute {
            source,
            name: self.name.as_str().into(),
            value: self.value.as_str().into(),
        })
    }
}

impl From<Kicked> for KickOutcome {
    fn from(kicked: Kicked) -> Self {
        match kicked {
            Kicked::Unknown => Self::Unknown,
            Kicked::Away => Self::Away,
            Kicked::AwayAndForgotten => Self::AwayAndForgotten,
            Kicked::Disconnected => Self::Disconnected,
            Kicked::DisconnectedAndForgotten => Self::DisconnectedAndForgotten,
        }
    }
}
