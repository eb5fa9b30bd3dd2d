//! What holds for every fleet and every agent, with all hints at once.

use k8s_openapi::api::core::v1::Toleration;
use parallax_crds::agent::{ClusterGroup, PreferredClusters, ScoreWeight, Spread};
use parallax_crds::cluster::TaintEffect;
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest,
};
use proptest::test_runner::Config;

use super::*;
use crate::placement::spread::label_of;

const NOW: i64 = 1_000;

fn any_taint() -> impl Strategy<Value = Taint> {
    let effect = prop_oneof![
        Just(TaintEffect::NoSchedule),
        Just(TaintEffect::PreferNoSchedule),
        Just(TaintEffect::NoExecute)
    ];
    (prop::sample::select(vec!["gpu", "spot"]), effect, 0..NOW).prop_map(|(key, effect, since)| Taint {
        key: key.to_owned(),
        value: String::new(),
        effect,
        since: Timestamp::from_second(since).unwrap(),
    })
}

fn any_free() -> impl Strategy<Value = Option<Amounts>> {
    let free = (0i64..12, prop::option::weighted(0.8, 0i64..4)).prop_map(|(cpu, gpus)| Amounts {
        cpu: cpu * 500,
        memory: 1 << 40,
        pods: 100,
        extended: gpus.map(|gpus| ("gpu.example/x".to_owned(), gpus)).into_iter().collect(),
    });
    prop::option::weighted(0.7, free)
}

fn any_cluster() -> impl Strategy<Value = ClusterFacts> {
    let likely = || prop::bool::weighted(0.9);
    let labels = (
        prop::sample::select(vec!["eu", "us", "ap"]),
        prop::sample::select(vec!["z-1", "z-2", "z-3", ""]),
        prop::sample::select(vec!["gold", "silver", "tin"]),
    );
    let bounds = (any_free(), prop::option::weighted(0.2, -1i32..9), prop::bool::weighted(0.05), 0i32..4);
    (labels, likely(), likely(), likely(), prop::collection::vec(any_taint(), 0..2), bounds).prop_map(
        |((region, zone, tier), accepted, running, connected, taints, (free, room, denied, cost))| {
            let facts = cluster("x").region(region).labelled("tier", tier);
            let facts = if zone.is_empty() { facts } else { facts.labelled(labels::ZONE, zone) };
            let deny = denied.then(|| "default".to_owned()).into_iter().collect();
            ClusterFacts {
                accepted,
                suspended: !running,
                connected,
                taints,
                namespaces: Namespaces { allow: Vec::new(), deny },
                room,
                free,
                scores: BTreeMap::from([("cost".to_owned(), cost * 30)]),
                ..facts
            }
        },
    )
}

fn any_fleet(most: usize) -> impl Strategy<Value = Vec<ClusterFacts>> {
    prop::collection::vec(any_cluster(), 1..=most).prop_map(|fleet| {
        let named = |(i, facts)| ClusterFacts { name: name(&format!("c-{i:03}")), ..facts };
        fleet.into_iter().enumerate().map(named).collect()
    })
}

fn any_spread() -> impl Strategy<Value = Spread> {
    let by = prop::sample::select(vec!["cluster", "zone", "region", "tier"]);
    let some = |range: std::ops::Range<i32>| prop::option::of(range);
    (by, some(1..4), some(0..3), some(1..4)).prop_map(|(by, min, more, skew)| Spread {
        by: by.to_owned(),
        min_groups: min,
        max_groups: more.map(|more| min.unwrap_or(1) + more),
        max_skew: skew,
    })
}

fn any_division() -> impl Strategy<Value = Option<Division>> {
    let mode = prop::sample::select(vec![
        DivisionMode::Balanced,
        DivisionMode::Weighted,
        DivisionMode::Capacity,
        DivisionMode::Packed,
    ]);
    let least = prop::option::weighted(0.2, 1i32..4);
    prop::option::of((mode, least, 1i32..9).prop_map(|(mode, min_replicas_per_cluster, gold)| {
        let weights = match mode {
            DivisionMode::Weighted => weighted(&[("gold", gold), ("silver", 2)]).division.unwrap().weights,
            _ => Vec::new(),
        };
        Division { mode, weights, min_replicas_per_cluster }
    }))
}

