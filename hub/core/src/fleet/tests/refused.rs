//! Writes that the API server will never take, as when its CRDs are of another version.

use parallax_crds::Phase;

use super::world::{World, cluster};
use crate::fleet::*;

fn told(effect: &Effect) -> bool {
    matches!(effect, Effect::Event { reason, .. } if reason == "StatusRefused")
}

#[test]
fn a_status_that_is_refused_is_told_of_once_and_sent_rarely() {
    let mut world = World::with(&["a"]);
    world.pass(60);
    world.log.clear();
    world.refuses = true;
    world.apply("x", |_| {});
    world.pass(5);
    assert_eq!(world.held("a", "x"), Some(1), "orders need no status");
    // One of the agent, one of the cluster that counts it.
    assert_eq!(world.count(told), 2, "{:#?}", world.log);
    world.log.clear();
    world.pass(3600);
    let attempts = world.writes();
    assert!((20..=30).contains(&attempts), "{attempts} in an hour, of two objects");
    assert_eq!(world.count(told), 0);
}

#[test]
fn a_users_change_of_what_was_refused_is_sent_at_once_and_all_is_well_in_time() {
    let mut world = World::with(&["a"]);
    world.refuses = true;
    world.apply("x", |_| {});
    world.pass(30);
    world.refuses = false;
    world.log.clear();
    world.apply("x", |spec| spec.replicas = 2);
    world.pass(2);
    assert!(world.agent_writes() > 0, "{:#?}", world.log);
    world.pass(300);
    assert_eq!(world.status("x").phase, Some(Phase::Running));
    assert_eq!(world.clusters[&cluster("a")].status.as_ref().unwrap().agent_summary.as_deref(), Some("1/1"));
    world.log.clear();
    world.refuses = true;
    world.apply("x", |spec| spec.replicas = 3);
    world.pass(5);
    assert!(world.count(told) > 0, "what is refused again is told again: {:#?}", world.log);
}

#[test]
fn a_member_whose_clusters_uid_is_refused_is_told_why() {
    let mut world = World::with(&["a"]);
    world.make_cluster("b", &[]);
    world.refuses = true;
    world.log.clear();
    world.connect("b");
    world.pass(60);
    assert_eq!(world.members[&cluster("b")].refused, Some("ClusterUIDRefused"));
    assert_eq!(world.count(|e| matches!(e, Effect::PinCluster { .. })), 1);
}
