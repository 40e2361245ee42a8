//! Topic permissions: who may publish and subscribe to what. What nothing allows is denied.
//!
//! A [`Policy`] is read from a TOML file of roles and their assignment:
//!
//! ```toml
//! [[role]]
//! name = "device"
//! rules = [
//!   { allow = ["publish"], topics = ["devices/${username}/#"], max_qos = 1, retain = false },
//!   { allow = ["subscribe"], topics = ["devices/${username}/commands/#"] },
//!   { deny = ["publish", "subscribe"], topics = ["devices/+/secret"] },
//! ]
//!
//! [[assign]]
//! users = ["device1"]
//! roles = ["device"]
//! ```
//!
//! - A client holds the roles of every `[[assign]]` that names it in *any* of `users` (password
//!   users, exact), `certificates` (names of client certificates, exact), `client_ids` (exact, or a
//!   start followed by `*`), `anonymous = true` or `everyone = true`.
//! - Of all rules of all its roles, those it inherits among them, the highest `priority` decides;
//!   within one, a deny rule wins over every allow rule, whatever their order.
//! - Who may subscribe receives, unless some rule of the role allows `receive`: then the role gives no
//!   more of it than those rules do. Who is denied to subscribe is denied to receive.
//! - `max_payload_bytes`, `listeners`, `transport` and `time` narrow a rule. `[role.limits]` bound
//!   what a client takes up; the narrowest of its assigned roles hold.
//! - `max_qos` of an allow rule limits the QoS of a publish, and the QoS that a subscription is
//!   granted; `retain = false` leaves out retained publishes; `retain = true` of a deny rule denies
//!   those alone.
//! - `${username}` and `${client_id}` stand for the client's names. A name that is missing or
//!   empty, begins with `$`, or holds `/`, `+`, `#` or a control character stands for nothing: an
//!   allow rule is then not used, and a deny rule denies every topic for its actions.
//! - `[[envelope]]` tables say on which topics payloads are sealed ([`EnvelopeMode`]); the first one that
//!   names a topic holds. An allow rule with `envelope = "required"` holds only where they are verified,
//!   and `open` is the permission to be given them opened, where the broker seals.
//! - Clients never publish to topics that begin with `$`, and no wildcard at the root matches them:
//!   `$SYS/#` is subscribed to where a rule names it.
//! - What is not understood is an error with its line and column. There is no empty policy.
//!
//! A [`Permit`] is compiled from it for one connection, and is asked at each publish, subscription
//! and delivery. [`Policy::explain`] gives the reasons that an operator asks for.

mod assign;
mod client_rules;
mod document;
mod envelope;
mod error;
mod examples;
mod explain;
mod format;
mod hierarchy;
mod index;
mod layer;
mod limits;
pub mod mosquitto;
mod origin;
mod parse;
mod permit;
mod policy;
mod rule;
mod schedule;
mod template;
mod warnings;

#[cfg(test)]
mod tests;

pub use client_rules::{ClientRules, ClientRulesError};
pub use envelope::{EnvelopeMode, EnvelopeTerms};
pub use error::{PolicyError, PolicyWarning};
pub use examples::Example;
pub use explain::{Aside, Considered, Explanation, Request};
pub use format::PolicyFormat;
pub use limits::Limits;
pub use parse::MAX_POLICY_BYTES;
pub use permit::{Decision, Permit, SubscribeDecision};
pub use policy::{Policy, PolicySize, Subject};
pub use rule::{Description, RuleId};
pub use schedule::time_of_week;
