//! `[sentinel]` and its rules, from settings to rules that can be gone by.

use super::{ConfigError, Loaded, Problem, findings::Findings, load::sentinel_rule_path};
use crate::sentinel::RuleSet;

impl Loaded {
    /// The rules of the sentinel that would be in force.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn sentinel(&self) -> Result<RuleSet, ConfigError> {
        let mut findings = Findings::default();
        let rules = self.sentinel_rules(&mut findings);
        match findings.problems.is_empty() {
            true => Ok(rules),
            false => Err(ConfigError::of(findings.problems)),
        }
    }

    /// The rules in force; what is wrong with them is reported.
    pub(super) fn sentinel_rules(&self, findings: &mut Findings) -> RuleSet {
        let faults = match RuleSet::of(&self.config.sentinel, &self.config.sentinel_rule) {
            Ok(rules) => return rules,
            Err(faults) => faults,
        };
        for (index, fault) in faults {
            let any = sentinel_rule_path(index, "");
            let origin = self.origins.get(&sentinel_rule_path(index, "name")).or_else(|| {
                self.origins.iter().find(|(key, _)| key.starts_with(&any)).map(|(_, at)| at)
            });
            let message = format!("[[sentinel.rule]]: {fault}");
            findings.problems.push(Problem { origin: origin.cloned(), message });
        }
        RuleSet::default()
    }
}
