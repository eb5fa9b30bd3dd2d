use proptest::prelude::*;

use super::*;

fn ready(wanted: i32, ready: i32) -> ClusterPhase {
    ClusterPhase { wanted, ready, serving: ready, current: true, waits: false, failed: false, fresh: true }
}

impl ClusterPhase {
    fn failed(self) -> Self {
        Self { failed: true, ..self }
    }

    fn lost(self) -> Self {
        Self { fresh: false, ..self }
    }

    /// Beside what is ready, so many of an earlier hash are.
    fn and_earlier(self, earlier: i32) -> Self {
        Self { serving: self.ready + earlier, ..self }
    }

    fn old(self) -> Self {
        Self { current: false, ..self }
    }

    /// It was ordered an earlier revision, and runs it.
    fn waiting(self) -> Self {
        Self { waits: true, ..self.old() }
    }
}

fn facts(desired: i32, clusters: &[ClusterPhase]) -> PhaseFacts<'_> {
    PhaseFacts {
        deleting: false,
        desired,
        clusters,
        moves: false,
        held: false,
        quiet: Duration::ZERO,
        deadline: PROGRESS_DEADLINE,
        last: None,
    }
}

fn verdict(desired: i32, clusters: &[ClusterPhase]) -> (Phase, Movement) {
    let verdict = phase(&facts(desired, clusters));
    (verdict.phase, verdict.movement)
}

/// The same after ten quiet minutes.
fn late(desired: i32, clusters: &[ClusterPhase]) -> (Phase, Movement) {
    let verdict = phase(&PhaseFacts { quiet: PROGRESS_DEADLINE, ..facts(desired, clusters) });
    (verdict.phase, verdict.movement)
}

#[test]
fn a_deletion_comes_before_everything_else() {
    let clusters = [ready(2, 2)];
    let verdict = phase(&PhaseFacts { deleting: true, ..facts(2, &clusters) });
    assert_eq!((verdict.phase, verdict.changes_after), (Phase::Terminating, None));
}

#[test]
fn nothing_wanted_is_running_wherever_it_is() {
    assert_eq!(verdict(0, &[]), (Phase::Running, Movement::Settled));
    assert_eq!(verdict(0, &[ready(0, 1)]), (Phase::Running, Movement::Settled), "pods still end");
    assert_eq!(verdict(0, &[ready(0, 0).lost()]), (Phase::Running, Movement::Settled));
}

#[test]
fn all_ready_at_the_current_generation_is_running() {
    assert_eq!(verdict(5, &[ready(3, 3), ready(2, 2)]), (Phase::Running, Movement::Settled));
    assert_eq!(verdict(5, &[ready(3, 3), ready(2, 2).old()]), (Phase::Scaling, Movement::Moving));
    assert_eq!(
        verdict(5, &[ready(3, 2), ready(2, 3)]),
        (Phase::Scaling, Movement::Moving),
        "the sum isn't all"
    );
}

#[test]
fn something_ready_that_moves_is_scaling() {
    assert_eq!(verdict(5, &[ready(3, 1), ready(2, 0)]), (Phase::Scaling, Movement::Moving));
    assert_eq!(verdict(1, &[ready(1, 3)]), (Phase::Scaling, Movement::Moving), "also on the way down");
}

#[test]
fn something_ready_that_has_stopped_moving_is_running_and_says_why() {
    assert_eq!(verdict(5, &[ready(3, 3), ready(2, 0).failed()]), (Phase::Running, Movement::AllFailed));
    assert_eq!(
        verdict(6, &[ready(3, 3), ready(2, 0).failed(), ready(1, 0)]),
        (Phase::Scaling, Movement::Moving)
    );
    assert_eq!(late(5, &[ready(3, 1), ready(2, 0)]), (Phase::Running, Movement::DeadlineOver));
    assert_eq!(
        late(5, &[ready(3, 3)]),
        (Phase::Running, Movement::DeadlineOver),
        "two replicas have no cluster"
    );
}

