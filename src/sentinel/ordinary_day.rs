//! An ordinary day: 10,000 devices of five kinds, of which no rule that comes with the broker makes an alarm,
//! though each has seen something of its sort; and after which it is known what is usual for each device.

mod fleet;
mod mishaps;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use self::fleet::{DAY, Device, Dice, HOUR, Sort};
use super::*;
use crate::identity::ClientId;

const DEVICES: u32 = 10_000;

/// A fleet, what looks at it, and what has come of that.
struct Day {
    devices: Vec<Device>,
    sentinel: Sentinel,
    findings: Vec<Finding>,
    events: u32,
    /// The rules of which no event has come yet, or nothing that has to come before.
    unseen: Vec<(Rule, bool)>,
}

impl Day {
    fn new(dice: &mut Dice) -> Self {
        let rules = RuleSet::of(&Settings::default(), &[]).expect("the rules of the broker");
        let unseen = rules.rules.iter().filter(|rule| rule.severity > Severity::Notice);
        let unseen = unseen.flat_map(|rule| {
            let leads = rule.is_sequence().then(|| (rule.clone(), true));
            [(rule.clone(), false)].into_iter().chain(leads)
        });
        Self {
            unseen: unseen.collect(),
            devices: (0..DEVICES).map(|number| Device::new(number, dice)).collect(),
            sentinel: Sentinel::new(rules, 1),
            findings: Vec::new(),
            events: 0,
        }
    }

    fn pass(&mut self, dice: &mut Dice) {
        let mut events = Vec::new();
        for now in (0..DAY).step_by(mishaps::STEP as usize) {
            mishaps::outside(now, dice, &mut events);
            self.observe(now, &mut events);
            let is_eventful = mishaps::is_eventful(now);
            for at in 0..self.devices.len() {
                let device = &mut self.devices[at];
                if is_eventful {
                    mishaps::befall(device, now, dice, &mut events);
                }
                if device.acts_at <= now {
                    mishaps::hinder(device, now, dice, &mut events);
                    device.act(now, dice, &mut events);
                }
                if !events.is_empty() {
                    self.observe(now, &mut events);
                }
            }
        }
    }

    fn observe(&mut self, now: u64, events: &mut Vec<Event>) {
        for event in events.drain(..) {
            self.events += 1;
            let is_of = |(rule, leads): &(Rule, bool)| match leads {
                true => rule.leads(&event),
                false => rule.counts(&event),
            };
            self.unseen.retain(|it| !is_of(it));
            self.sentinel.observe(Duration::from_secs(now), &event, &mut self.findings);
        }
    }

    /// What is found when every device does what it has never done: by rule and kind of device, of how many.
    fn unusual(&mut self) -> BTreeMap<(String, Sort), u32> {
        let mut found = BTreeMap::new();
        for at in 0..self.devices.len() {
            let device = &self.devices[at];
            let sort = device.sort;
            let connected = || device.event(Kind::Connected, "new");
            let address = Some(Ipv4Addr::new(203, 0, 113, 1).into());
            let client = Some(ClientId::new(&format!("other-{}", device.number)));
            let topic = Some("valve/main".into());
            let mut events = vec![
                Event { number: 1e6, ..device.event(Kind::Published, "") },
                Event { number: 1e6, ..device.event(Kind::Payload, "") },
                Event { topic, ..device.event(Kind::Published, "") },
                Event { address, ..connected() },
                Event { client, ..connected() },
            ];
            self.findings.clear();
            self.observe(DAY + 2 * HOUR, &mut events);
            let rules: BTreeSet<_> =
                self.findings.iter().map(|it| it.rule.name.to_string()).collect();
            rules.into_iter().for_each(|rule| *found.entry((rule, sort)).or_default() += 1);
        }
        found
    }
}

#[test]
fn an_ordinary_day_makes_no_alarm_and_leaves_known_what_is_usual() {
    let mut dice = Dice(0x5eed);
    let mut day = Day::new(&mut dice);
    day.pass(&mut dice);
    assert!(day.events > 1_000_000, "{}", day.events);
    let alarms: Vec<_> =
        day.findings.iter().filter(|it| it.rule.severity > Severity::Notice).take(9).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
    let unseen: Vec<_> = day.unseen.iter().map(|(rule, leads)| (&rule.name, leads)).collect();
    assert!(unseen.is_empty(), "{unseen:?} cannot have made one");
    // Nor are there so many notices that nobody reads them any more: one of each class of topics of each
    // gateway, which at seven say three times as much from one minute to the next.
    let mut notices = BTreeMap::<_, u32>::new();
    day.findings.iter().for_each(|it| *notices.entry(it.rule.name.clone()).or_default() += 1);
    assert!(day.findings.len() <= 150, "{notices:?}");

    assert_eq!(day.sentinel.take_forgotten().learning, 0);
    let found = day.unusual();
    let of = |rule: &str, sort| found.get(&(rule.to_owned(), sort)).copied().unwrap_or_default();
    let sorts = [Sort::Sensor, Sort::Meter, Sort::Tracker, Sort::Gateway, Sort::App];
    let mut is_known: Vec<_> = ["unusual-rate", "unusual-payload", "unusual-topic"]
        .into_iter()
        .flat_map(|rule| sorts.map(|sort| (rule, sort)))
        .collect();
    // Of who seldom connects, a day is too short to know from where.
    is_known.extend(["new-network", "new-client"].map(|rule| (rule, Sort::Sensor)));
    for (rule, sort) in is_known {
        let all = day.devices.iter().filter(|it| it.sort == sort).count() as u32;
        // An app is just about used often enough for that in a day.
        let most = if sort == Sort::App { all * 6 / 10 } else { all * 9 / 10 };
        assert!(of(rule, sort) >= most, "{rule}: {} of {all} {sort:?}", of(rule, sort));
    }
}
