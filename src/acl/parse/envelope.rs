//! `[[envelope]]`: topics, their mode, and what is asked of envelopes.

use std::sync::Arc;
use std::time::Duration;

use super::Reader;
use crate::acl::document::Item;
use crate::acl::envelope::{EnvelopeMode, EnvelopeTerms, MAX_AGE, MAX_FILTERS, MAX_SKEW, Table};
use crate::topic::TopicFilter;

const KEYS: [&str; 6] = [
    "topics",
    "mode",
    "encrypted_only",
    "max_age_seconds",
    "max_skew_seconds",
    "require_signature",
];
/// Those that say what is asked of envelopes.
const OF_VERIFY: [&str; 4] =
    ["encrypted_only", "max_age_seconds", "max_skew_seconds", "require_signature"];

/// A year: whoever keeps envelopes for longer has no use for their age.
const MOST_AGE: i64 = 366 * 24 * 60 * 60;
/// A day: no clock that is set at all is further ahead.
const MOST_SKEW: i64 = 24 * 60 * 60;

impl Reader<'_> {
    pub(super) fn envelopes(&mut self, items: &[Item<'_>]) {
        let mut count = 0;
        for item in items {
            if let Some(table) = self.envelope(item) {
                count += table.topics.len();
                self.rulebook.envelopes.0.push(table);
            }
        }
        if count > MAX_FILTERS
            && let Some(item) = items.first()
        {
            let message =
                format!("all [[envelope]] tables together name at most {MAX_FILTERS} topics");
            self.faults.add(&item.span, message);
        }
    }

    fn envelope(&mut self, item: &Item<'_>) -> Option<Table> {
        item.only(&KEYS, &mut self.faults);
        item.require("topics", "topics, like topics = [\"plant/#\"]", &mut self.faults);
        item.require("mode", "a mode, like mode = \"verify\"", &mut self.faults);
        let topics = self.enveloped_topics(item);
        let mode = self.mode(item)?;
        for key in OF_VERIFY {
            if let (true, Some(value)) = (mode != EnvelopeMode::Verify, item.value(key)) {
                let message =
                    format!("{key} is asked of envelopes that come: only of mode \"verify\"");
                self.faults.add(&value.span(), message);
            }
        }
        let max_age = item.integer("max_age_seconds", 1..=MOST_AGE, &mut self.faults);
        let max_skew = item.integer("max_skew_seconds", 0..=MOST_SKEW, &mut self.faults);
        let encrypted_only = item.boolean("encrypted_only", &mut self.faults);
        let require_signature = item.boolean("require_signature", &mut self.faults);
        let terms = EnvelopeTerms {
            mode,
            max_age: max_age.map_or(MAX_AGE, seconds),
            max_skew: max_skew.map_or(MAX_SKEW, seconds),
            encrypted_only: encrypted_only.unwrap_or(true),
            require_signature: require_signature.unwrap_or(false),
            line: self.faults.line(item.span.start),
        };
        Some(Table { topics, terms: Arc::new(terms) })
    }

    fn enveloped_topics(&mut self, item: &Item<'_>) -> Box<[TopicFilter]> {
        let mut filters = Vec::new();
        for topic in item.strings("topics", &mut self.faults) {
            let filter = match TopicFilter::parse(topic.text) {
                Ok(filter) => filter,
                Err(error) => {
                    self.faults.add(&topic.span, format!("topic {:?}: {error}", topic.text));
                    continue;
                }
            };
            if topic.text.starts_with('$') {
                let message =
                    "topics that begin with '$' are the broker's own, which it never seals";
                self.faults.add(&topic.span, message);
            } else if topic.text.contains("${") {
                let message = "a mode holds for all clients alike: write + in place of a name";
                self.faults.add(&topic.span, message);
            }
            filters.push(filter);
        }
        filters.into()
    }

    fn mode(&mut self, item: &Item<'_>) -> Option<EnvelopeMode> {
        let text = item.string("mode", &mut self.faults)?;
        let mode = EnvelopeMode::named(text.text);
        if mode.is_none() {
            let known = EnvelopeMode::ALL.map(EnvelopeMode::name).join(", ");
            self.faults.add(&text.span, format!("{:?} is no mode, only {known}", text.text));
        }
        mode
    }
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(number.unsigned_abs())
}
