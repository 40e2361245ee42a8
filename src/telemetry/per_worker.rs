//! Counters that every thread keeps for itself, and that are summed when somebody asks: no message makes
//! two processors fight for a line of memory.

use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::Counter;

use super::Label;
use super::exposition::{Exposition, Kind};

/// Threads that count without meeting one another. With more, some share a place, which costs them time
/// and no count.
const PLACES: usize = 16;
/// Counters that share a line of memory; two lines, since processors fetch them in pairs.
const CELLS: usize = 16;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % PLACES;
}

#[repr(align(128))]
#[derive(Default)]
struct Line([AtomicU64; CELLS]);

/// Some counters, once for each place.
struct Cells {
    lines: Box<[Line]>,
    lines_of_place: usize,
}

impl Cells {
    fn new(count: usize) -> Self {
        let lines_of_place = count.div_ceil(CELLS);
        let lines = std::iter::repeat_with(Line::default).take(lines_of_place * PLACES).collect();
        Self { lines, lines_of_place }
    }

    /// Wraps, so that what is added may be taken away again.
    fn add(&self, cell: usize, count: u64) {
        if cfg!(feature = "uncounted") {
            return;
        }
        let line = PLACE.with(|place| place * self.lines_of_place + cell / CELLS);
        if let Some(cell) = self.lines.get(line).and_then(|line| line.0.get(cell % CELLS)) {
            cell.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn sum(&self, cell: usize) -> u64 {
        let lines = self.lines.iter().skip(cell / CELLS).step_by(self.lines_of_place.max(1));
        let cells = lines.filter_map(|line| line.0.get(cell % CELLS));
        cells.fold(0, |sum: u64, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)))
    }
}

/// One counter for each value of a label.
pub struct WorkerCounters<L> {
    cells: Cells,
    handles: Vec<Counter>,
    label: PhantomData<fn(L)>,
}

impl<L: Label> WorkerCounters<L> {
    /// Makes a counter for every value of the label.
    pub(super) fn register(register: impl Fn(Vec<metrics::Label>) -> Counter) -> Self {
        let labels = (0..L::COUNT).filter_map(L::at);
        let handles = labels.map(|label| register(label.pairs())).collect();
        Self { cells: Cells::new(L::COUNT), handles, label: PhantomData }
    }

    /// Counts `count`.
    pub fn add(&self, label: L, count: u64) {
        self.cells.add(label.index(), count);
    }

    /// All that was counted, whatever its label.
    #[must_use]
    pub fn total(&self) -> u64 {
        (0..L::COUNT).map(|cell| self.cells.sum(cell)).fold(0, u64::wrapping_add)
    }

    /// All that was counted of some of them.
    #[must_use]
    pub fn total_of(&self, counts: impl Fn(L) -> bool) -> u64 {
        let cells = (0..L::COUNT).filter(|cell| L::at(*cell).is_some_and(&counts));
        cells.map(|cell| self.cells.sum(cell)).fold(0, u64::wrapping_add)
    }

    /// Has the exporter show what was counted by now.
    pub(super) fn show(&self) {
        for (cell, handle) in self.handles.iter().enumerate() {
            handle.absolute(self.cells.sum(cell));
        }
    }
}

/// How much there is of something that comes and goes.
pub struct WorkerGauge(Cells);

impl WorkerGauge {
    /// Of which there is nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Cells::new(1))
    }

    /// There is now `after` where there was `before`.
    pub fn change(&self, before: usize, after: usize) {
        self.0.add(0, (after as u64).wrapping_sub(before as u64));
    }

    /// How much there is. While it changes this may be little off, and is never below 0.
    #[must_use]
    pub fn value(&self) -> u64 {
        u64::try_from(self.0.sum(0).cast_signed()).unwrap_or(0)
    }
}

/// How much there has been of something that nobody shows.
pub struct WorkerTotal(Cells);

impl WorkerTotal {
    /// So much more of it.
    pub fn add(&self, count: u64) {
        self.0.add(0, count);
    }

    /// How much there has been.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.sum(0)
    }
}

/// How long something took, for each value of a label: in buckets, by count and in sum.
pub struct WorkerHistogram<L> {
    name: &'static str,
    help: &'static str,
    /// The upper bounds of the buckets, in microseconds; above the last one is one more.
    bounds: &'static [u32],
    cells: Cells,
    label: PhantomData<fn(L)>,
}

impl<L: Label> WorkerHistogram<L> {
    pub(super) fn new(name: &'static str, help: &'static str, bounds: &'static [u32]) -> Self {
        let cells = Cells::new(L::COUNT * (bounds.len() + 2));
        Self { name, help, bounds, cells, label: PhantomData }
    }

