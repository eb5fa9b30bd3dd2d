//! What holds for every fleet, over thousands of random ones.

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_assume, proptest};
use proptest::test_runner::Config;

use super::*;

/// A random cluster; its name is given by its place in the fleet.
fn any_cluster() -> impl Strategy<Value = ClusterFacts> {
    let likely = || prop::bool::weighted(0.8);
    (
        prop::sample::select(vec!["eu", "us", ""]),
        prop::sample::select(vec!["gold", "silver", "tin"]),
        likely(),
        likely(),
        likely(),
    )
        .prop_map(|(region, tier, accepted, running, connected)| {
            let facts = cluster("x").labelled("tier", tier);
            let facts = if region.is_empty() { facts } else { facts.region(region) };
            ClusterFacts { accepted, suspended: !running, connected, ..facts }
        })
}

fn any_fleet() -> impl Strategy<Value = Vec<ClusterFacts>> {
    prop::collection::vec(any_cluster(), 0..12).prop_map(named)
}

fn named(fleet: Vec<ClusterFacts>) -> Vec<ClusterFacts> {
    let name_of = |i| name(&format!("c-{i}"));
    fleet.into_iter().enumerate().map(|(i, facts)| ClusterFacts { name: name_of(i), ..facts }).collect()
}

fn any_division() -> impl Strategy<Value = Option<Division>> {
    let weights = (0i32..5, 1i32..5, 1i32..100);
    prop::option::of(weights.prop_map(|(gold, silver, tin)| {
        weighted(&[("gold", gold), ("silver", silver), ("tin", tin)]).division.unwrap()
    }))
}

fn any_placement() -> impl Strategy<Value = Placement> {
    let names = prop::option::weighted(0.3, prop::collection::vec(0usize..14, 4..20));
    let tiers = prop::option::weighted(0.3, prop::sample::select(vec!["gold", "silver"]));
    let regions = prop::option::weighted(0.4, prop::sample::subsequence(vec!["eu", "us", "ap"], 1..3));
    (names, tiers, regions, any_division()).prop_map(|(names, tier, regions, division)| Placement {
        clusters: names.into_iter().flatten().map(|i| format!("c-{i}")).collect(),
        cluster_selector: tier.map(|tier| selector("tier", tier)),
        regions: regions.into_iter().flatten().map(String::from).collect(),
        division,
        ..Placement::default()
    })
}

/// What an agent may hold now: anything, also in clusters that don't exist.
fn any_shares() -> impl Strategy<Value = Option<Shares>> {
    let shares = prop::collection::btree_map(0usize..14, 0i32..9, 0..6);
    prop::option::of(
        shares.prop_map(|shares| {
            shares.into_iter().map(|(i, share)| (name(&format!("c-{i}")), share)).collect()
        }),
    )
}

fn any_uid() -> impl Strategy<Value = String> {
    "[a-f0-9]{8}"
}

/// A situation of an agent under Divide.
#[derive(Debug, Clone)]
struct Case {
    uid: String,
    fleet: Vec<ClusterFacts>,
    placement: Placement,
    current: Option<Shares>,
}

impl Case {
    fn place(&self, replicas: i32) -> Placed {
        place_as(&self.uid, replicas, Some(&self.placement), &self.fleet, self.current.as_ref())
    }

    fn holding(&self, current: &Shares) -> Self {
        Self { current: Some(current.clone()), ..self.clone() }
    }

    fn standings(&self) -> Vec<Standing> {
        let (incarnation, requests) = (Incarnation::new(&self.uid), Amounts::default());
        let request = request(&incarnation, 1, Some(&self.placement), &requests);
        filter::standings(&request, &self.fleet, self.current.as_ref(), Timestamp::UNIX_EPOCH).0
    }

    fn has_open_cluster(&self) -> bool {
        self.standings().iter().any(|standing| matches!(standing, Standing::Open { .. }))
    }

