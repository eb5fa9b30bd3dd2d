//! A hub's and a member's machine, joined by a wire in memory that cuts, loses and restarts at any frame.
//!
//! Whatever happens, once faults stop: the member holds what the hub wants, everything is acknowledged, every report
//! has arrived, and nothing was removed that the hub didn't order to go.

#![allow(clippy::unwrap_used)]

mod model;
#[path = "../support/mod.rs"]
mod support;

use model::{Op, World};
use proptest::prelude::*;

fn op() -> impl Strategy<Value = Op> {
    let key = 0..4usize;
    prop_oneof![
        4 => (key.clone(), 0..4u8, 0..3i32).prop_map(|(key, hash, replicas)| Op::Want { key, hash, replicas }),
        2 => (key.clone(), 0..4u8).prop_map(|(key, hash)| Op::Recreate { key, hash }),
        2 => key.clone().prop_map(|key| Op::Delete { key }),
        1 => key.clone().prop_map(|key| Op::Lose { key }),
        1 => key.prop_map(|key| Op::Vandalise { key }),
        6 => (0..4usize).prop_map(|frames| Op::ToHub { frames }),
        6 => (0..4usize).prop_map(|frames| Op::ToMember { frames }),
        5 => (0..3usize).prop_map(|works| Op::Work { works }),
        2 => Just(Op::Late),
        2 => Just(Op::Persist),
        2 => Just(Op::Connect),
        3 => (1..20_000u64).prop_map(|millis| Op::Pass { millis }),
        2 => (0..4usize, 0..4usize).prop_map(|(to_hub, to_member)| Op::Cut { to_hub, to_member }),
        1 => Just(Op::CrashHub),
        1 => Just(Op::CrashMember),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn once_faults_stop_both_ends_agree(ops in proptest::collection::vec(op(), 0..150), seed: u64) {
        let mut world = World::new(seed);
        for op in ops {
            world.apply(op);
        }
        world.settle();
    }

    #[test]
    fn a_cut_at_any_frame_is_made_good(cut in 0..40usize, orders in 1..30u8) {
        let mut world = World::new(cut as u64);
        for n in 0..orders {
            world.apply(Op::Want { key: usize::from(n % 6), hash: n % 4, replicas: i32::from(n) });
        }
        world.apply(Op::Connect);
        for _ in 0..cut {
            world.apply(Op::ToHub { frames: 1 });
            world.apply(Op::ToMember { frames: 1 });
            world.apply(Op::Persist);
            world.apply(Op::Work { works: 1 });
        }
        world.apply(Op::Delete { key: 0 });
        world.apply(Op::Cut { to_hub: 0, to_member: 0 });
        world.apply(Op::CrashHub);
        world.settle();
    }
}
