//! Each of the user's hints, by example.

use k8s_openapi::api::core::v1::Toleration;
use parallax_crds::agent::{ClusterGroup, PreferredClusters, ScoreWeight, Spread};
use parallax_crds::cluster::TaintEffect;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn gpu(effect: TaintEffect) -> Taint {
    Taint { key: "gpu".into(), value: "only".into(), effect, since: at(100) }
}

fn tolerating(seconds: Option<i64>) -> Placement {
    let toleration = Toleration {
        key: Some("gpu".into()),
        operator: Some("Exists".into()),
        toleration_seconds: seconds,
        ..Toleration::default()
    };
    Placement { tolerations: vec![toleration], ..Placement::default() }
}

fn cores(cpu: i64) -> Amounts {
    Amounts { cpu: cpu * 1_000, memory: 64 << 30, pods: 1_000, ..Amounts::default() }
}

fn core() -> Amounts {
    Amounts { cpu: 1_000, pods: 1, ..Amounts::default() }
}

/// Places an agent whose replicas request a core each, at the instant 200.
fn placed_with(
    replicas: i32,
    placement: &Placement,
    fleet: &[ClusterFacts],
    current: Option<&Shares>,
) -> Placed {
    let (incarnation, requests) = (Incarnation::new("uid-1"), core());
    place(&request(&incarnation, replicas, Some(placement), &requests), fleet, current, at(200))
}

fn division(mode: DivisionMode, least: Option<i32>) -> Placement {
    let division = Division { mode, min_replicas_per_cluster: least, ..Division::default() };
    Placement { division: Some(division), ..Placement::default() }
}

/// An entry of a spread: its key, its fewest and most groups, and its skew.
type Entry<'a> = (&'a str, Option<i32>, Option<i32>, Option<i32>);

fn spread(entries: &[Entry<'_>]) -> Placement {
    let entry = |&(by, min_groups, max_groups, max_skew): &Entry<'_>| Spread {
        by: by.to_owned(),
        min_groups,
        max_groups,
        max_skew,
    };
    Placement { spread: entries.iter().map(entry).collect(), ..Placement::default() }
}

impl ClusterFacts {
    fn tainted(mut self, effect: TaintEffect) -> Self {
        self.taints.push(gpu(effect));
        self
    }

    fn with_cores(mut self, cpu: i64) -> Self {
        self.free = Some(cores(cpu));
        self
    }
}

#[test]
fn no_schedule_keeps_what_is_held_and_takes_nothing_new() {
    let fleet = [cluster("a"), cluster("b").tainted(TaintEffect::NoSchedule)];
    let current = shares(&[("a", 1), ("b", 2)]);
    assert_eq!(placed(5, None, &fleet, None).targets, shares(&[("a", 5)]));
    assert_eq!(placed(5, None, &fleet, Some(&current)).targets, shares(&[("a", 3), ("b", 2)]));
    let tolerant = placed_with(4, &tolerating(None), &fleet, None);
    assert_eq!(tolerant.targets, shares(&[("a", 2), ("b", 2)]));
    let copies = placed(3, Some(&replicated()), &fleet, Some(&current)).targets;
    assert_eq!(copies, shares(&[("a", 3), ("b", 2)]));
}

#[test]
fn no_execute_loses_what_it_holds_at_once_or_when_it_is_tolerated_no_longer() {
    let fleet = [cluster("a"), cluster("b").tainted(TaintEffect::NoExecute)];
    let current = shares(&[("a", 1), ("b", 2)]);
    let strict = placed(3, None, &fleet, Some(&current));
    assert_eq!((strict.targets, strict.revisit), (shares(&[("a", 3)]), None));
    let patient = placed_with(4, &tolerating(Some(300)), &fleet, Some(&current));
    assert_eq!((patient.targets, patient.revisit), (shares(&[("a", 2), ("b", 2)]), Some(at(400))));
    let over = placed_with(4, &tolerating(Some(100)), &fleet, Some(&current));
    assert_eq!((over.targets, over.revisit), (shares(&[("a", 4)]), None));
    let not_there = placed_with(4, &tolerating(Some(300)), &fleet, Some(&shares(&[("a", 4)])));
    assert_eq!(not_there.revisit, None, "it has nothing to lose");
}

