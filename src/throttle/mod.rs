//! How much clients may do, and what becomes of what is over that: rules, and buckets that empty
//! themselves. Whoever asks keeps the buckets and tells the time.

mod rate;
mod rule;

pub use rate::Rate;
pub use rule::{Action, Per, Rule, RuleError, RuleSettings, What};
