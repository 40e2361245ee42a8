//! Sessions whose clients are away: what it costs to queue for them, and to send it when they
//! return.

use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;

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

pub(super) async fn run(load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
    let (sessions, queued) = (load.scale.sessions, load.scale.queued as u64);
    let count = sessions as u64 * queued;
    for session in 0..sessions {
        let (mut link, _) = Link::connect(&load.target, &name(session), false).await?;
        link.ask(&wire::subscribe([topic(session).as_str()], QOS), SUBACK).await?;
        link.send(&DISCONNECT_PACKET).await?;
    }
    let mut link = Link::open(&load.target, "pub").await?;
    load.broker.settle().await;

    let before = load.broker.memory_bytes()?;
    let meter = Meter::start(load.broker);
    let templates: Rc<[Template]> =
        (0..sessions).map(|session| Template::new(&topic(session), QOS, load.payload)).collect();
    let allowance = Allowance::Alone { messages: count, ahead: AHEAD };
    link.play_alone(&mut Publisher::new(0, QOS, templates, allowance)).await?;
    let filled = meter.finish("fill", count).await?;
    let grown = load.broker.memory_bytes()?.saturating_sub(before);
    let filled = Measured { bytes_each: Some(grown as f64 / count as f64), ..filled };
    Ok(vec![filled, drain(load, sessions, queued).await?])
}

/// Brings every client back, and waits until each has what waited for it.
async fn drain(load: &Load<'_>, sessions: usize, queued: u64) -> anyhow::Result<Measured> {
    let flow = Flow::new(Shape {
        publishers: 1,
        subscribers: sessions,
        topics: sessions,
        ahead: 0,
        recipients: Recipients::All,
    });
    let count = sessions as u64 * queued;
    let meter = Meter::start(load.broker);
    let mut crowd = Crowd::default();
    for session in 0..sessions {
        let (link, is_present) = Link::connect(&load.target, &name(session), false).await?;
        if !is_present {
            bail!("the broker has lost the session of {}", name(session));
        }
        crowd.admit(link, Subscriber::new(&flow, session).expecting(queued));
    }
    let flows = [flow];
    let arrive = wait(load, &flows, Duration::ZERO, |delivered, _| delivered == count);
    crowd.watch(arrive).await?;
    crowd.finish(load).await?;
    meter.finish("drain", count).await
}

fn name(session: usize) -> String {
    format!("away-{session}")
}

fn topic(session: usize) -> String {
    format!("bench/{session}/value")
}
