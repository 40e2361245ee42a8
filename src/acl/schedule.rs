//! `time`: the hours of the week at which a rule holds, in UTC.

use std::fmt;
use std::time::Duration;

const DAY: u64 = 24 * 60;
const MINUTES_OF_A_WEEK: u64 = 7 * DAY;
/// The Unix epoch was a Thursday.
const EPOCH_DAY: u64 = 3;

/// The days as a policy writes them, in the order of the week.
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Some hours of some days. Hours that end before they begin last over midnight, and belong to the
/// day on which they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// By the order of [`DAYS`].
    pub(super) days: [bool; 7],
    /// Minutes since midnight: the first, and the first that is none any more. At most 24:00.
    pub(super) from: u16,
    pub(super) to: u16,
}

impl Schedule {
    /// Whether it holds at `time`, which is since the Unix epoch.
    pub(super) fn holds_at(&self, time: Duration) -> bool {
        let minutes = time.as_secs() / 60;
        let (day, minute) = (minutes / DAY + EPOCH_DAY, minutes % DAY);
        let (from, to) = (u64::from(self.from), u64::from(self.to));
        if from < to {
            return self.has_day(day) && (from..to).contains(&minute);
        }
        (self.has_day(day) && minute >= from) || (self.has_day(day + 6) && minute < to)
    }

    fn has_day(&self, day: u64) -> bool {
        usize::try_from(day % 7)
            .ok()
            .and_then(|day| self.days.get(day).copied())
            .unwrap_or_default()
    }

    /// When it next begins or ends after `time`; never, where it always holds.
    pub(super) fn changes_after(&self, time: Duration) -> Option<Duration> {
        let minutes = time.as_secs() / 60;
        let now = self.holds_at(time);
        let midnight = minutes - minutes % DAY;
        let bounds = (0..=MINUTES_OF_A_WEEK / DAY).flat_map(|day| {
            let midnight = midnight + day * DAY;
            let (from, to) = (u64::from(self.from), u64::from(self.to));
            [midnight + from.min(to), midnight + from.max(to)]
        });
        let at = |minute: u64| Duration::from_secs(minute * 60);
        bounds.filter(|minute| *minute > minutes).map(at).find(|time| self.holds_at(*time) != now)
    }
}

/// As a policy writes it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = DAYS.iter().zip(self.days).filter_map(|(name, is_in)| is_in.then_some(name));
        let days: Vec<_> = named.collect();
        f.write_str("{ ")?;
        if days.len() < DAYS.len() {
            write!(f, "days = {days:?}, ")?;
        }
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(f, "from = {:?}, to = {:?} }}", clock(self.from), clock(self.to))
    }
}

/// A moment of the first whole week of the epoch, in UTC, that `text` writes as `mon 08:00`: for
/// questions about what a policy allows then.
#[must_use]
pub fn time_of_week(text: &str) -> Option<Duration> {
    let (day, time) = text.split_once(' ')?;
    let day = DAYS.iter().position(|name| *name == day)?;
    let minutes = u64::try_from(day).ok()? * DAY + u64::from(minutes_of(time)?);
    let monday = MINUTES_OF_A_WEEK / DAY - EPOCH_DAY;
    Some(Duration::from_secs((monday * DAY + minutes) * 60))
}

/// The minutes since midnight that `text` writes as `HH:MM`; up to 24:00.
pub(super) fn minutes_of(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| -> Option<u16> {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok())?
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let sum = hours * 60 + minutes;
    (minutes < 60 && sum <= 24 * 60).then_some(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Monday, 2026-11-23, 00:00 UTC.
    const MONDAY: u64 = 1_795_392_000;

    fn at(day: u64, time: &str) -> Duration {
        let minutes = u64::from(minutes_of(time).expect("a time"));
        Duration::from_secs(MONDAY + (day * DAY + minutes) * 60)
    }

    fn schedule(days: &[usize], from: &str, to: &str) -> Schedule {
        let mut week = [false; 7];
        days.iter().for_each(|day| week[*day] = true);
        let minutes = |text| minutes_of(text).expect("a time");
        Schedule { days: week, from: minutes(from), to: minutes(to) }
    }

    #[test]
    fn hours_hold_from_their_first_minute_to_before_their_last() {
        let shift = schedule(&[0, 1], "08:00", "17:00");
        for (day, time, wanted) in [
            (0, "07:59", false),
            (0, "08:00", true),
            (0, "16:59", true),
            (0, "17:00", false),
            (1, "08:00", true),
            (2, "08:00", false),
            (7, "08:00", true),
        ] {
            assert_eq!(shift.holds_at(at(day, time)), wanted, "{day} {time}");
        }
        assert_eq!(shift.changes_after(at(0, "07:00")), Some(at(0, "08:00")));
        assert_eq!(shift.changes_after(at(0, "08:00")), Some(at(0, "17:00")));
        assert_eq!(shift.changes_after(at(1, "17:00")), Some(at(7, "08:00")));
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let night = schedule(&[4], "22:00", "06:00");
        for (day, time, wanted) in [
            (4, "05:00", false),
            (4, "22:00", true),
            (5, "05:59", true),
            (5, "06:00", false),
            (5, "22:00", false),
        ] {
            assert_eq!(night.holds_at(at(day, time)), wanted, "{day} {time}");
        }
        assert_eq!(night.changes_after(at(4, "23:00")), Some(at(5, "06:00")));
    }

    #[test]
    fn what_always_holds_never_changes_and_whole_days_end_at_midnight() {
        let always = schedule(&[0, 1, 2, 3, 4, 5, 6], "00:00", "24:00");
        assert_eq!(always.changes_after(at(0, "12:00")), None);
        let sunday = schedule(&[6], "00:00", "24:00");
        assert!(sunday.holds_at(at(6, "00:00")) && sunday.holds_at(at(6, "23:59")));
        assert_eq!(sunday.changes_after(at(6, "12:00")), Some(at(7, "00:00")));
    }

    #[test]
    fn a_moment_of_the_week_is_told_as_a_time() {
        let monday = schedule(&[0], "08:00", "09:00");
        let holds = |text| time_of_week(text).is_some_and(|time| monday.holds_at(time));
        assert!(holds("mon 08:30") && !holds("tue 08:30") && !holds("mon 09:00"));
        assert!(time_of_week("monday 08:30").is_none() && time_of_week("08:30").is_none());
    }

    #[test]
    fn times_are_written_with_two_digits_each() {
        assert_eq!(minutes_of("24:00"), Some(1_440));
        for bad in ["8:00", "24:01", "12:60", "-1:00", "12", "12:00:00", "+1:00", ""] {
            assert_eq!(minutes_of(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_changes_before_the_change_that_is_told(
            days in any::<[bool; 7]>(), from in 0..1_440_u16, to in 0..=1_440_u16,
            start in 0..3 * MINUTES_OF_A_WEEK,
        ) {
            let schedule = Schedule { days, from, to };
            let time = |minute: u64| Duration::from_secs(minute * 60);
            let now = schedule.holds_at(time(start));
            let change = (start..start + MINUTES_OF_A_WEEK + DAY)
                .map(time)
                .find(|time| schedule.holds_at(*time) != now);
            prop_assert_eq!(schedule.changes_after(time(start)), change);
        }
    }
}
