//! An ACL file of Mosquitto as roles: one for each of its sections.

use std::path::Path;
use std::sync::Arc;

use super::finding::{Findings, Place};
use super::policy_text::{Assignment, Effect, Holders, PolicyText, Role, Rule};
use super::topics;
use crate::acl::mosquitto::{Access, AclFile, AclRule, Section};

/// Whether a certificate can be the user that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certificates {
    /// No listener takes user names from certificates.
    NameNobody,
    /// Some listener does.
    NameUsers,
}

/// The roles of `acl`, which was read from `file`.
pub(super) fn roles(
    file: &Path,
    acl: &AclFile,
    certificates: Certificates,
    findings: &mut Findings,
) -> PolicyText {
    let file: Arc<Path> = file.into();
    let place = |rule: &AclRule| Place { file: Arc::clone(&file), line: rule.line };
    let sections = acl.sections();
    let denies = |rules: &Vec<&AclRule>| rules.iter().any(|rule| rule.access == Access::Deny);
    let patterns_deny =
        sections.iter().any(|(it, rules)| **it == Section::Patterns && denies(rules));
    let mut policy = PolicyText::default();
    for (section, of_section) in sections {
        let Some(first) = of_section.first() else { continue };
        let holders = holders(section, certificates, &place(first), findings);
        if holders.is_empty() {
            continue;
        }
        // A `topic` line decides before any pattern does; where no pattern denies, that is the same.
        let priority = i32::from(patterns_deny && *section != Section::Patterns);
        let rules = of_section.iter();
        let rules =
            rules.filter_map(|rule| translated(rule, priority, place(rule), findings)).collect();
        let name = section.to_string();
        policy.assignments.push(Assignment { holders, roles: vec![name.clone()] });
        policy.roles.push(Role { name, description: None, rules });
    }
    policy
}

fn translated(
    rule: &AclRule,
    priority: i32,
    place: Place,
    findings: &mut Findings,
) -> Option<Rule> {
    let (effect, actions): (_, &[_]) = match rule.access {
        Access::Read => (Effect::Allow, &["subscribe"]),
        Access::Write => (Effect::Allow, &["publish"]),
        Access::ReadWrite => (Effect::Allow, &["publish", "subscribe"]),
        Access::Deny => (Effect::Deny, &["publish", "subscribe"]),
    };
    let topic = match rule.section {
        Section::Patterns => topics::pattern(rule.topic()),
        Section::Anonymous | Section::User(_) => topics::literal(rule.topic()),
    };
    let topic = topic.or_else(|| unwritable(rule.topic(), effect, &place, findings))?;
    let mut actions = actions.to_vec();
    if topic.starts_with('$') && effect == Effect::Allow && actions.contains(&"publish") {
        let remedy =
            "clients never publish to topics that begin with $ here: publish to another one";
        findings.missing(&place, format!("write access to {topic}"), remedy);
        actions.retain(|action| *action != "publish");
    }
    (!actions.is_empty()).then_some(Rule { effect, actions, topic, priority, place })
}

/// What becomes of a topic that a policy cannot write: a deny closes more, an allow opens nothing.
pub(super) fn unwritable(
    topic: &str,
    effect: Effect,
    place: &Place,
    findings: &mut Findings,
) -> Option<String> {
    let what = format!("topic {topic}");
    match effect {
        Effect::Allow => {
            let remedy = "a policy cannot say this topic (a client's name has a level to itself, and \
                          ${ begins one), so the rule is left out: rename the topic";
            findings.missing(place, what, remedy);
            None
        }
        Effect::Deny => {
            let remedy = "a policy cannot say this topic (a client's name has a level to itself, and \
                          ${ begins one), so such levels are denied whatever they hold: rename it";
            findings.missing(place, what, remedy);
            Some(topics::widened(topic))
        }
    }
}

fn holders(
    section: &Section,
    certificates: Certificates,
    place: &Place,
    findings: &mut Findings,
) -> Holders {
    let name = match section {
        Section::Anonymous => return Holders { anonymous: true, ..Holders::default() },
        Section::Patterns => return Holders { everyone: true, ..Holders::default() },
        Section::User(name) => name,
    };
    if !can_be_named(name, place, findings) {
        return Holders::default();
    }
    let users = vec![name.to_string()];
    let certificates = match certificates {
        Certificates::NameUsers => users.clone(),
        Certificates::NameNobody => Vec::new(),
    };
    Holders { users, certificates, ..Holders::default() }
}

/// Whether an assignment can name `user`.
pub(super) fn can_be_named(user: &str, place: &Place, findings: &mut Findings) -> bool {
    let can = !user.is_empty() && !user.contains('*');
    if !can {
        let remedy = "a policy takes * in a name for a slip, so this user has no role: rename it";
        findings.missing(place, format!("user {user}"), remedy);
    }
    can
}
