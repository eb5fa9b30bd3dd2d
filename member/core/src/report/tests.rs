#![allow(clippy::unwrap_used)]
use parallax_crds::Incarnation;
use parallax_crds::agent::Bounds;
use parallax_crds::fixtures::{self, hash};
use proptest::prelude::*;

use super::*;
use crate::replicas::LiveCount;
use crate::sync::Cause;
use crate::sync::tests::applied;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn agent() -> AgentRef {
    fixtures::agent("team/writer", "u-1")
}

fn deployment(replicas: i32, updated: i32, ready: i32) -> DeploymentFacts {
    DeploymentFacts {
        incarnation: Some(Incarnation::new("u-1")),
        hash: Some(hash(1)),
        observed: true,
        replicas,
        updated,
        ready,
        ..Default::default()
    }
}

fn pod(template: &str, created: i64, trouble: Option<(bool, &str)>) -> PodFacts {
    let trouble =
        trouble.map(|(failing, reason)| Trouble { failing, reason: reason.into(), message: "why".into() });
    PodFacts { template: template.into(), created, trouble }
}

fn told(wanted: i32, deployment: Option<&DeploymentFacts>, pods: &[PodFacts]) -> AgentReport {
    let pods: Vec<&PodFacts> = pods.iter().collect();
    report(&Facts {
        agent: &agent(),
        hash: Some(hash(1)),
        scale: Scale::fixed(wanted),
        targets: ScalingTargets::default(),
        asleep: false,
        deleting: false,
        sync: Some(&applied()),
        deployment,
        pods: &pods,
        previous: None,
        credentials: None,
        missing: &[],
        endpoint: None,
        last_activity: None,
        traceparent: Some(TRACE),
    })
}

#[test]
fn all_ready_is_running_without_a_reason() {
    let r = told(2, Some(&deployment(2, 2, 2)), &[]);
    assert_eq!((r.phase, r.ready, r.reason.as_str(), r.hash), (Phase::Running, 2, "", Some(hash(1))));
    assert_eq!(r.traceparent.as_deref(), Some(TRACE));
}

#[test]
fn what_load_has_chosen_is_what_is_wanted() {
    let told = |count: i32, started: &str, ready: i32| {
        let live = DeploymentFacts {
            count: LiveCount { replicas: count, started: started.parse().ok(), ..Default::default() },
            ..deployment(ready, ready, ready)
        };
        report(&Facts {
            agent: &agent(),
            hash: Some(hash(1)),
            scale: Scale { replicas: 2, bounds: Some(Bounds { min: 1, max: 5, start: 2 }), wake: None },
            targets: ScalingTargets { target_cpu_utilization: Some(70), target_memory_utilization: None },
            asleep: false,
            deleting: false,
            sync: Some(&applied()),
            deployment: Some(&live),
            pods: &[],
            previous: None,
            credentials: None,
            missing: &[],
            endpoint: None,
            last_activity: None,
            traceparent: None,
        })
    };
    let r = told(4, "2/2", 4);
    assert_eq!(
        (r.phase, r.desired, r.chosen, r.ready, r.reason.as_str()),
        (Phase::Running, 2, Some(4), 4, "")
    );
    assert_eq!(told(4, "2/2", 2).phase, Phase::Scaling);
    assert_eq!(told(9, "2/2", 5).chosen, Some(5), "the autoscaler is about to bring it within its bounds");
    let r = told(4, "3/2", 4);
    assert_eq!((r.phase, r.chosen), (Phase::Scaling, None), "the order has yet to be applied");
    let now = Time("2026-01-01T00:00:00Z".parse().unwrap());
    let status = status(&told(4, "2/2", 4), 1, None, &now);
    assert_eq!((status.desired_replicas, status.ready_replicas), (4, 4));
}

#[test]
fn one_unready_pod_does_not_make_the_agent_failed() {
    let pods = [pod("a", 1, None), pod("a", 2, Some((true, "CrashLoopBackOff")))];
    let r = told(2, Some(&deployment(2, 2, 1)), &pods);
    assert_eq!((r.phase, r.reason.as_str(), r.message.as_str()), (Phase::Scaling, "CrashLoopBackOff", "why"));
}

