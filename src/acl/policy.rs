//! A policy: read once, asked for a permit whenever a client connects.

use std::sync::Arc;

use super::assign::Assignments;
use super::error::PolicyWarning;
use super::permit::Permit;
use super::rule::{Description, RuleId, Rulebook};
use crate::identity::{Attributes, ClientId, Principal, TransportSecurity};

/// Who is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Whom the connection belongs to.
    pub principal: &'a Principal,
    /// The client identifier of its session.
    pub client_id: &'a ClientId,
    /// What its proof says beyond its name.
    pub attributes: &'a Attributes,
    /// The URL of the listener that it came by.
    pub listener: &'a str,
    /// What protects its transport.
    pub security: TransportSecurity,
}

impl<'a> Subject<'a> {
    /// A client that is known by its names alone: no attributes, no listener, no protection.
    #[must_use]
    pub fn named(principal: &'a Principal, client_id: &'a ClientId) -> Self {
        let security = TransportSecurity::Plain;
        Self { principal, client_id, attributes: Attributes::none(), listener: "", security }
    }
}

/// A valid policy. There is none that is empty: what nobody assigned is an error, not an opening.
#[derive(Debug)]
pub struct Policy {
    pub(super) rulebook: Arc<Rulebook>,
    pub(super) assignments: Assignments,
    pub(super) assignment_count: usize,
    pub(super) warnings: Vec<PolicyWarning>,
}

/// How large a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicySize {
    /// `[[role]]` tables.
    pub roles: usize,
    /// Rules in all of them.
    pub rules: usize,
    /// `[[assign]]` tables.
    pub assignments: usize,
}

impl Policy {
    /// What `subject` may do. Costs in proportion to the rules of its roles.
    #[must_use]
    pub fn permit(&self, subject: &Subject<'_>) -> Permit {
        Permit::compile(&self.rulebook, &self.assignments.roles_of(subject), subject)
    }

    /// What a decision of this policy went by.
    #[must_use]
    pub fn describe(&self, rule: impl Into<Option<RuleId>>) -> Description<'_> {
        self.rulebook.describe(rule.into())
    }

    /// What in it probably does not do what its author meant.
    #[must_use]
    pub fn warnings(&self) -> &[PolicyWarning] {
        &self.warnings
    }

    /// How large it is.
    #[must_use]
    pub fn size(&self) -> PolicySize {
        PolicySize {
            roles: self.rulebook.roles.len(),
            rules: self.rulebook.rules.len(),
            assignments: self.assignment_count,
        }
    }
}
