//! What the store keeps of sessions: one file for each kind of record.
//!
//! Every layout begins with its version; numbers are big-endian, and texts and bytes follow their length.
//! What is read may be anything: it is checked, bounded by what is there, and never a panic.

mod fields;
mod sanction;
mod session;
mod subscription;
mod who;
mod will;

pub(super) use sanction::{decode_sanction, encode_sanction};
pub(super) use session::SessionRecord;
pub(super) use subscription::SubscriptionRecord;
#[cfg(test)]
pub(super) use who::tests::certified;
pub(super) use who::{LineMark, PasswordMark, WhoRecord};
pub(super) use will::WillRecord;
