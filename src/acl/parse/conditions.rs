//! `listeners`, `transport` and `time`: from where a client must come, and when.

use super::Reader;
use crate::acl::document::Item;
use crate::acl::origin::{Origin, Transport};
use crate::acl::rule::Conditions;
use crate::acl::schedule::{DAYS, Schedule, minutes_of};

impl Reader<'_> {
    pub(super) fn conditions(&mut self, item: &Item<'_>) -> Option<Box<Conditions>> {
        let conditions = Conditions { origin: self.origin(item), schedule: self.schedule(item) };
        (conditions != Conditions::default()).then(|| Box::new(conditions))
    }

    pub(super) fn origin(&mut self, item: &Item<'_>) -> Origin {
        let listeners = item.has("listeners").then(|| self.listeners(item));
        let transport = item.has("transport").then(|| self.transport(item));
        Origin { listeners, transport }
    }

    fn listeners(&mut self, item: &Item<'_>) -> Box<[Box<str>]> {
        let mut urls = Vec::new();
        for url in item.strings("listeners", &mut self.faults) {
            if !url.text.contains("://") {
                let message = "a listener goes by its URL, like \"mqtts://0.0.0.0:8883\"";
                self.faults.add(&url.span, message);
            }
            urls.push(url.text.into());
        }
        urls.into()
    }

    fn transport(&mut self, item: &Item<'_>) -> Box<[Transport]> {
        let mut kinds = Vec::new();
        for kind in item.strings("transport", &mut self.faults) {
            match Transport::named(kind.text) {
                Some(transport) => kinds.push(transport),
                None => {
                    let known = Transport::ALL.map(Transport::name).join(", ");
                    let message = format!("{:?} is no transport, only {known}", kind.text);
                    self.faults.add(&kind.span, message);
                }
            }
        }
        kinds.into()
    }

    fn schedule(&mut self, item: &Item<'_>) -> Option<Schedule> {
        let time = item.table("time", &mut self.faults)?;
        time.only(&["days", "from", "to"], &mut self.faults);
        let schedule = Schedule {
            days: self.days(&time),
            from: self.minutes(&time, "from").unwrap_or(0),
            to: self.minutes(&time, "to").unwrap_or(24 * 60),
        };
        if schedule.from == schedule.to || schedule.from == 24 * 60 {
            let message = "a time begins before 24:00 and ends at another time: leave out both for \
                           whole days";
            self.faults.add(&time.span, message);
        }
        Some(schedule)
    }

    fn days(&mut self, time: &Item<'_>) -> [bool; 7] {
        if !time.has("days") {
            return [true; 7];
        }
        let mut days = [false; 7];
        for day in time.strings("days", &mut self.faults) {
            let place = DAYS.iter().position(|name| *name == day.text);
            match place.and_then(|place| days.get_mut(place)) {
                Some(day) => *day = true,
                None => {
                    let message = format!("{:?} is no day, only {}", day.text, DAYS.join(", "));
                    self.faults.add(&day.span, message);
                }
            }
        }
        days
    }

    fn minutes(&mut self, time: &Item<'_>, key: &str) -> Option<u16> {
        let text = time.string(key, &mut self.faults)?;
        let minutes = minutes_of(text.text);
        if minutes.is_none() {
            let message = format!("{key} is a time of the day in UTC, like \"08:00\"");
            self.faults.add(&text.span, message);
        }
        minutes
    }
}
