//! What a translation has to tell: where it stands, what it is, and what to do about it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// From 1; 0 is the file as a whole.
    pub line: u32,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It has no counterpart here, or not all of it has.
    Missing,
    /// It is translated, and ought to be known.
    Note,
}

/// One thing that is not the same as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands.
    pub place: Place,
    /// How much it weighs.
    pub weight: Weight,
    /// What it is, as far as it can be shown.
    pub what: String,
    /// What has become of it, and what to do.
    pub remedy: String,
}

/// All that is found, in the order in which it is found.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    /// Notes what has no counterpart.
    pub(super) fn missing(&mut self, place: &Place, what: impl fmt::Display, remedy: &str) {
        self.add(place, Weight::Missing, what, remedy);
    }

    /// Notes what is different.
    pub(super) fn note(&mut self, place: &Place, what: impl fmt::Display, remedy: &str) {
        self.add(place, Weight::Note, what, remedy);
    }

    fn add(&mut self, place: &Place, weight: Weight, what: impl fmt::Display, remedy: &str) {
        // Whatever a file holds, it does not steer the terminal.
        let what = what.to_string().replace(char::is_control, "\u{fffd}");
        self.0.push(Finding { place: place.clone(), weight, what, remedy: remedy.to_owned() });
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Missing => "no counterpart",
            Weight::Note => "note",
        };
        write!(f, "{}: {weight}: {}\n    {}", self.place, self.what, self.remedy)
    }
}
