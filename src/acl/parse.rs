//! From the text of a policy file to a policy, or to all that is wrong with it.

mod assign;
mod conditions;
mod envelope;
mod group;
mod limits;
mod role;
mod rule;

use std::collections::HashMap;

use toml::de::DeTable;

use super::assign::Assignment;
use super::document::Item;
use super::error::{Faults, PolicyError};
use super::policy::Policy;
use super::rule::Rulebook;

/// The largest policy file that is read: some 150,000 rules.
pub const MAX_POLICY_BYTES: usize = 16 << 20;

impl Policy {
    /// Reads the text of a policy file.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the text: see the module for the format. A
    /// policy with an error is not used in part.
    pub fn parse(text: &str) -> Result<Self, Vec<PolicyError>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_POLICY_BYTES {
            let message = "a policy file has at most 16 MiB: let clients share roles".to_owned();
            return Err(vec![PolicyError { line: 1, column: 1, message }]);
        }
        let mut reader = Reader::of(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or_default();
            reader.faults.add(&span, format!("this is not TOML: {}", error.message()));
        }
        // What could be made out of a broken text would only raise errors that are not there.
        if errors.is_empty() {
            reader.document(&Item::document(document.get_ref()));
        }
        reader.finish()
    }

    /// Reads the bytes of a policy file: UTF-8, with LF or CRLF, with a byte order mark or without.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Vec<PolicyError>> {
        text_of(bytes).and_then(Self::parse)
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, Vec<PolicyError>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let mut faults = Faults::of(&valid);
        let end = valid.len();
        faults.add(&(end..end), "this is not UTF-8: save the file in that encoding");
        faults.into_errors()
    })
}

/// Reads table after table, whatever is wrong with the ones before.
struct Reader<'t> {
    faults: Faults<'t>,
    rulebook: Rulebook,
    /// Where in the rulebook each role is.
    places: HashMap<Box<str>, usize>,
    /// The roles, each after all that it inherits.
    order: Vec<usize>,
    /// The users of each group, and of the groups in it.
    groups: HashMap<Box<str>, Vec<Box<str>>>,
    assignments: Vec<Assignment>,
}

impl<'t> Reader<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            faults: Faults::of(text),
            rulebook: Rulebook::default(),
            places: HashMap::new(),
            order: Vec::new(),
            groups: HashMap::new(),
            assignments: Vec::new(),
        }
    }

    fn finish(self) -> Result<Policy, Vec<PolicyError>> {
        if !self.faults.is_empty() {
            return Err(self.faults.into_errors());
        }
        Ok(Policy::of(self.rulebook, &self.order, self.assignments))
    }

    fn document(&mut self, document: &Item<'_>) {
        document.only(&["role", "group", "assign", "envelope"], &mut self.faults);
        let envelopes = document.tables("envelope", "an [[envelope]] table", &mut self.faults);
        self.envelopes(&envelopes);
        let roles = document.tables("role", "a [[role]] table", &mut self.faults);
        for role in &roles {
            self.role(role);
        }
        self.inheritance(&roles);
        let groups = document.tables("group", "a [[group]] table", &mut self.faults);
        self.groups(&groups);
        let assigns = document.tables("assign", "an [[assign]] table", &mut self.faults);
        for assign in &assigns {
            self.assign(assign);
        }
        if assigns.is_empty() {
            self.faults.add_at_end(
                "no role is assigned, so everybody is shut out: add an [[assign]] table",
            );
        }
    }
}
