//! Many subscriptions, of which each message meets one.

use std::rc::Rc;

use crate::client::{Allowance, Publisher, Subscriber};
use crate::flow::{Flow, Recipients, Shape};
use crate::link::Link;
use crate::meter::Measured;
use crate::wire::{self, SUBACK, Template};

use super::Load;
use super::crowd::{Crowd, measure};

/// Clients among whom the subscriptions are divided; each has a publisher to itself.
const SUBSCRIBERS: usize = 50;
/// Filters of one SUBSCRIBE.
const BATCH: usize = 100;
const AHEAD: u64 = 64;

pub(super) async fn run(load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
    let each = load.scale.subscriptions / SUBSCRIBERS;
    let mut links = Vec::new();
    for client in 0..SUBSCRIBERS {
        links.push(Link::open(&load.target, &format!("sub-{client}")).await?);
    }
    load.broker.settle().await;
    let before = load.broker.memory_bytes()?;
    for (client, link) in links.iter_mut().enumerate() {
        let filters: Vec<_> = (0..each).map(|number| filter(client, number)).collect();
        for batch in filters.chunks(BATCH) {
            link.ask(&wire::subscribe(batch.iter().map(String::as_str), 0), SUBACK).await?;
        }
    }
    load.broker.settle().await;
    let grown = load.broker.memory_bytes()?.saturating_sub(before);

    let mut crowd = Crowd::default();
    let mut flows = Vec::new();
    for (client, link) in links.into_iter().enumerate() {
        let flow = Flow::new(Shape {
            publishers: 1,
            subscribers: 1,
            topics: each,
            ahead: AHEAD,
            recipients: Recipients::All,
        });
        crowd.admit(link, Subscriber::new(&flow, 0));
        let templates: Rc<[Template]> = (0..each)
            .map(|number| Template::new(&topic(client, number), 0, load.payload))
            .collect();
        let link = Link::open(&load.target, &format!("pub-{client}")).await?;
        let allowance = Allowance::Flow(Rc::clone(&flow));
        crowd.admit(link, Publisher::new(0, 0, templates, allowance));
        flows.push(flow);
    }
    let measured = crowd.watch(measure(load, &flows)).await?;
    let bytes_each = grown as f64 / (each * SUBSCRIBERS) as f64;
    Ok(vec![Measured { bytes_each: Some(bytes_each), ..measured }])
}

fn topic(client: usize, number: usize) -> String {
    format!("bench/{client}/device-{client}-{number}/value")
}

/// A filter that nothing but the topic of this client and number matches: a third of them each
/// exact, with `+` and with `#`.
fn filter(client: usize, number: usize) -> String {
    match number % 3 {
        0 => topic(client, number),
        1 => format!("bench/+/device-{client}-{number}/value"),
        _ => format!("bench/{client}/device-{client}-{number}/#"),
    }
}
