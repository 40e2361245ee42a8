//! `[[throttle]]`, from settings to rules that can be gone by.

use std::collections::BTreeSet;

use super::{Loaded, Problem, findings::Findings, load::throttle_path};
use crate::acl::Policy;
use crate::throttle::{Rule, RuleSettings};

impl Loaded {
    /// Every rule that can be gone by; what is wrong with the others is reported.
    pub(super) fn throttles(&self, findings: &mut Findings) -> Vec<Rule> {
        let mut names = BTreeSet::new();
        let mut rules = Vec::new();
        for (index, settings) in self.config.throttle.iter().enumerate() {
            let fault = match Rule::of(settings) {
                Ok(rule) if names.insert(rule.name.to_string()) => {
                    rules.push(rule);
                    continue;
                }
                Ok(rule) => format!("there are two rules of the name {:?}", &*rule.name),
                Err(error) => error.to_string(),
            };
            let any = throttle_path(index, "");
            let origin = self.origins.get(&throttle_path(index, "name")).or_else(|| {
                self.origins.iter().find(|(key, _)| key.starts_with(&any)).map(|(_, at)| at)
            });
            let message = format!("[[throttle]]: {fault}");
            findings.problems.push(Problem { origin: origin.cloned(), message });
        }
        rules
    }

    /// Names the roles that rules are for and the policy does not have.
    pub(super) fn warn_of_throttles_for_nobody(&self, policy: &Policy, findings: &mut Findings) {
        for RuleSettings { name, roles, .. } in &self.config.throttle {
            let unknown = roles.iter().flatten().filter(|role| !policy.has_role(role));
            let name = name.as_deref().unwrap_or_default();
            findings.warnings.extend(unknown.map(|role| {
                format!(
                    "[[throttle]] {name:?} is for the role {role:?}, which the policy does not have"
                )
            }));
        }
    }
}
