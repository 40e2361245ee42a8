//! What is out of the ordinary: rules over what happens to a broker, and whether one of them is broken.
//!
//! A [`Sentinel`] is told every [`Event`] and when it happened, keeps what its rules need to know of the
//! recent past, and says what it finds. Whoever drives it acts upon that. What it keeps is bounded: of each
//! rule so many keys, of each key a fixed number of bytes, whatever clients make of it.

mod attribute;
mod baseline;
mod breadth;
mod distinct;
mod engine;
mod event;
mod histogram;
mod keys;
mod panes;
mod past;
mod response;
mod rule;
mod rule_settings;
mod settings;
mod tally;
#[cfg(test)]
mod ordinary_day;
#[cfg(test)]
mod tests;

pub use attribute::{Attribute, topic_class};
pub use breadth::Breadth;
pub use engine::{Finding, Forgotten, Sentinel, Watched};
pub use event::{Event, Kind};
pub use panes::{Shape, Window};
pub use response::{Response, Target};
pub use rule::{Measure, Rule, RuleError, RuleSet, Severity};
pub use rule_settings::{MeasureName, RuleSettings, default_rules};
pub use settings::Settings;
