//! What is run: who publishes to whom, and what is measured meanwhile.

mod connections;
mod crowd;
mod durable;
mod latency;
mod neighbour;
mod offline;
mod retained;
mod subscriptions;
mod traffic;

use std::str::FromStr;

use tokio::task::LocalSet;

use self::traffic::Traffic;
use super::broker::{Broker, Target};
use super::contender::Queue;
use super::flow::Recipients;
use super::meter::Measured;
use super::scale::Scale;

/// A shape of load.
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
    /// Subscribers that share one subscription.
    Shared,
    /// Pairs among many subscriptions, exact ones, with `+` and with `#`.
    Subscriptions,
    /// Many retained messages, stored and then sent to one `#`.
    Retained,
    /// Sessions whose clients are away, filled and then drained.
    Offline,
    /// Pairs at a fixed rate.
    Latency,
    /// Subscribers of which one stops reading.
    SlowNeighbour,
    /// Clients that connect and then stay and do nothing.
    Connections,
    /// As pairs of QoS 1, with sessions that outlive their connections.
    KeptPairs,
    /// As offline, with a restart before the clients return.
    KeptOffline,
    /// The same with so many sessions that only some of the clients return.
    Restart,
}

/// One run: of which broker, how, and how much.
pub(crate) struct Load<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) target: Target,
    pub(crate) payload: usize,
    pub(crate) scale: Scale,
}

impl Scenario {
    /// Those that outlive the broker: most brokers must be told to keep what these are about.
    const KEPT: [Self; 3] = [Self::KeptPairs, Self::KeptOffline, Self::Restart];

    /// Those that are run where none is named.
    pub(crate) const ALL: [Self; 13] = [
        Self::Pairs { qos: 0, ahead: 64 },
        Self::Pairs { qos: 1, ahead: 64 },
        Self::Pairs { qos: 2, ahead: 64 },
        Self::Pairs { qos: 0, ahead: 1 },
        Self::FanOut,
        Self::FanIn,
        Self::Shared,
        Self::Subscriptions,
        Self::Retained,
        Self::Offline,
        Self::Latency,
        Self::SlowNeighbour,
        Self::Connections,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pairs { ahead: 1, .. } => "pairs-one-ahead",
            Self::Pairs { qos: 0, .. } => "pairs-qos0",
            Self::Pairs { qos: 1, .. } => "pairs-qos1",
            Self::Pairs { .. } => "pairs-qos2",
            Self::FanOut => "fan-out",
            Self::FanIn => "fan-in",
            Self::Shared => "shared",
            Self::Subscriptions => "subscriptions",
            Self::Retained => "retained",
            Self::Offline => "offline",
            Self::Latency => "latency",
            Self::SlowNeighbour => "slow-neighbour",
            Self::Connections => "connections",
            Self::KeptPairs => "kept-pairs",
            Self::KeptOffline => "kept-offline",
            Self::Restart => "restart",
        }
    }

    /// The most that the broker is to keep for one client.
    pub(crate) fn queue(self) -> Queue {
        match self {
            Self::SlowNeighbour => Queue { messages: 1_000, bytes: 4 << 20 },
            _ => Queue::AMPLE,
        }
    }

    /// Bytes of a payload, where `asked` are asked for.
    pub(crate) fn payload(self, asked: usize) -> usize {
        match self {
            // What the kernel takes from the broker for somebody who does not read is soon full.
            Self::SlowNeighbour => asked.max(1_024),
            _ => asked,
        }
    }

    /// Whether TLS costs it anything that another scenario does not show.
    pub(crate) fn makes_sense_over_tls(self) -> bool {
        !matches!(
            self,
            Self::Subscriptions
                | Self::Retained
                | Self::Offline
                | Self::SlowNeighbour
                | Self::KeptOffline
                | Self::Restart
        )
    }

    /// Whether it is worth running with payloads of several sizes.
    pub(crate) fn depends_on_payload(self) -> bool {
        self.makes_sense_over_tls() && self != Self::Connections
    }

    /// Runs it; what each of its steps has cost.
    pub(crate) async fn run(self, load: &Load<'_>) -> anyhow::Result<Vec<Measured>> {
        LocalSet::new()
            .run_until(async {
                match self {
                    Self::Subscriptions => subscriptions::run(load).await,
                    Self::Retained => retained::run(load).await,
                    Self::Offline => offline::run(load).await,
                    Self::Latency => latency::run(load).await,
                    Self::SlowNeighbour => neighbour::run(load).await,
                    Self::Connections => connections::run(load).await,
                    Self::KeptOffline => durable::offline(load).await,
                    Self::Restart => durable::restart(load).await,
                    _ => traffic::run(load, self.traffic(&load.scale)).await,
                }
            })
            .await
    }

    /// The traffic of those that are nothing but traffic.
    fn traffic(self, scale: &Scale) -> Traffic {
        let pairs = Traffic {
            flows: scale.pairs,
            publishers: 1,
            subscribers: 1,
            qos: 0,
            ahead: 64,
            recipients: Recipients::All,
            keeps_sessions: false,
        };
        let one = Traffic { flows: 1, ..pairs };
        match self {
            Self::FanOut => Traffic { subscribers: scale.fan_out, ..one },
            Self::FanIn => Traffic { publishers: scale.fan_in, ..one },
            Self::Shared => Traffic {
                publishers: scale.sharers,
                subscribers: scale.sharers,
                recipients: Recipients::One,
                ..one
            },
            Self::Pairs { qos, ahead } => Traffic { qos, ahead, ..pairs },
            Self::KeptPairs => {
                Traffic { flows: scale.kept_pairs, qos: 1, keeps_sessions: true, ..pairs }
            }
            _ => pairs,
        }
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ALL.into_iter().chain(Self::KEPT);
        let names = || all().map(Self::name).collect::<Vec<_>>().join(", ");
        all()
            .find(|scenario| scenario.name() == text)
            .ok_or_else(|| format!("there is no scenario `{text}`: choose among {}", names()))
    }
}
