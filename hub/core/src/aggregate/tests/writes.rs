//! How much changes hurry, and how many writes they come to.

use super::*;

/// The writes of a run of statuses: what is Soon waits for the next that is Now.
fn written(statuses: &[ParallaxAgentStatus]) -> Vec<&ParallaxAgentStatus> {
    let mut writes: Vec<&ParallaxAgentStatus> = Vec::new();
    for status in statuses {
        if significance(writes.last().copied(), status) == Significance::Now {
            writes.push(status);
        }
    }
    writes
}

/// The statuses as the members go through `steps`.
fn run(steps: &[Fixture], previous: Option<&ParallaxAgentStatus>) -> Vec<ParallaxAgentStatus> {
    let mut statuses: Vec<ParallaxAgentStatus> = Vec::new();
    for step in steps {
        let next = step.aggregate(statuses.last().or(previous), 1_000).status;
        statuses.push(next);
    }
    statuses
}

#[test]
fn from_apply_to_running_there_are_two_writes_over_one_member_and_over_five() {
    for members in [1, 5] {
        let name = |i: i32| format!("member-{i}");
        let every = |with: &dyn Fn(Member) -> Member| -> Vec<Member> {
            (0..members).map(|i| with(member(&name(i), 1))).collect()
        };
        let mut steps = vec![over(&every(&|m| m)), over(&every(&|m| m.persisted()))];
        steps.push(over(&every(&|m| m.says(Phase::Pending, 0, "Progressing"))));
        steps.push(over(&every(&|m| m.says(Phase::Pending, 0, "ContainerCreating"))));
        for ready in 1..=members {
            let says = |i| {
                if i < ready {
                    member(&name(i), 1).ready()
                } else {
                    member(&name(i), 1).says(Phase::Pending, 0, "")
                }
            };
            steps.push(over(&(0..members).map(says).collect::<Vec<_>>()));
        }
        let statuses = run(&steps, None);
        let phases: Vec<Option<Phase>> = written(&statuses).iter().map(|status| status.phase).collect();
        assert_eq!(phases, [Some(Phase::Pending), Some(Phase::Running)]);
    }
}

#[test]
fn an_edit_takes_two_writes_too() {
    let before = over(&[member("a", 2).ready()]).first();
    let generation = |member: Member, generation| {
        let mut fixture = over(&[Member { generation: Some(generation), ..member }]);
        fixture.generation = 2;
        fixture.decided()
    };
    let steps = [
        generation(Member { persisted: Some(false), ..member("a", 2).ready() }, 1),
        generation(member("a", 2).ready(), 1),
        generation(member("a", 2).says(Phase::Scaling, 1, "Progressing"), 2),
        generation(member("a", 2).ready(), 2),
    ];
    let statuses = run(&steps, Some(&before));
    assert_eq!(significance(Some(&before), &statuses[0]), Significance::Now);
    let phases: Vec<Option<Phase>> = written(&statuses).iter().map(|status| status.phase).collect();
    assert_eq!(phases, [Some(Phase::Scaling), Some(Phase::Running)]);
}

#[test]
fn what_settles_or_matters_goes_at_once() {
    let creating =
        over(&[member("a", 1).says(Phase::Pending, 0, "ContainerCreating"), member("b", 1).persisted()]);
    let running = over(&[member("a", 1).ready(), member("b", 1).ready()]);
    let half = over(&[member("a", 1).ready(), member("b", 1).says(Phase::Pending, 0, "ContainerCreating")]);
    let other = over(&[member("a", 2).persisted()]);
    let lost = running.now_with(&[member("a", 1).ready(), member("b", 1).ready().lost(Freshness::Stale)]);
    let waiting = half
        .now_with(&[member("a", 1).ready(), member("b", 1).answers(Outcome::Waiting, "NamespaceMissing")]);
    let failed = creating.now_with(&[
        member("a", 1).says(Phase::Failed, 0, "CrashLoopBackOff"),
        member("b", 1).says(Phase::Failed, 0, "CrashLoopBackOff"),
    ]);
    let terminating = Fixture { deleting: true, ..running.clone() };
    for (from, to, expected, what) in [
        (&creating, &creating, Significance::None, "nothing"),
        (&creating, &half, Significance::Soon, "the first ready replica"),
        (&half, &running, Significance::Now, "all of them"),
        (&running, &half, Significance::Now, "a lost pod"),
        (&creating, &failed, Significance::Now, "a failure"),
        (&failed, &creating, Significance::Soon, "a new attempt"),
        (&half, &waiting, Significance::Now, "Synced turns bad"),
        (&waiting, &half, Significance::Now, "Synced turns good"),
        (&running, &lost, Significance::Now, "a lost session"),
        (&lost, &running, Significance::Now, "Running again"),
        (&running, &terminating, Significance::Now, "a deletion"),
        (&creating, &other, Significance::Now, "another decision"),
    ] {
        let before = from.first();
        assert_eq!(significance(Some(&before), &to.then(&before, 2_000)), expected, "{what}");
    }
}

#[test]
fn a_cluster_that_has_let_go_does_not_hurry_and_one_that_has_to_does() {
    let mut withdrawing = over(&[member("a", 1).ready()]);
    let without = withdrawing.first();
    withdrawing.decision.as_mut().unwrap().withdrawing = vec!["b".into()];
    let with = withdrawing.first();
    assert_eq!(significance(Some(&without), &with), Significance::Now);
    assert_eq!(significance(Some(&with), &without), Significance::Soon);
}

#[test]
fn when_it_was_last_active_is_the_latest_word_and_is_written_along_with_other_changes() {
    let two = |a: i64| over(&[member("a", 1).ready().active(a), member("b", 1).ready().active(200)]);
    let active =
        |status: &ParallaxAgentStatus| status.last_activity_time.as_ref().map(|time| time.0.as_second());
    assert_eq!(active(&over(&[member("a", 1).ready()]).first()), None);
    let first = two(100).first();
    assert_eq!(active(&first), Some(200));
    let next = two(300).then(&first, 10);
    assert_eq!((active(&next), significance(Some(&first), &next)), (Some(300), Significance::None));
    let moved = over(&[member("b", 1).ready().active(200)]).then(&next, 20);
    assert_eq!(active(&moved), Some(300), "what was once known stays known");
}

#[test]
fn a_wake_up_that_was_over_between_two_writes_is_told_by_when_the_agent_was_active() {
    let asleep = |at| {
        let mut fixture = over(&[member("a", 1).says(Phase::Running, 0, "").sleeps().active(at)]);
        fixture.spec.scaling = Some(serde_json::from_value(serde_json::json!({ "minReplicas": 0 })).unwrap());
        fixture
    };
    let before = asleep(100).first();
    let again = asleep(100).then(&before, 10);
    assert_eq!(significance(Some(&before), &again), Significance::None);
    let woke = asleep(200).then(&before, 10);
    assert_eq!(significance(Some(&before), &woke), Significance::Soon);
}
