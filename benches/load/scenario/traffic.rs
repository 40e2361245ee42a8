//! Publishers that publish as fast as their subscribers receive.

use std::rc::Rc;

use crate::client::{Allowance, Publisher, Subscriber};
use crate::flow::{Flow, Recipients, Shape};
use crate::link::Link;
use crate::meter::Measured;
use crate::wire::{self, SUBACK, Template};

use super::Load;
use super::crowd::{Crowd, measure};

/// Bytes that a publisher may be ahead, whatever the number of its messages.
const BYTES_AHEAD: usize = 512 << 10;

/// Who publishes to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    /// Topics; each has publishers and subscribers of its own.
    pub(super) flows: usize,
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    pub(super) qos: u8,
    /// Messages that a publisher may be ahead.
    pub(super) ahead: u64,
    pub(super) recipients: Recipients,
    /// Whether sessions outlive their connections.
    pub(super) keeps_sessions: bool,
}

pub(super) async fn run(load: &Load<'_>, traffic: Traffic) -> anyhow::Result<Vec<Measured>> {
    let mut crowd = Crowd::default();
    let mut flows = Vec::new();
    for number in 0..traffic.flows {
        flows.push(start(load, traffic, number, &mut crowd).await?);
    }
    Ok(vec![crowd.watch(measure(load, &flows)).await?])
}

/// Connects the clients of one flow, all of the subscribers first.
async fn start(
    load: &Load<'_>,
    traffic: Traffic,
    number: usize,
    crowd: &mut Crowd,
) -> anyhow::Result<Rc<Flow>> {
    let ahead = traffic.ahead.min((BYTES_AHEAD / load.payload).max(1) as u64);
    let flow = Flow::new(Shape {
        publishers: traffic.publishers,
        subscribers: traffic.subscribers,
        topics: 1,
        ahead,
        recipients: traffic.recipients,
    });
    let topic = format!("bench/{number}/value");
    let filter = match traffic.recipients {
        Recipients::All => topic.clone(),
        Recipients::One => format!("$share/bench/{topic}"),
    };
    for subscriber in 0..traffic.subscribers {
        let name = format!("sub-{number}-{subscriber}");
        let (mut link, _) = Link::connect(&load.target, &name, !traffic.keeps_sessions).await?;
        link.ask(&wire::subscribe([filter.as_str()], traffic.qos), SUBACK).await?;
        crowd.admit(link, Subscriber::new(&flow, subscriber));
    }
    let template: Rc<[Template]> = Rc::new([Template::new(&topic, traffic.qos, load.payload)]);
    let mut ready = Vec::new();
    for publisher in 0..traffic.publishers {
        let name = format!("pub-{number}-{publisher}");
        let (link, _) = Link::connect(&load.target, &name, !traffic.keeps_sessions).await?;
        let allowance = Allowance::Flow(Rc::clone(&flow));
        ready.push((link, Publisher::new(publisher, traffic.qos, Rc::clone(&template), allowance)));
    }
    for (link, publisher) in ready {
        crowd.admit(link, publisher);
    }
    Ok(flow)
}
