//! What is run: who publishes to whom, and what is measured meanwhile.

use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use super::broker::Broker;
use super::client::{Flow, Publisher, Subscriber};
use super::wire::Template;

/// How long a run goes on before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);
const PAIRS: usize = 20;
const FAN: usize = 500;
const FAN_IN: usize = 200;

/// A shape of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Each publisher has its own topic and subscriber.
    Pairs {
        /// The QoS of both.
        qos: u8,
        /// Messages that a publisher may be ahead.
        ahead: u64,
    },
    /// One publisher, many subscribers.
    FanOut,
    /// Many publishers, one subscriber.
    FanIn,
}

/// What one run has shown.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Processor time of the broker per delivered message, in microseconds.
    pub(crate) cpu_micros: f64,
    pub(crate) messages_per_second: f64,
    pub(crate) peak_bytes: u64,
}

impl Measured {
    pub(crate) fn json(&self, scenario: Scenario, broker: &str) -> String {
        let Self { cpu_micros, messages_per_second, peak_bytes } = self;
        let scenario = scenario.name();
        format!(
            "  {{\"scenario\": {scenario:?}, \"broker\": {broker:?}, \"cpu_us_per_message\": \
             {cpu_micros:.4}, \"messages_per_second\": {messages_per_second:.0}, \
             \"peak_bytes\": {peak_bytes}}}"
        )
    }
}

impl Scenario {
    pub(crate) const ALL: [Self; 6] = [
        Self::Pairs { qos: 0, ahead: 64 },
        Self::Pairs { qos: 1, ahead: 64 },
        Self::Pairs { qos: 2, ahead: 64 },
        Self::Pairs { qos: 0, ahead: 1 },
        Self::FanOut,
        Self::FanIn,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pairs { ahead: 1, .. } => "pairs-one-ahead",
            Self::Pairs { qos: 0, .. } => "pairs-qos0",
            Self::Pairs { qos: 1, .. } => "pairs-qos1",
            Self::Pairs { .. } => "pairs-qos2",
            Self::FanOut => "fan-out",
            Self::FanIn => "fan-in",
        }
    }

    /// Runs it against `broker`.
    pub(crate) async fn run(
        self,
        broker: &Broker,
        length: Duration,
        payload: usize,
    ) -> anyhow::Result<Measured> {
        LocalSet::new()
            .run_until(async {
                let mut clients = JoinSet::new();
                let flows = self.start(broker, payload, &mut clients).await?;
                tokio::select! {
                    measured = measure(broker, &flows, length) => measured,
                    ended = clients.join_next() => match ended {
                        Some(Ok(Err(error))) => Err(error),
                        other => bail!("a client ended: {other:?}"),
                    },
                }
            })
            .await
    }

    async fn start(
        self,
        broker: &Broker,
        payload: usize,
        clients: &mut JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<Vec<Rc<Flow>>> {
        let (flows, publishers, subscribers, qos, ahead) = match self {
            Self::Pairs { qos, ahead } => (PAIRS, 1, 1, qos, ahead),
            Self::FanOut => (1, 1, FAN, 0, 64),
            Self::FanIn => (1, FAN_IN, 1, 0, 16),
        };
        let mut started = Vec::new();
        for flow_number in 0..flows {
            let topic = format!("bench/{flow_number}/value");
            let flow = Flow::new(ahead, publishers, subscribers);
            for number in 0..subscribers {
                let name = format!("sub-{flow_number}-{number}");
                let what = (topic.as_str(), qos);
                let subscriber =
                    Subscriber::start(broker.address, &flow, number, &name, what).await?;
                clients.spawn_local(subscriber.run());
            }
            let mut ready = Vec::new();
            for number in 0..publishers {
                let name = format!("pub-{flow_number}-{number}");
                let template = Template::new(&topic, qos, payload);
                ready.push(Publisher::start(broker.address, &flow, number, &name, template).await?);
            }
            for publisher in ready {
                clients.spawn_local(publisher.run());
            }
            started.push(flow);
        }
        Ok(started)
    }
}

async fn measure(
    broker: &Broker,
    flows: &[Rc<Flow>],
    length: Duration,
) -> anyhow::Result<Measured> {
    let delivered = || flows.iter().map(|flow| flow.delivered.get()).sum::<u64>();
    sleep(WARM_UP).await;
    let (begun, cpu_before, before) = (Instant::now(), broker.cpu_time()?, delivered());
    sleep(length).await;
    let (elapsed, cpu) = (begun.elapsed(), broker.cpu_time()?.saturating_sub(cpu_before));
    let messages = delivered() - before;
    if messages == 0 {
        bail!("no message was delivered");
    }
    Ok(Measured {
        cpu_micros: cpu.as_secs_f64() * 1e6 / messages as f64,
        messages_per_second: messages as f64 / elapsed.as_secs_f64(),
        peak_bytes: broker.peak_bytes().context("the broker has ended")?,
    })
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == text)
            .ok_or_else(|| format!("there is no scenario `{text}`: choose among {}", names()))
    }
}