#[test]
fn nothing_ready_and_a_pod_that_needs_help_is_failed() {
    let pods = [pod("a", 1, Some((true, "ImagePullBackOff")))];
    let r = told(1, Some(&deployment(1, 1, 0)), &pods);
    assert_eq!((r.phase, r.reason.as_str()), (Phase::Failed, "ImagePullBackOff"));
}

#[test]
fn trouble_of_the_old_template_is_forgotten_once_the_new_one_has_pods() {
    let pods = [pod("old", 1, Some((true, "ImagePullBackOff"))), pod("new", 2, None)];
    let r = told(1, Some(&deployment(2, 1, 0)), &pods);
    assert_eq!((r.phase, r.reason.as_str()), (Phase::Pending, "Progressing"));
}

#[test]
fn trouble_of_a_new_pod_made_in_the_same_second_as_an_old_one_is_told() {
    let old = pod("old", 2, None);
    let new = pod("new", 2, Some((true, "ImagePullBackOff")));
    for pods in [[old.clone(), new.clone()], [new, old]] {
        assert_eq!(told(1, Some(&deployment(2, 1, 1)), &pods).reason, "ImagePullBackOff");
    }
}

#[test]
fn a_missed_deadline_is_failed_only_with_nothing_ready() {
    let late = DeploymentFacts { deadline_exceeded: Some("took too long".into()), ..deployment(2, 2, 0) };
    let r = told(2, Some(&late), &[]);
    assert_eq!((r.phase, r.reason.as_str()), (Phase::Failed, "ProgressDeadlineExceeded"));
    let r = told(2, Some(&DeploymentFacts { ready: 1, ..late }), &[]);
    assert_eq!((r.phase, r.reason.as_str()), (Phase::Running, "ProgressDeadlineExceeded"));
}

#[test]
fn pods_that_quota_refuses_are_told_of() {
    let d = DeploymentFacts {
        replica_failure: Some(("FailedCreate".into(), "exceeded quota".into())),
        ..deployment(0, 0, 0)
    };
    let r = told(1, Some(&d), &[]);
    assert_eq!(
        (r.phase, r.reason.as_str(), r.message.as_str()),
        (Phase::Pending, "FailedCreate", "exceeded quota")
    );
}

#[test]
fn what_pods_wait_for_is_named_until_all_are_ready() {
    let missing = [Need { kind: needs::Kind::ConfigMap, name: "settings".into() }];
    let waiting = pod("new", 1, Some((true, "CreateContainerConfigError")));
    for (ready, phase, reason) in [
        (0, Phase::Failed, "ConfigMapMissing"),
        (1, Phase::Scaling, "ConfigMapMissing"),
        (2, Phase::Running, ""),
    ] {
        let r = report(&Facts {
            agent: &agent(),
            hash: Some(hash(1)),
            scale: Scale::fixed(2),
            targets: ScalingTargets::default(),
            asleep: false,
            deleting: false,
            sync: Some(&applied()),
            deployment: Some(&deployment(2, 2, ready)),
            pods: &[&waiting],
            previous: None,
            credentials: None,
            missing: &missing,
            endpoint: None,
            last_activity: None,
            traceparent: None,
        });
        assert_eq!((r.phase, r.reason.as_str()), (phase, reason), "{ready} ready");
        assert_eq!(r.message.contains("ConfigMap team/settings"), !reason.is_empty());
    }
}

#[test]
fn zero_replicas_are_running() {
    assert_eq!(told(0, Some(&deployment(0, 0, 0)), &[]).phase, Phase::Running);
}

#[test]
fn the_predecessors_pods_are_not_the_agents() {
    let other = DeploymentFacts { incarnation: Some(Incarnation::new("u-0")), ..deployment(2, 2, 2) };
    let r = told(2, Some(&other), &[]);
    assert_eq!((r.phase, r.ready, r.serving, r.replicas, r.hash), (Phase::Pending, 0, 0, 0, None));
}

