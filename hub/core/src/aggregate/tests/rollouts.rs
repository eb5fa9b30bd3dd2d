//! What is said of an agent whose clusters get a change in waves.

use parallax_crds::agent::{RolloutStrategy, Wave};
use parallax_crds::conditions::PROGRESSING;

use super::*;

/// The first cluster's turn has come, and the second waits with what it has.
fn under_way(edit: impl FnOnce(&mut Rollout)) -> Fixture {
    let waves = vec![Wave::default()];
    let mut rollout = Rollout { strategy: RolloutStrategy::Waves, waves, ..Rollout::default() };
    edit(&mut rollout);
    let first = member("a", 1).persisted();
    let waiting = Member { wave: 1, waits: true, ..member("b", 2).ready() };
    Fixture { generation: 2, rollout: Some(rollout), ..over(&[first, waiting]) }.decided()
}

fn now(fixture: &Fixture, a: &Member) -> Fixture {
    fixture.now_with(&[a.clone(), fixture.members[1].clone()])
}

/// As it is after both looks, so that what is written down has been acted upon.
fn status(fixture: &Fixture, previous: &ParallaxAgentStatus, second: i64) -> ParallaxAgentStatus {
    let next = fixture.then(previous, second);
    fixture.then(&next, second)
}

fn a() -> Member {
    Member { generation: Some(2), ..member("a", 1).ready() }
}

#[test]
fn while_a_wave_goes_on_the_agent_is_scaling_and_says_which() {
    let fixture = under_way(|_| ());
    let first = fixture.first();
    let rollout = first.rollout.clone().unwrap();
    assert_eq!((rollout.clusters, rollout.wave, rollout.waves), (vec!["a".to_owned()], 1, 2));
    assert_eq!((first.phase, first.replica_summary.as_deref()), (Some(Phase::Scaling), Some("0/3")));
    let (progressing, _, message) = condition(&first, PROGRESSING);
    assert_eq!(progressing, "True");
    assert!(message.contains("wave 1 of 2: 0 of 1 cluster is ready; it waits for a"), "{message}");
    assert_eq!(condition(&first, SYNCED).0, "True", "what waits has what it was ordered");
    assert_eq!(condition(&first, READY).0, "False");
}

#[test]
fn a_rollout_that_is_paused_is_running_and_waits_for_its_user() {
    let fixture = under_way(|rollout| rollout.paused = true);
    let paused = status(&now(&fixture, &a()), &fixture.first(), 2_000);
    assert_eq!((paused.phase, paused.replica_summary.as_deref()), (Some(Phase::Running), Some("1/3")));
    for type_ in [PROGRESSING, READY] {
        let (is, reason, message) = condition(&paused, type_);
        assert_eq!((is, reason), ("False", "RolloutPaused"));
        assert!(message.contains("spec.rollout.paused"), "{message}");
    }
    assert_eq!(condition(&paused, DEGRADED).0, "False");
}

#[test]
fn a_wave_that_waits_for_its_approval_says_so() {
    let fixture = under_way(|rollout| rollout.waves.push(Wave { approval: true, ..Wave::default() }));
    let waiting = status(&now(&fixture, &a()), &fixture.first(), 2_000);
    assert_eq!(waiting.phase, Some(Phase::Running));
    let (is, reason, message) = condition(&waiting, PROGRESSING);
    assert_eq!((is, reason), ("False", "WaitingForApproval"));
    assert!(message.starts_with("wave 2 of 2 begins when it is approved"), "{message}");
}

#[test]
fn a_failure_halts_the_rollout_and_names_the_cluster_and_the_reason() {
    let fixture = under_way(|_| ());
    let failing = Member {
        generation: Some(2),
        ..member("a", 1).says(Phase::Scaling, 0, "ImagePullBackOff").and_earlier(1)
    };
    let fixture = now(&fixture, &failing);
    let first = fixture.first();
    let changes_after = fixture.aggregate(Some(&first), 1_005).changes_after.unwrap();
    assert_eq!(changes_after.as_secs(), 5);
    let halted = status(&fixture, &first, 1_011);
    assert_eq!(halted.rollout.as_ref().unwrap().state, RolloutState::Halted);
    assert_eq!(halted.phase, Some(Phase::Running), "earlier ones serve");
    for (type_, truth) in [(PROGRESSING, "False"), (DEGRADED, "True")] {
        let (is, reason, message) = condition(&halted, type_);
        assert_eq!((is, reason), (truth, "RolloutHalted"));
        assert!(message.starts_with("a: ImagePullBackOff: about ImagePullBackOff"), "{message}");
    }
    assert_eq!(significance(Some(&first), &halted), Significance::Now);
}

#[test]
fn what_failed_before_the_change_does_not_halt_it() {
    let fixture = under_way(|_| ());
    let failing = member("a", 1).says(Phase::Failed, 0, "CrashLoopBackOff");
    let fixture = now(&fixture, &failing);
    let later = status(&fixture, &fixture.first(), 1_500);
    assert_eq!(later.rollout.unwrap().state, RolloutState::Progressing);
}

#[test]
fn once_all_have_it_the_agent_is_ready() {
    let fixture = under_way(|_| ());
    let first = status(&now(&fixture, &a()), &fixture.first(), 2_000);
    assert_eq!(first.rollout.as_ref().unwrap().clusters, ["a", "b"]);
    let b = Member { wave: 1, generation: Some(2), ..member("b", 2).ready() };
    let all = status(&fixture.now_with(&[a(), b]), &first, 2_001);
    assert_eq!(all.rollout.as_ref().unwrap().state, RolloutState::Complete);
    assert_eq!((all.phase, condition(&all, READY).0), (Some(Phase::Running), "True"));
}

#[test]
fn a_spec_that_all_had_before_is_everywhere_at_once() {
    let fixture = under_way(|_| ());
    let first = fixture.first();
    let error = None;
    let inputs: Vec<_> = fixture.members.iter().map(Member::input).collect();
    let input = AggregateInput {
        agent: &fixture.agent,
        generation: 3,
        deleting: false,
        spec: &fixture.spec,
        unresolved: error,
        decision: fixture.decision.as_ref(),
        explanation: None,
        rollout: fixture.waves().map(|waves| Waves { revision: 3, change: None, ..waves }),
        clusters: &inputs,
        quiet: Duration::ZERO,
        deadline: PROGRESS_DEADLINE,
    };
    let rollout = aggregate(&input, Some(&first), at(2_000)).status.rollout.unwrap();
    assert_eq!((rollout.revision, rollout.state, rollout.clusters.len()), (3, RolloutState::Complete, 0));
}
