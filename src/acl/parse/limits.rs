//! `[role.limits]`.

use std::num::NonZeroU32;

use super::Reader;
use crate::acl::document::Item;
use crate::acl::limits::Limits;

const KEYS: [&str; 5] = [
    "max_sessions",
    "max_subscriptions",
    "max_inflight",
    "max_queued_messages",
    "max_queued_bytes",
];

impl Reader<'_> {
    pub(super) fn limits(&mut self, role: &Item<'_>) -> Limits {
        let Some(table) = role.table("limits", &mut self.faults) else { return Limits::default() };
        table.only(&KEYS, &mut self.faults);
        let mut limit = |key| {
            let limit = table.integer(key, 1..=i64::from(u32::MAX), &mut self.faults)?;
            u32::try_from(limit).ok().and_then(NonZeroU32::new)
        };
        Limits {
            max_sessions: limit("max_sessions"),
            max_subscriptions: limit("max_subscriptions"),
            max_inflight: limit("max_inflight"),
            max_queued_messages: limit("max_queued_messages"),
            max_queued_bytes: limit("max_queued_bytes"),
        }
    }
}
