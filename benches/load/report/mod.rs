//! What has been measured, of whom, and how it compares.

mod json;
mod table;
mod target;

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

/// A case of which there are no figures for a broker.
#[derive(Clone, Debug)]
struct Unmeasured {
    case: Case,
    broker: String,
    has_failed: bool,
    why: String,
}

/// Everything that has been measured.
#[derive(Debug)]
pub(crate) struct Report {
    /// The broker that this is about: the others are there to compare it with.
    subject: String,
    rows: Vec<Row>,
    unmeasured: Vec<Unmeasured>,
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

    fn kept(&self) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| run.kept))
    }

    fn disk_per_byte(&self) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| run.disk_per_byte))
    }

    fn seconds(&self) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| run.seconds))
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
    /// Nothing yet, about `subject`.
    pub(crate) fn new(subject: &str) -> Self {
        Self { subject: subject.to_owned(), rows: Vec::new(), unmeasured: Vec::new() }
    }

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

    /// Notes that `broker` was tried, and what went wrong.
    pub(crate) fn add_failure(&mut self, case: &Case, broker: &str, why: String) {
        self.add_unmeasured(case, broker, true, why);
    }

    /// Notes that `broker` was not tried, because it cannot do it.
    pub(crate) fn add_inability(&mut self, case: &Case, broker: &str, why: String) {
        self.add_unmeasured(case, broker, false, why);
    }

    fn add_unmeasured(&mut self, case: &Case, broker: &str, has_failed: bool, why: String) {
        let (case, broker) = (case.clone(), broker.to_owned());
        self.unmeasured.push(Unmeasured { case, broker, has_failed, why });
    }

    /// Whether the broker that this is about has failed in anything.
    pub(crate) fn subject_has_failed(&self) -> bool {
        self.unmeasured.iter().any(|one| one.has_failed && one.broker == self.subject)
    }

    /// Whether `broker` has failed in `case`, or cannot do it.
    pub(crate) fn is_over(&self, case: &Case, broker: &str) -> bool {
        self.unmeasured.iter().any(|one| one.case == *case && one.broker == broker)
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
            disk_per_byte: None,
            seconds: None,
            kept: None,
        }
    }

    fn report() -> Report {
        let case = Case { scenario: "pairs-qos0", transport: "tcp", payload: 64 };
        let mut report = Report::new("one");
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
        assert_eq!(row("| one ")[6..11], ["3.000", "1.000", "4.000", "2.00", "1.000"]);
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

    #[test]
    fn a_target_is_met_or_missed_by_so_much() {
        let report = report();
        let [verdict] = &report.verdicts()[..] else { panic!("one target has been measured") };
        assert_eq!((verdict.ours, verdict.best), (3.0, Some(("other", 1.5))));
        assert_eq!(verdict.text(), "missed by 234%");
        let line = "| pairs-qos0 | deliver | tcp | CPU us | 3.000 | other 1.500 |  2.00 |   0.60 |";
        assert!(report.table().contains(line), "{}", report.table());

        let other = Report { subject: "other".to_owned(), ..report };
        assert_eq!(other.verdicts()[0].text(), "met");
        assert!(other.json(&[]).contains("\"times\": 0.5000, \"target\": 0.6000"));
    }

    #[test]
    fn only_the_broker_that_it_is_about_fails_a_run() {
        let mut report = report();
        assert!(!report.subject_has_failed());
        let case = Case { scenario: "shared", transport: "tls", payload: 64 };
        report.add_inability(&case, "one", "it has no TLS".to_owned());
        assert!(!report.subject_has_failed());
        assert!(report.table().contains("CANNOT: one in shared, tls, 64 B: it has no TLS"));
        report.add_failure(&case, "one", "lost".to_owned());
        assert!(report.subject_has_failed());
    }
}
