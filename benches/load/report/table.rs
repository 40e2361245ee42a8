//! The table for people, in Markdown.

use std::fmt::Write;

use super::target::Verdict;
use super::{Case, Report, Row, Spread, Unmeasured};

impl Report {
    /// A table for people, in Markdown.
    pub(crate) fn table(&self) -> String {
        let heads = [
            "scenario",
            "step",
            "via",
            "payload",
            "broker",
            "CPU us",
            "min",
            "max",
            "x best other",
            "generator us",
            "per second",
            "peak MiB",
            "bytes each",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "kept",
            "disk/byte",
            "seconds",
        ];
        let mut lines = vec![heads.map(str::to_owned)];
        for (place, row) in self.rows.iter().enumerate() {
            if self.rows[..place]
                .iter()
                .any(|before| before.case == row.case && before.step == row.step)
            {
                continue;
            }
            let same =
                self.rows.iter().filter(|other| other.case == row.case && other.step == row.step);
            lines.extend(same.map(|row| self.cells(row)));
        }
        let mut text = aligned(&lines, 5);
        if self.rows.iter().any(Row::generator_is_too_dear) {
            text.push_str("\n! The generator spent more than half of what the broker did.\n");
        }
        text.push_str(&self.targets());
        for one in &self.unmeasured {
            let Unmeasured { case: Case { scenario, transport, payload }, broker, why, .. } = one;
            let what = if one.has_failed { "FAILED" } else { "CANNOT" };
            let place = format!("{broker} in {scenario}, {transport}, {payload} B");
            let _ = writeln!(text, "\n{what}: {place}: {why}");
        }
        text
    }

    /// The targets, and how far they are met; nothing where there is nothing to compare with.
    fn targets(&self) -> String {
        let verdicts = self.verdicts();
        if verdicts.is_empty() {
            return String::new();
        }
        let heads = [
            "scenario",
            "step",
            "via",
            "figure",
            &self.subject,
            "best other",
            "times",
            "target",
            "verdict",
        ];
        let mut lines = vec![heads.map(str::to_owned)];
        lines.extend(verdicts.iter().map(Verdict::cells));
        format!("\n{}", aligned(&lines, 4))
    }

    fn cells(&self, row: &Row) -> [String; 19] {
        let cpu = row.spread(|run| run.cpu_micros);
        let figure = |spread: Option<Spread>, digits: usize| {
            spread.map_or_else(String::new, |spread| format!("{:.digits$}", spread.median))
        };
        let flag = if row.generator_is_too_dear() { " !" } else { "" };
        [
            row.case.scenario.to_owned(),
            row.step.to_owned(),
            row.case.transport.to_owned(),
            row.case.payload.to_string(),
            row.broker.clone(),
            figure(cpu, 3),
            cpu.map_or_else(String::new, |cpu| format!("{:.3}", cpu.min)),
            cpu.map_or_else(String::new, |cpu| format!("{:.3}", cpu.max)),
            self.times_best_other(row).map_or_else(String::new, |times| format!("{times:.2}")),
            figure(row.spread(|run| run.generator_micros), 3) + flag,
            figure(row.spread(|run| run.per_second), 0),
            figure(row.spread(|run| run.peak_bytes as f64 / f64::from(1 << 20)), 1),
            figure(row.bytes_each(), 0),
            figure(row.latency(0), 0),
            figure(row.latency(1), 0),
            figure(row.latency(2), 0),
            figure(row.kept(), 2),
            figure(row.disk_per_byte(), 2),
            figure(row.seconds(), 2),
        ]
    }
}

impl Verdict<'_> {
    fn cells(&self) -> [String; 9] {
        let digits = |figure: f64| if figure < 100.0 { 3 } else { 0 };
        let best = |(broker, figure): (&str, f64)| format!("{broker} {figure:.*}", digits(figure));
        [
            self.case.scenario.to_owned(),
            self.step.to_owned(),
            self.case.transport.to_owned(),
            self.figure.to_owned(),
            format!("{:.*}", digits(self.ours), self.ours),
            self.best.map_or_else(String::new, best),
            format!("{:.2}", self.times),
            format!("{:.2}", self.bound),
            self.text(),
        ]
    }
}

/// Cells in columns: the first `words` to the left, the others, which are figures, to the right.
fn aligned<const N: usize>(lines: &[[String; N]], words: usize) -> String {
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let _ = if column < words {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column < words { "-" } else { ":" };
                let _ = write!(text, "|{}{end}", "-".repeat(width + 1));
            }
            text.push_str("|\n");
        }
    }
    text
}
