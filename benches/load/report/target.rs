//! What BastionMQ is to be, as a multiple of the best of the others in the same run.

use super::{Case, Report, Row};

/// The payload that the targets are for.
const PAYLOAD: usize = 64;

/// A figure of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Cpu,
    BytesEach,
    /// By its place among those that are measured.
    Percentile(usize),
    /// Of the throughput that a broker has undisturbed: more is better, and the others do not matter.
    Kept,
}

/// At most so many times the best of the others; of what is kept, at least that.
#[derive(Clone, Copy, Debug)]
struct Target {
    scenario: &'static str,
    step: &'static str,
    transport: &'static str,
    figure: Figure,
    bound: f64,
}

const fn target(
    [scenario, step, transport]: [&'static str; 3],
    figure: Figure,
    bound: f64,
) -> Target {
    Target { scenario, step, transport, figure, bound }
}

const TARGETS: [Target; 23] = [
    target(["pairs-qos0", "deliver", "tcp"], Figure::Cpu, 0.6),
    target(["pairs-qos1", "deliver", "tcp"], Figure::Cpu, 0.6),
    target(["pairs-qos2", "deliver", "tcp"], Figure::Cpu, 0.6),
    target(["pairs-qos0", "deliver", "tls"], Figure::Cpu, 0.6),
    target(["pairs-one-ahead", "deliver", "tcp"], Figure::Cpu, 0.95),
    target(["fan-out", "deliver", "tcp"], Figure::Cpu, 0.6),
    target(["fan-in", "deliver", "tcp"], Figure::Cpu, 0.6),
    target(["subscriptions", "deliver", "tcp"], Figure::Cpu, 0.5),
    target(["subscriptions", "deliver", "tcp"], Figure::BytesEach, 1.0),
    target(["retained", "deliver", "tcp"], Figure::Cpu, 0.6),
    target(["retained", "store", "tcp"], Figure::Cpu, 0.6),
    target(["retained", "store", "tcp"], Figure::BytesEach, 0.8),
    target(["offline", "drain", "tcp"], Figure::Cpu, 0.7),
    target(["offline", "fill", "tcp"], Figure::Cpu, 0.7),
    target(["offline", "fill", "tcp"], Figure::BytesEach, 1.0),
    target(["connections", "connect", "tcp"], Figure::BytesEach, 0.6),
    target(["connections", "connect", "tls"], Figure::BytesEach, 0.6),
    target(["connections", "connect", "tcp"], Figure::Cpu, 0.9),
    target(["connections", "connect", "tls"], Figure::Cpu, 0.8),
    target(["latency", "deliver", "tcp"], Figure::Percentile(0), 1.0),
    target(["latency", "deliver", "tcp"], Figure::Percentile(1), 1.0),
    target(["latency", "deliver", "tcp"], Figure::Percentile(2), 1.0),
    target(["slow-neighbour", "one stopped", "tcp"], Figure::Kept, 0.9),
];

/// How a broker stands to a target.
#[derive(Debug)]
pub(super) struct Verdict<'a> {
    pub(super) case: &'a Case,
    pub(super) step: &'static str,
    pub(super) figure: &'static str,
    pub(super) ours: f64,
    /// The best of the others, where they matter.
    pub(super) best: Option<(&'a str, f64)>,
    /// What is compared with the bound.
    pub(super) times: f64,
    pub(super) bound: f64,
    /// By which share it is missed; 0 or less where it is met.
    pub(super) missed_by: f64,
}

impl Verdict<'_> {
    pub(super) fn text(&self) -> String {
        if self.missed_by > 0.0 {
            format!("missed by {:.0}%", (self.missed_by * 100.0).ceil())
        } else {
            "met".to_owned()
        }
    }
}

impl Figure {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU us",
            Self::BytesEach => "bytes each",
            Self::Percentile(0) => "p50 us",
            Self::Percentile(1) => "p99 us",
            Self::Percentile(_) => "p99.9 us",
            Self::Kept => "kept",
        }
    }

    fn of(self, row: &Row) -> Option<f64> {
        let spread = match self {
            Self::Cpu => row.spread(|run| run.cpu_micros),
            Self::BytesEach => row.bytes_each(),
            Self::Percentile(place) => row.latency(place),
            Self::Kept => row.kept(),
        };
        Some(spread?.median)
    }
}

impl Target {
    fn is_of(&self, row: &Row) -> bool {
        let Row { case, step, .. } = row;
        (self.scenario, self.step, self.transport) == (case.scenario, *step, case.transport)
            && (case.payload == PAYLOAD || self.figure == Figure::Kept)
    }
}

impl Report {
    /// How the broker that the run is about stands to the targets, where there is anything to compare
    /// it with.
    pub(super) fn verdicts(&self) -> Vec<Verdict<'_>> {
        TARGETS.iter().filter_map(|target| self.verdict(target)).collect()
    }

    fn verdict(&self, target: &Target) -> Option<Verdict<'_>> {
        let Target { figure, bound, .. } = *target;
        let rows = || self.rows.iter().filter(|row| target.is_of(row));
        let row = rows().find(|row| row.broker == self.subject)?;
        let ours = figure.of(row)?;
        let others = rows().filter(|row| row.broker != self.subject);
        let others = others.filter_map(|row| Some((row.broker.as_str(), figure.of(row)?)));
        let (best, times, missed_by) = match figure {
            Figure::Kept => (None, ours, 1.0 - ours / bound),
            _ => {
                let best = others.min_by(|one, other| one.1.total_cmp(&other.1))?;
                let times = ours / best.1;
                (Some(best), times, times / bound - 1.0)
            }
        };
        let (case, step, figure) = (&row.case, row.step, figure.name());
        Some(Verdict { case, step, figure, ours, best, times, bound, missed_by })
    }
}