fn any_placement() -> impl Strategy<Value = Placement> {
    let tier = || prop::sample::select(vec!["gold", "silver", "tin"]);
    let limits = (
        prop::option::weighted(0.2, tier()),
        prop::option::weighted(0.3, prop::sample::subsequence(vec!["eu", "us", "ap"], 1..3)),
        prop::collection::vec((prop::sample::select(vec!["gpu", "spot"]), prop::option::of(0..NOW)), 0..2),
    );
    let wishes = (
        prop::option::weighted(0.3, prop::collection::vec((tier(), 1i32..100), 1..3)),
        prop::option::weighted(0.3, prop::sample::subsequence(vec!["gold", "silver", "tin"], 1..=3)),
        prop::option::weighted(0.3, -9i32..9),
    );
    let spread = prop_oneof![
        3 => Just(Vec::new()),
        2 => any_spread().prop_map(|entry| vec![entry]),
        1 => (any_spread(), any_spread()).prop_map(|(a, b)| if a.by == b.by { vec![a] } else { vec![a, b] }),
    ];
    (limits, wishes, spread, any_division(), prop::bool::weighted(0.85)).prop_map(
        |((tier, regions, tolerations), (preferred, groups, cost), spread, division, sticky)| Placement {
            cluster_selector: tier.map(|tier| selector("tier", tier)),
            regions: regions.into_iter().flatten().map(String::from).collect(),
            tolerations: tolerations
                .into_iter()
                .map(|(key, seconds)| Toleration {
                    key: Some(key.to_owned()),
                    operator: Some("Exists".to_owned()),
                    effect: seconds.map(|_| "NoExecute".to_owned()),
                    toleration_seconds: seconds,
                    ..Toleration::default()
                })
                .collect(),
            preferred: preferred
                .into_iter()
                .flatten()
                .map(|(tier, weight)| PreferredClusters { weight, cluster_selector: selector("tier", tier) })
                .collect(),
            groups: groups
                .into_iter()
                .flatten()
                .map(|tier| ClusterGroup { name: tier.to_owned(), cluster_selector: selector("tier", tier) })
                .collect(),
            scores: cost.map(|weight| ScoreWeight { name: "cost".to_owned(), weight }).into_iter().collect(),
            spread,
            division,
            sticky,
            ..Placement::default()
        },
    )
}

fn any_requests() -> impl Strategy<Value = Amounts> {
    (0i64..4, prop::bool::weighted(0.1)).prop_map(|(cpu, gpu)| Amounts {
        cpu: cpu * 500,
        memory: 1 << 20,
        pods: 1,
        extended: gpu.then(|| ("gpu.example/x".to_owned(), 1)).into_iter().collect(),
    })
}

/// A situation of an agent under Divide.
#[derive(Debug, Clone)]
struct Case {
    uid: String,
    fleet: Vec<ClusterFacts>,
    placement: Placement,
    requests: Amounts,
    current: Option<Shares>,
}

fn any_case(most: usize) -> impl Strategy<Value = Case> {
    let shares = prop::option::of(prop::collection::btree_map(0usize..most, 0i32..6, 0..5));
    ("[a-f0-9]{8}", any_fleet(most), any_placement(), any_requests(), shares).prop_map(
        |(uid, fleet, placement, requests, current)| {
            let current = current
                .map(|shares| shares.into_iter().map(|(i, n)| (name(&format!("c-{i:03}")), n)).collect());
            Case { uid, fleet, placement, requests, current }
        },
    )
}

impl Case {
    fn request<'a>(&'a self, incarnation: &'a Incarnation, replicas: i32) -> Request<'a> {
        request(incarnation, replicas, Some(&self.placement), &self.requests)
    }

    fn place(&self, replicas: i32) -> Placed {
        let incarnation = Incarnation::new(&self.uid);
        let now = Timestamp::from_second(NOW).unwrap();
        place(&self.request(&incarnation, replicas), &self.fleet, self.current.as_ref(), now)
    }

    fn standings(&self, replicas: i32) -> Vec<Standing> {
        let incarnation = Incarnation::new(&self.uid);
        let now = Timestamp::from_second(NOW).unwrap();
        filter::standings(&self.request(&incarnation, replicas), &self.fleet, self.current.as_ref(), now).0
    }

    /// What each cluster may keep of what it holds, by name.
    fn kept(&self, replicas: i32) -> Shares {
        let held = self.fleet.iter().zip(self.standings(replicas));
        held.filter_map(|(facts, standing)| Some((facts.name.clone(), standing.held()?))).collect()
    }

