#![allow(clippy::unwrap_used)]
use parallax_crds::{AgentKey, Incarnation};
use proptest::prelude::*;

use super::*;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn agent() -> AgentRef {
    AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("u-1") }
}

fn hash(n: u8) -> SpecHash {
    SpecHash::from_bytes(&[n; 16]).unwrap()
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
        replicas: wanted,
        deleting: false,
        sync: &Sync::Applied,
        deployment,
        pods: &pods,
        previous: None,
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
fn zero_replicas_are_running() {
    assert_eq!(told(0, Some(&deployment(0, 0, 0)), &[]).phase, Phase::Running);
}

#[test]
fn the_predecessors_pods_are_not_the_agents() {
    let other = DeploymentFacts { incarnation: Some(Incarnation::new("u-0")), ..deployment(2, 2, 2) };
    let r = told(2, Some(&other), &[]);
    assert_eq!((r.phase, r.ready, r.replicas, r.hash), (Phase::Pending, 0, 0, None));
}

#[test]
fn until_the_deployment_is_observed_the_counts_are_about_what_ran_before() {
    let d = DeploymentFacts { observed: false, ..deployment(2, 2, 2) };
    let facts = Facts {
        agent: &agent(),
        hash: Some(hash(1)),
        replicas: 2,
        deleting: false,
        sync: &Sync::Applied,
        deployment: Some(&d),
        pods: &[],
        previous: Some(hash(0)),
        traceparent: None,
    };
    let r = report(&facts);
    assert_eq!((r.hash, r.ready, r.phase), (Some(hash(0)), 2, Phase::Scaling));
    let r = report(&Facts { previous: None, ..facts });
    assert_eq!((r.hash, r.ready, r.phase), (None, 0, Phase::Pending));
}

#[test]
fn what_blocks_the_objects_is_the_reason() {
    let sync =
        Sync::Blocked { reason: "NameConflict".into(), message: "Deployment team/writer is not ours".into() };
    let r = report(&Facts {
        agent: &agent(),
        hash: Some(hash(1)),
        replicas: 1,
        deleting: false,
        sync: &sync,
        deployment: None,
        pods: &[],
        previous: None,
        traceparent: None,
    });
    assert_eq!((r.synced, r.reason.as_str(), r.phase), (false, "NameConflict", Phase::Pending));
}

#[test]
fn a_status_that_says_the_same_is_the_same_at_any_time() {
    let r = told(2, Some(&deployment(2, 2, 1)), &[]);
    let first = status(&r, 3, None, &Time("2026-01-01T00:00:00Z".parse().unwrap()));
    let again = status(&r, 3, Some(&first), &Time("2026-01-02T00:00:00Z".parse().unwrap()));
    assert_eq!(first, again);
    assert_eq!(first.conditions.len(), 2);
}

proptest! {
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
