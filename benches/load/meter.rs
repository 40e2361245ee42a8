//! What the broker, and the generator beside it, spent meanwhile.

use std::time::{Duration, Instant};

use anyhow::bail;

use super::broker::Broker;
use super::process;

/// What one run of one step has shown.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// What was done: `deliver`, `store`, `connect`, …
    pub(crate) step: &'static str,
    /// Processor time of the broker per message or connection, in microseconds.
    pub(crate) cpu_micros: f64,
    /// The same of the generator.
    pub(crate) generator_micros: f64,
    pub(crate) per_second: f64,
    /// The most memory that the broker has had.
    pub(crate) peak_bytes: u64,
    /// Memory by which the broker has grown, per what it keeps.
    pub(crate) bytes_each: Option<f64>,
    /// Half, 99 in 100 and 999 in 1,000 messages arrived within these, in microseconds.
    pub(crate) latency_micros: Option<[f64; 3]>,
    /// What it has on disk, per byte of payload.
    pub(crate) disk_per_byte: Option<f64>,
    /// How long it took in all, where that matters.
    pub(crate) seconds: Option<f64>,
    /// The share of its throughput that was kept, where something disturbed it.
    pub(crate) kept: Option<f64>,
}

/// A measurement that goes on.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    broker: &'a Broker,
    begun: Instant,
    broker_cpu: Duration,
    generator_cpu: Duration,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(broker: &'a Broker) -> Self {
        Self {
            broker,
            begun: Instant::now(),
            broker_cpu: broker.cpu_time(),
            generator_cpu: generator_cpu_time(),
        }
    }

    /// Of a broker whose process has begun this long ago.
    pub(crate) fn of_new(broker: &'a Broker, age: Duration) -> Self {
        let begun = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        let broker_cpu = Duration::ZERO;
        Self { broker, begun, broker_cpu, generator_cpu: generator_cpu_time() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What each of `count` messages or connections has cost until now.
    pub(crate) fn read(&self, step: &'static str, count: u64) -> anyhow::Result<Measured> {
        self.measured(step, count, self.elapsed())
    }

    /// The same, with what the broker still has to do after the last of them.
    pub(crate) async fn finish(self, step: &'static str, count: u64) -> anyhow::Result<Measured> {
        let elapsed = self.elapsed();
        self.broker.settle().await;
        self.measured(step, count, elapsed)
    }

    fn measured(
        &self,
        step: &'static str,
        count: u64,
        elapsed: Duration,
    ) -> anyhow::Result<Measured> {
        if count == 0 {
            bail!("nothing was done that could be measured");
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        Ok(Measured {
            step,
            cpu_micros: each(self.broker.cpu_time().saturating_sub(self.broker_cpu)),
            generator_micros: each(generator_cpu_time().saturating_sub(self.generator_cpu)),
            per_second: count as f64 / elapsed.as_secs_f64(),
            peak_bytes: self.broker.peak_bytes()?,
            bytes_each: None,
            latency_micros: None,
            disk_per_byte: None,
            seconds: None,
            kept: None,
        })
    }
}

/// The broker is no part of it, though it is a child: only this process counts.
fn generator_cpu_time() -> Duration {
    process::cpu_time_of_one(std::process::id())
}
