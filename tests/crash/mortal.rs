//! Clients with wills: what is owed to those who have subscribed to them.

use std::collections::BTreeMap;

use crate::device::{Device, Event};
use crate::harness::raw::Will;
use crate::network::Network;
use crate::random::Random;

/// A client whose will says which of its connections it belongs to.
#[derive(Debug)]
pub(crate) struct Mortal {
    device: Device,
    random: Random,
    connections: u32,
    fates: BTreeMap<u32, Fate>,
}

/// What is to become of the will of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It ended without a word.
    Published,
    /// It was ended in order.
    Forgotten,
    /// Nobody can know.
    Either,
}

/// Who hears of all wills.
#[derive(Debug)]
pub(crate) struct Heir {
    device: Device,
    /// By topic and payload.
    heard: BTreeMap<(String, u32), u32>,
}

impl Mortal {
    pub(crate) fn new(id: &str, random: Random) -> Self {
        let device = Device::new(id, 5);
        Self { device, random, connections: 0, fates: BTreeMap::new() }
    }

    fn topic(&self) -> String {
        format!("will/{}", self.device.id())
    }

    /// Connects, and ends its connection or has it ended.
    pub(crate) fn work(&mut self, network: &Network) {
        self.connections += 1;
        let (topic, payload) = (self.topic(), self.connections.to_string());
        let will = Will { qos: 2, ..Will::new(&topic, payload.as_bytes()) };
        let leaves = self.random.once_in(3);
        let fate = match self.device.visit_with(network, Some(will)) {
            None => Fate::Either,
            // That it has left is kept once it is let in again.
            Some(visit) if leaves => match visit.leave() && self.device.visit(network).is_some() {
                true => Fate::Forgotten,
                false => Fate::Either,
            },
            Some(mut visit) => {
                while visit.next().is_some() {}
                Fate::Published
            }
        };
        self.fates.insert(self.connections, fate);
    }
}

impl Heir {
    pub(crate) fn new(id: &str) -> Self {
        Self { device: Device::new(id, 5), heard: BTreeMap::new() }
    }

    pub(crate) fn subscribe(&mut self, network: &Network) {
        let mut visit = self.device.visit(network).expect("the broker stays");
        visit.subscribe("will/#", 2);
        visit.leave();
    }

    /// Listens until the round is over.
    pub(crate) fn work(&mut self, network: &Network) {
        let Some(mut visit) = self.device.visit(network) else { return };
        while let Some(event) = visit.next() {
            note(&mut self.heard, &event);
        }
    }

    /// Has heard of each will that was to be published once, and of none that was not.
    pub(crate) fn finish(&mut self, network: &Network, mortals: &[Mortal]) {
        let Self { device, heard } = self;
        let mut visit = device.visit(network).expect("the broker stays");
        for mortal in mortals {
            let owed = mortal.fates.iter().filter(|(_, fate)| **fate == Fate::Published);
            for (connection, _) in owed {
                let will = (mortal.topic(), *connection);
                while !heard.contains_key(&will) {
                    let event = visit.next();
                    note(heard, &event.unwrap_or_else(|| panic!("{will:?} is lost")));
                }
            }
        }
        visit.until_quiet().into_iter().for_each(|message| note(heard, &Event::Message(message)));
        visit.leave();
        for mortal in mortals {
            for (connection, fate) in &mortal.fates {
                let times = heard.get(&(mortal.topic(), *connection)).copied().unwrap_or(0);
                let is_right = match fate {
                    Fate::Published => times == 1,
                    Fate::Forgotten => times == 0,
                    Fate::Either => times <= 1,
                };
                let who = mortal.device.id();
                assert!(
                    is_right,
                    "the will of {who} for {connection}, {fate:?}, came {times} times"
                );
            }
        }
    }
}

fn note(heard: &mut BTreeMap<(String, u32), u32>, event: &Event) {
    if let Event::Message(message) = event {
        let payload = String::from_utf8_lossy(&message.payload);
        let connection = payload.parse().expect("a number");
        *heard.entry((message.topic.clone(), connection)).or_default() += 1;
    }
}
