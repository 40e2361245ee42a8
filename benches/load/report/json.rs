//! Everything for programs, as JSON.

use std::fmt::Write;

use super::target::Verdict;
use super::{Case, Report, Row, Unmeasured};

impl Report {
    /// Everything for programs. `command` made it.
    pub(crate) fn json(&self, command: &[String]) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let command: Vec<_> = command.iter().map(|word| quoted(word)).collect();
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        let verdicts: Vec<_> = self.verdicts().iter().map(Verdict::json).collect();
        let unmeasured: Vec<_> = self.unmeasured.iter().map(Unmeasured::json).collect();
        format!(
            "{{\n\"cores\": {cores},\n\"command\": [{}],\n\"rows\": [{}],\n\"targets\": [{}],\n\"unmeasured\": [{}]\n}}\n",
            command.join(", "),
            rows.join(","),
            verdicts.join(","),
            unmeasured.join(",")
        )
    }
}

impl Case {
    fn json(&self) -> String {
        let Self { scenario, transport, payload } = self;
        format!(
            "\"scenario\": \"{scenario}\", \"transport\": \"{transport}\", \"payload\": {payload}"
        )
    }
}

impl Row {
    fn json(&self) -> String {
        let mut fields = vec![
            self.case.json(),
            format!("\"step\": \"{}\"", self.step),
            format!("\"broker\": {}", quoted(&self.broker)),
            format!("\"rounds\": {}", self.runs.len()),
            format!("\"generator_is_too_dear\": {}", self.generator_is_too_dear()),
        ];
        let figures = [
            ("cpu_us", self.spread(|run| run.cpu_micros)),
            ("generator_us", self.spread(|run| run.generator_micros)),
            ("per_second", self.spread(|run| run.per_second)),
            ("peak_bytes", self.spread(|run| run.peak_bytes as f64)),
            ("bytes_each", self.bytes_each()),
            ("p50_us", self.latency(0)),
            ("p99_us", self.latency(1)),
            ("p99_9_us", self.latency(2)),
            ("kept", self.kept()),
            ("disk_per_byte", self.disk_per_byte()),
            ("seconds", self.seconds()),
        ];
        let known = figures.iter().filter_map(|(name, spread)| Some((name, (*spread)?)));
        fields.extend(known.map(|(name, spread)| format!("\"{name}\": {}", spread.json())));
        format!("\n  {{{}}}", fields.join(", "))
    }
}

impl Verdict<'_> {
    fn json(&self) -> String {
        let Self { step, figure, ours, times, bound, .. } = self;
        let best = self.best.map_or_else(String::new, |(broker, value)| {
            format!(", \"best_other\": {}, \"best\": {value:.4}", quoted(broker))
        });
        let is_met = self.missed_by <= 0.0;
        format!(
            "\n  {{{}, \"step\": \"{step}\", \"figure\": \"{figure}\", \"ours\": {ours:.4}{best}, \
             \"times\": {times:.4}, \"target\": {bound:.4}, \"is_met\": {is_met}}}",
            self.case.json()
        )
    }
}

impl Unmeasured {
    fn json(&self) -> String {
        let Self { broker, why, has_failed, .. } = self;
        let (broker, why) = (quoted(broker), quoted(why));
        format!(
            "\n  {{{}, \"broker\": {broker}, \"has_failed\": {has_failed}, \"why\": {why}}}",
            self.case.json()
        )
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted + "\""
}
