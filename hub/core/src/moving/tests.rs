#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn part(name: &str, goal: i32, in_effect: i32, ready: i32) -> Part {
    let name = ClusterName::new(name).unwrap();
    Part { name, goal, in_effect, retained: 0, ready: Some(ready), within_reach: true }
}

/// As the hub asks the next time: what was retained is in effect.
fn again(parts: &[Part], retained: &Retained) -> Vec<Part> {
    let next = |part: &Part| {
        let retained = retained.replicas.get(&part.name).copied().unwrap_or(0);
        let in_effect = part.goal + retained;
        Part { in_effect, retained, ready: part.ready.map(|ready| ready.min(in_effect)), ..part.clone() }
    };
    parts.iter().map(next).collect()
}

fn shown(retained: &Retained) -> Vec<(&str, i32)> {
    retained.replicas.iter().map(|(name, replicas)| (name.as_str(), *replicas)).collect()
}

#[test]
fn a_cluster_is_left_step_by_step_as_the_other_becomes_ready() {
    let mut parts = vec![part("a", 0, 3, 3), part("b", 3, 0, 0)];
    let mut left = Vec::new();
    for ready in 0..=3 {
        parts[1].ready = Some(ready);
        let retained = retain(&parts, None);
        left.push(retained.replicas.values().sum::<i32>());
        parts = again(&parts, &retained);
    }
    assert_eq!(left, [3, 2, 1, 0]);
}

#[test]
fn shares_that_shift_are_made_before_they_are_broken() {
    let parts = [part("a", 1, 3, 3), part("b", 2, 0, 0)];
    assert_eq!(shown(&retain(&parts, None)), [("a", 2)]);
}

#[test]
fn what_becomes_less_goes_at_once_though_nothing_is_ready() {
    assert_eq!(retain(&[part("a", 1, 3, 0), part("b", 1, 2, 0)], None), Retained::default());
    let parts = [part("a", 0, 5, 5), part("b", 3, 0, 0)];
    assert_eq!(shown(&retain(&parts, None)), [("a", 3)], "so many as there are to be");
}

#[test]
fn what_is_ready_is_retained_before_what_isnt() {
    let parts = [part("a", 0, 2, 0), part("b", 0, 2, 2), part("c", 2, 0, 0)];
    assert_eq!(shown(&retain(&parts, None)), [("b", 2)]);
    let parts = [part("a", 0, 2, 0), part("b", 2, 0, 0)];
    assert_eq!(shown(&retain(&parts, None)), [("a", 2)], "it may be ready again before the other is");
}

#[test]
fn a_second_move_keeps_what_the_first_one_left() {
    let parts = [part("a", 0, 3, 3), part("b", 3, 0, 0)];
    let parts = again(&parts, &retain(&parts, None));
    let mut onwards = parts.clone();
    onwards[1].goal = 0;
    onwards.push(part("c", 3, 0, 0));
    assert_eq!(shown(&retain(&onwards, None)), [("a", 3)], "nothing was ready in b");
}

#[test]
fn a_cluster_that_is_away_is_judged_when_it_is_back() {
    let mut parts = vec![part("a", 0, 3, 0), part("b", 3, 0, 0)];
    parts[0].within_reach = false;
    let retained = retain(&parts, None);
    assert_eq!((shown(&retained), retained.away.len()), (vec![("a", 3)], 1));
    parts = again(&parts, &retained);
    parts[1].ready = Some(3);
    assert_eq!(shown(&retain(&parts, None)), [("a", 3)]);
    parts[0].within_reach = true;
    assert_eq!(retain(&parts, None), Retained::default());
}

#[test]
fn where_there_is_a_bound_no_more_is_retained_than_it_leaves_room_for() {
    let parts = [part("a", 0, 3, 3), part("b", 3, 0, 0)];
    assert_eq!(shown(&retain(&parts, Some(5))), [("a", 2)]);
    assert_eq!(retain(&parts, Some(3)), Retained::default());
}

#[test]
fn what_hasnt_told_is_not_judged_yet() {
    let mut parts = vec![part("a", 1, 3, 0), part("b", 2, 2, 2)];
    parts[0].ready = None;
    let retained = retain(&parts, None);
    assert_eq!((shown(&retained), retained.away.len()), (vec![("a", 2)], 0));
    parts = again(&parts, &retained);
    parts[0].ready = Some(3);
    assert_eq!(retain(&parts, None), Retained::default());
}

#[test]
fn nothing_that_is_ready_is_given_up_for_what_was_ordered_and_never_came() {
    assert_eq!(shown(&retain(&[part("a", 1, 3, 3), part("b", 2, 3, 0)], None)), [("a", 2)]);
}

/// By cluster: the new goal, what is in effect, and what of it was retained.
fn any_parts() -> impl Strategy<Value = Vec<Part>> {
    let ready = prop::option::weighted(0.9, 0..6_i32);
    let one = (0..6_i32, 0..6_i32, 0..6_i32, ready, prop::bool::weighted(0.9));
    prop::collection::vec(one, 1..6).prop_map(|all| {
        let part = |(n, (goal, in_effect, retained, ready, within_reach)): (
            usize,
            (i32, i32, i32, Option<i32>, bool),
        )| Part {
            retained: retained.min(in_effect),
            ready: ready.map(|ready| ready.min(in_effect)),
            within_reach,
            ..part(&format!("m-{n}"), goal, in_effect, 0)
        };
        all.into_iter().enumerate().map(part).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_move_ends_and_keeps_up_what_there_was_or_is_to_be(
        parts in any_parts(),
        order in prop::collection::vec(0..6_usize, 0..40),
    ) {
        let mut parts = parts;
        let total = |parts: &[Part], of: fn(&Part) -> i32| parts.iter().map(of).sum::<i32>();
        let ready = |parts: &[Part]| total(parts, |p| p.ready.unwrap_or(0));
        let goal = total(&parts, |p| p.goal);
        let begun = again(&parts, &retain(&parts, None));
        prop_assert!(parts.iter().zip(&begun).all(|(p, next)| next.in_effect <= p.in_effect.max(p.goal)));
        prop_assert!(ready(&begun) >= ready(&parts).min(goal), "too little is left of {parts:?}");

        parts = begun;
        for step in order {
            let n = step % parts.len();
            let most = parts[n].in_effect;
            parts[n].ready = Some(parts[n].ready.map_or(0, |ready| ready + 1).min(most));
            let held = retain(&parts, None);
            for part in &parts {
                let retained = held.replicas.get(&part.name).copied().unwrap_or(0);
                prop_assert!(retained <= part.retained, "what is retained only shrinks");
                prop_assert!(part.within_reach || retained == part.retained);
            }
            let next = again(&parts, &held);
            prop_assert!(ready(&next) >= ready(&parts).min(goal), "too little is left of {parts:?}");
            prop_assert_eq!(&retain(&next, None), &held, "asked twice, it says the same");
            parts = next;
        }
        for part in &mut parts {
            (part.ready, part.within_reach) = (Some(part.in_effect), true);
        }
        prop_assert_eq!(retain(&parts, None), Retained::default());
    }

    #[test]
    fn a_bound_is_never_exceeded(parts in any_parts(), room in 0..8_i64) {
        let goal: i64 = parts.iter().map(|p| i64::from(p.goal)).sum();
        let Retained { replicas, away } = retain(&parts, Some(goal + room));
        let within = replicas.iter().filter(|(name, _)| !away.contains(*name));
        prop_assert!(within.map(|(_, replicas)| i64::from(*replicas)).sum::<i64>() <= room);
    }
}