#[test]
fn prefer_no_schedule_is_for_what_has_no_better_place() {
    let fleet = [cluster("a").with_cores(2), cluster("b").tainted(TaintEffect::PreferNoSchedule)];
    let targets = |replicas| placed_with(replicas, &Placement::default(), &fleet, None).targets;
    assert_eq!(targets(2), shares(&[("a", 2)]));
    assert_eq!(targets(5), shares(&[("a", 2), ("b", 3)]));
}

#[test]
fn a_cluster_takes_only_the_namespaces_that_it_is_for() {
    let mut fleet = clusters(3);
    fleet[0].namespaces.deny = vec!["default".into()];
    fleet[1].namespaces.allow = vec!["other".into()];
    fleet[2].namespaces.allow = vec!["other".into(), "default".into()];
    let current = shares(&[("c-00000", 1), ("c-00002", 1)]);
    let placed_there = placed(2, None, &fleet, Some(&current));
    assert_eq!(placed_there.targets, shares(&[("c-00002", 2)]));
    let nowhere = placed(2, None, &fleet[..2], None).explanation.summary();
    assert_eq!(nowhere, "0 of 2 clusters fit: 2 closed to namespace default (c-00000, c-00001)");
}

#[test]
fn new_replicas_go_only_where_they_fit_and_what_is_held_always_does() {
    let mut fleet = [cluster("a").with_cores(1), cluster("b").with_cores(3), cluster("c")];
    fleet[2].room = Some(1);
    let default = Placement::default();
    let targets =
        |replicas, current: Option<&Shares>| placed_with(replicas, &default, &fleet, current).targets;
    assert_eq!(targets(5, None), shares(&[("a", 1), ("b", 3), ("c", 1)]));
    let current = shares(&[("a", 4)]);
    assert_eq!(targets(4, Some(&current)), current);
    assert_eq!(targets(5, Some(&current)).get(&name("a")), Some(&4));
    let short = placed_with(7, &default, &fleet, None);
    assert_eq!((sum(&short.targets), short.explanation.coverage()), (5, Coverage::Partly));
    assert_eq!(
        short.explanation.summary(),
        "5 of 7 replicas placed; 2 wait for a cluster that may take more: 3 have as many as fit (a, b, c)"
    );
}

#[test]
fn a_copy_needs_room_for_all_of_it() {
    let fleet = [cluster("a").with_cores(1), cluster("b").with_cores(3)];
    let copies = |current: Option<&Shares>| placed_with(3, &replicated(), &fleet, current);
    assert_eq!(copies(None).targets, shares(&[("b", 3)]));
    assert_eq!(copies(Some(&shares(&[("a", 1)]))).targets, shares(&[("a", 1), ("b", 3)]));
    let verdict = copies(None).explanation.verdicts[0].verdict.clone();
    assert_eq!(verdict, Verdict::Excluded(Exclusion::Lacks("3 CPU".into())));
}

#[test]
fn an_agent_that_fits_nowhere_says_what_is_in_the_way_by_number() {
    let mut fleet: Vec<ClusterFacts> = (0..7).map(|i| cluster(&format!("us-{i}")).region("us")).collect();
    let eu = |name: String| cluster(&name).region("eu");
    fleet.extend((0..3).map(|i| eu(format!("gpu-{i}")).tainted(TaintEffect::NoSchedule)));
    fleet.extend((0..2).map(|i| eu(format!("small-{i}")).with_cores(3)));
    let placement = Placement { regions: vec!["eu".into()], ..Placement::default() };
    let (incarnation, requests) = (Incarnation::new("uid-1"), Amounts { cpu: 4_000, ..core() });
    let request = request(&incarnation, 1, Some(&placement), &requests);
    assert_eq!(
        place(&request, &fleet, None, at(200)).explanation.summary(),
        "0 of 12 clusters fit: 7 not in region eu (us-0, us-1, us-2 and 4 more), \
         3 tainted gpu=only (gpu-0, gpu-1, gpu-2), 2 lack 4 CPU (small-0, small-1)"
    );
}

