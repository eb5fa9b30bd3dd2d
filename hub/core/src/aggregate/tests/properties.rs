//! What holds for every state of every fleet, over thousands of random ones.

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use proptest::test_runner::Config;

use super::*;
use crate::aggregate::text::word;

fn any_phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![
        Phase::Pending,
        Phase::Running,
        Phase::Scaling,
        Phase::Failed,
        Phase::Terminating,
    ])
}

fn any_reason() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "CrashLoopBackOff", "Progressing", "not a word"])
}

fn any_freshness() -> impl Strategy<Value = Freshness> {
    prop::sample::select(vec![Freshness::Fresh, Freshness::Fresh, Freshness::Stale, Freshness::Unreachable])
}

fn any_member() -> impl Strategy<Value = Member> {
    let report = prop::option::of((any_phase(), 0i32..5, 0i32..3, any_reason(), any::<bool>(), 1i64..4));
    let outcomes = vec![Outcome::Persisted, Outcome::Rejected, Outcome::Waiting, Outcome::Removing];
    let result = prop::option::of((prop::sample::select(outcomes), any_reason()));
    (
        prop::option::weighted(0.9, 0i32..5),
        any::<Option<bool>>(),
        report,
        result,
        any::<bool>(),
        (any_freshness(), prop::bool::weighted(0.2)),
    )
        .prop_map(|(wanted, persisted, report, result, heard, (freshness, waits))| {
            let mut member = Member { wanted, heard, freshness, waits, ..member("x", 0) };
            if let Some((phase, ready, earlier, reason, synced, generation)) = report {
                member = member.says(phase, ready, reason).and_earlier(earlier);
                member.generation = Some(generation);
                member.report.as_mut().unwrap().synced = synced;
            }
            if let Some((outcome, reason)) = result {
                member = member.answers(outcome, reason);
            }
            Member { persisted, suspended: persisted.is_none() && heard, ..member }
        })
}

fn any_fixture() -> impl Strategy<Value = Fixture> {
    let flags = (
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        any::<bool>(),
        prop::bool::weighted(0.1),
        any::<bool>(),
    );
    (prop::collection::vec(any_member(), 0..8), flags, 1i64..4, 0u64..1_300).prop_map(
        |(members, flags, generation, quiet)| {
            let (deleting, suspend, replicated, unresolved, explained) = flags;
            let name = |i: usize| ClusterName::new(&format!("c-{i}")).unwrap();
            let members: Vec<Member> = members
                .into_iter()
                .enumerate()
                .map(|(i, member)| Member { name: name(i), ..member })
                .collect();
            let mut fixture = over(&members);
            (fixture.deleting, fixture.spec.suspend, fixture.unresolved) = (deleting, suspend, unresolved);
            fixture.generation = generation;
            fixture = if replicated { fixture.replicated() } else { fixture.decided() };
            if !explained {
                fixture.explanation = None;
            }
            fixture.quiet(quiet)
        },
    )
}

proptest! {
    #![proptest_config(Config::with_cases(2_000))]

    #[test]
    fn what_has_not_changed_is_equal_whatever_the_time(before in any_fixture(), fixture in any_fixture(), later in 1i64..1_000_000) {
        let before = before.first();
        let first = fixture.aggregate(Some(&before), 2_000);
        // As the caller does: what has moved is quiet anew.
        let settled = if first.moved { fixture.clone().quiet(0) } else { fixture.clone() };
        let again = settled.aggregate(Some(&first.status), 2_000 + later);
        prop_assert_eq!(&again.status, &first.status);
        prop_assert_eq!(significance(Some(&first.status), &again.status), Significance::None);
        prop_assert!(!again.moved);
    }

    #[test]
    fn a_status_survives_the_api_server_unchanged(fixture in any_fixture()) {
        let status = fixture.first();
        let stored = serde_json::to_string(&status).unwrap();
        let read: ParallaxAgentStatus = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(read, status);
    }

    #[test]
    fn the_order_of_the_clusters_decides_nothing(fixture in any_fixture()) {
        let mut turned = fixture.clone();
        turned.members.reverse();
        prop_assert_eq!(fixture.first(), turned.first());
    }

    #[test]
    fn only_fresh_clusters_are_counted(fixture in any_fixture()) {
        let status = fixture.first();
        let fresh = status.clusters.iter().filter(|row| row.freshness == Freshness::Fresh);
        prop_assert_eq!(status.replicas, fresh.map(|row| row.replicas).sum::<i32>());
        let mut lost = fixture.clone();
        for member in &mut lost.members {
            member.freshness = Freshness::Unreachable;
        }
        let lost = lost.first();
        prop_assert_eq!((lost.replicas, lost.ready_replicas), (0, 0));
    }

    #[test]
    fn every_condition_is_there_once_and_fit_for_the_api_server(before in any_fixture(), fixture in any_fixture()) {
        let status = fixture.then(&before.first(), 2_000);
        let types: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
        prop_assert_eq!(types, [READY, PLACED, SYNCED, PROGRESSING, DEGRADED]);
        for condition in &status.conditions {
            prop_assert!(word(&condition.reason).is_some(), "{:?}", condition);
            prop_assert!(condition.message.len() < 4_096);
            prop_assert_eq!(condition.observed_generation, Some(fixture.generation));
        }
        prop_assert!(status.clusters.len() <= MAX_ROWS);
    }

    #[test]
    fn nothing_is_pending_or_failed_where_something_serves(before in any_fixture(), fixture in any_fixture()) {
        let status = fixture.then(&before.first(), 2_000);
        let serves = |member: &Member| {
            let ready = member.report.as_ref().is_some_and(|report| report.serving > 0);
            ready && member.wanted.is_some() && member.freshness == Freshness::Fresh
        };
        if fixture.members.iter().any(serves) {
            prop_assert!(!matches!(status.phase, Some(Phase::Pending | Phase::Failed)), "{:?}", status.phase);
        }
    }

    #[test]
    fn ready_is_true_exactly_when_all_that_is_wanted_is_there(fixture in any_fixture()) {
        let status = fixture.first();
        let targets = || fixture.members.iter().filter(|member| member.wanted.is_some());
        let there = |member: &Member| {
            let row = row(&status, member.name.as_str());
            let current = row.observed_generation == Some(fixture.generation);
            let idle = member.wanted == Some(0) && member.persisted == Some(true);
            row.freshness == Freshness::Fresh && Some(row.ready_replicas) == member.wanted && (current || idle)
        };
        let whole = targets().filter_map(|member| member.wanted).sum::<i32>() == status.desired_replicas;
        let all_there = status.desired_replicas == 0 || (whole && targets().all(there));
        let ready = brief(&status, READY).0 == "True";
        prop_assert_eq!(ready, all_there && !fixture.deleting);
        prop_assert!(!ready || status.phase == Some(Phase::Running));
    }
}
