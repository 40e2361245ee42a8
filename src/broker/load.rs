//! What happens in a minute, averaged over one, five and fifteen of them: `load/…` of `$SYS`.

use std::time::Instant;

/// What is averaged, by the names that Mosquitto gave it.
const NAMES: [&str; 9] = [
    "messages/received",
    "messages/sent",
    "publish/dropped",
    "publish/received",
    "publish/sent",
    "bytes/received",
    "bytes/sent",
    "sockets",
    "connections",
];

/// Over what, in seconds.
const SPANS: [(&str, f64); 3] = [("1min", 60.0), ("5min", 300.0), ("15min", 900.0)];

/// What there has been by now, in the order of [`NAMES`].
pub(super) type Totals = [u64; NAMES.len()];

/// Exponential moving averages, as Mosquitto has them, and as the load of a Unix system is: what is an age of
/// the span ago counts 1/e of what is now.
#[derive(Debug, Default)]
pub(super) struct Loads {
    last: Option<(Instant, Totals)>,
    averages: [[f64; SPANS.len()]; NAMES.len()],
}

impl Loads {
    /// There have been so many by `now`. Nothing is known of what was before the first time.
    pub(super) fn update(&mut self, now: Instant, totals: Totals) {
        let Some((then, before)) = self.last.replace((now, totals)) else { return };
        let seconds = now.saturating_duration_since(then).as_secs_f64().max(f64::EPSILON);
        let counts = totals.into_iter().zip(before).map(|(now, then)| now.saturating_sub(then));
        for (averages, count) in self.averages.iter_mut().zip(counts) {
            let per_minute = count as f64 * 60.0 / seconds;
            for (average, (_, span)) in averages.iter_mut().zip(SPANS) {
                *average = per_minute + (-seconds / span).exp() * (*average - per_minute);
            }
        }
    }

    /// The name and value of each average.
    pub(super) fn each(&self) -> impl Iterator<Item = (String, String)> {
        NAMES.into_iter().zip(&self.averages).flat_map(|(name, averages)| {
            let named = SPANS.into_iter().zip(averages);
            named.map(move |((span, _), it)| (format!("load/{name}/{span}"), format!("{it:.2}")))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn value(loads: &Loads, name: &str) -> f64 {
        let found = loads.each().find(|(other, _)| other == name);
        found.expect(name).1.parse().expect("a number")
    }

    #[test]
    fn what_goes_on_for_long_is_what_the_averages_come_to() {
        let (mut loads, start) = (Loads::default(), Instant::now());
        let mut at_a_second = |second: u64, total: u64| {
            let mut totals = Totals::default();
            totals[0] = total;
            loads.update(start + Duration::from_secs(second), totals);
            ["1min", "5min", "15min"]
                .map(|it| value(&loads, &format!("load/messages/received/{it}")))
        };
        // What was before the first time, even if that is much, has not come in a minute.
        assert_eq!(at_a_second(0, 1_000_000), [0.0; 3]);
        // Ten a second, looked at every ten seconds.
        let mut found = [0.0; 3];
        for step in 1..=6 {
            found = at_a_second(step * 10, 1_000_000 + step * 100);
        }
        // 600 (1 - e^-1), 600 (1 - e^-1/5), 600 (1 - e^-1/15).
        assert_eq!(found, [379.27, 108.76, 38.70]);
        // A quarter of an hour of nothing, looked at once.
        found = at_a_second(960, 1_000_600);
        assert_eq!(found, [0.0, 5.41, 14.24]);
    }

    #[test]
    fn each_of_them_has_three_averages_of_its_own() {
        let (mut loads, start) = (Loads::default(), Instant::now());
        loads.update(start, Totals::default());
        let mut totals = Totals::default();
        for (number, total) in (1..).zip(&mut totals) {
            *total = number * 1_000;
        }
        loads.update(start + Duration::from_secs(3_600_000), totals);
        for (number, name) in (1..).zip(NAMES) {
            let per_minute = f64::from(number) * 1_000.0 / 60_000.0;
            for (span, _) in SPANS {
                let found = value(&loads, &format!("load/{name}/{span}"));
                assert!((found - per_minute).abs() < 0.006, "{name} {span}: {found}");
            }
        }
        assert_eq!(loads.each().count(), 27);
    }

    #[test]
    fn two_times_at_one_moment_leave_numbers() {
        let (mut loads, now) = (Loads::default(), Instant::now());
        loads.update(now, Totals::default());
        loads.update(now, [1; NAMES.len()]);
        assert!(loads.each().all(|(_, value)| value.parse::<f64>().is_ok_and(f64::is_finite)));
    }
}
