//! What has been measured, as a table and as JSON.

use std::fmt::Write;

use super::meter::Measured;

/// A generator that costs more than this share of the broker disturbs what it measures.
const GENERATOR_SHARE: f64 = 0.5;

/// What was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) scenario: &'static str,
    pub(crate) transport: &'static str,
    pub(crate) payload: usize,
}

/// One step of one case with one broker, over all rounds.
#[derive(Clone, Debug)]
struct Row {
    case: Case,
    step: &'static str,
    broker: String,
    runs: Vec<Measured>,
}

/// A case that a broker did not pass.
#[derive(Clone, Debug)]
struct Failure {
    case: Case,
    broker: String,
    why: String,
}

/// Everything that has been measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    failures: Vec<Failure>,
}

/// The lowest, the middle and the highest of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let upper = figures[figures.len() / 2];
        let lower = figures[(figures.len() - 1) / 2];
        Some(Self { min, median: (lower + upper) / 2.0, max })
    }

    fn json(self) -> String {
        let Self { min, median, max } = self;
        format!("{{\"min\": {min:.4}, \"median\": {median:.4}, \"max\": {max:.4}}}")
    }
}

impl Row {
    fn spread(&self, figure: impl Fn(&Measured) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().map(figure))
    }

    fn cpu(&self) -> f64 {
        self.spread(|run| run.cpu_micros).map_or(f64::INFINITY, |spread| spread.median)
    }

    fn bytes_each(&self) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| run.bytes_each))
    }

    fn latency(&self, place: usize) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| Some(run.latency_micros?[place])))
    }

    fn generator_is_too_dear(&self) -> bool {
        self.spread(|run| run.generator_micros / run.cpu_micros)
            .is_some_and(|share| share.median > GENERATOR_SHARE)
    }
}

impl Report {
    pub(crate) fn add(&mut self, case: &Case, broker: &str, steps: Vec<Measured>) {
        for measured in steps {
            let row = self
                .rows
                .iter_mut()
                .find(|row| row.case == *case && row.step == measured.step && row.broker == broker);
            match row {
                Some(row) => row.runs.push(measured),
                None => self.rows.push(Row {
                    case: case.clone(),
                    step: measured.step,
                    broker: broker.to_owned(),
                    runs: vec![measured],
                }),
            }
        }
    }

    pub(crate) fn add_failure(&mut self, case: &Case, broker: &str, why: String) {
        self.failures.push(Failure { case: case.clone(), broker: broker.to_owned(), why });
    }

    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    pub(crate) fn has_failed(&self, case: &Case, broker: &str) -> bool {
        self.failures.iter().any(|failure| failure.case == *case && failure.broker == broker)
    }

    /// How often the processor time of the best other broker `row` has spent.
    fn times_best_other(&self, row: &Row) -> Option<f64> {
        self.rows
            .iter()
            .filter(|other| {
                other.case == row.case && other.step == row.step && other.broker != row.broker
            })
            .map(Row::cpu)
            .min_by(f64::total_cmp)
            .map(|best| row.cpu() / best)
    }

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
        let mut text = aligned(&lines);
        if self.rows.iter().any(Row::generator_is_too_dear) {
            text.push_str("\n! The generator spent more than half of what the broker did.\n");
        }
        for Failure { case, broker, why } in &self.failures {
            let Case { scenario, transport, payload } = case;
            let _ =
                writeln!(text, "\nFAILED: {broker} in {scenario}, {transport}, {payload} B: {why}");
        }
        text
    }

    fn cells(&self, row: &Row) -> [String; 16] {
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
        ]
    }

    /// Everything for programs. `command` made it.
    pub(crate) fn json(&self, command: &[String]) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let command: Vec<_> = command.iter().map(|word| quoted(word)).collect();
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        let failures: Vec<_> = self.failures.iter().map(Failure::json).collect();
        format!(
            "{{\n\"cores\": {cores},\n\"command\": [{}],\n\"rows\": [{}],\n\"failures\": [{}]\n}}\n",
            command.join(", "),
            rows.join(","),
            failures.join(",")
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
        ];
        let known = figures.iter().filter_map(|(name, spread)| Some((name, (*spread)?)));
        fields.extend(known.map(|(name, spread)| format!("\"{name}\": {}", spread.json())));
        format!("\n  {{{}}}", fields.join(", "))
    }
}

impl Failure {
    fn json(&self) -> String {
        let (broker, why) = (quoted(&self.broker), quoted(&self.why));
        format!("\n  {{{}, \"broker\": {broker}, \"why\": {why}}}", self.case.json())
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

/// Cells in columns: the first five are words, the others figures.
fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let _ = match column {
                0..5 => write!(text, "| {cell:<width$} "),
                _ => write!(text, "| {cell:>width$} "),
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column < 5 { "-" } else { ":" };
                let _ = write!(text, "|{}{end}", "-".repeat(width + 1));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(cpu_micros: f64) -> Measured {
        Measured {
            step: "deliver",
            cpu_micros,
            generator_micros: 1.0,
            per_second: 1e6,
            peak_bytes: 1 << 20,
            bytes_each: None,
            latency_micros: None,
        }
    }

    fn report() -> Report {
        let case = Case { scenario: "pairs-qos0", transport: "tcp", payload: 64 };
        let mut report = Report::default();
        for cpu in [3.0, 1.0, 4.0] {
            report.add(&case, "one", vec![measured(cpu)]);
            report.add(&case, "other", vec![measured(cpu / 2.0)]);
        }
        report.add_failure(&case, "third", "\"lost\"\n".to_owned());
        report
    }

    #[test]
    fn the_table_shows_medians_spreads_and_the_distance_to_the_best_other() {
        let table = report().table();
        let row = |name: &str| {
            let line = table.lines().find(|line| line.contains(name)).unwrap();
            line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(row("| one")[6..11], ["3.000", "1.000", "4.000", "2.00", "1.000"]);
        assert_eq!(row("| other")[6..11], ["1.500", "0.500", "2.000", "0.50", "1.000 !"]);
        assert!(table.contains("FAILED: third in pairs-qos0, tcp, 64 B"), "{table}");
    }

    #[test]
    fn json_holds_the_same_and_quotes_what_is_quoted() {
        let json = report().json(&["bench".to_owned()]);
        assert!(
            json.contains("\"cpu_us\": {\"min\": 1.0000, \"median\": 3.0000, \"max\": 4.0000}")
        );
        assert!(json.contains(r#""why": "\"lost\"\u000a""#), "{json}");
        assert!(!json.contains("p50_us"));
    }
}
