//! Who goes on connecting, though refused, more often than everybody can be answered: of those only as
//! many are let through as are needed to hold them to their rate, and to notice when they stop.

use std::net::IpAddr;

use crate::identity::Network;

/// Networks that are counted at once. Those that are refused most often are among them, however many
/// there are: whoever is refused more often than one in so many of all.
const MOST: usize = 32;
/// Nanoseconds, after which what was counted is judged.
const WINDOW: u64 = 1_000_000_000;
/// What comes within less is judged as if it had taken so long.
const SHORTEST: u64 = 1_000_000;
/// Where more than this share would be let through, all are.
const MOST_SHARE: f64 = 0.5;
/// Of a flood that is beyond measure, too, somebody comes through who shows that it goes on.
const LEAST_SHARE: f64 = 1.0 / 65_536.0;
/// A share that is off by less stays as it is.
const TOLERANCE: f64 = 0.25;

/// Networks that flood, each with `Why` it is refused.
#[derive(Debug)]
pub struct Floods<Why> {
    counted: Vec<Counted<Why>>,
    /// Refusals a second of a network that may be answered; 0 is any number.
    most_answered: u32,
}

#[derive(Debug)]
struct Counted<Why> {
    network: Network,
    why: Why,
    /// Connections a second that it may make.
    rate: u32,
    since: u64,
    /// Refusals since then, while all are let through; else connections.
    seen: u64,
    /// How many are let through, of one: all, as long as nothing is known.
    share: f64,
    /// Whether those who were let through before the share was are gone.
    is_in_force: bool,
}

/// Of connections from a network only a share is to be let through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LetThrough {
    /// From where.
    pub network: Network,
    /// Of one; more than 0 and less than 1.
    pub share: f64,
}

impl<Why: Copy> Floods<Why> {
    /// Of each network so many refusals a second may be answered; 0 is any number.
    #[must_use]
    pub fn new(most_answered: u32) -> Self {
        Self { counted: Vec::new(), most_answered }
    }

    /// Goes by another number from now on.
    pub fn follow(&mut self, most_answered: u32) {
        self.most_answered = most_answered;
    }

    /// Counts a connection of `network` that was refused `now`, in nanoseconds of any clock. `rate` connections a
    /// second it may make.
    pub fn refused(&mut self, network: Network, why: Why, rate: u32, now: u64) {
        if self.most_answered == 0 {
            return;
        }
        match self.counted.iter_mut().find(|it| it.network == network) {
            Some(known) => known.count_refused(why, rate, now),
            None => self.begin(Counted {
                network,
                why,
                rate,
                since: now,
                seen: 1,
                share: 1.0,
                is_in_force: false,
            }),
        }
    }

    /// Counts a connection from `address` that was let through: why the others were not for which it stands,
    /// and how many these are.
    pub fn came(&mut self, address: IpAddr) -> Option<(Why, u32)> {
        let of = |it: &&mut Counted<Why>| it.drops() && it.network.contains(address);
        // As whoever drops them does: the smallest network decides.
        let network = self.counted.iter_mut().filter(of).max_by_key(|it| it.network.length())?;
        if !network.is_in_force {
            return None;
        }
        network.seen += 1;
        Some((network.why, (1.0 / network.share - 1.0).round() as u32))
    }

    /// Nobody waits any more who was let through before [`Self::drops`] was last in force.
    pub fn caught_up(&mut self, now: u64) {
        for it in self.counted.iter_mut().filter(|it| it.drops() && !it.is_in_force) {
            (it.is_in_force, it.seen, it.since) = (true, 0, now);
        }
    }

    /// Judges what was counted for long enough, and lets all of those networks through that `spares` has;
    /// whether [`Self::drops`] has changed.
    pub fn judge(&mut self, now: u64, spares: impl Fn(Network) -> bool) -> bool {
        let mut has_changed = false;
        let most_answered = self.most_answered;
        self.counted.retain_mut(|it| {
            if !it.is_due(most_answered, now) {
                return true;
            }
            let is_spared = spares(it.network);
            has_changed |= it.judge(most_answered, now, is_spared);
            it.drops()
        });
        has_changed
    }

    /// Whether nobody has been refused lately.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }

