//! The whole configuration as written: each module's own settings, nested.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::fields::fields_of;
use crate::acl::PolicyFormat;
use crate::{
    admin, audit, auth, broker, control, identity_service, keys, net, sanctions, sentinel, session,
    store, telemetry, throttle, tracer, webhook,
};

/// Everything that can be set. The default lacks what only the operator knows: where to listen and
/// who may do what.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Config {
    /// `[[listener]]`, one or more.
    pub listener: Vec<net::ListenerSettings>,
    /// `[auth]`: who is who.
    pub auth: auth::Settings,
    /// `[keys]`: what secrets are sealed by.
    pub keys: keys::Settings,
    /// `[envelope]`: what is kept of sealed payloads.
    pub envelope: broker::EnvelopeSettings,
    /// `[store]`: what outlives the process.
    pub store: store::Settings,
    /// `[audit]`: whether and where security events are written down.
    pub audit: audit::Settings,
    /// `[sentinel]`: whether it is looked for what is out of the ordinary.
    pub sentinel: sentinel::Settings,
    /// `[[sentinel.rule]]`: what that is.
    pub sentinel_rule: Vec<sentinel::RuleSettings>,
    /// `[jwt]`: whose tokens are believed.
    pub jwt: auth::TokenSettings,
    /// `[http]`: the service that knows who clients are.
    pub http: identity_service::Settings,
    /// `[webhook]`: where alerts are posted.
    pub webhook: webhook::Settings,
    /// `[acl]`: who may do what.
    pub acl: AclSettings,
    /// `[[throttle]]`: how much clients may do.
    pub throttle: Vec<throttle::RuleSettings>,
    /// `[bans]`: who is never banned, and how many bans there may be.
    pub bans: sanctions::Settings,
    /// `[mqtt]`: the limits of one session.
    pub mqtt: session::Settings,
    /// `[broker]`: the limits of all of them together.
    pub broker: broker::Settings,
    /// `[network]`: the limits of one connection.
    pub network: net::Settings,
    /// `[admin]`: metrics, health and the page.
    pub admin: admin::Settings,
    /// `[tracing]`: what is traced, and who gets to know it.
    pub tracing: tracer::Settings,
    /// `[control]`: where operators speak to a broker that runs.
    pub control: control::Settings,
    /// `[log]`: what is logged, and in which form.
    pub log: telemetry::LogSettings,
}

/// `[acl]`: who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AclSettings {
    /// The policy file. Without one nobody may do anything, so the server asks for it.
    pub policy_file: Option<PathBuf>,
    /// The language that it is written in.
    pub acl_format: PolicyFormat,
}

/// A section of the file and the names of its keys.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) keys: fn() -> &'static [&'static str],
}

/// The name of the section that is repeated, once for each listener.
pub(super) const LISTENER: &str = "listener";

/// The name of the section that is repeated, once for each limit of what clients do.
pub(super) const THROTTLE: &str = "throttle";

/// The name of the section that is repeated, once for each rule of the sentinel.
pub(super) const SENTINEL_RULE: &str = "sentinel.rule";

/// Every section that is not repeated, in the order in which they are shown.
pub(super) const SECTIONS: [Section; 18] = [
    Section { name: "auth", keys: fields_of::<auth::Settings> },
    Section { name: "keys", keys: fields_of::<keys::Settings> },
    Section { name: "envelope", keys: fields_of::<broker::EnvelopeSettings> },
    Section { name: "store", keys: fields_of::<store::Settings> },
    Section { name: "audit", keys: fields_of::<audit::Settings> },
    Section { name: "sentinel", keys: fields_of::<sentinel::Settings> },
    Section { name: "jwt", keys: fields_of::<auth::TokenSettings> },
    Section { name: "http", keys: fields_of::<identity_service::Settings> },
    Section { name: "webhook", keys: fields_of::<webhook::Settings> },
    Section { name: "acl", keys: fields_of::<AclSettings> },
    Section { name: "bans", keys: fields_of::<sanctions::Settings> },
    Section { name: "mqtt", keys: fields_of::<session::Settings> },
    Section { name: "broker", keys: fields_of::<broker::Settings> },
    Section { name: "network", keys: fields_of::<net::Settings> },
    Section { name: "admin", keys: fields_of::<admin::Settings> },
    Section { name: "tracing", keys: fields_of::<tracer::Settings> },
    Section { name: "control", keys: fields_of::<control::Settings> },
    Section { name: "log", keys: fields_of::<telemetry::LogSettings> },
];

/// The keys of one `[[throttle]]`.
pub(super) fn throttle_keys() -> &'static [&'static str] {
    fields_of::<throttle::RuleSettings>()
}

/// The keys of one `[[sentinel.rule]]`.
pub(super) fn sentinel_rule_keys() -> &'static [&'static str] {
    fields_of::<sentinel::RuleSettings>()
}

/// The keys of one `[[listener]]`.
pub(super) fn listener_keys() -> &'static [&'static str] {
    fields_of::<net::ListenerSettings>()
}
