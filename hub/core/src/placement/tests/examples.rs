//! Each rule of placement, by example.

use super::*;

#[test]
fn five_over_two_clusters_is_three_and_two() {
    let targets = placed(5, None, &clusters(2), None).targets;
    let mut counts: Vec<i32> = targets.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [2, 3]);
}

#[test]
fn two_replicated_over_two_clusters_is_two_each() {
    let targets = placed(2, Some(&replicated()), &clusters(2), None).targets;
    assert_eq!(targets, shares(&[("c-00000", 2), ("c-00001", 2)]));
}

#[test]
fn weights_divide_in_proportion_and_the_first_matching_entry_counts() {
    let fleet = [
        cluster("big").labelled("tier", "gold"),
        cluster("other"),
        cluster("small").labelled("tier", "silver"),
    ];
    let placement = weighted(&[("gold", 3), ("silver", 1), ("gold", 100)]);
    let placed = placed(8, Some(&placement), &fleet, None);
    assert_eq!(placed.targets, shares(&[("big", 6), ("small", 2)]));
    assert_eq!(placed.explanation.verdicts[1].verdict, Verdict::Excluded(Exclusion::NoWeight));
}

#[test]
fn names_selector_and_regions_must_all_hold() {
    let fleet = [
        cluster("a").region("eu").labelled("tier", "gold"),
        cluster("b").region("eu").labelled("tier", "silver"),
        cluster("c").region("us").labelled("tier", "gold"),
        cluster("d").region("eu").labelled("tier", "gold"),
        cluster("e").labelled("tier", "gold"),
    ];
    let placement = Placement {
        clusters: ["a", "b", "c", "e", "ghost"].map(String::from).to_vec(),
        cluster_selector: Some(selector("tier", "gold")),
        regions: vec!["eu".into()],
        ..Placement::default()
    };
    let placed = placed(3, Some(&placement), &fleet, None);
    assert_eq!(placed.targets, shares(&[("a", 3)]));
    let verdicts: Vec<Verdict> =
        placed.explanation.verdicts.iter().map(|judged| judged.verdict.clone()).collect();
    assert_eq!(
        verdicts,
        [
            Verdict::Placed { replicas: 3 },
            Verdict::Excluded(Exclusion::NotSelected),
            Verdict::Excluded(Exclusion::NotInRegion),
            Verdict::Excluded(Exclusion::NotNamed),
            Verdict::Excluded(Exclusion::NotInRegion),
        ]
    );
    assert_eq!(placed.explanation.missing, ["ghost"]);
}

#[test]
fn new_shares_go_only_to_clusters_that_are_accepted_connected_and_not_suspended() {
    let fleet = [
        cluster("away").disconnected(),
        cluster("fine"),
        cluster("paused").suspended(),
        cluster("stranger").unaccepted(),
    ];
    for placement in [Placement::default(), replicated()] {
        let placed = placed(4, Some(&placement), &fleet, None);
        assert_eq!(placed.targets, shares(&[("fine", 4)]));
    }
}

#[test]
fn a_lost_connection_or_a_suspension_moves_nothing() {
    let current = shares(&[("a", 2), ("b", 2)]);
    for fleet in [[cluster("a"), cluster("b").disconnected()], [cluster("a"), cluster("b").suspended()]] {
        assert_eq!(placed(4, None, &fleet, Some(&current)).targets, current);
        let six = placed(6, None, &fleet, Some(&current)).targets;
        assert_eq!(six, shares(&[("a", 4), ("b", 2)]), "what is new goes to the other");
    }
}

#[test]
fn a_cluster_that_is_no_longer_accepted_or_matching_loses_its_share() {
    let current = shares(&[("a", 2), ("b", 2)]);
    let unaccepted = [cluster("a"), cluster("b").unaccepted()];
    assert_eq!(placed(4, None, &unaccepted, Some(&current)).targets, shares(&[("a", 4)]));

    let moved_abroad = [cluster("a").region("eu"), cluster("b").region("us")];
    let placement = Placement { regions: vec!["eu".into()], ..Placement::default() };
    assert_eq!(placed(4, Some(&placement), &moved_abroad, Some(&current)).targets, shares(&[("a", 4)]));
}

#[test]
fn a_new_cluster_takes_nothing_under_divide_and_gets_its_copy_under_replicate() {
    let divided = shares(&[("c-00000", 3), ("c-00001", 3)]);
    assert_eq!(placed(6, None, &clusters(3), Some(&divided)).targets, divided);
    let copies = shares(&[("c-00000", 3), ("c-00001", 3)]);
    assert_eq!(placed(3, Some(&replicated()), &clusters(3), Some(&copies)).targets.len(), 3);
}

