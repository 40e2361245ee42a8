//! From a Mosquitto ACL file to a policy: a role for each section, held by whom it is about.

use super::super::assign::{Assignment, Holder};
use super::super::error::{PolicyError, PolicyWarning};
use super::super::origin::Origin;
use super::super::policy::Policy;
use super::super::rule::{Actions, Effect, Retain, Role, Rule, Rulebook};
use super::super::template::Template;
use super::{Access, AclFile, AclRule, Section};
use crate::message::QoS;

impl Policy {
    /// Reads the text of a Mosquitto ACL file: see [`mosquitto`](super) for what it means.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text. A file with an error is not used in part.
    pub fn parse_mosquitto(text: &str) -> Result<Self, Vec<PolicyError>> {
        AclFile::parse(text).map(Self::from)
    }
}

impl From<AclFile> for Policy {
    fn from(file: AclFile) -> Self {
        let own_warnings: Vec<_> = file.rules.iter().filter_map(warning).collect();
        let mut rulebook = Rulebook::default();
        let mut assignments = Vec::new();
        for (section, rules) in file.sections() {
            let line = rules.first().map_or(1, |rule| rule.line);
            let role = add_role(&mut rulebook, section, &rules);
            let holders = holders(section);
            let (roles, origin) = (vec![role], Origin::default());
            assignments.push(Assignment { line, holders, roles, origin });
        }
        Self::of(rulebook, &[], assignments).and_warn_of(own_warnings)
    }
}

fn add_role(rulebook: &mut Rulebook, section: &Section, rules: &[&AclRule]) -> usize {
    // A `topic` line decides before any pattern does.
    let priority = i32::from(*section != Section::Patterns);
    let (role, start) = (rulebook.roles.len(), rulebook.rules.len());
    for AclRule { line, access, template, .. } in rules.iter().copied() {
        let rule = rule(role, *line, *access, template.clone());
        rulebook.rules.push(Rule { priority, ..rule });
    }
    let rules = start..rulebook.rules.len();
    let line = rulebook.rules.get(start).map_or(1, |rule| rule.line);
    let name = section.to_string().into();
    rulebook.roles.push(Role { name, line, rules, ..Role::default() });
    role
}

fn rule(role: usize, line: u32, access: Access, topic: Template) -> Rule {
    let (effect, publish, subscribe) = match access {
        Access::Read => (Effect::Allow, false, true),
        Access::Write => (Effect::Allow, true, false),
        Access::ReadWrite => (Effect::Allow, true, true),
        Access::Deny => (Effect::Deny, true, true),
    };
    Rule {
        role,
        line,
        effect,
        actions: Actions { publish, subscribe, receive: false, open: false },
        topics: Box::new([topic]),
        priority: 0,
        max_qos: QoS::ExactlyOnce,
        retain: Retain::Any,
        max_payload: None,
        needs_envelope: false,
        conditions: None,
    }
}

fn holders(section: &Section) -> Vec<Holder> {
    match section {
        Section::Anonymous => vec![Holder::Anonymous],
        Section::User(name) => {
            let name: Box<str> = (&**name).into();
            vec![Holder::User(name.clone()), Holder::Certificate(name)]
        }
        Section::Patterns => vec![Holder::Everyone],
    }
}

/// What a line probably does not mean.
fn warning(rule: &AclRule) -> Option<PolicyWarning> {
    let topic = rule.topic();
    let names = topic.contains("%u") || topic.contains("%c");
    let message = match (&rule.section, names) {
        (Section::Patterns, false) => "a pattern without %u and %c is for everybody",
        (Section::Anonymous | Section::User(_), true) => {
            "%u and %c stand for themselves in a `topic` line: begin it with `pattern` if they are \
             to be names"
        }
        _ if topic.starts_with("$share/") => {
            "no topic begins with $share: name the topics that the group subscribes to"
        }
        _ => return None,
    };
    Some(PolicyWarning { line: rule.line, message: message.to_owned() })
}