#[test]
fn a_replica_fits_by_what_it_requests_there() {
    let fleet = [cluster("a").with_cores(3), cluster("b").with_cores(3)];
    let otherwise = BTreeMap::from([(fleet[1].name.clone(), Amounts { cpu: 4_000, ..core() })]);
    let (incarnation, requests) = (Incarnation::new("uid-1"), core());
    let request = Request { otherwise: &otherwise, ..request(&incarnation, 2, None, &requests) };
    let placed = place(&request, &fleet, None, at(0));
    assert_eq!(placed.targets, shares(&[("a", 2)]));
    let report = explain(&request, &fleet, None, at(0));
    assert_eq!(report.clusters[1].message.as_deref(), Some("lacks 4 CPU"));
}

#[test]
fn an_extended_resource_that_a_cluster_does_not_have_excludes_it() {
    let mut with = cluster("a").with_cores(8);
    with.free.as_mut().unwrap().extended.insert("nvidia.com/gpu".into(), 2);
    let fleet = [with, cluster("b").with_cores(8)];
    let incarnation = Incarnation::new("uid-1");
    let requests = Amounts { extended: BTreeMap::from([("nvidia.com/gpu".to_owned(), 1)]), ..core() };
    let placed = place(&request(&incarnation, 2, None, &requests), &fleet, None, at(0));
    assert_eq!(placed.targets, shares(&[("a", 2)]));
    assert_eq!(
        placed.explanation.verdicts[1].verdict,
        Verdict::Excluded(Exclusion::Lacks("1 nvidia.com/gpu".into()))
    );
}

#[test]
fn preferred_clusters_are_filled_first_and_emptied_last() {
    let fleet = [
        cluster("a").labelled("tier", "gold").with_cores(3),
        cluster("b").with_cores(9),
        cluster("c").labelled("tier", "silver").with_cores(2),
    ];
    let prefer = |tier, weight| PreferredClusters { weight, cluster_selector: selector("tier", tier) };
    let placement =
        Placement { preferred: vec![prefer("silver", 10), prefer("gold", 50)], ..Placement::default() };
    let targets =
        |replicas, current: Option<&Shares>| placed_with(replicas, &placement, &fleet, current).targets;
    assert_eq!(targets(3, None), shares(&[("a", 3)]));
    let all = shares(&[("a", 3), ("b", 1), ("c", 2)]);
    assert_eq!(targets(6, None), all);
    assert_eq!(targets(4, Some(&all)), shares(&[("a", 3), ("c", 1)]));
    let elsewhere = shares(&[("b", 2)]);
    assert_eq!(targets(2, Some(&elsewhere)), elsewhere, "a preference moves nothing");
}

#[test]
fn reported_scores_count_by_their_weight() {
    let mut fleet = [cluster("a"), cluster("b"), cluster("c")];
    fleet[0].scores.insert("cost".into(), 80);
    fleet[1].scores.insert("cost".into(), 20);
    fleet[2].scores.insert("cost".into(), 1_000);
    let placement =
        Placement { scores: vec![ScoreWeight { name: "cost".into(), weight: -5 }], ..Placement::default() };
    let placed = placed_with(2, &placement, &fleet, None);
    assert_eq!(placed.targets, shares(&[("b", 2)]));
    let totals: Vec<i64> = placed.explanation.verdicts.iter().map(|judged| judged.score.total).collect();
    assert_eq!(totals, [-400, -100, -500], "what is out of bounds counts as the bound");
}