    fn held(&self) -> i32 {
        self.standings().iter().filter_map(Standing::held).sum()
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    (any_uid(), any_fleet(), any_placement(), any_shares())
        .prop_map(|(uid, fleet, placement, current)| Case { uid, fleet, placement, current })
}

fn share(shares: &Shares, cluster: &ClusterName) -> i32 {
    shares.get(cluster).copied().unwrap_or(0)
}

proptest! {
    #![proptest_config(Config { cases: 2_000, max_global_rejects: 20_000, ..Config::default() })]

    #[test]
    fn shares_sum_to_the_total(case in any_case(), replicas in 0i32..30) {
        let placed = case.place(replicas);
        let expected = if case.has_open_cluster() { replicas } else { replicas.min(case.held()) };
        prop_assert_eq!(sum(&placed.targets), expected);
        let coverage = placed.explanation.coverage();
        if expected < replicas {
            prop_assert!(coverage != Coverage::Whole, "{:?}", placed);
        } else if replicas > 0 {
            prop_assert_eq!(coverage, Coverage::Whole);
        }
    }

    #[test]
    fn a_share_of_zero_occurs_only_when_nothing_is_wanted(case in any_case(), replicas in 0i32..30) {
        let targets = case.place(replicas).targets;
        prop_assert!(targets.values().all(|share| (*share > 0) == (replicas > 0)), "{:?}", targets);
        if replicas == 0 && case.has_open_cluster() {
            prop_assert!(!targets.is_empty(), "it has a home");
        }
    }

    #[test]
    fn residency_and_every_other_limit_is_never_broken(case in any_case(), replicas in 0i32..30) {
        let placed = case.place(replicas);
        for (target, granted) in &placed.targets {
            let facts = case.fleet.iter().find(|facts| facts.name == *target).unwrap();
            let region = facts.labels.get(labels::REGION);
            prop_assert!(facts.accepted);
            prop_assert!(case.placement.regions.is_empty() || region.is_some_and(|r| case.placement.regions.contains(r)));
            prop_assert!(case.placement.clusters.is_empty() || case.placement.clusters.contains(&target.as_str().to_owned()));
            let held = case.current.as_ref().map_or(0, |current| share(current, target));
            prop_assert!(*granted <= held || (facts.connected && !facts.suspended), "something new for {}", target);
        }
    }

    #[test]
    fn the_order_of_the_clusters_decides_nothing(case in any_case(), replicas in 0i32..30, seed in any::<u64>()) {
        let mut shuffled = case.clone();
        shuffled.fleet.sort_by_key(|facts| {
            facts.name.as_str().bytes().fold(seed, |h, b| h.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(b.into()))
        });
        prop_assert_eq!(case.place(replicas).targets, shuffled.place(replicas).targets);
    }

    #[test]
    fn placing_twice_changes_nothing(case in any_case(), replicas in 0i32..30) {
        let once = case.place(replicas);
        prop_assert_eq!(&case.holding(&once.targets).place(replicas).targets, &once.targets);
    }

    #[test]
    fn an_irrelevant_change_moves_nothing(
        case in any_case(),
        replicas in 1i32..30,
        flips in prop::collection::vec((any::<bool>(), any::<bool>()), 12),
        newcomers in prop::collection::vec(any_cluster(), 0..4),
        division in any_division(),
    ) {
        let once = case.place(replicas).targets;
        prop_assume!(sum(&once) == replicas);
        let mut changed = case.holding(&once);
        for (facts, (connected, suspended)) in changed.fleet.iter_mut().zip(flips) {
            (facts.connected, facts.suspended) = (connected, suspended);
        }
        changed.fleet.extend(newcomers);
        changed.fleet = named(changed.fleet);
        // Other weights, as long as they leave everyone one.
        let zero = |division: &Division| division.weights.iter().any(|entry| entry.weight == 0);
        if !division.as_ref().is_some_and(zero) {
            changed.placement.division = division;
        }
        prop_assert_eq!(changed.place(replicas).targets, once);
    }

    #[test]
    fn a_change_of_the_total_by_one_moves_exactly_one_replica(case in any_case(), replicas in 0i32..30) {
        let once = case.place(replicas).targets;
        let settled = case.holding(&once);
        prop_assume!(sum(&once) == replicas && settled.has_open_cluster());
        prop_assert_eq!(moves(&once, &settled.place(replicas + 1).targets), 1);
        if replicas > 0 {
            prop_assert_eq!(moves(&once, &settled.place(replicas - 1).targets), 1);
        }
    }

    #[test]
    fn a_removed_cluster_moves_only_its_own_replicas(
        case in any_case(),
        replicas in 1i32..30,
        which in any::<prop::sample::Index>(),
    ) {
        let once = case.place(replicas).targets;
        prop_assume!(!once.is_empty() && sum(&once) == replicas);
        let removed = once.keys().nth(which.index(once.len())).unwrap();
        let mut without = case.holding(&once);
        without.fleet.retain(|facts| facts.name != *removed);
        let after = without.place(replicas).targets;
        for (cluster, kept) in once.iter().filter(|(cluster, _)| *cluster != removed) {
            prop_assert!(share(&after, cluster) >= *kept, "{} lost some of its own", cluster);
        }
        prop_assert!(moves(&once, &after) == share(&once, removed), "{:?} -> {:?}", once, after);
    }

    #[test]
    fn from_scratch_it_is_the_largest_remainder_method(case in any_case(), replicas in 1i32..30) {
        let scratch = Case { current: None, ..case };
        let targets = scratch.place(replicas).targets;
        let weights: BTreeMap<ClusterName, i64> = scratch
            .fleet
            .iter()
            .zip(scratch.standings())
            .filter_map(|(facts, standing)| Some((facts.name.clone(), standing.terms()?.weight)))
            .collect();
        let all: i64 = weights.values().sum();
        let ideal = |w: i64| (i64::from(replicas) * w / all, i64::from(replicas) * w % all);
        let rounded = |up: i64| {
            let targets = &targets;
            weights.iter().filter(move |(cluster, w)| i64::from(share(targets, cluster)) == ideal(**w).0 + up)
        };
        prop_assert_eq!(rounded(0).count() + rounded(1).count(), weights.len(), "everyone is within one of the ideal");
        let least_up = rounded(1).map(|(_, w)| ideal(*w).1).min().unwrap_or(all);
        let most_down = rounded(0).map(|(_, w)| ideal(*w).1).max().unwrap_or(0);
        prop_assert!(least_up >= most_down, "the largest fractions are rounded up: {:?}", targets);
    }

    #[test]
    fn balanced_from_scratch_differs_by_one_at_most(fleet in any_fleet(), uid in any_uid(), replicas in 1i32..30) {
        let case = Case { uid, fleet, placement: Placement::default(), current: None };
        let open = case.standings().iter().filter(|s| matches!(s, Standing::Open { .. })).count();
        prop_assume!(open > 0);
        let targets = case.place(replicas).targets;
        let most = targets.values().max().unwrap();
        let least = if targets.len() < open { &0 } else { targets.values().min().unwrap() };
        prop_assert!(most - least <= 1, "{:?}", targets);
    }

    #[test]
    fn replicate_gives_every_cluster_that_fits_all_of_it(case in any_case(), replicas in 0i32..30) {
        let mut case = case;
        case.placement.strategy = parallax_crds::agent::Strategy::Replicate;
        let targets = case.place(replicas).targets;
        for (facts, standing) in case.fleet.iter().zip(case.standings()) {
            let expected = match standing {
                Standing::Closed { held, because: Exclusion::Suspended, .. } => Some(held),
                Standing::Open { .. } | Standing::Closed { .. } => Some(replicas),
                Standing::Excluded(_) => None,
            };
            prop_assert_eq!(targets.get(&facts.name).copied(), expected);
        }
        prop_assert_eq!(&case.holding(&targets).place(replicas).targets, &targets);
    }

    #[test]
    fn every_cluster_has_one_verdict_and_it_agrees_with_its_share(case in any_case(), replicas in 0i32..30) {
        let placed = case.place(replicas);
        prop_assert_eq!(placed.explanation.verdicts.len(), case.fleet.len());
        for (facts, judged) in case.fleet.iter().zip(&placed.explanation.verdicts) {
            prop_assert_eq!(&facts.name, &judged.cluster);
            let share = match judged.verdict {
                Verdict::Placed { replicas } | Verdict::Kept { replicas, .. } => Some(replicas),
                Verdict::Spare | Verdict::Excluded(_) => None,
            };
            prop_assert_eq!(placed.targets.get(&judged.cluster).copied(), share);
        }
        prop_assert!(!placed.explanation.summary().is_empty());
    }
}