    /// When something is to be judged next, though nothing comes.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        let dropped = self.counted.iter().filter(|it| it.drops());
        dropped.map(|it| it.since.saturating_add(WINDOW)).min()
    }

    /// From where not all are to be let through.
    pub fn drops(&self) -> impl Iterator<Item = LetThrough> {
        let dropped = self.counted.iter().filter(|it| it.drops());
        dropped.map(|&Counted { network, share, .. }| LetThrough { network, share })
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.counted.clear();
    }

    /// Where there is no room, each of the others loses one, as if it had met with this (Misra and Gries).
    fn begin(&mut self, first: Counted<Why>) {
        if self.counted.len() >= MOST {
            self.counted.retain_mut(|it| {
                it.seen -= u64::from(!it.drops() && it.seen > 0);
                it.drops() || it.seen > 0
            });
        } else {
            self.counted.push(first);
        }
    }
}

impl<Why> Counted<Why> {
    fn drops(&self) -> bool {
        self.share < 1.0
    }

    fn count_refused(&mut self, why: Why, rate: u32, now: u64) {
        (self.why, self.rate) = (why, rate);
        if self.drops() {
            return;
        }
        if now.saturating_sub(self.since) >= WINDOW {
            (self.since, self.seen) = (now, 0);
        }
        self.seen += 1;
    }

    /// How many are wanted a second: its rate is still used up, and refusals say so.
    fn wanted(&self, most_answered: u32) -> u64 {
        u64::from(self.rate) + u64::from(most_answered)
    }

    fn is_due(&self, most_answered: u32, now: u64) -> bool {
        let is_over = now.saturating_sub(self.since) >= WINDOW;
        let enough = match self.drops() {
            true => self.wanted(most_answered) * 2,
            false => u64::from(most_answered),
        };
        is_over || self.seen >= enough
    }

    /// Whether another share is let through from now on.
    fn judge(&mut self, most_answered: u32, now: u64, is_spared: bool) -> bool {
        let seconds = now.saturating_sub(self.since).max(SHORTEST) as f64 / WINDOW as f64;
        let seen = self.seen as f64 / seconds;
        let arrivals = if self.drops() { seen / self.share } else { seen + f64::from(self.rate) };
        (self.seen, self.since) = (0, now);
        let share = match self.wanted(most_answered) as f64 / arrivals {
            share if is_spared || most_answered == 0 || share > MOST_SHARE => 1.0,
            share => share.max(LEAST_SHARE),
        };
        if (share / self.share - 1.0).abs() <= TOLERANCE {
            return false;
        }
        (self.share, self.is_in_force) = (share, false);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const ANSWERED: u32 = 1_000;

    fn address(host: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, host).into()
    }

    fn of(host: u8) -> Network {
        Network::of_owner(address(host))
    }

    /// What came of a flood.
    #[derive(Debug, Default)]
    struct Outcome {
        let_through: u32,
        admitted: u32,
        changes: u32,
        stands_for: u32,
    }

    /// So many connections a second, of which `rate` are admitted, for so many seconds.
    fn flood(
        floods: &mut Floods<()>,
        begin: u64,
        seconds: u64,
        per_second: u64,
        rate: u32,
    ) -> Outcome {
        let (mut outcome, mut credit) = (Outcome::default(), 0.0);
        let (mut tokens, mut in_second) = (0, u64::MAX);
        for step in 0..seconds * per_second {
            let now = begin + step * SECOND / per_second;
            if now / SECOND != in_second {
                (in_second, tokens) = (now / SECOND, rate);
            }
            // Evenly, where the system draws lots.
            credit += floods.drops().find(|it| it.network == of(1)).map_or(1.0, |it| it.share);
            if credit >= 1.0 {
                credit -= 1.0;
                outcome.let_through += 1;
                outcome.stands_for += floods.came(address(1)).map_or(0, |(_, others)| others);
                match tokens {
                    0 => floods.refused(of(1), (), rate, now),
                    _ => {
                        tokens -= 1;
                        outcome.admitted += 1;
                    }
                }
                floods.caught_up(now);
            }
            outcome.changes += u32::from(floods.judge(now, |_| false));
        }
        outcome
    }

    #[test]
    fn of_a_flood_as_many_are_let_through_as_are_answered_and_others_stand_for_the_rest() {
        let mut floods = Floods::new(ANSWERED);
        let first = flood(&mut floods, SECOND, 1, 30_000, 1);
        assert!((1_500..3_000).contains(&first.let_through), "{first:?}");
        let then = flood(&mut floods, 2 * SECOND, 10, 30_000, 1);
        assert!((8_000..13_000).contains(&then.let_through), "{then:?}");
        let all = then.let_through + then.stands_for;
        assert!((270_000..330_000).contains(&all), "{all} of 300,000");
        assert!(then.changes <= 2, "{then:?}");
    }