#[test]
fn groups_are_filled_in_order_and_drained_in_reverse() {
    let fleet = [
        cluster("a").labelled("site", "own").with_cores(2),
        cluster("b").labelled("site", "own").with_cores(1),
        cluster("c").labelled("site", "cloud"),
        cluster("d"),
    ];
    let group = |name: &str| ClusterGroup { name: name.to_owned(), cluster_selector: selector("site", name) };
    let placement = Placement { groups: vec![group("own"), group("cloud")], ..Placement::default() };
    let targets = |replicas, current: Option<&Shares>| {
        let mut fleet = fleet.clone();
        if current.is_some() {
            (fleet[0].free, fleet[1].free) = (Some(cores(0)), Some(cores(0)));
        }
        placed_with(replicas, &placement, &fleet, current).targets
    };
    let own = shares(&[("a", 2), ("b", 1)]);
    assert_eq!(targets(3, None), own);
    let overflowing = targets(5, Some(&own));
    assert_eq!(overflowing, shares(&[("a", 2), ("b", 1), ("c", 2)]));
    assert_eq!(targets(3, Some(&overflowing)), own);
    let verdict = placed_with(1, &placement, &fleet, None).explanation.verdicts[3].verdict.clone();
    assert_eq!(verdict, Verdict::Excluded(Exclusion::NotInGroup));
}

#[test]
fn capacity_divides_by_how_many_fit() {
    let fleet = [cluster("a").with_cores(6), cluster("b").with_cores(3), cluster("c").with_cores(0)];
    let placement = division(DivisionMode::Capacity, None);
    let targets = placed_with(6, &placement, &fleet, None).targets;
    assert_eq!(targets, shares(&[("a", 4), ("b", 2)]));
}

#[test]
fn packed_uses_as_few_clusters_as_will_hold_it_and_empties_the_smallest_first() {
    let fleet = [cluster("a").with_cores(2), cluster("b").with_cores(5), cluster("c").with_cores(3)];
    let placement = division(DivisionMode::Packed, None);
    let targets =
        |replicas, current: Option<&Shares>| placed_with(replicas, &placement, &fleet, current).targets;
    assert_eq!(targets(5, None), shares(&[("b", 5)]));
    assert_eq!(targets(7, None), shares(&[("b", 5), ("c", 2)]));
    let spread_out = shares(&[("a", 1), ("b", 2), ("c", 2)]);
    assert_eq!(targets(4, Some(&spread_out)), shares(&[("b", 2), ("c", 2)]));
}

#[test]
fn a_cluster_has_the_least_number_or_none() {
    let fleet = [cluster("a"), cluster("b"), cluster("c").with_cores(2)];
    let placement = division(DivisionMode::Balanced, Some(3));
    let placed_at = |replicas| placed_with(replicas, &placement, &fleet, None);
    assert_eq!(placed_at(6).targets, shares(&[("a", 3), ("b", 3)]));
    assert_eq!(placed_at(5).targets.values().collect::<Vec<_>>(), [&5]);
    assert_eq!(placed_at(2).targets.values().collect::<Vec<_>>(), [&2], "all there are");
    let small = placed_at(3).explanation.verdicts[2].verdict.clone();
    assert_eq!(small, Verdict::Excluded(Exclusion::TooSmall(2)));
}

fn regions(of: &[(&str, &str, i64)]) -> Vec<ClusterFacts> {
    of.iter().map(|(name, region, cores)| cluster(name).region(region).with_cores(*cores)).collect()
}

