//! Subscribers, who see by the numbers of messages that none is missing, doubled or out of its order.

use std::collections::BTreeMap;

use crate::device::{Device, Event, Visit};
use crate::harness::raw::Received;
use crate::network::Network;
use crate::random::Random;
use crate::writer::Numbered;

/// How a subscriber behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// It stays connected.
    Stays,
    /// It comes and goes, with and without a word.
    ComesAndGoes,
    /// It takes messages in, loses its acknowledgements, and comes back.
    LosesAcknowledgements,
    /// It is there in some rounds only.
    IsAway,
    /// It is away until all is over.
    IsGone,
}

/// How often each message has come, by its number, in each topic.
pub(crate) type Tally = BTreeMap<String, BTreeMap<u64, u32>>;

/// A subscriber with a persistent session.
#[derive(Debug)]
pub(crate) struct Reader {
    device: Device,
    filter: String,
    qos: u8,
    habit: Habit,
    random: Random,
    account: Account,
}

#[derive(Debug, Default)]
struct Account {
    /// Whether it gets only some of the messages.
    shares: bool,
    /// The number that comes next in each topic, or is the least that may come where some are others'.
    next: BTreeMap<String, u64>,
    tally: Tally,
}

impl Reader {
    pub(crate) fn new(device: Device, filter: &str, qos: u8, habit: Habit, random: Random) -> Self {
        let account = Account { shares: filter.starts_with("$share/"), ..Account::default() };
        Self { device, filter: filter.to_owned(), qos, habit, random, account }
    }

    /// What has come so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.account.tally
    }

    /// Subscribes, for good.
    pub(crate) fn subscribe(&mut self, network: &Network) {
        let mut visit = self.device.visit(network).expect("the broker stays");
        visit.subscribe(&self.filter, self.qos);
        visit.leave();
    }

    /// Does what its habit is until the round is over.
    pub(crate) fn work(&mut self, network: &Network, round: u64) {
        match self.habit {
            Habit::IsGone => return,
            Habit::IsAway if !round.is_multiple_of(5) => return,
            _ => {}
        }
        while let Some(mut visit) = self.device.visit(network) {
            let enough = match self.habit {
                Habit::Stays => u64::MAX,
                _ => self.random.below(60) + 1,
            };
            let goes_on = self.account.take(&mut visit, enough);
            if goes_on && self.habit == Habit::LosesAcknowledgements {
                visit.is_mute = true;
                self.account.take(&mut visit, self.random.below(20) + 1);
                visit.break_off();
            } else if self.random.once_in(2) {
                visit.leave();
            } else {
                visit.break_off();
            }
        }
    }

    /// Takes all that waits, until each of `topics` is complete.
    pub(crate) fn finish(&mut self, network: &Network, topics: &[Numbered]) {
        let mut visit = self.device.visit(network).expect("the broker stays");
        while let Some(missing) =
            topics.iter().find(|one| self.account.next.get(&one.topic).copied() < Some(one.count))
        {
            let event = visit.next();
            let event = event.unwrap_or_else(|| panic!("{missing:?} is not complete"));
            self.account.note(&event);
        }
        self.account.silence(&mut visit);
        visit.leave();
    }

    /// Takes what has come, if anything, and waits for nothing more.
    pub(crate) fn look(&mut self, network: &Network) {
        let mut visit = self.device.visit(network).expect("the broker stays");
        self.account.silence(&mut visit);
        visit.leave();
    }
}

impl Account {
    /// Takes some packets in; whether the connection goes on.
    fn take(&mut self, visit: &mut Visit<'_>, packets: u64) -> bool {
        for _ in 0..packets {
            let Some(event) = visit.next() else { return false };
            self.note(&event);
        }
        true
    }

    /// Takes in what has come by now.
    fn silence(&mut self, visit: &mut Visit<'_>) {
        for message in visit.until_quiet() {
            self.note(&Event::Message(message));
        }
    }

    fn note(&mut self, event: &Event) {
        let Event::Message(message) = event else { return };
        let number = number(message);
        let next = self.next.entry(message.topic.clone()).or_default();
        let is_right = match (message.qos, self.shares) {
            (2, false) => number == *next,
            (2, true) => number >= *next,
            (_, false) => number <= *next,
            (_, true) => true,
        };
        assert!(is_right, "message {number} of {} came where {next} was next", message.topic);
        *next = (*next).max(number + 1);
        *self.tally.entry(message.topic.clone()).or_default().entry(number).or_default() += 1;
    }
}

fn number(message: &Received) -> u64 {
    let digits = message.payload.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
