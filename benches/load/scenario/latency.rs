//! How late messages arrive at a rate that does not depend on how late they arrive.

use std::rc::Rc;
use std::time::Duration;

use crate::client::{Allowance, Publisher, Subscriber};
use crate::flow::{Flow, Recipients, Shape};
use crate::link::Link;
use crate::meter::{Measured, Meter};
use crate::pace::{Pace, Schedule};
use crate::wire::{self, SUBACK, Template};

use super::Load;
use super::crowd::{Crowd, wait};

pub(super) async fn run(load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
    let (pairs, rate) = (load.scale.pairs, load.scale.rate);
    let count = |time: Duration| (time.as_secs_f64() * f64::from(rate)) as u64;
    let untimed = count(load.scale.warm_up);
    let messages = untimed + count(load.scale.length);

    let mut links = Vec::new();
    for pair in 0..pairs {
        let mut subscribed = Link::open(&load.target, &format!("sub-{pair}")).await?;
        subscribed.ask(&wire::subscribe([topic(pair).as_str()], 0), SUBACK).await?;
        links.push((subscribed, Link::open(&load.target, &format!("pub-{pair}")).await?));
    }
    let flow = Flow::new(Shape {
        publishers: pairs,
        // Each publisher has one subscriber; which of them it is does not matter to the count.
        subscribers: 1,
        topics: 1,
        ahead: 0,
        recipients: Recipients::All,
    });
    load.broker.settle().await;
    let schedule = Schedule::new(Duration::from_secs(1) / rate, pairs, untimed);
    let meter = Meter::start(load.broker);
    let mut crowd = Crowd::default();
    let mut paces = Vec::new();
    for (pair, (subscribed, publishing)) in links.into_iter().enumerate() {
        crowd.admit(subscribed, Subscriber::new(&flow, 0).timed_by(&schedule));
        let pace = Rc::new(Pace::default());
        let allowance = Allowance::Pace(Rc::clone(&pace), Rc::clone(&flow));
        let template: Rc<[Template]> = Rc::new([Template::new(&topic(pair), 0, load.payload)]);
        crowd.admit(publishing, Publisher::new(pair, 0, template, allowance));
        paces.push(pace);
    }
    crowd.watch(schedule.run(&paces, messages)).await?;
    let flows = [flow];
    crowd.watch(wait(load, &flows, Duration::ZERO, |delivered, _| delivered == messages)).await?;
    let measured = meter.read("deliver", messages)?;
    let latency = schedule.percentiles([0.5, 0.99, 0.999]).map(|late| late.as_secs_f64() * 1e6);
    Ok(vec![Measured { latency_micros: Some(latency), ..measured }])
}

fn topic(pair: usize) -> String {
    format!("bench/{pair}/value")
}
