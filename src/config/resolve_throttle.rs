//! `[[throttle]]`, from settings to rules that can be gone by.

use std::collections::BTreeSet;

use super::{Loaded, Problem, findings::Findings, load::throttle_path};
use crate::throttle::Rule;

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
}
