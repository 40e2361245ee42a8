//! Labels with values that are known when the program is built: nothing that a client says can make
//! a metric grow.

use std::marker::PhantomData;

use metrics::{Counter, Gauge};

use crate::message::QoS;

/// A label, or several together, as a closed set of values.
pub trait Label: Copy + 'static {
    /// How many values there are.
    const COUNT: usize;

    /// The value with this index, below [`COUNT`](Self::COUNT).
    fn at(index: usize) -> Option<Self>;

    /// The place of this value among all.
    fn index(self) -> usize;

    /// The names and values that Prometheus shows.
    fn pairs(self) -> Vec<metrics::Label>;
}

/// One counter for each value of a label, resolved once.
#[derive(Debug)]
pub struct Counters<L> {
    handles: Vec<Counter>,
    label: PhantomData<fn(L)>,
}

impl<L: Label> Counters<L> {
    /// Makes a counter for every value of the label.
    pub(super) fn register(register: impl Fn(Vec<metrics::Label>) -> Counter) -> Self {
        let labels = (0..L::COUNT).filter_map(L::at);
        let handles = labels.map(|label| register(label.pairs())).collect();
        Self { handles, label: PhantomData }
    }

    /// Counts one.
    pub fn increment(&self, label: L) {
        self.add(label, 1);
    }

    /// Counts `count`.
    pub fn add(&self, label: L, count: u64) {
        if let Some(handle) = self.handles.get(label.index()) {
            handle.increment(count);
        }
    }
}

/// One gauge for each value of a label, resolved once.
#[derive(Debug)]
pub struct Gauges<L> {
    handles: Vec<Gauge>,
    label: PhantomData<fn(L)>,
}

impl<L: Label> Gauges<L> {
    /// Makes a gauge for every value of the label.
    pub(super) fn register(register: impl Fn(Vec<metrics::Label>) -> Gauge) -> Self {
        let labels = (0..L::COUNT).filter_map(L::at);
        let handles = labels.map(|label| register(label.pairs())).collect();
        Self { handles, label: PhantomData }
    }

    /// Shows 1 for `label`, and 0 for all others.
    pub fn set_only(&self, label: L) {
        for (place, handle) in self.handles.iter().enumerate() {
            handle.set(f64::from(u8::from(place == label.index())));
        }
    }

    /// Shows `value`.
    pub fn set(&self, label: L, value: f64) {
        if let Some(handle) = self.handles.get(label.index()) {
            handle.set(value);
        }
    }
}

/// Without any: there is one series.
impl Label for () {
    const COUNT: usize = 1;

    fn at(index: usize) -> Option<Self> {
        (index == 0).then_some(())
    }

    fn index(self) -> usize {
        0
    }

    fn pairs(self) -> Vec<metrics::Label> {
        Vec::new()
    }
}

impl<A: Label, B: Label> Label for (A, B) {
    const COUNT: usize = A::COUNT * B::COUNT;

    fn at(index: usize) -> Option<Self> {
        Some((A::at(index / B::COUNT)?, B::at(index % B::COUNT)?))
    }

    fn index(self) -> usize {
        self.0.index() * B::COUNT + self.1.index()
    }

    fn pairs(self) -> Vec<metrics::Label> {
        self.0.pairs().into_iter().chain(self.1.pairs()).collect()
    }
}

impl Label for QoS {
    const COUNT: usize = 3;

    fn at(index: usize) -> Option<Self> {
        Self::from_bits(u8::try_from(index).ok()?)
    }

    fn index(self) -> usize {
        self as usize
    }

    fn pairs(self) -> Vec<metrics::Label> {
        let value = match self {
            Self::AtMostOnce => "0",
            Self::AtLeastOnce => "1",
            Self::ExactlyOnce => "2",
        };
        vec![metrics::Label::from_static_parts("qos", value)]
    }
}
