//! Clients that connect, and then stay and do nothing.

use tokio::task::JoinSet;

use crate::link::Link;
use crate::meter::{Measured, Meter};

use super::Load;

/// Clients that connect at the same time.
const AT_ONCE: usize = 32;

pub(super) async fn run(load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
    let scale = &load.scale;
    let is_tls = load.target.tls.is_some();
    let count = if is_tls { scale.tls_connections } else { scale.connections };
    // The first one may cost what no other does again.
    let _first = Link::open(&load.target, "first").await?;
    load.broker.settle().await;

    let before = load.broker.memory_bytes()?;
    let meter = Meter::start(load.broker);
    let mut connecting = JoinSet::new();
    let mut idle = Vec::new();
    for client in 0..count {
        if connecting.len() == AT_ONCE
            && let Some(link) = connecting.join_next().await
        {
            idle.push(link??);
        }
        let target = load.target.clone();
        connecting.spawn_local(async move { Link::open(&target, &format!("idle-{client}")).await });
    }
    while let Some(link) = connecting.join_next().await {
        idle.push(link??);
    }
    let connected = meter.finish("connect", count as u64).await?;
    let grown = load.broker.memory_bytes()?.saturating_sub(before);
    Ok(vec![Measured { bytes_each: Some(grown as f64 / count as f64), ..connected }])
}
