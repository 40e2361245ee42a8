//! Many retained messages: stored by one client, and sent to another that subscribes to `#`.

use std::rc::Rc;

use crate::client::{Allowance, Publisher, Subscriber};
use crate::flow::{Flow, Recipients, Shape};
use crate::link::Link;
use crate::meter::{Measured, Meter};
use crate::wire::{self, PINGREQ_PACKET, PINGRESP, SUBACK, Template};

use super::Load;
use super::crowd::{Crowd, wait_until_drained};

pub(super) async fn run(load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
    let count = load.scale.retained;
    let templates: Rc<[Template]> = (0..count)
        .map(|number| {
            let topic = format!("bench/{}/device-{number}/value", number % 100);
            Template::new(&topic, 0, load.payload).retained()
        })
        .collect();
    let mut link = Link::open(&load.target, "pub").await?;
    load.broker.settle().await;
    let before = load.broker.memory_bytes()?;
    let meter = Meter::start(load.broker);
    let allowance = Allowance::Alone { messages: count as u64, ahead: u64::MAX };
    link.play_alone(&mut Publisher::new(0, 0, templates, allowance)).await?;
    link.ask(&PINGREQ_PACKET, PINGRESP).await?;
    let stored = meter.finish("store", count as u64).await?;
    let grown = load.broker.memory_bytes()?.saturating_sub(before);
    let stored = Measured { bytes_each: Some(grown as f64 / count as f64), ..stored };

    let mut link = Link::open(&load.target, "sub").await?;
    let flow = Flow::new(Shape {
        publishers: 1,
        subscribers: 1,
        topics: count,
        ahead: 0,
        recipients: Recipients::All,
    });
    flow.note_sent(0, count as u64);
    let meter = Meter::start(load.broker);
    link.ask(&wire::subscribe(["bench/#"], 0), SUBACK).await?;
    let mut crowd = Crowd::default();
    crowd.admit(link, Subscriber::new(&flow, 0));
    crowd.watch(wait_until_drained(load, std::slice::from_ref(&flow))).await?;
    let delivered = meter.finish("deliver", count as u64).await?;
    Ok(vec![stored, delivered])
}