#[test]
fn changed_weights_move_nothing_and_draw_what_is_new() {
    let fleet = [cluster("a").labelled("tier", "gold"), cluster("b").labelled("tier", "silver")];
    let current = shares(&[("a", 2), ("b", 2)]);
    let placement = weighted(&[("gold", 3), ("silver", 1)]);
    assert_eq!(placed(4, Some(&placement), &fleet, Some(&current)).targets, current);
    assert_eq!(placed(8, Some(&placement), &fleet, Some(&current)).targets, shares(&[("a", 6), ("b", 2)]));
}

#[test]
fn scaled_to_zero_it_stays_where_it_is_with_nothing() {
    let current = shares(&[("a", 3), ("b", 2)]);
    let fleet = [cluster("a"), cluster("b").disconnected(), cluster("c")];
    let zero = placed(0, None, &fleet, Some(&current));
    assert_eq!(zero.targets, shares(&[("a", 0), ("b", 0)]));
    assert_eq!(zero.explanation.summary(), "no replicas are wanted; kept on 2 clusters");
    let again = placed(2, None, &fleet, Some(&zero.targets));
    assert_eq!(sum(&again.targets), 2);
    assert!(!again.targets.contains_key(&name("b")), "what is new waits for no one: {:?}", again.targets);
}

#[test]
fn created_with_zero_it_gets_the_home_that_its_first_replica_goes_to() {
    let fleet = clusters(7);
    let zero = placed(0, None, &fleet, None).targets;
    assert_eq!(zero.values().collect::<Vec<_>>(), [&0]);
    let one = placed(1, None, &fleet, Some(&zero)).targets;
    assert_eq!(one.keys().collect::<Vec<_>>(), zero.keys().collect::<Vec<_>>());
}

#[test]
fn equal_agents_spread_over_equal_clusters() {
    let fleet = clusters(10);
    let mut homes: BTreeMap<ClusterName, usize> = BTreeMap::new();
    for agent in 0..1_000 {
        let targets = place_as(&format!("uid-{agent}"), 1, None, &fleet, None).targets;
        *homes.entry(targets.into_keys().next().unwrap()).or_default() += 1;
    }
    assert_eq!(homes.len(), 10);
    assert!(homes.values().all(|n| (60..=140).contains(n)), "{homes:?}");
}

#[test]
fn ties_are_broken_the_same_in_every_version() {
    let targets = placed(3, None, &clusters(8), None).targets;
    assert_eq!(targets, shares(&[("c-00004", 1), ("c-00005", 1), ("c-00007", 1)]));
}

#[test]
fn when_only_unconnected_clusters_are_left_what_is_new_waits() {
    let fleet = [cluster("a").disconnected(), cluster("b").suspended(), cluster("c").disconnected()];
    let current = shares(&[("a", 2), ("b", 1)]);
    let placed = placed(5, None, &fleet, Some(&current));
    assert_eq!(placed.targets, current);
    assert_eq!(placed.explanation.coverage(), Coverage::Partly);
    assert_eq!(
        placed.explanation.summary(),
        "3 of 5 replicas placed; 2 wait for a cluster that may take more: \
         2 not connected (a, c), 1 suspended (b)"
    );
}

#[test]
fn a_suspended_cluster_gives_up_replicas_only_when_the_others_have_none_left() {
    let fleet = [cluster("a"), cluster("b").suspended()];
    let current = shares(&[("a", 2), ("b", 4)]);
    assert_eq!(placed(4, None, &fleet, Some(&current)).targets, shares(&[("b", 4)]));
    assert_eq!(placed(3, None, &fleet, Some(&current)).targets, shares(&[("b", 3)]));
    let copies = placed(1, Some(&replicated()), &fleet, Some(&current)).targets;
    assert_eq!(copies, shares(&[("a", 1), ("b", 4)]), "under Replicate it keeps what it has");
}

#[test]
fn an_agent_without_a_cluster_says_why_by_cluster() {
    let mut fleet: Vec<ClusterFacts> = (0..7).map(|i| cluster(&format!("us-{i}")).region("us")).collect();
    fleet.extend((0..3).map(|i| cluster(&format!("away-{i}")).region("eu").disconnected()));
    fleet.extend((0..2).map(|i| cluster(&format!("new-{i}")).region("eu").unaccepted()));
    let placement = Placement { regions: vec!["eu".into()], ..Placement::default() };
    let placed = placed(3, Some(&placement), &fleet, None);
    assert!(placed.targets.is_empty());
    assert_eq!(placed.explanation.coverage(), Coverage::Nowhere);
    assert_eq!(
        placed.explanation.summary(),
        "0 of 12 clusters fit: 7 not in region eu (us-0, us-1, us-2 and 4 more), \
         3 not connected (away-0, away-1, away-2), 2 not accepted (new-0, new-1)"
    );
}

