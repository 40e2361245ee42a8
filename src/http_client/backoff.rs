//! How long to wait before a service is tried again.

use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What a service can ask for, at most: a slip of its clock is not to silence us for years.
const LONGEST_ASKED_FOR: Duration = Duration::from_secs(3_600);

/// The pause after so many failures before this one: a second, two, four and so on, up to a minute.
#[must_use]
pub fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE)
}

/// As [`pause_after`], less up to a half of that by `random`, so that those who have failed together do not come
/// again together. Where the service has `asked` for a pause, it is that, an hour at most, and up to a tenth more;
/// and no less than after a first failure, so that nobody is beaten who asks for none.
#[must_use]
pub fn pause_with_jitter(failures: u32, asked: Option<Duration>, random: u16) -> Duration {
    let part = f64::from(random) / f64::from(u16::MAX);
    let spread = |failures| pause_after(failures).mul_f64(1.0 - part / 2.0);
    match asked {
        None => spread(failures),
        Some(asked) => asked.min(LONGEST_ASKED_FOR).mul_f64(1.0 + part / 10.0).max(spread(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<_> = (0..9).map(|failures| pause_after(failures).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn jitter_takes_up_to_a_half_of_a_pause() {
        let pause = |random| pause_with_jitter(3, None, random).as_secs_f64();
        assert!((pause(0) - 8.0).abs() < 1e-6 && (pause(u16::MAX) - 4.0).abs() < 1e-6);
        assert!((pause(u16::MAX / 2) - 6.0).abs() < 0.01);
    }

    #[test]
    fn what_a_service_asks_for_is_waited_for_and_a_little_longer_within_bounds() {
        let pause = |asked, random| {
            pause_with_jitter(6, Some(Duration::from_secs(asked)), random).as_secs_f64()
        };
        assert!((pause(30, 0) - 30.0).abs() < 1e-6 && (pause(30, u16::MAX) - 33.0).abs() < 1e-6);
        assert!((pause(0, 0) - 1.0).abs() < 1e-6 && (pause(0, u16::MAX) - 0.5).abs() < 1e-6);
        assert!((pause(u64::MAX, 0) - 3_600.0).abs() < 1e-6);
    }
}
