//! What all metrics say at one moment, read off the very text that Prometheus is told: whoever shows them
//! elsewhere shows the same.

use std::collections::BTreeMap;

use super::Metrics;

/// Every sample of every metric, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings(Vec<Sample>);

/// One series, and what it says.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// All of them, as they are now. As much work as it is to answer Prometheus.
    #[must_use]
    pub fn read(&self) -> Readings {
        Readings::parse(&self.render())
    }
}

impl Readings {
    fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(Sample::parse).collect())
    }

    /// A metric, summed over its labels; 0 where there is none of that name.
    #[must_use]
    pub fn total(&self, name: &str) -> f64 {
        self.0.iter().filter(|it| it.name == name).map(|it| it.value).sum()
    }

    /// A metric by the values of `label`, summed over its other labels, of those series that have all of
    /// `only`.
    #[must_use]
    pub fn by(&self, name: &str, label: &str, only: &[(&str, &str)]) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        let is_meant = |it: &&Sample| {
            it.name == name && only.iter().all(|(key, value)| it.label(key) == Some(value))
        };
        for sample in self.0.iter().filter(is_meant) {
            if let Some(value) = sample.label(label) {
                *found.entry(value.to_owned()).or_default() += sample.value;
            }
        }
        found
    }

    /// The buckets of a histogram, summed over its labels: the upper bound of each, the last one endless,
    /// and how many were at or below it.
    #[must_use]
    pub fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let name = format!("{name}_bucket");
        let mut found: Vec<(f64, f64)> = Vec::new();
        for sample in self.0.iter().filter(|it| it.name == name) {
            let Some(bound) = sample.label("le").and_then(|text| text.parse::<f64>().ok()) else {
                continue;
            };
            match found.iter_mut().find(|(it, _)| it.total_cmp(&bound).is_eq()) {
                Some((_, count)) => *count += sample.value,
                None => found.push((bound, sample.value)),
            }
        }
        found.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        found
    }
}

impl Sample {
    /// Of `name{key="value",…} 1.5`.
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, labels_of(rest.strip_suffix('}')?)?),
            None => (series, Vec::new()),
        };
        Some(Self { name: name.to_owned(), labels, value })
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Labels as they stand between braces; values may have what is escaped.
fn labels_of(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (end, '"') => break end,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((key.to_owned(), value));
        text = rest.get(end + 1..)?;
        text = text.strip_prefix(',').unwrap_or(text);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::QoS;
    use crate::telemetry::{LoginMethod, LoginResult, Refusal};

    #[test]
    fn what_was_counted_is_read() {
        let metrics = Metrics::new();
        metrics.connections_refused.add(Refusal::Timeout, 3);
        metrics.connections_refused.add(Refusal::Banned, 2);
        metrics.logins.add((LoginMethod::Password, LoginResult::Refused), 5);
        metrics.logins.add((LoginMethod::Password, LoginResult::Accepted), 7);
        metrics.found("a rule, \"quoted\"", "warning");
        let readings = metrics.read();
        let refused = readings.by("bastionmq_connections_refused_total", "reason", &[]);
        assert_eq!(
            (refused["connect_timeout"], refused["banned"], refused["rate"]),
            (3.0, 2.0, 0.0)
        );
        assert_eq!(readings.total("bastionmq_connections_refused_total"), 5.0);
        let logins = readings.by("bastionmq_logins_total", "method", &[("result", "refused")]);
        assert_eq!((logins["password"], logins["token"]), (5.0, 0.0));
        let found = readings.by("bastionmq_sentinel_findings_total", "rule", &[]);
        assert_eq!(found["a rule, \"quoted\""], 1.0);
        assert_eq!(readings.total("there_is_none"), 0.0);
    }

    #[test]
    fn a_histogram_is_summed_over_its_labels_in_order_of_its_bounds() {
        let metrics = Metrics::new();
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            metrics.delivery_seconds.record(qos, Duration::from_micros(75));
        }
        metrics.delivery_seconds.record(QoS::ExactlyOnce, Duration::from_secs(60));
        let buckets = metrics.read().buckets("bastionmq_delivery_seconds");
        assert!(buckets.is_sorted_by(|one, other| one.0 < other.0));
        assert_eq!(buckets[0], (0.000_05, 0.0));
        assert_eq!(buckets[1], (0.000_1, 2.0));
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 3.0)));
    }

    #[test]
    fn what_is_no_sample_is_passed_over() {
        for line in ["", "a", "a{", "a{b=\"c\" 1", "a{b=\"c\"} x", "a{b} 1", "a{b=\"c\\", "# a 1"] {
            assert_eq!(Readings::parse(line), Readings::default(), "{line}");
        }
    }
}
