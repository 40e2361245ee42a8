//! What the runtime says of its threads and tasks, asked at each scrape.

use tokio::runtime::Handle;

use super::exposition::{Exposition, Kind};

/// Adds what is known of the runtime that this is asked in; nothing, outside of one.
pub(super) fn expose(to: &mut Exposition) {
    let Ok(handle) = Handle::try_current() else { return };
    let runtime = handle.metrics();
    let workers = runtime.num_workers();
    to.family("bastionmq_runtime_workers", Kind::Gauge, "Threads that serve connections");
    to.sample("bastionmq_runtime_workers", &[], workers);
    to.family("bastionmq_runtime_tasks", Kind::Gauge, "Tasks: connections, and what keeps time");
    to.sample("bastionmq_runtime_tasks", &[], runtime.num_alive_tasks());
    let waiting = "bastionmq_runtime_waiting_tasks";
    to.family(waiting, Kind::Gauge, "Tasks that wait for any worker to take them");
    to.sample(waiting, &[], runtime.global_queue_depth());
    expose_workers(&runtime, workers, to);
}

/// One series for each worker, and there are as many as the machine has processors at most.
#[cfg(target_has_atomic = "64")]
fn expose_workers(runtime: &tokio::runtime::RuntimeMetrics, workers: usize, to: &mut Exposition) {
    let busy = "bastionmq_runtime_worker_busy_seconds_total";
    to.family(busy, Kind::Counter, "Time that a worker has not waited for anything to do");
    for worker in 0..workers {
        let label = metrics::Label::new("worker", worker.to_string());
        to.sample(busy, &[label], runtime.worker_total_busy_duration(worker).as_secs_f64());
    }
    let parks = "bastionmq_runtime_worker_parks_total";
    to.family(parks, Kind::Counter, "Times that a worker has begun to wait");
    for worker in 0..workers {
        let label = metrics::Label::new("worker", worker.to_string());
        to.sample(parks, &[label], runtime.worker_park_count(worker));
    }
}

#[cfg(not(target_has_atomic = "64"))]
fn expose_workers(_: &tokio::runtime::RuntimeMetrics, _: usize, _: &mut Exposition) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_runtime_shows_its_workers_and_nothing_shows_outside_of_one() {
        let mut inside = Exposition::default();
        expose(&mut inside);
        let text = inside.into_text();
        assert!(text.contains("\nbastionmq_runtime_workers 1\n"), "{text}");
        let outside = std::thread::spawn(|| {
            let mut outside = Exposition::default();
            expose(&mut outside);
            outside.into_text()
        });
        assert_eq!(outside.join().unwrap(), "");
    }
}
