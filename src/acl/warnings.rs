//! What a valid policy probably does not mean.

use std::collections::BTreeSet;

use super::assign::{Assignment, Holder};
use super::envelope::{EnvelopeMode, Envelopes, Table};
use super::error::PolicyWarning;
use super::limits::Limits;
use super::origin::Origin;
use super::rule::{Effect, Role, Rule, Rulebook};
use super::template::{Template, Variable};
use crate::topic;

/// The oddities of a policy, in the order of the file.
pub(super) fn of(rulebook: &Rulebook, assignments: &[Assignment]) -> Vec<PolicyWarning> {
    let assigned: Vec<usize> =
        assignments.iter().flat_map(|assignment| assignment.roles.iter().copied()).collect();
    let assigned = BTreeSet::from_iter(rulebook.with_inherited(&assigned));
    let roles = rulebook.roles.iter().enumerate();
    let idle = roles.filter_map(|(place, role)| role_warning(role, assigned.contains(&place)));
    let rules = rulebook.rules.iter().filter_map(rule_warning);
    let claims = assignments.iter().filter_map(claim_warning);
    let nameless =
        assignments.iter().filter_map(|assignment| nameless_warning(rulebook, assignment));
    let idle_envelopes = rulebook.rules.iter().filter_map(|rule| envelope_warning(rulebook, rule));
    let hidden = hidden_topics(&rulebook.envelopes);
    let mut warnings: Vec<_> = idle
        .chain(rules)
        .chain(idle_envelopes)
        .chain(hidden)
        .chain(claims)
        .chain(nameless)
        .collect();
    warnings.sort_by_key(|warning| warning.line);
    warnings
}

/// Conditions that no client fulfils: none of `urls`, the listeners that there are, is one of those that
/// a rule or an assignment names.
pub(super) fn of_listeners(
    rulebook: &Rulebook,
    assignments: &[(u32, Origin)],
    urls: &[String],
) -> Vec<PolicyWarning> {
    let of_rules = rulebook.rules.iter().filter_map(|rule| {
        let conditions = rule.conditions.as_ref()?;
        Some((rule.line, &conditions.origin))
    });
    let of_assignments = assignments.iter().map(|(line, origin)| (*line, origin));
    let mut warnings: Vec<_> = of_rules
        .chain(of_assignments)
        .flat_map(|(line, origin)| {
            let missing = origin.listeners_other_than(urls);
            missing.map(move |url| PolicyWarning { line, message: no_listener(url, urls) })
        })
        .collect();
    warnings.sort_by_key(|warning| warning.line);
    warnings
}

fn no_listener(url: &str, urls: &[String]) -> String {
    format!("nobody comes by {url:?}: there is no such listener, but {}", urls.join(", "))
}

fn role_warning(role: &Role, is_assigned: bool) -> Option<PolicyWarning> {
    let name = &role.name;
    let says_nothing =
        role.rules.is_empty() && role.inherits.is_empty() && role.limits == Limits::default();
    let message = match (is_assigned, says_nothing) {
        (false, _) => format!("role {name:?} is assigned to nobody: assign it or remove it"),
        (true, true) => format!("role {name:?} has no rules, so it allows nothing"),
        (true, false) => return None,
    };
    Some(PolicyWarning { line: role.line, message })
}

fn rule_warning(rule: &Rule) -> Option<PolicyWarning> {
    let allows = rule.effect == Effect::Allow;
    let message = if allows && rule.actions.publish && rule.topics.iter().any(|t| t.is_reserved()) {
        "clients never publish to topics that begin with '$', whatever a rule says: \
         leave them to subscribe rules"
    } else if allows && rule.topics.iter().any(|t| rests_on_claim(t.variables())) {
        "clients choose their client identifier: any holder of the role reaches any ${client_id} \
         here unless ${username} is in the topic too"
    } else {
        return None;
    };
    Some(PolicyWarning { line: rule.line, message: message.to_owned() })
}

/// What a rule says of envelopes, where no topic of it has any.
fn envelope_warning(rulebook: &Rulebook, rule: &Rule) -> Option<PolicyWarning> {
    let topics: Vec<_> = rule.topics.iter().filter_map(Template::widest).collect();
    let has = |mode| topics.iter().any(|topic| rulebook.envelopes.has(mode, topic));
    let message = if rule.needs_envelope && !has(EnvelopeMode::Verify) {
        "the rule allows nothing: no [[envelope]] table has its topics in mode \"verify\""
    } else if rule.effect == Effect::Allow && rule.actions.open && !has(EnvelopeMode::Seal) {
        "there is nothing to open: no [[envelope]] table has topics of this rule in mode \"seal\""
    } else {
        return None;
    };
    Some(PolicyWarning { line: rule.line, message: message.to_owned() })
}

/// Topics of [[envelope]] tables that an earlier one has taken.
fn hidden_topics(envelopes: &Envelopes) -> Vec<PolicyWarning> {
    let tables = &envelopes.0;
    let mut warnings = Vec::new();
    for (place, table) in tables.iter().enumerate() {
        let earlier = || tables.iter().take(place);
        for filter in &table.topics {
            let takes = |it: &&Table| {
                it.topics.iter().any(|outer| topic::covers(outer.borrowed(), filter.borrowed()))
            };
            let Some(first) = earlier().find(takes) else { continue };
            let (filter, first) = (filter.as_str(), first.terms.line);
            let message = format!(
                "{filter:?} has no effect here: the first table that names a topic holds, and that \
                 is the one on line {first}"
            );
            warnings.push(PolicyWarning { line: table.terms.line, message });
        }
    }
    warnings
}

fn rests_on_claim(variables: impl Iterator<Item = Variable>) -> bool {
    let (users, ids): (Vec<_>, Vec<_>) =
        variables.partition(|variable| *variable == Variable::Username);
    users.is_empty() && !ids.is_empty()
}

fn claim_warning(assignment: &Assignment) -> Option<PolicyWarning> {
    let by_id = |holder: &Holder| matches!(holder, Holder::ClientId(_) | Holder::ClientIdPrefix(_));
    assignment.holders.iter().any(by_id).then(|| PolicyWarning {
        line: assignment.line,
        message: "client_ids are what clients call themselves, not proof: whoever may connect can \
                  take these roles; prefer users or certificates"
            .to_owned(),
    })
}

fn nameless_warning(rulebook: &Rulebook, assignment: &Assignment) -> Option<PolicyWarning> {
    let anonymous = |holder: &Holder| matches!(holder, Holder::Anonymous | Holder::Everyone);
    let uses_name = |rule: &Rule| {
        let mut variables = rule.topics.iter().flat_map(|topic| topic.variables());
        rule.effect == Effect::Deny && variables.any(|variable| variable == Variable::Username)
    };
    let roles = rulebook.with_inherited(&assignment.roles);
    let denies = rulebook.rules_of(&roles).any(|(_, rule)| uses_name(rule));
    (denies && assignment.holders.iter().any(anonymous)).then(|| PolicyWarning {
        line: assignment.line,
        message: "anonymous clients have no ${username}: a deny rule with it denies them every \
                  topic"
            .to_owned(),
    })
}