#[test]
fn a_spread_holds_exactly() {
    let fleet = regions(&[("a", "eu", 9), ("b", "eu", 9), ("c", "us", 9), ("d", "ap", 9)]);
    let by_region = |targets: &Shares| -> BTreeMap<String, i32> {
        let region =
            |c: &ClusterName| fleet.iter().find(|f| f.name == *c).unwrap().labels[labels::REGION].clone();
        targets.iter().fold(BTreeMap::new(), |mut all, (cluster, share)| {
            *all.entry(region(cluster)).or_default() += share;
            all
        })
    };
    let even = placed_with(6, &spread(&[("region", None, None, Some(1))]), &fleet, None).targets;
    assert_eq!(by_region(&even).into_values().collect::<Vec<_>>(), [2, 2, 2]);
    let two = placed_with(6, &spread(&[("region", Some(2), Some(2), Some(1))]), &fleet, None).targets;
    assert_eq!(by_region(&two).into_values().collect::<Vec<_>>(), [3, 3]);
    let one = placed_with(6, &spread(&[("region", None, Some(1), None)]), &fleet, None).targets;
    assert_eq!(by_region(&one).into_values().collect::<Vec<_>>(), [6]);
    let clusters = placed_with(2, &spread(&[("cluster", Some(2), None, None)]), &fleet, None).targets;
    assert_eq!(clusters.len(), 2);
}

#[test]
fn a_spread_that_cannot_be_had_places_nothing_and_says_by_how_much() {
    let fleet = regions(&[("a", "eu", 2), ("b", "us", 9)]);
    for (placement, replicas, why) in [
        (
            spread(&[("region", Some(3), None, None)]),
            4,
            "0 of 4 replicas placed: spread by region needs 3 groups, and the clusters that fit are in 2; \
             let the agent into clusters of other groups, or lower minGroups",
        ),
        (
            spread(&[("region", Some(2), None, None)]),
            1,
            "0 of 1 replica placed: spread by region needs a replica in each of 2 groups, and only 1 can be placed; \
             add replicas or room for them, or lower minGroups",
        ),
        (
            spread(&[("cluster", Some(2), None, None), ("region", None, Some(1), None)]),
            2,
            "0 of 2 replicas placed: no division of 2 replicas over the clusters that fit holds to \
             spread by cluster and region at once; change one of them, or let the agent into more clusters",
        ),
    ] {
        let placed = placed_with(replicas, &placement, &fleet, None);
        assert!(placed.targets.is_empty(), "{:?}", placed.targets);
        assert_eq!(placed.explanation.coverage(), Coverage::Unsatisfied);
        assert_eq!(placed.explanation.summary(), why);
    }
}

#[test]
fn a_spread_without_room_for_all_places_what_it_can_hold() {
    let fleet = regions(&[("a", "eu", 2), ("b", "us", 9)]);
    let placement = spread(&[("region", Some(2), None, Some(1))]);
    let placed = placed_with(8, &placement, &fleet, None);
    assert_eq!(placed.targets, shares(&[("a", 2), ("b", 3)]));
    assert_eq!(
        placed.explanation.summary(),
        "5 of 8 replicas placed: spread by region leaves room for 5 of 8 replicas; add room to the groups that have \
         the least, or raise maxSkew or maxGroups; what runs stays where it is"
    );
}

#[test]
fn what_runs_stays_when_a_spread_can_no_longer_be_had_and_moves_when_it_can() {
    let current = shares(&[("a", 2), ("b", 2)]);
    let placement = spread(&[("region", Some(2), None, Some(1))]);
    let lost = regions(&[("a", "eu", 9)]);
    let placed = |fleet: &[ClusterFacts]| placed_with(4, &placement, fleet, Some(&current));
    assert_eq!(placed(&lost).targets, shares(&[("a", 2)]));
    let back = regions(&[("a", "eu", 9), ("c", "us", 9)]);
    assert_eq!(placed(&back).targets, shares(&[("a", 2), ("c", 2)]));
    let skewed = placed_with(4, &placement, &back, Some(&shares(&[("a", 4)])));
    assert_eq!(skewed.targets, shares(&[("a", 2), ("c", 2)]));
}

#[test]
fn a_cluster_without_the_label_that_a_spread_goes_by_gets_nothing() {
    let fleet = [cluster("a").labelled("rack", "r1"), cluster("b")];
    let placed = placed_with(2, &spread(&[("rack", None, None, Some(1))]), &fleet, None);
    assert_eq!(placed.targets, shares(&[("a", 2)]));
    assert_eq!(
        placed.explanation.verdicts[1].verdict,
        Verdict::Excluded(Exclusion::NotLabelled("rack".into()))
    );
}

