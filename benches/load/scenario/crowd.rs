//! The clients of a run, and the wait for what they do.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::flow::Flow;
use crate::link::{Link, Role};
use crate::meter::{Measured, Meter};
use crate::stall::{Stall, unless_stalled};

use super::Load;

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

    /// As [`Self::admit`]; from `stop` on the client does nothing more, and stays connected.
    pub(super) fn admit_until(
        &mut self,
        stop: Rc<Notify>,
        mut link: Link,
        mut role: impl Role + 'static,
    ) {
        self.clients.spawn_local(async move {
            // In this order, so that it takes nothing once it has been stopped.
            tokio::select! {
                biased;
                () = stop.notified() => pending().await,
                played = link.play(&mut role) => played,
            }
        });
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
    pub(super) async fn finish(&mut self, load: &Load<'_>) -> anyhow::Result<()> {
        let all = async {
            while let Some(ended) = self.clients.join_next().await {
                ended.context("a client panicked")??;
            }
            Ok(())
        };
        let missing = || "clients wait until they can send their acknowledgements".to_owned();
        unless_stalled(load.target.patience, all, missing).await
    }
}

/// Measures `flows` for the length of the run, then stops them and sees that nothing is missing.
pub(super) async fn measure(load: &Load<'_>, flows: &[Rc<Flow>]) -> anyhow::Result<Measured> {
    wait(load, flows, load.scale.warm_up, |delivered, _| delivered >= FEWEST).await?;
    let before = delivered(flows);
    let meter = Meter::start(load.broker);
    wait(load, flows, load.scale.length, |delivered, _| delivered >= before + FEWEST).await?;
    let measured = meter.read("deliver", delivered(flows) - before)?;
    flows.iter().for_each(|flow| flow.stop());
    wait_until_drained(load, flows).await?;
    Ok(measured)
}

/// Waits for at least `length`, and until `is_enough`; fails when nothing arrives any more.
pub(super) async fn wait(
    load: &Load<'_>,
    flows: &[Rc<Flow>],
    length: Duration,
    is_enough: impl Fn(u64, &[Rc<Flow>]) -> bool,
) -> anyhow::Result<()> {
    sleep(length).await;
    let mut stall = Stall::new(load.target.patience, delivered(flows));
    while !is_enough(delivered(flows), flows) {
        stall.check(delivered(flows), || missing(flows))?;
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Waits until all that was sent has arrived.
pub(super) async fn wait_until_drained(load: &Load<'_>, flows: &[Rc<Flow>]) -> anyhow::Result<()> {
    wait(load, flows, Duration::ZERO, |_, flows| flows.iter().all(|flow| flow.is_drained())).await
}

fn delivered(flows: &[Rc<Flow>]) -> u64 {
    flows.iter().map(|flow| flow.delivered()).sum()
}

/// Which messages have not arrived, of the first flow that waits for any.
fn missing(flows: &[Rc<Flow>]) -> String {
    let waiting: Vec<_> = flows.iter().filter(|flow| !flow.is_drained()).collect();
    let first = waiting.first().map_or_else(String::new, |flow| flow.missing());
    let (waiting, all) = (waiting.len(), flows.len());
    format!("messages are lost, or stuck: {waiting} of {all} flows wait, the first: {first}")
}
