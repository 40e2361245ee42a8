//! One publisher and many subscribers, of which one stops reading: what the others still receive, and
//! what the broker keeps for the one.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::client::{Allowance, Publisher, Subscriber};
use crate::flow::{Flow, Recipients, Shape};
use crate::link::Link;
use crate::meter::{Measured, Meter};
use crate::wire::{self, SUBACK, Template};

use super::Load;
use super::crowd::{Crowd, wait, wait_until_drained};

const TOPIC: &str = "bench/value";
const AHEAD: u64 = 64;

pub(super) async fn run(load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
    let readers = load.scale.neighbours - 1;
    let flow = Flow::new(Shape {
        publishers: 1,
        subscribers: readers + 1,
        topics: 1,
        ahead: AHEAD,
        recipients: Recipients::All,
    });
    let mut crowd = Crowd::default();
    let stop = Rc::new(Notify::new());
    for number in 0..=readers {
        let mut link = Link::open(&load.target, &format!("sub-{number}")).await?;
        link.ask(&wire::subscribe([TOPIC], 0), SUBACK).await?;
        let subscriber = Subscriber::new(&flow, number);
        if number < readers {
            crowd.admit(link, subscriber);
        } else {
            crowd.admit_until(Rc::clone(&stop), link, subscriber);
        }
    }
    let link = Link::open(&load.target, "pub").await?;
    let templates: Rc<[Template]> = Rc::new([Template::new(TOPIC, 0, load.payload)]);
    crowd.admit(link, Publisher::new(0, 0, templates, Allowance::Flow(Rc::clone(&flow))));
    crowd.watch(measure(load, &flow, &stop, readers)).await
}

async fn measure(
    load: &Load<'_>,
    flow: &Rc<Flow>,
    stop: &Notify,
    readers: usize,
) -> anyhow::Result<Vec<Measured>> {
    let flows = std::slice::from_ref(flow);
    let everybody = readers as u64 + 1;
    wait(load, flows, load.scale.warm_up, |delivered, _| delivered >= everybody).await?;
    let before = flow.delivered();
    let meter = Meter::start(load.broker);
    let one_each = before + everybody;
    wait(load, flows, load.scale.length, |delivered, _| delivered >= one_each).await?;
    // All are within a few messages of each other: each has its share.
    let count = (flow.delivered() - before) * readers as u64 / everybody;
    let undisturbed = meter.read("all read", count)?;

    let memory = load.broker.memory_bytes()?;
    stop.notify_one();
    flow.excuse(readers);
    let unread = (load.scale.unread_bytes / load.payload) as u64;
    let until = flow.delivered() + unread * readers as u64;
    wait(load, flows, Duration::ZERO, |delivered, _| delivered >= until).await?;
    let before = flow.delivered();
    let meter = Meter::start(load.broker);
    wait(load, flows, load.scale.length, |delivered, _| delivered >= before + everybody).await?;
    let disturbed = meter.read("one stopped", flow.delivered() - before)?;
    let grown = load.broker.memory_bytes()?.saturating_sub(memory);
    flow.stop();
    wait_until_drained(load, flows).await?;
    let kept = disturbed.per_second / undisturbed.per_second;
    let bytes_each = Some(grown as f64);
    Ok(vec![undisturbed, Measured { bytes_each, kept: Some(kept), ..disturbed }])
}
