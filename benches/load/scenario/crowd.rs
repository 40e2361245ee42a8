//! The clients of a run, and the wait for what they do.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::flow::Flow;
use crate::link::{Link, Role};
use crate::meter::{Measured, Meter};

use super::Load;

/// How long nothing may arrive before something is lost.
const STALL: Duration = Duration::from_secs(30);
/// Messages without which nothing has been measured, however long it took.
const FEWEST: u64 = 500;

/// Clients that play their roles until the run ends.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    clients: JoinSet<anyhow::Result<()>>,
}

impl Crowd {
    pub(super) fn admit(&mut self, mut link: Link, mut role: impl Role + 'static) {
        self.clients.spawn_local(async move { link.play(&mut role).await });
    }

    /// Does `work`, unless a client fails before.
    pub(super) async fn watch<T>(
        &mut self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                Some(ended) = self.clients.join_next() => ended.context("a client panicked")??,
            }
        }
    }

    /// Waits until every client has played its role.
    pub(super) async fn finish(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.clients.join_next().await {
            ended.context("a client panicked")??;
        }
        Ok(())
    }
}

/// Measures `flows` for the length of the run, then stops them and sees that nothing is missing.
pub(super) async fn measure(load: &Load<'_>, flows: &[Rc<Flow>]) -> anyhow::Result<Measured> {
    wait(flows, load.scale.warm_up, |delivered, _| delivered >= FEWEST).await?;
    let before = delivered(flows);
    let meter = Meter::start(load.broker);
    wait(flows, load.scale.length, |delivered, _| delivered >= before + FEWEST).await?;
    let measured = meter.read("deliver", delivered(flows) - before)?;
    flows.iter().for_each(|flow| flow.stop());
    wait(flows, Duration::ZERO, |_, flows| flows.iter().all(|flow| flow.is_drained())).await?;
    Ok(measured)
}

/// Waits for at least `length`, and until `is_enough`; fails when nothing arrives any more.
pub(super) async fn wait(
    flows: &[Rc<Flow>],
    length: Duration,
    is_enough: impl Fn(u64, &[Rc<Flow>]) -> bool,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    sleep(length).await;
    let (mut last, mut since) = (delivered(flows), begun);
    while !is_enough(last, flows) {
        sleep(Duration::from_millis(5)).await;
        let now = delivered(flows);
        if now > last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > length + STALL {
            let missing: Vec<_> = flows.iter().filter(|flow| !flow.is_drained()).collect();
            let first = missing.first().map_or_else(String::new, |flow| flow.missing());
            bail!(
                "messages are lost, or stuck: none has arrived for {} s; {} of {} flows wait, the \
                 first: {first}",
                STALL.as_secs(),
                missing.len(),
                flows.len()
            );
        }
    }
    Ok(())
}

fn delivered(flows: &[Rc<Flow>]) -> u64 {
    flows.iter().map(|flow| flow.delivered()).sum()
}