#[test]
fn an_agent_that_is_not_sticky_moves_to_where_it_would_go_now() {
    let fleet = clusters(2);
    let current = shares(&[("c-00000", 4)]);
    let restless = Placement { sticky: false, ..Placement::default() };
    let even = shares(&[("c-00000", 2), ("c-00001", 2)]);
    assert_eq!(placed(4, None, &fleet, Some(&current)).targets, current);
    assert_eq!(placed(4, Some(&restless), &fleet, Some(&current)).targets, even);
    let (incarnation, requests) = (Incarnation::new("uid-1"), core());
    let rebalanced = Request { rebalance: true, ..request(&incarnation, 4, None, &requests) };
    assert_eq!(place(&rebalanced, &fleet, Some(&current), at(0)).targets, even);
    let away = [cluster("c-00000").disconnected(), cluster("c-00001")];
    assert_eq!(
        placed(4, Some(&restless), &away, Some(&current)).targets,
        current,
        "a lost connection moves nothing"
    );
}

/// A counterexample to "placing twice changes nothing": that it has the agent, with no replicas, put a cluster first, and after
/// that all of them had it.
#[test]
fn where_replicas_may_move_who_has_the_agent_now_decides_nothing() {
    let restless = Placement { sticky: false, ..Placement::default() };
    let fleet = clusters(4);
    for home in ["c-00000", "c-00001", "c-00002", "c-00003"] {
        let once = placed_with(7, &restless, &fleet, Some(&shares(&[(home, 0)]))).targets;
        assert_eq!(placed_with(7, &restless, &fleet, Some(&once)).targets, once);
    }
}

/// A counterexample to the same: a cluster that was full by the agent's own replicas kept all of them, was no longer full, and
/// then had to share.
#[test]
fn a_cluster_that_is_full_by_what_may_move_is_no_reason_to_stay() {
    let restless = Placement { sticky: false, ..Placement::default() };
    let full = [cluster("a"), cluster("b").with_cores(0)];
    let once = placed_with(2, &restless, &full, Some(&shares(&[("b", 3)]))).targets;
    assert_eq!(once, shares(&[("a", 1), ("b", 1)]));
    let freed = [cluster("a"), cluster("b").with_cores(2)];
    assert_eq!(placed_with(2, &restless, &freed, Some(&once)).targets, once);
}

/// A counterexample to "a suspended cluster is sent nothing": its replicas were to move for the sake of a spread.
#[test]
fn no_spread_moves_what_a_suspended_cluster_has() {
    let fleet = [cluster("a").labelled("tier", "gold"), cluster("b").labelled("tier", "silver").suspended()];
    let current = shares(&[("b", 4)]);
    let placed = placed_with(4, &spread(&[("tier", Some(2), None, None)]), &fleet, Some(&current));
    assert_eq!((placed.targets, placed.explanation.coverage()), (current, Coverage::Unsatisfied));
}

/// A counterexample to "an irrelevant change moves nothing", which it is not: while a cluster can't be asked, it keeps fewer
/// replicas than one has at least, and that ends with the reason for it.
#[test]
fn a_cluster_that_kept_fewer_than_the_least_has_enough_or_none_once_it_is_back() {
    let at_least_two = division(DivisionMode::Balanced, Some(2));
    for away in [cluster("a").suspended(), cluster("a").disconnected()] {
        let once = placed_with(3, &at_least_two, &[away, cluster("b")], Some(&shares(&[("a", 1)])));
        assert_eq!(once.targets, shares(&[("a", 1), ("b", 2)]));
        assert_eq!(once.explanation.coverage(), Coverage::Whole);
        let back = placed_with(3, &at_least_two, &[cluster("a"), cluster("b")], Some(&once.targets));
        assert_eq!(back.targets, shares(&[("b", 3)]));
    }
}

