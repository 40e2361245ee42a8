//! Metrics as text: in the format of Prometheus (0.0.4), and the same in OpenMetrics 1.0.

use std::fmt::{Display, Write};

/// What a family of series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What the exporter's own types cannot show: fractions that are counted, and histograms per worker.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins the family `name`, whose samples come next.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family that was begun last. The values of labels are ours: nothing in them is to
    /// be escaped.
    pub(super) fn sample(&mut self, name: &str, labels: &[metrics::Label], value: impl Display) {
        self.text.push_str(name);
        for (place, label) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{}=\"{}\"", label.key(), label.value());
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// The same in OpenMetrics: a family of counters goes by its name without `_total`, there are no empty
/// lines, and the end is marked. Whoever reads it so knows that nothing was cut off.
pub(super) fn openmetrics(prometheus: &str) -> String {
    const END: &str = "# EOF\n";
    let mut text = String::with_capacity(prometheus.len() + END.len());
    for line in prometheus.lines().filter(|line| !line.is_empty()) {
        let described = line.strip_prefix("# ").and_then(|rest| rest.split_once(' '));
        let family = described.and_then(|(what, rest)| Some((what, rest.split_once(' ')?)));
        match family {
            Some((what, (name, rest))) => {
                let name = name.strip_suffix("_total").unwrap_or(name);
                let _ = writeln!(text, "# {what} {name} {rest}");
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text.push_str(END);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_below_the_family_that_they_belong_to() {
        let mut exposition = Exposition::default();
        exposition.family("a_total", Kind::Counter, "How many");
        exposition.sample("a_total", &[], 1.5);
        let labels = [metrics::Label::new("x", "1"), metrics::Label::new("y", "2")];
        exposition.sample("a_total", &labels, 2);
        assert_eq!(
            exposition.into_text(),
            "# HELP a_total How many\n# TYPE a_total counter\na_total 1.5\na_total{x=\"1\",y=\"2\"} 2\n"
        );
    }

    #[test]
    fn openmetrics_names_counters_without_total_and_has_an_end() {
        let prometheus = "# HELP a_total A total\n# TYPE a_total counter\na_total 1\n\n\
                          # HELP b B\n# TYPE b gauge\nb{c=\"d e\"} 2\n\n";
        assert_eq!(
            openmetrics(prometheus),
            "# HELP a A total\n# TYPE a counter\na_total 1\n# HELP b B\n# TYPE b gauge\n\
             b{c=\"d e\"} 2\n# EOF\n"
        );
    }
}