    /// The same agent where it was just placed: what it was promised is no longer free.
    fn holding(&self, targets: &Shares) -> Self {
        let mut after = Self { current: Some(targets.clone()), ..self.clone() };
        for facts in &mut after.fleet {
            let held = |shares: Option<&Shares>| share(shares, &facts.name);
            let gained = held(Some(targets)) - held(self.current.as_ref());
            facts.room = facts.room.map(|room| room - gained);
            let gained = i64::from(gained);
            if let Some(free) = &mut facts.free {
                free.cpu -= gained * self.requests.cpu;
                free.memory -= gained * self.requests.memory;
                free.pods -= gained * self.requests.pods;
                for (name, amount) in &self.requests.extended {
                    free.extended.entry(name.clone()).and_modify(|free| *free -= gained * amount);
                }
            }
        }
        after
    }

    fn least(&self, replicas: i32) -> i32 {
        let least = self.placement.division.as_ref().and_then(|d| d.min_replicas_per_cluster);
        least.unwrap_or(1).min(replicas)
    }

    /// What an entry of the spread says of these shares: how many groups have replicas, the fewest and the most.
    fn groups(&self, by: &str, targets: &Shares) -> Vec<i32> {
        let mut groups: BTreeMap<&str, i32> = BTreeMap::new();
        for (cluster, share) in targets.iter().filter(|(_, share)| **share > 0) {
            let facts = self.fleet.iter().find(|facts| facts.name == *cluster).unwrap();
            let label = label_of(by).map(|key| facts.labels.get(key).unwrap());
            *groups.entry(label.map_or(cluster.as_str(), String::as_str)).or_default() += share;
        }
        groups.into_values().collect()
    }

    /// Whether these shares hold to every rule.
    fn holds(&self, replicas: i32, targets: &Shares) -> bool {
        let spread = self.placement.spread.iter().all(|entry| {
            let groups = self.groups(&entry.by, targets);
            let used = i32::try_from(groups.len()).unwrap();
            let (most, fewest) = (groups.iter().max().unwrap_or(&0), groups.iter().min().unwrap_or(&0));
            used >= entry.min_groups.unwrap_or(1)
                && used <= entry.max_groups.unwrap_or(i32::MAX)
                && entry.max_skew.is_none_or(|skew| most - fewest <= skew)
        });
        let standings = self.standings(replicas);
        let least = self.fleet.iter().zip(standings).all(|(facts, standing)| {
            let share = share(Some(targets), &facts.name);
            share == 0 || share >= self.least(replicas) || is_pinned(&standing)
        });
        spread && least
    }

    fn is_ruled(&self, replicas: i32) -> bool {
        !self.placement.spread.is_empty() || self.least(replicas) > 1
    }

    /// The most that each cluster may have.
    fn most(&self, replicas: i32) -> Vec<i64> {
        let most = |standing: &Standing| match standing {
            Standing::Open { held, more, .. } => held.map_or(0, i64::from) + more.unwrap_or(1_000_000),
            Standing::Closed { held, .. } => i64::from(*held),
            Standing::Excluded(_) => 0,
        };
        self.standings(replicas).iter().map(most).collect()
    }
}

/// Whether placing again has changed nothing. Of a spread that leaves room for some replicas only, a second look from where they
/// are may find room for more, but never for fewer.
fn is_settled(once: &Placed, again: &Placed) -> bool {
    let incomplete = once.explanation.unsatisfied.is_some();
    once.targets == again.targets || (incomplete && sum(&again.targets) > sum(&once.targets))
}

fn is_pinned(standing: &Standing) -> bool {
    matches!(standing, Standing::Closed { because: Exclusion::Suspended | Exclusion::NotConnected, .. })
}

fn share(shares: Option<&Shares>, cluster: &ClusterName) -> i32 {
    shares.and_then(|shares| shares.get(cluster)).copied().unwrap_or(0)
}

/// All shares of a fleet of few clusters that sum to the total.
fn every_division(most: &[i64], total: i64) -> Vec<Vec<i64>> {
    let Some((first, rest)) = most.split_first() else {
        return if total == 0 { vec![Vec::new()] } else { Vec::new() };
    };
    let mut all = Vec::new();
    for share in 0..=(*first).min(total) {
        for mut division in every_division(rest, total - share) {
            division.insert(0, share);
            all.push(division);
        }
    }
    all
}