/// A counterexample to "placing twice changes nothing": a cluster that hasn't told what it has free counted as much as it held.
#[test]
fn what_a_cluster_holds_that_has_not_told_what_is_free_gives_it_no_weight() {
    let by_capacity = Placement { sticky: false, ..division(DivisionMode::Capacity, None) };
    let held = shares(&[("a", 4), ("b", 2)]);
    let placed = placed_with(6, &by_capacity, &[cluster("a"), cluster("b")], Some(&held));
    assert_eq!(placed.targets, shares(&[("a", 3), ("b", 3)]));
}

/// A counterexample to the same: what a lost cluster had was too much for a spread until some of it was taken away, and the
/// spread was looked at again only later.
#[test]
fn a_spread_is_held_to_that_can_be_had_once_less_is_there() {
    let fleet = [cluster("a"), cluster("b"), cluster("c").disconnected()];
    let held = shares(&[("a", 3), ("c", 4)]);
    for sticky in [true, false] {
        let over_three = Placement { sticky, ..spread(&[("cluster", Some(3), None, Some(2))]) };
        let placed = placed_with(4, &over_three, &fleet, Some(&held));
        assert_eq!(placed.targets, shares(&[("a", 1), ("b", 1), ("c", 2)]));
        assert_eq!(placed.explanation.coverage(), Coverage::Whole);
    }
}

/// A counterexample to the same: at each look a tainted cluster gave up some more, and could have less after that.
#[test]
fn what_may_move_stays_in_a_tainted_cluster_only_where_no_other_can_hold_it() {
    let tainted = || cluster("a").tainted(TaintEffect::NoSchedule);
    let restless = Placement { sticky: false, ..Placement::default() };
    let held = shares(&[("a", 3)]);
    let placed =
        |replicas, fleet: &[ClusterFacts], held| placed_with(replicas, &restless, fleet, Some(held)).targets;
    assert_eq!(placed(3, &[tainted(), cluster("b")], &held), shares(&[("b", 3)]));
    let once = placed(3, &[tainted(), cluster("b").with_cores(2)], &held);
    assert_eq!(once, shares(&[("a", 1), ("b", 2)]));
    assert_eq!(placed(3, &[tainted(), cluster("b").with_cores(0)], &once), once);
    assert_eq!(placed(3, &[tainted()], &held), held);
}

/// A counterexample to the same: a suspended cluster that had the agent at 0 replicas had a part of the weight, and no longer had
/// it when the others had been given theirs.
#[test]
fn a_cluster_that_has_no_replica_and_takes_none_has_no_weight() {
    let by_capacity = Placement { sticky: false, ..division(DivisionMode::Capacity, None) };
    let fleet = [cluster("a"), cluster("b").with_cores(100), cluster("c").with_cores(100).suspended()];
    let placed = placed_with(2, &by_capacity, &fleet, Some(&shares(&[("c", 0)])));
    assert_eq!(placed.targets, shares(&[("b", 2)]));
}

/// A counterexample to the same: a cluster that had too few replicas, and couldn't have enough, bent the division of the others.
#[test]
fn a_cluster_that_cannot_have_enough_has_no_part_in_a_division() {
    let at_least_three = Placement { sticky: false, ..division(DivisionMode::Balanced, Some(3)) };
    let fleet = [cluster("a"), cluster("b"), cluster("c").with_cores(0)];
    let placed = placed_with(8, &at_least_three, &fleet, Some(&shares(&[("c", 1)])));
    assert_eq!(placed.targets, shares(&[("a", 4), ("b", 4)]));
}

#[test]
fn where_no_cluster_can_have_enough_what_runs_stays() {
    let at_least_three = Placement { sticky: false, ..division(DivisionMode::Balanced, Some(3)) };
    let fleet = [cluster("a").with_cores(0), cluster("b").with_cores(0)];
    let held = shares(&[("a", 1), ("b", 2)]);
    let placed = placed_with(8, &at_least_three, &fleet, Some(&held));
    assert_eq!(placed.targets, held);
    assert!(placed.explanation.unsatisfied.is_some());
}