#[test]
fn a_name_that_is_no_cluster_is_told_of_beside_those_that_are() {
    let naming = |names: &[&str], strategy| Placement {
        clusters: names.iter().map(|name| (*name).to_owned()).collect(),
        strategy,
        ..Placement::default()
    };
    let summary = |placement: &Placement, fleet: &[ClusterFacts], current: Option<&Shares>| {
        placed(2, Some(placement), fleet, current).explanation.summary()
    };
    let fleet = [cluster("a")];
    assert_eq!(
        summary(&naming(&["a", "ghost"], Strategy::Divide), &fleet, None),
        "2 replicas on 1 cluster; placement.clusters also names ghost, which is no cluster of this fleet"
    );
    assert_eq!(
        summary(&naming(&["g-1", "a", "g-2", "g-3", "g-4"], Strategy::Replicate), &fleet, None),
        "2 replicas on each of 1 cluster; placement.clusters also names g-1, g-2, g-3 and 1 more, \
         which are no clusters of this fleet"
    );
    let away = [cluster("a").disconnected()];
    assert_eq!(
        summary(&naming(&["a", "ghost"], Strategy::Divide), &away, Some(&shares(&[("a", 1)]))),
        "1 of 2 replicas placed; 1 waits for a cluster that may take more: 1 not connected (a); \
         placement.clusters also names ghost, which is no cluster of this fleet"
    );
}

#[test]
fn a_suspended_cluster_is_told_of_where_it_keeps_or_lacks_a_share() {
    let fleet = [cluster("a"), cluster("b").suspended(), cluster("c").suspended()];
    let summary = |placement: Option<&Placement>, current: &Shares| {
        placed(2, placement, &fleet, Some(current)).explanation.summary()
    };
    assert_eq!(
        summary(None, &shares(&[("a", 1), ("b", 1)])),
        "2 replicas on 2 clusters; b is suspended and is sent nothing new",
        "c is none of its clusters"
    );
    assert_eq!(
        summary(Some(&replicated()), &shares(&[("a", 2), ("b", 2)])),
        "2 replicas on each of 2 clusters; b, c are suspended and are sent nothing new"
    );
}

#[test]
fn sentences_are_right_in_the_singular_and_for_an_empty_fleet() {
    let summary = |replicas, placement: Option<&Placement>, fleet: &[ClusterFacts]| {
        placed(replicas, placement, fleet, None).explanation.summary()
    };
    assert_eq!(summary(1, None, &[]), "the fleet has no clusters yet: join one to it");
    assert_eq!(summary(1, None, &clusters(1)), "1 replica on 1 cluster");
    assert_eq!(summary(5, None, &clusters(2)), "5 replicas on 2 clusters");
    assert_eq!(summary(2, Some(&replicated()), &clusters(2)), "2 replicas on each of 2 clusters");
    assert_eq!(summary(1, None, &[cluster("a").suspended()]), "0 of 1 cluster fits: 1 suspended (a)");
    let nowhere = Placement {
        clusters: vec!["ghost".into()],
        regions: ["eu", "us", "ap", "sa", "af"].map(String::from).to_vec(),
        ..Placement::default()
    };
    assert_eq!(
        summary(1, Some(&nowhere), &clusters(1)),
        "0 of 1 named cluster fits: 1 not a cluster of this fleet (ghost)"
    );
    let regions = Placement { clusters: Vec::new(), ..nowhere };
    assert_eq!(
        summary(1, Some(&regions), &clusters(1)),
        "0 of 1 cluster fits: 1 not in region eu or us or ap or 2 more (c-00000)"
    );
}

#[test]
fn a_division_uses_no_more_clusters_than_a_decision_lists() {
    let fleet = clusters(3_000);
    let placed_at = |replicas, current: Option<&Shares>| placed(replicas, None, &fleet, current);
    let first = placed_at(5_000, None);
    assert_eq!((first.targets.len(), sum(&first.targets), first.all_matching), (1_000, 5_000, false));
    let more = placed_at(5_001, Some(&first.targets));
    assert_eq!(
        (more.targets.len(), sum(&more.targets), moves(&first.targets, &more.targets)),
        (1_000, 5_001, 1)
    );
    assert_eq!(placed_at(5_001, Some(&more.targets)).targets, more.targets);
    let copies: Shares = fleet.iter().map(|c| (c.name.clone(), 2)).collect();
    let from_copies = placed_at(5_000, Some(&copies));
    assert_eq!((from_copies.targets.len(), sum(&from_copies.targets)), (1_000, 5_000));
    assert_eq!(placed_at(0, Some(&copies)).targets.len(), 1_000);
}

#[test]
fn replicating_over_more_clusters_than_a_decision_lists_is_marked() {
    let copies = |n| placed(2, Some(&replicated()), &clusters(n), None);
    assert_eq!((copies(1_000).all_matching, copies(1_000).targets.len()), (false, 1_000));
    assert_eq!((copies(1_001).all_matching, copies(1_001).targets.len()), (true, 1_001));
}

#[test]
fn ten_thousand_clusters_and_two_billion_replicas_are_no_trouble() {
    let fleet = clusters(10_000);
    let placed = placed(i32::MAX, None, &fleet, None);
    assert_eq!(placed.targets.values().map(|s| i64::from(*s)).sum::<i64>(), i64::from(i32::MAX));
}