#[test]
fn nothing_ready_is_pending_until_every_cluster_has_failed_or_the_deadline_is_over() {
    assert_eq!(verdict(2, &[ready(1, 0), ready(1, 0)]), (Phase::Pending, Movement::Moving));
    assert_eq!(verdict(2, &[ready(1, 0).failed(), ready(1, 0)]), (Phase::Pending, Movement::Moving));
    assert_eq!(
        verdict(2, &[ready(1, 0).failed(), ready(1, 0).failed()]),
        (Phase::Failed, Movement::AllFailed)
    );
    assert_eq!(late(2, &[ready(1, 0).failed(), ready(1, 0)]), (Phase::Failed, Movement::DeadlineOver));
}

#[test]
fn what_has_no_cluster_fails_only_past_the_deadline() {
    assert_eq!(verdict(2, &[]), (Phase::Pending, Movement::Moving));
    assert_eq!(late(2, &[]), (Phase::Failed, Movement::DeadlineOver));
}

#[test]
fn when_all_it_had_is_out_of_reach_the_phase_stays_what_it_was() {
    let lost = [ready(2, 2).lost(), ready(1, 0)];
    for (last, phase_now) in [
        (None, Phase::Pending),
        (Some(Phase::Pending), Phase::Pending),
        (Some(Phase::Running), Phase::Running),
        (Some(Phase::Scaling), Phase::Scaling),
        (Some(Phase::Failed), Phase::Failed),
    ] {
        let verdict = phase(&PhaseFacts { last, quiet: PROGRESS_DEADLINE * 2, ..facts(3, &lost) });
        assert_eq!((verdict.phase, verdict.movement), (phase_now, Movement::Unreachable));
    }
}

#[test]
fn a_cluster_out_of_reach_counts_nothing_while_others_have_something_ready() {
    let clusters = [ready(3, 3), ready(2, 2).lost()];
    assert_eq!(verdict(5, &clusters), (Phase::Scaling, Movement::Moving));
    assert_eq!(late(5, &clusters), (Phase::Running, Movement::DeadlineOver));
}

#[test]
fn it_says_when_time_alone_changes_it() {
    let clusters = [ready(3, 1)];
    let moving = PhaseFacts { quiet: Duration::from_secs(10), ..facts(3, &clusters) };
    assert_eq!(phase(&moving).changes_after, Some(Duration::from_secs(590)));
    assert_eq!(phase(&facts(1, &[ready(1, 1)])).changes_after, None);
    assert_eq!(phase(&facts(1, &[ready(1, 0).failed()])).changes_after, None);
}

#[test]
fn while_earlier_replicas_serve_an_update_is_scaling_and_at_its_end_running() {
    let roll = |a: ClusterPhase, b: ClusterPhase| verdict(2, &[a, b]);
    let (scaling, running) = ((Phase::Scaling, Movement::Moving), (Phase::Running, Movement::Settled));
    assert_eq!(roll(ready(1, 1).old(), ready(1, 1).old()), scaling, "nobody has begun");
    assert_eq!(roll(ready(1, 0).and_earlier(1), ready(1, 0).and_earlier(1)), scaling, "nothing new is ready");
    assert_eq!(roll(ready(1, 1).and_earlier(1), ready(1, 0).and_earlier(1)), scaling);
    assert_eq!(roll(ready(1, 1).and_earlier(1), ready(1, 1)), running, "the old one has yet to end");
}

#[test]
fn an_update_that_stops_short_is_running_while_earlier_replicas_serve_and_failed_without() {
    let stuck = |earlier| [ready(1, 0).and_earlier(earlier).failed()];
    assert_eq!(verdict(1, &stuck(1)), (Phase::Running, Movement::AllFailed));
    assert_eq!(verdict(1, &stuck(0)), (Phase::Failed, Movement::AllFailed));
    assert_eq!(late(1, &[ready(1, 0).and_earlier(1)]), (Phase::Running, Movement::DeadlineOver));
}

#[test]
fn earlier_replicas_out_of_reach_count_for_nothing_and_are_remembered() {
    let lost = [ready(1, 0).and_earlier(1).lost(), ready(1, 0)];
    assert_eq!(verdict(2, &lost).1, Movement::Unreachable);
    let one = [ready(1, 0).and_earlier(1).lost(), ready(1, 1)];
    assert_eq!(verdict(2, &one), (Phase::Scaling, Movement::Moving));
}