#[test]
fn until_the_deployment_is_observed_the_counts_are_about_what_ran_before() {
    let d = DeploymentFacts { observed: false, ..deployment(2, 2, 2) };
    let (agent, sync) = (agent(), applied());
    let facts = Facts {
        agent: &agent,
        hash: Some(hash(1)),
        scale: Scale::fixed(2),
        targets: ScalingTargets::default(),
        asleep: false,
        deleting: false,
        sync: Some(&sync),
        deployment: Some(&d),
        pods: &[],
        previous: Some(hash(0)),
        credentials: None,
        missing: &[],
        endpoint: None,
        last_activity: None,
        traceparent: None,
    };
    let r = report(&facts);
    assert_eq!((r.hash, r.ready, r.phase), (Some(hash(0)), 2, Phase::Scaling));
    let r = report(&Facts { previous: None, ..facts });
    assert_eq!((r.hash, r.ready, r.serving, r.phase), (None, 0, 2, Phase::Scaling), "of which, nobody knows");
}

#[test]
fn what_blocks_the_objects_is_the_reason() {
    let sync = Sync::blocked(Cause::NameConflict, "Deployment team/writer is not ours");
    let r = report(&Facts {
        agent: &agent(),
        hash: Some(hash(1)),
        scale: Scale::fixed(1),
        targets: ScalingTargets::default(),
        asleep: false,
        deleting: false,
        sync: Some(&sync),
        deployment: None,
        pods: &[],
        previous: None,
        credentials: None,
        missing: &[],
        endpoint: None,
        last_activity: None,
        traceparent: None,
    });
    assert_eq!((r.synced, r.reason.as_str(), r.phase), (false, "NameConflict", Phase::Pending));
}

#[test]
fn where_it_is_reached_is_told_until_it_is_deleted() {
    let (agent, sync) = (agent(), applied());
    let facts = Facts {
        agent: &agent,
        hash: Some(hash(1)),
        scale: Scale::fixed(1),
        targets: ScalingTargets::default(),
        asleep: false,
        deleting: false,
        sync: Some(&sync),
        deployment: None,
        pods: &[],
        previous: None,
        credentials: None,
        missing: &[],
        endpoint: Some("writer.team.svc:8080".to_owned()),
        last_activity: None,
        traceparent: None,
    };
    assert_eq!(report(&facts).endpoint.as_deref(), Some("writer.team.svc:8080"));
    assert_eq!(report(&Facts { deleting: true, ..facts }).endpoint, None);
}

#[test]
fn what_is_being_deleted_is_as_synced_as_it_last_was() {
    let refused = Sync::blocked(Cause::Refused("Forbidden"), "no quota");
    for (sync, synced) in [(None, false), (Some(&refused), false), (Some(&applied()), true)] {
        let r = report(&Facts {
            agent: &agent(),
            hash: Some(hash(1)),
            scale: Scale::fixed(1),
            targets: ScalingTargets::default(),
            asleep: false,
            deleting: true,
            sync,
            deployment: None,
            pods: &[],
            previous: None,
            credentials: None,
            missing: &[],
            endpoint: None,
            last_activity: None,
            traceparent: None,
        });
        assert_eq!((r.synced, r.reason.as_str(), r.phase), (synced, "Terminating", Phase::Terminating));
    }
}

#[test]
fn a_status_that_says_the_same_is_the_same_at_any_time() {
    let r = told(2, Some(&deployment(2, 2, 1)), &[]);
    let first = status(&r, 3, None, &Time("2026-01-01T00:00:00Z".parse().unwrap()));
    let again = status(&r, 3, Some(&first), &Time("2026-01-02T00:00:00Z".parse().unwrap()));
    assert_eq!(first, again);
    assert_eq!(first.conditions.len(), 2);
}

/// The counts of a Deployment through a rollout of its only replica: replicas, updated, ready.
const ROLL: [(i32, i32, i32); 4] = [(1, 0, 1), (2, 1, 1), (2, 1, 2), (1, 1, 1)];

