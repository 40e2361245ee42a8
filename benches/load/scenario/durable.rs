//! What outlives the broker: what that takes on disk, and how long a broker takes to have it again.

use crate::meter::{Measured, Meter};

use super::Load;
use super::offline::Absent;

/// Clients that return where there are too many sessions for all of them.
const SAMPLE: usize = 100;

/// Sessions are filled, the broker is started anew, and all clients return.
pub(super) async fn offline(load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
    let absent = Absent { sessions: load.scale.sessions, queued: load.scale.queued as u64 };
    run(load, absent, absent.sessions).await
}

/// The same with many sessions, of which some are looked at.
pub(super) async fn restart(load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
    let (sessions, queued) = (load.scale.many_sessions, load.scale.few_queued as u64);
    run(load, Absent { sessions, queued }, SAMPLE.min(sessions)).await
}

async fn run(load: &Load<'_>, absent: Absent, returning: usize) -> anyhow::Result<Vec<Measured>> {
    let count = absent.messages();
    let meter = Meter::start(load.broker);
    absent.leave(load).await?;
    let left = meter.finish("leave", absent.sessions as u64).await?;
    let filled = absent.fill(load).await?;
    let (took, bytes) = load.broker.restart()?;
    let restarted = Meter::of_new(load.broker, took).finish("restart", count).await?;
    let restarted = Measured {
        seconds: Some(took.as_secs_f64()),
        disk_per_byte: Some(bytes as f64 / (count * load.payload as u64) as f64),
        bytes_each: Some(load.broker.memory_bytes()? as f64 / count as f64),
        ..restarted
    };
    Ok(vec![left, filled, restarted, absent.drain(load, returning).await?])
}
