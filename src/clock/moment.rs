//! Points in time as people write and read them: RFC 3339, in UTC.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

const SECOND_MS: u64 = 1_000;
const DAY_MS: u64 = 86_400 * SECOND_MS;

/// Milliseconds since the Unix epoch. As text they are shown where there are any, and by `{:#}` always: then
/// texts have the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub u64);

/// An end that is written as a day, a moment, or a number of days from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Then.
    At(Moment),
    /// So many days from now.
    AfterDays(u32),
}

/// A text is no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write it as 2027-01-31, 2027-01-31T12:00:00Z, or 90d for days from now")]
pub struct NotAnEnd;

impl End {
    /// In milliseconds since the Unix epoch.
    #[must_use]
    pub fn ms(self, now_ms: u64) -> u64 {
        match self {
            Self::At(Moment(ms)) => ms,
            Self::AfterDays(days) => now_ms.saturating_add(u64::from(days) * DAY_MS),
        }
    }
}

impl FromStr for End {
    type Err = NotAnEnd;

    fn from_str(text: &str) -> Result<Self, NotAnEnd> {
        if let Some(days) = text.strip_suffix('d') {
            return days.parse().map(Self::AfterDays).map_err(|_| NotAnEnd);
        }
        let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
        let [year, month, day] = numbers(day, '-', [4, 2, 2]).ok_or(NotAnEnd)?;
        let time = time.strip_suffix('Z').ok_or(NotAnEnd)?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2]).ok_or(NotAnEnd)?;
        if hour > 23 || minute > 59 || second > 59 {
            return Err(NotAnEnd);
        }
        let days = days_since_epoch(year, month, day).ok_or(NotAnEnd)?;
        // A day that is not in its month is another one when it is written again.
        if civil(days) != (year, month, day) {
            return Err(NotAnEnd);
        }
        let seconds = (hour * 60 + minute) * 60 + second;
        Ok(Self::At(Moment(days * DAY_MS + seconds * SECOND_MS)))
    }
}

fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut found = [0; 3];
    let mut parts = text.split(between);
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        let is_number = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = part.parse().ok().filter(|_| is_number)?;
    }
    parts.next().is_none().then_some(found)
}

/// Days from 1970-01-01, counted in years that begin in March, so that the leap day is their last one.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let month = (month + 9) % 12;
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    (before + (month * 153 + 2) / 5 + day - 1).checked_sub(719_468)
}

/// Year, month and day.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) =
        (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month <= 2), month, day)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ms) = *self;
        let (year, month, day) = civil(ms / DAY_MS);
        let second = ms % DAY_MS / SECOND_MS;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match ms % SECOND_MS {
            0 if !f.alternate() => f.write_str("Z"),
            ms => write!(f, ".{ms:03}Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56Z", 951_827_696_000),
            ("2026-11-21T20:49:20Z", 1_795_294_160_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000),
        ] {
            assert_eq!(text.parse(), Ok(End::At(Moment(ms))), "{text}");
            assert_eq!(Moment(ms).to_string(), text);
        }
        assert_eq!(Moment(1_001).to_string(), "1970-01-01T00:00:01.001Z");
        assert_eq!(format!("{:#}", Moment(1_000)), "1970-01-01T00:00:01.000Z");
        assert_eq!(Moment(u64::MAX).to_string().len(), "584556019-04-03T14:25:51.615Z".len());
    }

    #[test]
    fn a_day_begins_at_midnight_and_days_count_from_now() {
        assert_eq!("1970-01-02".parse::<End>().unwrap().ms(5), 86_400_000);
        assert_eq!("2d".parse::<End>().unwrap().ms(5), 172_800_005);
    }

    #[test]
    fn what_is_in_no_calendar_is_refused() {
        for text in [
            "",
            "d",
            "-1d",
            "1",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-1-1",
            "1969-12-31",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+01:00",
            "2026-01-+1",
        ] {
            assert_eq!(text.parse::<End>(), Err(NotAnEnd), "{text}");
        }
    }
}