#[test]
fn through_an_update_the_old_pod_counts_as_serving_and_not_as_ready() {
    let unobserved = DeploymentFacts { observed: false, ..deployment(1, 1, 1) };
    let mut steps = vec![told(1, Some(&unobserved), &[])];
    steps.extend(
        ROLL.map(|(replicas, updated, ready)| told(1, Some(&deployment(replicas, updated, ready)), &[])),
    );
    let phases: Vec<Phase> = steps.iter().map(|r| r.phase).collect();
    let (moving, done) = (Phase::Scaling, Phase::Running);
    assert_eq!(phases, [moving, moving, moving, done, done]);
    let counts: Vec<(i32, i32)> = steps.iter().map(|r| (r.ready, r.serving)).collect();
    assert_eq!(counts, [(0, 1), (0, 1), (0, 1), (1, 2), (1, 1)]);
}

#[test]
fn an_update_that_cannot_start_leaves_the_agent_serving_and_says_why() {
    let pods = [pod("old", 1, None), pod("new", 2, Some((true, "ImagePullBackOff")))];
    let stuck = deployment(2, 1, 1);
    let r = told(1, Some(&stuck), &pods);
    assert_eq!((r.phase, r.ready, r.serving), (Phase::Scaling, 0, 1));
    assert_eq!((r.reason.as_str(), r.message.as_str()), ("ImagePullBackOff", "why"));
    let late = DeploymentFacts { deadline_exceeded: Some("took too long".into()), ..stuck };
    let r = told(1, Some(&late), &pods);
    assert_eq!((r.phase, r.reason.as_str()), (Phase::Running, "ImagePullBackOff"));
    let ready = status(&r, 1, None, &Time("2026-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(ready.conditions.iter().find(|c| c.type_ == "Ready").unwrap().status, "False");
}

proptest! {
    #[test]
    fn while_a_pod_of_the_agent_is_ready_no_report_says_that_nothing_is(
        wanted in 1..6_i32, replicas in 0..6_i32, updated in 0..6_i32, ready in 0..6_i32,
        observed: bool, other_hash: bool, late: bool, failing: bool,
    ) {
        let mut d = deployment(replicas, updated.min(replicas), ready.min(replicas));
        d.observed = observed;
        d.deadline_exceeded = late.then(|| "took too long".to_owned());
        if other_hash { d.hash = Some(hash(2)); }
        let pods: Vec<PodFacts> = failing.then(|| pod("new", 2, Some((true, "CrashLoopBackOff")))).into_iter().collect();
        let r = told(wanted, Some(&d), &pods);
        prop_assert_eq!(r.serving, ready.min(replicas));
        prop_assert!(r.ready <= r.serving && r.serving <= r.replicas);
        prop_assert_eq!(matches!(r.phase, Phase::Running | Phase::Scaling), r.serving > 0);
    }

    #[test]
    fn no_report_counts_more_ready_than_exist_or_is_running_with_less_than_wanted_and_no_deadline(
        wanted in 0..6_i32, replicas in 0..6_i32, updated in 0..6_i32, ready in 0..6_i32, observed: bool, other_hash: bool,
    ) {
        let mut d = deployment(replicas, updated.min(replicas), ready.min(replicas));
        d.observed = observed;
        if other_hash { d.hash = Some(hash(2)); }
        let r = told(wanted, Some(&d), &[]);
        prop_assert!(r.ready <= r.replicas);
        if r.phase == Phase::Running { prop_assert!(r.ready == wanted || wanted == 0); }
        if r.phase == Phase::Failed { prop_assert_eq!(r.ready, 0); }
    }
}

#[test]
fn what_is_known_of_the_key_is_a_condition_of_its_own() {
    let mut r = told(1, Some(&deployment(1, 1, 1)), &[]);
    let conditions =
        |r: &AgentReport| status(r, 1, None, &Time("2026-01-01T00:00:00Z".parse().unwrap())).conditions;
    assert!(conditions(&r).iter().all(|c| c.type_ != "CredentialsReady"));
    r.credentials =
        Some(CredentialsReport { ready: false, reason: "SecretMissing".into(), message: "create it".into() });
    let all = conditions(&r);
    let said = all.iter().find(|c| c.type_ == "CredentialsReady").unwrap();
    assert_eq!(
        (said.status.as_str(), said.reason.as_str(), said.message.as_str()),
        ("False", "SecretMissing", "create it")
    );
}