    #[test]
    fn who_may_come_often_still_does_while_the_rest_is_dropped() {
        let mut floods = Floods::new(ANSWERED);
        flood(&mut floods, SECOND, 2, 30_000, 1_000);
        let then = flood(&mut floods, 3 * SECOND, 10, 30_000, 1_000);
        assert!((9_500..=10_000).contains(&then.admitted), "{then:?}");
        assert!(then.let_through < 26_000, "{then:?}");
    }

    #[test]
    fn a_few_refusals_are_all_answered() {
        for per_second in [10, 900, 1_900] {
            let mut floods = Floods::new(ANSWERED);
            let outcome = flood(&mut floods, SECOND, 5, per_second, 1);
            assert_eq!(u64::from(outcome.let_through), 5 * per_second, "{outcome:?}");
        }
    }

    #[test]
    fn a_flood_that_grows_is_held_down_before_the_second_is_over() {
        let mut floods = Floods::new(ANSWERED);
        flood(&mut floods, SECOND, 3, 5_000, 1);
        let then = flood(&mut floods, 4 * SECOND, 1, 500_000, 1);
        assert!(then.let_through < 8_000, "{then:?}");
    }

    #[test]
    fn when_a_flood_is_over_everybody_is_let_through_again() {
        let mut floods = Floods::new(ANSWERED);
        flood(&mut floods, SECOND, 3, 30_000, 1);
        assert_eq!(floods.drops().count(), 1);
        let due = floods.due().unwrap();
        assert!((4 * SECOND..=5 * SECOND).contains(&due), "{due}");
        assert!(!floods.judge(due - 1, |_| false) || floods.drops().count() == 0);
        // What was let through of the last window is counted in it; of the next there is nothing.
        floods.judge(due, |_| false);
        floods.judge(due + SECOND, |_| false);
        assert_eq!((floods.drops().count(), floods.due()), (0, None));
    }

    #[test]
    fn nobody_else_is_dropped_and_an_address_goes_before_its_prefix() {
        let mut floods = Floods::new(10);
        let prefix = Network::of_customer(address(1));
        for step in 0..1_000 {
            floods.refused(of(1), 'a', 1, SECOND + step);
            floods.refused(prefix, 'p', 1, SECOND + step);
        }
        assert!(floods.judge(SECOND + 1_000, |_| false));
        assert_eq!(floods.came(address(1)), None, "it may have come before");
        floods.caught_up(SECOND + 1_001);
        assert_eq!(floods.came(address(1)).map(|(why, _)| why), Some('a'));
        assert_eq!(floods.came(address(2)).map(|(why, _)| why), Some('p'));
        assert_eq!(floods.came(Ipv4Addr::new(198, 51, 100, 1).into()), None);
    }

    #[test]
    fn among_any_number_of_networks_the_one_that_floods_is_found() {
        let mut floods = Floods::new(ANSWERED);
        for step in 0..60_000_u32 {
            let now = SECOND + u64::from(step) * SECOND / 60_000;
            let other = Ipv4Addr::from_bits(0x0a00_0000 | step).into();
            floods.refused(Network::of_owner(other), (), 1, now);
            floods.refused(of(1), (), 1, now);
            floods.judge(now, |_| false);
            assert!(floods.counted.len() <= MOST);
        }
        assert_eq!(floods.drops().map(|it| it.network).collect::<Vec<_>>(), [of(1)]);
    }

    #[test]
    fn without_a_bound_nothing_is_counted() {
        let mut floods = Floods::new(0);
        flood(&mut floods, SECOND, 2, 30_000, 1);
        assert!(floods.counted.is_empty());
    }

    #[test]
    fn a_bound_that_is_taken_back_lets_everybody_through() {
        let mut floods = Floods::new(ANSWERED);
        flood(&mut floods, SECOND, 2, 30_000, 1);
        floods.follow(0);
        assert!(floods.judge(4 * SECOND, |_| false));
        assert_eq!(floods.drops().count(), 0);
    }

    #[test]
    fn who_is_spared_is_let_through_again() {
        let mut floods = Floods::new(ANSWERED);
        flood(&mut floods, SECOND, 2, 30_000, 1);
        assert!(floods.judge(4 * SECOND, |network| network.contains(address(1))));
        assert_eq!(floods.drops().count(), 0);
    }
}