proptest! {
    #![proptest_config(Config { cases: 1_500, max_global_rejects: 100_000, ..Config::default() })]

    #[test]
    fn shares_sum_to_the_total_or_the_coverage_says_what_is_missing(case in any_case(12), replicas in 0i32..30) {
        let placed = case.place(replicas);
        prop_assert!(sum(&placed.targets) <= replicas);
        let whole = placed.explanation.coverage() == Coverage::Whole;
        if sum(&placed.targets) < replicas {
            prop_assert!(!whole, "{:?}", placed.targets);
        } else if replicas > 0 && placed.explanation.unsatisfied.is_none() {
            prop_assert!(whole);
        }
        if !case.is_ruled(replicas) {
            let room: i64 = case.most(replicas).iter().sum();
            prop_assert_eq!(i64::from(sum(&placed.targets)), room.min(i64::from(replicas)), "nobody waits in vain");
        }
    }

    #[test]
    fn no_hard_limit_is_ever_broken_and_new_shares_fit(case in any_case(12), replicas in 0i32..30) {
        let placed = case.place(replicas);
        for (target, granted) in &placed.targets {
            let facts = case.fleet.iter().find(|facts| facts.name == *target).unwrap();
            let regions = &case.placement.regions;
            prop_assert!(facts.accepted && facts.namespaces.take("default"));
            prop_assert!(regions.is_empty() || regions.contains(&facts.labels[labels::REGION]));
            let new = i64::from(granted - share(case.current.as_ref(), target));
            if new > 0 {
                prop_assert!(facts.connected && !facts.suspended);
                prop_assert!(facts.room.is_none_or(|room| i64::from(room) >= new));
                if let Some(free) = &facts.free {
                    prop_assert!(free.cpu >= new * case.requests.cpu && free.pods >= new);
                    for (name, amount) in &case.requests.extended {
                        prop_assert!(free.extended.get(name).is_some_and(|free| *free >= new * amount));
                    }
                }
            }
            for taint in &facts.taints {
                let tolerations = case.placement.tolerations.iter();
                let mut tolerated = tolerations.filter(|t| t.key.as_deref() == Some(taint.key.as_str()));
                match taint.effect {
                    TaintEffect::NoSchedule => {
                        prop_assert!(new <= 0 || tolerated.any(|t| t.toleration_seconds.is_none()));
                    }
                    TaintEffect::NoExecute => {
                        let ends = |seconds: i64| taint.since.as_second() + seconds > NOW;
                        prop_assert!(tolerated.any(|t| t.toleration_seconds.is_none_or(ends)));
                    }
                    TaintEffect::PreferNoSchedule => {}
                }
            }
        }
    }

    #[test]
    fn a_spread_holds_or_it_is_said_and_nothing_new_breaks_it(case in any_case(8), replicas in 1i32..14) {
        let placed = case.place(replicas);
        let kept = case.kept(replicas);
        if placed.explanation.unsatisfied.is_none() {
            prop_assert!(placed.targets.is_empty() || case.holds(replicas, &placed.targets), "{:?}", placed.targets);
        } else if !case.holds(replicas, &placed.targets) {
            let stays = placed.targets.iter().all(|(cluster, share)| kept.get(cluster).is_some_and(|k| share <= k));
            prop_assert!(stays, "only what ran before: {:?} of {:?}", placed.targets, kept);
        }
    }

    #[test]
    fn a_revisit_is_when_something_is_lost(case in any_case(8), replicas in 1i32..14) {
        let placed = case.place(replicas);
        if let Some(revisit) = placed.revisit {
            prop_assert!(revisit > Timestamp::from_second(NOW).unwrap());
            let incarnation = Incarnation::new(&case.uid);
            let kept = |now| {
                let request = case.request(&incarnation, replicas);
                let standings = filter::standings(&request, &case.fleet, case.current.as_ref(), now).0;
                standings.iter().filter(|standing| standing.held().is_some()).count()
            };
            let before = revisit.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap();
            prop_assert!(kept(revisit) < kept(before));
            prop_assert_eq!(kept(before), kept(Timestamp::from_second(NOW).unwrap()));
        }
    }

    #[test]
    fn the_order_of_the_clusters_decides_nothing(case in any_case(8), replicas in 0i32..14, seed in any::<u64>()) {
        let mut shuffled = case.clone();
        shuffled.fleet.sort_by_key(|facts| {
            facts.name.as_str().bytes().fold(seed, |h, b| h.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(b.into()))
        });
        prop_assert_eq!(case.place(replicas).targets, shuffled.place(replicas).targets);
    }

    #[test]
    fn placing_twice_changes_nothing(case in any_case(8), replicas in 0i32..14) {
        let once = case.place(replicas);
        let again = case.holding(&once.targets).place(replicas);
        prop_assert!(is_settled(&once, &again), "{:?} -> {:?}", once.targets, again.targets);
    }

    /// That a cluster may be asked again is irrelevant only where it had no fewer than the least that one has: what is
    /// suspended or not connected keeps fewer, and the rule holds again as soon as it can.
    #[test]
    fn an_irrelevant_change_moves_nothing(
        case in any_case(8),
        replicas in 1i32..14,
        flips in prop::collection::vec((any::<bool>(), any::<bool>(), any_free(), 0i32..100), 8),
        newcomers in prop::collection::vec(any_cluster(), 0..4),
        wishes in any_placement(),
    ) {
        prop_assume!(case.placement.sticky);
        let once = case.place(replicas);
        prop_assume!(sum(&once.targets) == replicas && once.explanation.unsatisfied.is_none());
        prop_assume!(once.targets.values().all(|share| *share >= case.least(replicas)));
        let mut changed = case.holding(&once.targets);
        for (facts, (connected, suspended, free, cost)) in changed.fleet.iter_mut().zip(flips) {
            (facts.connected, facts.suspended, facts.free) = (connected, suspended, free);
            facts.scores.insert("cost".to_owned(), cost);
        }
        let old = changed.fleet.len();
        changed.fleet.extend(newcomers);
        for (i, facts) in changed.fleet.iter_mut().enumerate().skip(old) {
            facts.name = name(&format!("c-{i:03}"));
        }
        (changed.placement.preferred, changed.placement.scores) = (wishes.preferred, wishes.scores);
        prop_assert_eq!(changed.place(replicas).targets, once.targets);
    }

    #[test]
    fn a_change_of_the_total_by_one_moves_exactly_one_replica(case in any_case(12), replicas in 1i32..30) {
        prop_assume!(case.placement.sticky && !case.is_ruled(replicas + 1));
        let once = case.place(replicas).targets;
        let settled = case.holding(&once);
        prop_assume!(sum(&once) == replicas);
        prop_assert_eq!(moves(&once, &settled.place(replicas - 1).targets), 1);
        let more = settled.place(replicas + 1).targets;
        let room = settled.standings(replicas + 1).iter().any(|standing| matches!(standing, Standing::Open { .. }));
        prop_assert_eq!(moves(&once, &more), i32::from(room));
    }

    #[test]
    fn a_removed_cluster_moves_only_its_own_replicas(
        case in any_case(12),
        replicas in 1i32..30,
        which in any::<prop::sample::Index>(),
    ) {
        prop_assume!(case.placement.sticky && !case.is_ruled(replicas));
        let once = case.place(replicas).targets;
        prop_assume!(!once.is_empty() && sum(&once) == replicas);
        let removed = once.keys().nth(which.index(once.len())).unwrap();
        let mut without = case.holding(&once);
        without.fleet.retain(|facts| facts.name != *removed);
        let after = without.place(replicas).targets;
        for (cluster, kept) in once.iter().filter(|(cluster, _)| *cluster != removed) {
            prop_assert!(share(Some(&after), cluster) >= *kept, "{} lost some of its own", cluster);
        }
    }

    #[test]
    fn no_replica_is_in_a_later_tier_while_an_earlier_one_has_room(case in any_case(12), replicas in 1i32..30) {
        let scratch = Case { current: None, ..case };
        prop_assume!(!scratch.is_ruled(replicas));
        let placed = scratch.place(replicas);
        let tier = |j: &explanation::Judged| j.terms.map(|terms| (terms.group, std::cmp::Reverse(j.score.total)));
        let share = |j: &explanation::Judged| i64::from(share(Some(&placed.targets), &j.cluster));
        let judged = || placed.explanation.verdicts.iter().filter(|j| j.terms.is_some());
        for later in judged().filter(|later| share(later) > 0) {
            for earlier in judged().filter(|earlier| tier(earlier) < tier(later)) {
                prop_assert_eq!(earlier.most, Some(share(earlier)), "{} before {}", earlier.cluster, later.cluster);
            }
        }
    }

    #[test]
    fn packed_from_scratch_uses_the_fewest_clusters(case in any_case(8), replicas in 1i32..14) {
        let mut scratch = Case { current: None, ..case };
        let division = Division { mode: DivisionMode::Packed, ..Division::default() };
        scratch.placement = Placement { division: Some(division), ..Placement::default() };
        for facts in &mut scratch.fleet {
            facts.taints.clear();
        }
        let targets = scratch.place(replicas).targets;
        let mut most = scratch.most(replicas);
        most.sort_unstable_by_key(|most| std::cmp::Reverse(*most));
        let fewest = (0..=most.len())
            .find(|n| most[..*n].iter().sum::<i64>() >= i64::from(replicas))
            .unwrap_or(most.iter().filter(|most| **most > 0).count());
        prop_assert_eq!(targets.len(), fewest);
    }
}

