//! What environment and flags put above the file.

use std::collections::BTreeMap;

use super::{
    Problem,
    entry::{Entry, Layers},
    listeners,
};

/// Settings that were written elsewhere than in the file.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    /// URLs of listeners that replace those of the file; none replaces nothing.
    pub(super) listen: Vec<Entry>,
    /// Keys of listeners.
    pub(super) listener: BTreeMap<&'static str, Entry>,
    /// Keys of sections.
    pub(super) sections: BTreeMap<(&'static str, &'static str), Entry>,
}

impl Overrides {
    /// These, with those of `above` in place of the ones that both have.
    pub(super) fn overridden_by(mut self, above: Self) -> Self {
        if !above.listen.is_empty() {
            self.listen = above.listen;
        }
        self.listener.extend(above.listener);
        self.sections.extend(above.sections);
        self
    }

    /// Puts them in place of what the file says.
    pub(super) fn apply(self, layers: &mut Layers, problems: &mut Vec<Problem>) {
        if !self.listen.is_empty() {
            layers.listeners = listeners::replace(&layers.listeners, self.listen);
        }
        for (key, entry) in &self.listener {
            listeners::set(&mut layers.listeners, key, entry, problems);
        }
        for ((section, key), entry) in self.sections {
            layers.sections.entry(section).or_default().insert(key.to_owned(), entry);
        }
    }
}