#[test]
fn while_clusters_wait_for_their_turn_it_moves_however_long_that_takes() {
    let clusters = [ready(1, 1), ready(2, 2).waiting()];
    assert_eq!(verdict(3, &clusters), (Phase::Scaling, Movement::Moving));
    assert_eq!(late(3, &clusters), (Phase::Scaling, Movement::Moving));
    assert_eq!(phase(&facts(3, &clusters)).changes_after, None);
}

#[test]
fn a_rollout_that_is_held_does_not_look_as_if_it_moved() {
    let held = |clusters: &[ClusterPhase]| {
        let verdict = phase(&PhaseFacts { held: true, ..facts(3, clusters) });
        (verdict.phase, verdict.movement)
    };
    assert_eq!(held(&[ready(1, 1), ready(2, 2).waiting()]), (Phase::Running, Movement::Held));
    let moving = (Phase::Scaling, Movement::Moving);
    assert_eq!(held(&[ready(1, 1), ready(2, 1).waiting()]), moving, "what waits is scaled too");
    let stopped = (Phase::Running, Movement::AllFailed);
    assert_eq!(held(&[ready(1, 0).and_earlier(1).failed(), ready(2, 2).waiting()]), stopped);
    assert_eq!(held(&[ready(3, 3)]), (Phase::Running, Movement::Settled));
}

fn any_cluster() -> impl Strategy<Value = ClusterPhase> {
    (0i32..4, 0i32..4, 0i32..3, any::<(bool, bool, bool, bool)>()).prop_map(
        |(wanted, ready, earlier, (current, waits, failed, fresh))| ClusterPhase {
            wanted,
            ready,
            serving: ready + earlier,
            current,
            waits,
            failed,
            fresh,
        },
    )
}

fn any_phase() -> impl Strategy<Value = Option<Phase>> {
    prop::option::of(prop::sample::select(vec![
        Phase::Pending,
        Phase::Running,
        Phase::Scaling,
        Phase::Failed,
        Phase::Terminating,
    ]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn every_input_has_a_phase_and_the_phase_says_what_it_means(
        deleting in prop::bool::weighted(0.1),
        desired in -1i32..8,
        clusters in prop::collection::vec(any_cluster(), 0..5),
        (moves, held) in any::<(bool, bool)>(),
        quiet in 0u64..1_300,
        last in any_phase(),
    ) {
        let quiet = Duration::from_secs(quiet);
        let facts = PhaseFacts { deleting, desired, clusters: &clusters, moves, held, quiet, deadline: PROGRESS_DEADLINE, last };
        let verdict = phase(&facts);
        let something_ready = clusters.iter().any(|c| c.fresh && c.serving > 0);

        prop_assert_eq!(verdict.phase == Phase::Terminating, deleting);
        if !deleting && verdict.movement != Movement::Unreachable && desired > 0 {
            let serving = matches!(verdict.phase, Phase::Running | Phase::Scaling);
            prop_assert_eq!(serving, something_ready);
        }
        if verdict.movement == Movement::Unreachable {
            prop_assert!(!something_ready && clusters.iter().any(|c| !c.fresh));
        }
        if moves && desired > 0 {
            prop_assert!(verdict.movement != Movement::Settled, "what is to leave hasn't left");
        }
        if verdict.movement == Movement::Held {
            prop_assert!(held && verdict.phase == Phase::Running && clusters.iter().any(|c| c.waits && !c.current));
        }
        let stopped = matches!(verdict.movement, Movement::AllFailed | Movement::DeadlineOver);
        if stopped {
            prop_assert!(matches!(verdict.phase, Phase::Running | Phase::Failed));
        }

        // What it says of the future is true.
        let later = |by: Duration| {
            let verdict = phase(&PhaseFacts { quiet: quiet + by, ..facts });
            (verdict.phase, verdict.movement)
        };
        let now = (verdict.phase, verdict.movement);
        match verdict.changes_after {
            Some(after) => {
                prop_assert!(after > Duration::ZERO);
                prop_assert_eq!(later(after - Duration::from_nanos(1)), now);
                prop_assert_ne!(later(after), now);
            }
            None => prop_assert_eq!(later(PROGRESS_DEADLINE * 3), now),
        }
    }
}