proptest! {
    #![proptest_config(Config { cases: 3_000, max_global_rejects: 300_000, ..Config::default() })]

    /// Every division of a small fleet is looked at: if one holds to the rules, one is found, and none moves less.
    #[test]
    fn in_a_small_fleet_nothing_better_exists(case in any_case(4), replicas in 1i32..7) {
        prop_assume!(case.is_ruled(replicas));
        let placed = case.place(replicas);
        let most = case.most(replicas);
        let kept = case.kept(replicas);
        let held: i32 = kept.values().sum();
        let reach = most.iter().sum::<i64>().min(i64::from(replicas));
        let as_shares = |division: &Vec<i64>| -> Shares {
            let named = case.fleet.iter().zip(division).filter(|(_, share)| **share > 0);
            named.map(|(facts, share)| (facts.name.clone(), i32::try_from(*share).unwrap())).collect()
        };
        // What is suspended or not connected keeps what it has.
        let pinned: Vec<bool> =
            case.standings(replicas).iter().map(is_pinned).collect();
        prop_assume!(held <= replicas);
        let fixed = |division: &Vec<i64>| {
            case.fleet.iter().zip(division).zip(&pinned).all(|((facts, share), pinned)| {
                !pinned || *share == kept.get(&facts.name).map_or(0, |held| i64::from(*held))
            })
        };
        let fewest = i64::from(held.max(1));
        let best = (fewest..=reach).rev().find_map(|total| {
            let all = every_division(&most, total);
            let good = all.iter().filter(|d| fixed(d) && case.holds(replicas, &as_shares(d)));
            let taken = |d: &Vec<i64>| -> i32 {
                let after = as_shares(d);
                kept.iter().map(|(cluster, held)| (held - share(Some(&after), cluster)).max(0)).sum()
            };
            good.map(taken).min().map(|taken| (total, taken))
        });
        match best {
            Some((total, taken)) => {
                prop_assert_eq!(i64::from(sum(&placed.targets)), total, "{:?}", placed.targets);
                prop_assert!(case.holds(replicas, &placed.targets), "{:?}", placed.targets);
                prop_assert_eq!(placed.explanation.unsatisfied.is_some(), total < reach);
                if case.placement.sticky {
                    let moved: i32 =
                        kept.iter().map(|(c, held)| (held - share(Some(&placed.targets), c)).max(0)).sum();
                    prop_assert_eq!(moved, taken, "{:?}", placed.targets);
                }
            }
            None if reach == 0 => prop_assert!(placed.targets.is_empty()),
            None => {
                prop_assert!(placed.explanation.unsatisfied.is_some(), "{:?}", placed.targets);
                let ran: Shares = kept.into_iter().filter(|(_, held)| *held > 0).collect();
                prop_assert_eq!(&placed.targets, &ran);
            }
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 60, ..Config::default() })]

    /// Large fleets, too: many clusters, many replicas.
    #[test]
    fn a_large_fleet_is_placed_in_bounds(case in any_case(200), replicas in 1i32..500) {
        let placed = case.place(replicas);
        prop_assert!(sum(&placed.targets) <= replicas);
        if placed.explanation.unsatisfied.is_none() && !placed.targets.is_empty() {
            prop_assert!(case.holds(replicas, &placed.targets));
        }
        let again = case.holding(&placed.targets).place(replicas);
        prop_assert!(is_settled(&placed, &again), "{:?} -> {:?}", placed.targets, again.targets);
        let incarnation = Incarnation::new(&case.uid);
        let now = Timestamp::from_second(NOW).unwrap();
        let report = explain(&case.request(&incarnation, replicas), &case.fleet, case.current.as_ref(), now);
        prop_assert_eq!(report.clusters.len(), case.fleet.len());
        prop_assert!(serde_json::to_string(&report).unwrap().len() < 600 * (case.fleet.len() + 2));
    }
}
