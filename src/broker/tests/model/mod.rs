//! A broker among clients that come and go, over a network that loses what it carries, against an
//! oracle: whatever happens, in whatever order, what is promised holds.
//!
//! `oracle` and `ledger` say what a broker has to do, `checks` what is promised, `step` what may
//! happen. `peer` is a client, `wire` its connection; `world` makes each step happen.
//!
//! `PROPTEST_CASES=20000 cargo test --lib broker::tests::model` tries more. A sequence that failed is
//! kept in `proptest-regressions/`, and tried first ever after.

mod checks;
mod ledger;
mod oracle;
mod peer;
mod step;
mod wire;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use self::step::{Step, VERSIONS, hello, step};
use self::world::World;
use crate::broker::ShareStrategy;

proptest! {
    #[test]
    fn what_is_promised_holds_whatever_happens(
        strategy in select(vec![ShareStrategy::LeastLoaded, ShareStrategy::RoundRobin]),
        hellos in vec(hello(), VERSIONS.len()),
        steps in vec(step(), 1..120),
    ) {
        let mut world = World::new(strategy);
        for (name, hello) in hellos.into_iter().enumerate() {
            world.take(Step::Connect(name, hello));
        }
        for step in steps {
            world.take(step);
        }
        world.calm_down();
        world.check();
    }
}
