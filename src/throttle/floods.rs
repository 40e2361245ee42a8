//! Who goes on connecting, though refused, more often than everybody can be answered: of those only as
//! many are let through as are needed to hold them to their rate, and to notice when they stop.

use std::net::IpAddr;

use crate::identity::Network;

/// Networks that are counted at once while all of them are let through, and as many again of which only a share
/// is. Among those that are counted are those that are refused most often, however many there are: whoever is
/// refused more often than one in so many of all that are let through.
const MOST: usize = 32;
/// So many times as much has to come of a network as of another that is dropped, to be dropped in its place:
/// those of which about as much comes do not take turns.
const CLEARLY_MORE: f64 = 2.0;
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
    /// Connections a second that it may make, as it was last judged.
    rate: u32,
    /// Connections a second that came of it by then, those among them that were dropped.
    arrivals: f64,
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

    /// Counts a connection of `network` that was refused `now`, in nanoseconds of any clock.
    pub fn refused(&mut self, network: Network, why: Why, now: u64) {
        if self.most_answered == 0 {
            return;
        }
        match self.counted.iter_mut().find(|it| it.network == network) {
            Some(known) => known.count_refused(why, now),
            None => self.begin(Counted {
                network,
                why,
                rate: 0,
                arrivals: 0.0,
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

    /// Nobody waits any more who was let through before [`Self::drops`] was last in force. Whether that was not
    /// known: [`Self::due`] is another one then.
    pub fn caught_up(&mut self, now: u64) -> bool {
        let mut is_news = false;
        for it in self.counted.iter_mut().filter(|it| it.drops() && !it.is_in_force) {
            (it.is_in_force, it.seen, it.since) = (true, 0, now);
            is_news = true;
        }
        is_news
    }

    /// Judges what was counted for long enough; whether [`Self::drops`] has changed. `rate` says how many
    /// connections a second a network may make `now` that is refused for this; all, where it says nothing.
    pub fn judge(&mut self, now: u64, rate: impl Fn(Network, Why) -> Option<u32>) -> bool {
        let most_answered = self.most_answered;
        if !self.counted.iter().any(|it| it.is_due(most_answered, now)) {
            return false;
        }
        let before: Vec<_> = self.drops().collect();
        self.counted.retain_mut(|it| {
            if !it.is_due(most_answered, now) {
                return true;
            }
            it.judge(most_answered, now, rate(it.network, it.why));
            it.drops()
        });
        self.let_go_of_least(&before);
        !self.drops().eq(before)
    }

    /// Where more networks would be dropped than may be, those are let through of which least comes.
    fn let_go_of_least(&mut self, before: &[LetThrough]) {
        while self.drops().count() > MOST {
            let weight = |it: &Counted<Why>| {
                let has_a_place = before.iter().any(|drop| drop.network == it.network);
                it.arrivals * if has_a_place { CLEARLY_MORE } else { 1.0 }
            };
            let dropped = self.counted.iter().enumerate().filter(|(_, it)| it.drops());
            let least =
                dropped.min_by(|(_, one), (_, other)| weight(one).total_cmp(&weight(other)));
            let Some((at, _)) = least else { return };
            self.counted.remove(at);
        }
    }

    /// Whether nobody has been refused lately.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }

    /// When something is to be judged next, though nothing comes.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        let judged = self.counted.iter().filter(|it| it.drops() && it.is_in_force);
        judged.map(|it| it.since.saturating_add(WINDOW)).min()
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
        if self.counted.iter().filter(|it| !it.drops()).count() >= MOST {
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

    fn count_refused(&mut self, why: Why, now: u64) {
        self.why = why;
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

    /// Not before anything is known of the share that it has: it is not that nothing comes.
    fn is_due(&self, most_answered: u32, now: u64) -> bool {
        let is_over = now.saturating_sub(self.since) >= WINDOW;
        match self.drops() {
            true => self.is_in_force && (is_over || self.seen >= self.wanted(most_answered) * 2),
            false => is_over || self.seen >= u64::from(most_answered),
        }
    }

    /// Which share is let through from now on: all, where nobody is refused any more, for whom there is no rate.
    fn judge(&mut self, most_answered: u32, now: u64, rate: Option<u32>) {
        let seconds = now.saturating_sub(self.since).max(SHORTEST) as f64 / WINDOW as f64;
        let seen = self.seen as f64 / seconds;
        self.rate = rate.unwrap_or(self.rate);
        self.arrivals = match self.drops() {
            true => seen / self.share,
            false => seen + f64::from(self.rate),
        };
        (self.seen, self.since) = (0, now);
        let share = match self.wanted(most_answered) as f64 / self.arrivals {
            share if rate.is_none() || most_answered == 0 || share > MOST_SHARE => 1.0,
            share => share.max(LEAST_SHARE),
        };
        if (share / self.share - 1.0).abs() > TOLERANCE {
            (self.share, self.is_in_force) = (share, false);
        }
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
                    0 => floods.refused(of(1), (), now),
                    _ => {
                        tokens -= 1;
                        outcome.admitted += 1;
                    }
                }
                floods.caught_up(now);
            }
            outcome.changes += u32::from(floods.judge(now, |_, ()| Some(rate)));
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
        assert!(!floods.judge(due - 1, |_, ()| Some(1)) || floods.drops().count() == 0);
        // What was let through of the last window is counted in it; of the next there is nothing.
        floods.judge(due, |_, ()| Some(1));
        floods.caught_up(due);
        floods.judge(due + SECOND, |_, ()| Some(1));
        assert_eq!((floods.drops().count(), floods.due()), (0, None));
    }

    #[test]
    fn nobody_else_is_dropped_and_an_address_goes_before_its_prefix() {
        let mut floods = Floods::new(10);
        let prefix = Network::of_customer(address(1));
        for step in 0..1_000 {
            floods.refused(of(1), 'a', SECOND + step);
            floods.refused(prefix, 'p', SECOND + step);
        }
        assert!(floods.judge(SECOND + 1_000, |_, _| Some(1)));
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
            floods.refused(Network::of_owner(other), (), now);
            floods.refused(of(1), (), now);
            floods.judge(now, |_, ()| Some(1));
            assert!(floods.counted.iter().filter(|it| !it.drops()).count() <= MOST);
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
        assert!(floods.judge(4 * SECOND, |_, ()| Some(1)));
        assert_eq!(floods.drops().count(), 0);
    }

    #[test]
    fn who_is_not_refused_any_more_is_let_through_again_however_much_comes() {
        let mut floods = Floods::new(ANSWERED);
        flood(&mut floods, SECOND, 2, 30_000, 1);
        for _ in 0..1_000 {
            floods.came(address(1));
        }
        assert!(
            floods.judge(4 * SECOND, |network, ()| (!network.contains(address(1))).then_some(1))
        );
        assert_eq!(floods.drops().count(), 0);
    }

    #[test]
    fn who_may_come_more_often_than_before_is_let_through_as_often_though_nobody_is_refused() {
        let mut floods = Floods::new(ANSWERED);
        flood(&mut floods, SECOND, 2, 30_000, 1);
        // From now on all that come are admitted: there is no refusal by which a new rate would be learnt.
        let share_of = |floods: &Floods<()>| floods.drops().map(|it| it.share).sum::<f64>();
        let before = share_of(&floods);
        for step in 0..1_000 {
            floods.came(address(1));
            floods.judge(3 * SECOND + step * SECOND / 1_000, |_, ()| Some(10_000));
        }
        floods.judge(4 * SECOND, |_, ()| Some(10_000));
        assert!(share_of(&floods) > 5.0 * before, "{before} {}", share_of(&floods));
    }

    #[test]
    fn before_a_share_is_in_force_it_is_not_taken_for_a_flood_that_is_over() {
        let mut floods = Floods::new(ANSWERED);
        (0..5_000).for_each(|step| floods.refused(of(1), (), SECOND + step));
        assert!(floods.judge(2 * SECOND, |_, ()| Some(1)));
        for second in 3..10 {
            assert!(!floods.judge(second * SECOND, |_, ()| Some(1)), "nobody has been accepted");
        }
        assert_eq!((floods.drops().count(), floods.due()), (1, None));
        floods.caught_up(10 * SECOND);
        assert_eq!(floods.due(), Some(11 * SECOND));
        assert!(floods.judge(11 * SECOND, |_, ()| Some(1)), "nobody comes");
        assert_eq!(floods.drops().count(), 0);
    }

    /// So many refusals of each host within a second, and what is judged of them at its end.
    fn refuse(floods: &mut Floods<()>, hosts: impl Iterator<Item = u8>, times: u64, begin: u64) {
        for host in hosts {
            (0..times).for_each(|step| floods.refused(of(host), (), begin + step));
        }
        floods.judge(begin + SECOND, |_, ()| Some(1));
    }

    fn is_dropped(floods: &Floods<()>, host: u8) -> bool {
        floods.drops().any(|it| it.network == of(host))
    }

    #[test]
    fn where_as_many_are_dropped_as_may_be_the_least_of_them_gives_its_place_to_a_bigger_flood() {
        let mut floods = Floods::new(10);
        refuse(&mut floods, 0..31, 1_000, SECOND);
        refuse(&mut floods, 31..32, 500, 3 * SECOND);
        assert_eq!(floods.drops().count(), MOST);
        refuse(&mut floods, 100..101, 900, 5 * SECOND);
        assert!(!is_dropped(&floods, 100) && is_dropped(&floods, 31), "they would take turns");
        refuse(&mut floods, 100..101, 1_500, 7 * SECOND);
        assert!(is_dropped(&floods, 100) && !is_dropped(&floods, 31));
        assert_eq!(floods.drops().count(), MOST);
        assert!((0..31).all(|host| is_dropped(&floods, host)));
    }
}
