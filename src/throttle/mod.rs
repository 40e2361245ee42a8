//! How much may be done, by clients and by whoever connects, and what becomes of what is over that: rules,
//! and buckets that empty themselves. Whoever asks keeps the buckets and tells the time.

mod arrivals;
mod floods;
mod levels;
mod rate;
mod rule;
mod shares;
mod source;

pub use arrivals::{ArrivalRates, Arrivals};
pub use floods::{Floods, LetThrough};
pub use levels::Levels;
pub use rate::Rate;
pub use rule::{Action, Per, Rule, RuleError, RuleSettings, What};
pub use shares::{Bounds, Shares};
pub use source::{Scope, Source};
