//! Sessions whose clients are away: what it costs to queue for them, and to send it when they
//! return.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use crate::broker::Target;
use crate::client::{Allowance, Publisher, Subscriber};
use crate::flow::{Flow, Recipients, Shape};
use crate::link::Link;
use crate::meter::{Measured, Meter};
use crate::wire::{self, DISCONNECT_PACKET, SUBACK, Template};

use super::Load;
use super::crowd::{Crowd, wait};

const QOS: u8 = 1;
/// Messages that the publisher has in flight.
const AHEAD: u64 = 64;
/// Clients that connect at once.
const AT_ONCE: usize = 100;

/// Sessions, and the messages that wait for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absent {
    pub(super) sessions: usize,
    pub(super) queued: u64,
}

pub(super) async fn run(load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
    let absent = Absent { sessions: load.scale.sessions, queued: load.scale.queued as u64 };
    absent.leave(load).await?;
    let filled = absent.fill(load).await?;
    Ok(vec![filled, absent.drain(load, absent.sessions).await?])
}

impl Absent {
    pub(super) fn messages(&self) -> u64 {
        self.sessions as u64 * self.queued
    }

    /// Makes the sessions, each with a topic of its own, and takes their clients away.
    pub(super) async fn leave(&self, load: &Load<'_>) -> anyhow::Result<()> {
        let mut clients = JoinSet::new();
        for first in 0..AT_ONCE.min(self.sessions) {
            let (target, sessions) = (load.target.clone(), self.sessions);
            clients.spawn_local(async move {
                for session in (first..sessions).step_by(AT_ONCE) {
                    let (mut link, _) = Link::connect(&target, &name(session), false).await?;
                    link.ask(&wire::subscribe([topic(session).as_str()], QOS), SUBACK).await?;
                    link.send(&DISCONNECT_PACKET).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.context("a client panicked")??;
        }
        Ok(())
    }

    /// Publishes what is to wait.
    pub(super) async fn fill(&self, load: &Load<'_>) -> anyhow::Result<Measured> {
        let count = self.messages();
        let mut link = Link::open(&load.target, "pub").await?;
        load.broker.settle().await;
        let before = load.broker.memory_bytes()?;
        let meter = Meter::start(load.broker);
        let template = |session| Template::new(&topic(session), QOS, load.payload);
        let templates: Rc<[Template]> = (0..self.sessions).map(template).collect();
        let allowance = Allowance::Alone { messages: count, ahead: AHEAD };
        link.play_alone(&mut Publisher::new(0, QOS, templates, allowance)).await?;
        let filled = meter.finish("fill", count).await?;
        let grown = load.broker.memory_bytes()?.saturating_sub(before);
        Ok(Measured { bytes_each: Some(grown as f64 / count as f64), ..filled })
    }

    /// Brings this many of the clients back, and waits until each has what waited for it.
    pub(super) async fn drain(
        &self,
        load: &Load<'_>,
        returning: usize,
    ) -> anyhow::Result<Measured> {
        let flow = Flow::new(Shape {
            publishers: 1,
            subscribers: returning,
            topics: self.sessions,
            ahead: 0,
            recipients: Recipients::All,
        });
        let count = returning as u64 * self.queued;
        let meter = Meter::start(load.broker);
        let mut crowd = Crowd::default();
        let mut links = JoinSet::new();
        let mut coming = 0..returning;
        loop {
            for number in coming.by_ref().take(AT_ONCE - links.len()) {
                let (target, session) = (load.target.clone(), number * (self.sessions / returning));
                links.spawn_local(async move { (number, resume(&target, &name(session)).await) });
            }
            let Some(link) = links.join_next().await else { break };
            let (number, link) = link.context("a client panicked")?;
            crowd.admit(link?, Subscriber::new(&flow, number).expecting(self.queued));
        }
        let flows = [flow];
        let arrive = wait(load, &flows, Duration::ZERO, |delivered, _| delivered == count);
        crowd.watch(arrive).await?;
        crowd.finish(load).await?;
        meter.finish("drain", count).await
    }
}

async fn resume(target: &Target, client_id: &str) -> anyhow::Result<Link> {
    let (link, is_present) = Link::connect(target, client_id, false).await?;
    ensure!(is_present, "the broker has lost the session of {client_id}");
    Ok(link)
}

fn name(session: usize) -> String {
    format!("away-{session}")
}

fn topic(session: usize) -> String {
    format!("bench/{session}/value")
}
