#![allow(clippy::unwrap_used)]

use parallax_crds::fixtures;
use proptest::prelude::*;

use super::*;

/// A cluster that has followed its order.
fn part(name: &str, own: i32, lent: i32, chosen: i32) -> Part {
    let name = fixtures::cluster(name);
    Part { name, own, lent, least: 1, chosen: Some(chosen), in_effect: Some(own + lent) }
}

fn shares(of: &Lent) -> Vec<(&str, i32)> {
    of.shares.iter().map(|(name, lent)| (name.as_str(), *lent)).collect()
}

#[test]
fn nobody_gives_up_anything_while_everyone_has_room() {
    let lent = lend(&[part("a", 5, 0, 4), part("b", 5, 0, 1)], true);
    assert_eq!(lent, Lent { shares: BTreeMap::new(), given_up: false, waits: false });
}

#[test]
fn a_cluster_gives_up_what_another_needs_and_that_one_gets_it_afterwards() {
    let mut parts = [part("a", 5, 0, 5), part("b", 5, 0, 1)];
    let lent = lend(&parts, true);
    assert_eq!((shares(&lent), lent.given_up), (vec![("b", -2)], true));

    parts[1].lent = -2;
    assert_eq!(shares(&lend(&parts, true)), [("b", -2)], "b has yet to follow, and is asked once");
    parts[1].in_effect = Some(3);
    assert_eq!(shares(&lend(&parts, true)), [("a", 2), ("b", -2)]);
    parts[1].chosen = Some(5);
    assert_eq!(shares(&lend(&parts, true)), [("b", -2)], "its autoscaler has yet to follow");
}

#[test]
fn at_most_once_in_a_while_something_is_given_up() {
    let parts = [part("a", 5, 0, 5), part("b", 5, 0, 1)];
    let lent = lend(&parts, false);
    assert_eq!((shares(&lent), lent.waits), (vec![], true));
}

#[test]
fn a_cluster_keeps_room_to_grow_and_what_it_must_have() {
    let at_its_limit = part("a", 8, 0, 8);
    assert_eq!(shares(&lend(&[at_its_limit.clone(), part("b", 8, 0, 6)], true)), [("b", -1)]);
    assert_eq!(shares(&lend(&[at_its_limit.clone(), part("b", 8, 0, 7)], true)), []);
    let mut bound = part("b", 8, 0, 1);
    bound.least = 8;
    assert_eq!(shares(&lend(&[at_its_limit, bound], true)), []);
}

#[test]
fn who_has_given_up_most_gets_it_back_first() {
    let parts = [part("a", 4, 1, 5), part("b", 4, -2, 2), part("c", 4, -1, 1)];
    assert_eq!(shares(&lend(&parts, false)), [("a", 2), ("b", -1), ("c", -1)], "of two that are free");
}

#[test]
fn nothing_is_handed_out_while_somebody_is_not_heard_of() {
    let mut parts = [part("a", 5, 0, 5), part("b", 5, -2, 1), part("c", 5, 0, 5)];
    parts[2].in_effect = None;
    assert_eq!(shares(&lend(&parts, true)), [("b", -2)]);
}

/// Clusters whose autoscalers choose what their load asks for, within what they have been told, and that follow an order at
/// the next look.
struct Fleet {
    parts: Vec<Part>,
    whole: i32,
    /// How many times something was given up.
    given_up: usize,
    looks: usize,
}

impl Fleet {
    fn of(own: &[i32]) -> Self {
        let parts: Vec<Part> =
            own.iter().enumerate().map(|(i, own)| part(&format!("m-{i}"), *own, 0, 1)).collect();
        Self { whole: own.iter().sum(), parts, given_up: 0, looks: 0 }
    }

    /// A quarter of a minute passes, in which each cluster's load asks for `load` replicas. Those in `deaf` don't follow
    /// their orders in it.
    fn look(&mut self, load: &[i32], deaf: &[bool]) {
        for (i, part) in self.parts.iter_mut().enumerate() {
            if !deaf.get(i).copied().unwrap_or(false) {
                part.in_effect = Some(part.most());
            }
            part.chosen = Some(load[i].clamp(1, part.in_effect.unwrap()));
        }
        let lent = lend(&self.parts, self.looks.is_multiple_of(4));
        self.looks += 1;
        self.given_up += usize::from(lent.given_up);
        for part in &mut self.parts {
            part.lent = lent.shares.get(&part.name).copied().unwrap_or(0);
        }
        let ordered: i32 = self.parts.iter().map(|p| p.most().max(p.in_effect.unwrap())).sum();
        assert!(ordered <= self.whole, "{ordered} of {} may be chosen: {:?}", self.whole, self.parts);
        let least = |part: &Part| part.least.max(1).min(part.own);
        assert!(self.parts.iter().all(|part| part.most() >= least(part)), "{:?}", self.parts);
    }

    fn chosen(&self) -> Vec<i32> {
        self.parts.iter().map(|part| part.chosen.unwrap()).collect()
    }
}

#[test]
fn the_maximum_follows_the_sun() {
    // Three regions, each busy for a third of the day, as replicas that their load asks for in each quarter of an hour.
    let day = |region: i32, quarter: i32| match (quarter - region * 32).rem_euclid(96) {
        q if q < 32 => 2 + (16 - (q - 16).abs()),
        _ => 1,
    };
    let mut fleet = Fleet::of(&[8, 8, 8]);
    for quarter in 0..96 {
        let load: Vec<i32> = (0..3).map(|region| day(region, quarter)).collect();
        for _ in 0..60 {
            fleet.look(&load, &[]);
        }
        assert_eq!(fleet.chosen(), load, "quarter {quarter}: everybody has what they need, of 24 in all");
    }
}

#[test]
fn load_that_trembles_does_not_make_shares_wander() {
    let mut fleet = Fleet::of(&[6, 6, 6]);
    // Replicas that a steady load with a tremble of one asks for.
    let tremble = [0, 1, 0, -1, 1, 0, -1, 0];
    for look in 0..4_000 {
        let load = [9 + tremble[look % 8], 4 + tremble[(look + 3) % 8], 2];
        fleet.look(&load, &[]);
        if look == 400 {
            fleet.given_up = 0;
        }
    }
    assert_eq!(fleet.given_up, 0, "shares have found their place: {:?}", fleet.parts);
}

proptest! {
    #[test]
    fn the_sum_never_exceeds_the_maximum_and_what_is_free_gets_used(
        own in prop::collection::vec(1i32..12, 2..6),
        loads in prop::collection::vec((prop::collection::vec(0i32..20, 6), prop::collection::vec(any::<bool>(), 6), 1usize..30), 1..20),
        last in prop::collection::vec(1i32..12, 6),
    ) {
        let mut fleet = Fleet::of(&own);
        for (load, deaf, looks) in &loads {
            for _ in 0..*looks {
                fleet.look(load, deaf);
            }
        }
        // In the end, with the same load for long, whoever lacks something lacks it because nobody has any to spare.
        for _ in 0..600 {
            fleet.look(&last, &[]);
        }
        let given_up = fleet.given_up;
        for _ in 0..40 {
            fleet.look(&last, &[]);
        }
        prop_assert_eq!(fleet.given_up, given_up, "it comes to rest");
        let lacks = fleet.parts.iter().zip(&last).any(|(part, load)| part.most() < *load);
        let spare: i32 = fleet.parts.iter().map(Part::spare).sum();
        prop_assert!(!lacks || spare == 0, "{:?} for {:?}", fleet.parts, last);
    }
}