    /// Cells of one value of the label: its buckets, that above them, and the sum.
    fn cells_of_label(&self) -> usize {
        self.bounds.len() + 2
    }

    /// Notes that it took so long.
    pub fn record(&self, label: L, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|bound| u64::from(*bound) < micros);
        let first = label.index() * self.cells_of_label();
        self.cells.add(first + bucket, 1);
        self.cells.add(first + self.bounds.len() + 1, micros);
    }

    /// How often it was noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        let labels = 0..L::COUNT;
        let cells = labels.flat_map(|label| {
            let first = label * self.cells_of_label();
            first..=first + self.bounds.len()
        });
        cells.map(|cell| self.cells.sum(cell)).fold(0, u64::wrapping_add)
    }

    pub(super) fn expose(&self, to: &mut Exposition) {
        to.family(self.name, Kind::Histogram, self.help);
        for (place, label) in (0..L::COUNT).filter_map(L::at).enumerate() {
            let first = place * self.cells_of_label();
            let labels = label.pairs();
            let mut count = 0;
            for (bucket, bound) in self.bounds.iter().enumerate() {
                count += self.cells.sum(first + bucket);
                let bound = f64::from(*bound) / 1e6;
                to.sample(&format!("{}_bucket", self.name), &with_bound(&labels, bound), count);
            }
            count += self.cells.sum(first + self.bounds.len());
            let endless = with_bound(&labels, f64::INFINITY);
            to.sample(&format!("{}_bucket", self.name), &endless, count);
            let micros = self.cells.sum(first + self.bounds.len() + 1);
            to.sample(&format!("{}_sum", self.name), &labels, micros as f64 / 1e6);
            to.sample(&format!("{}_count", self.name), &labels, count);
        }
    }
}

fn with_bound(labels: &[metrics::Label], bound: f64) -> Vec<metrics::Label> {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = match bound.is_finite() {
        true => write!(text, "{bound}"),
        false => write!(text, "+Inf"),
    };
    labels.iter().cloned().chain([metrics::Label::new("le", text)]).collect()
}

impl Default for WorkerGauge {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for WorkerTotal {
    fn default() -> Self {
        Self(Cells::new(1))
    }
}

impl fmt::Debug for WorkerTotal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkerTotal").field(&self.value()).finish()
    }
}

impl<L: Label> fmt::Debug for WorkerCounters<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerCounters").field("total", &self.total()).finish()
    }
}

impl fmt::Debug for WorkerGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkerGauge").field(&self.value()).finish()
    }
}

impl<L: Label> fmt::Debug for WorkerHistogram<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHistogram")
            .field("name", &self.name)
            .field("count", &self.count())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::QoS;

    #[test]
    fn what_threads_count_for_themselves_is_counted_once_in_all() {
        let cells = Cells::new(CELLS + 3);
        std::thread::scope(|scope| {
            for _ in 0..2 * PLACES {
                scope.spawn(|| {
                    for cell in 0..CELLS + 3 {
                        cells.add(cell, cell as u64);
                    }
                });
            }
        });
        for cell in 0..CELLS + 3 {
            assert_eq!(cells.sum(cell), (2 * PLACES * cell) as u64, "{cell}");
        }
    }

    #[test]
    fn what_one_thread_takes_away_another_may_have_added() {
        let gauge = WorkerGauge::new();
        gauge.change(0, 7);
        std::thread::scope(|scope| drop(scope.spawn(|| gauge.change(7, 2))));
        assert_eq!(gauge.value(), 2);
        gauge.change(9, 0);
        assert_eq!(gauge.value(), 0);
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let histogram = WorkerHistogram::<QoS>::new("x_seconds", "X", &[100, 1_000]);
        for micros in [0, 100, 101, 1_000, 1_001, 5_000_000] {
            histogram.record(QoS::AtLeastOnce, Duration::from_micros(micros));
        }
        let mut exposition = Exposition::default();
        histogram.expose(&mut exposition);
        let text = exposition.into_text();
        for line in [
            "# TYPE x_seconds histogram",
            "x_seconds_bucket{qos=\"0\",le=\"+Inf\"} 0",
            "x_seconds_bucket{qos=\"1\",le=\"0.0001\"} 2",
            "x_seconds_bucket{qos=\"1\",le=\"0.001\"} 4",
            "x_seconds_bucket{qos=\"1\",le=\"+Inf\"} 6",
            "x_seconds_sum{qos=\"1\"} 5.002202",
            "x_seconds_count{qos=\"1\"} 6",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert_eq!(histogram.count(), 6);
    }
}
