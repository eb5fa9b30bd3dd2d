//! What is not removed, although it looks as if it should be.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use parallax_crds::agent::Placement;

use super::world::{World, cluster, key};
use crate::fleet::*;

fn in_region(region: &str) -> Placement {
    let labels = BTreeMap::from([("region".to_owned(), region.to_owned())]);
    let selector = LabelSelector { match_labels: Some(labels), ..LabelSelector::default() };
    Placement { cluster_selector: Some(selector), ..Placement::default() }
}

fn labelled(agents: usize) -> World {
    let mut world = World::empty();
    world.make_cluster("a", &[("region", "eu")]);
    world.start_hub();
    world.connect("a");
    for n in 0..agents {
        world.apply(&format!("x{n}"), |spec| spec.placement = Some(in_region("eu")));
    }
    world.pass(5);
    assert_eq!(world.members[&cluster("a")].held.len(), agents);
    world.log.clear();
    world
}

fn relabel(world: &mut World, region: &str) {
    let labels = BTreeMap::from([("region".to_owned(), region.to_owned())]);
    world.edit_cluster("a", |object| object.metadata.labels = Some(labels));
}

fn removals(world: &World) -> usize {
    world.count(|e| matches!(e, Effect::Remove { .. }))
}

#[test]
fn an_edited_label_removes_nothing_until_it_is_approved() {
    let mut world = labelled(30);
    relabel(&mut world, "us");
    world.pass(5);
    assert_eq!(removals(&world), 0);
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().reason, "TooManyRemovals");
    world.approve("a");
    world.pass(5);
    assert_eq!(removals(&world), 30);
    assert!(world.members[&cluster("a")].held.is_empty());
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "False");
    assert!(world.clusters[&cluster("a")].metadata.annotations.is_none(), "the approval was used up");
    assert!(world.tombstones.is_empty());
}

#[test]
fn a_label_that_is_put_back_leaves_everything_as_it_was() {
    let mut world = labelled(30);
    relabel(&mut world, "us");
    world.pass(5);
    relabel(&mut world, "eu");
    world.pass(5);
    assert_eq!(removals(&world), 0);
    assert_eq!(world.members[&cluster("a")].held.len(), 30);
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "False");
    assert_eq!(world.status("x1").replica_summary.as_deref(), Some("1/1"));
}

#[test]
fn a_held_mass_removal_is_still_held_after_a_restart_of_the_hub() {
    let mut world = labelled(30);
    relabel(&mut world, "us");
    world.pass(5);
    world.start_hub();
    world.connect("a");
    world.pass(60);
    assert_eq!(removals(&world), 0);
    assert_eq!(world.members[&cluster("a")].held.len(), 30);
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "True");
}

#[test]
fn a_few_agents_are_withdrawn_without_asking() {
    let mut world = labelled(5);
    relabel(&mut world, "us");
    world.pass(5);
    assert!(world.members[&cluster("a")].held.is_empty());
}

#[test]
fn a_namespace_full_of_agents_can_be_deleted() {
    let mut world = labelled(50);
    (0..50).for_each(|n| world.delete(&format!("x{n}")));
    world.pass(5);
    assert!(world.agents.is_empty());
    assert!(world.members[&cluster("a")].held.is_empty());
    assert!(world.count(|e| matches!(e, Effect::CheckCrd)) <= 3, "looks at the CRD are shared");
}

#[test]
fn an_empty_hub_removes_nothing_and_names_what_it_holds() {
    let mut world = labelled(3);
    world.agents.clear();
    world.start_hub();
    world.connect("a");
    world.pass(5);
    assert_eq!(removals(&world), 0);
    let blocked = world.condition_of("a", "PruneBlocked").unwrap();
    assert_eq!((blocked.status.as_str(), blocked.reason.as_str()), ("True", "UnknownAgents"));
    assert!(blocked.message.contains("default/x0, default/x1, default/x2"), "{}", blocked.message);
    world.approve("a");
    world.pass(5);
    assert!(world.members[&cluster("a")].held.is_empty());
    assert!(world.tombstones.is_empty());
}

#[test]
fn an_approval_of_something_else_approves_nothing() {
    let mut world = labelled(3);
    world.agents.clear();
    world.start_hub();
    world.connect("a");
    world.pass(5);
    world.edit_cluster("a", |object| {
        let wrong = ("parallax.io/prune-approve".to_owned(), "0123456789abcdef".to_owned());
        object.metadata.annotations = Some(BTreeMap::from([wrong]));
    });
    world.pass(5);
    assert_eq!(removals(&world), 0);
}

#[test]
fn an_agent_that_vanishes_from_the_watch_is_kept_and_taken_up_again() {
    let mut world = labelled(2);
    let object = world.agents.remove(&key("x0")).unwrap();
    world.send(
        super::world::Channel::Agents,
        Input::AgentGone { key: key("x0"), uid: object.metadata.uid.clone().unwrap() },
    );
    let revision = world.revisions_of("x0")[0].clone();
    world.collect_garbage(&key("x0"));
    world.pass(5);
    assert_eq!(removals(&world), 0);
    assert_eq!(world.held("a", "x0"), Some(1));
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "True");
    world.agents.insert(key("x0"), object.clone());
    world.send(super::world::Channel::Agents, Input::AgentSeen(std::sync::Arc::new(object)));
    world.pass(5);
    assert_eq!(world.held("a", "x0"), Some(1));
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "False");
    assert_eq!(world.revisions_of("x0")[0].about, revision.about, "what is pinned stays pinned");
}

#[test]
fn when_the_crd_goes_every_member_keeps_what_it_has() {
    let mut world = labelled(8);
    world.crd_going = true;
    (0..8).for_each(|n| world.delete(&format!("x{n}")));
    world.pass(5);
    assert!(world.agents.is_empty(), "finalizers don't hold the CRD up");
    assert_eq!(removals(&world), 0);
    assert!(world.tombstones.is_empty());
    assert_eq!(world.members[&cluster("a")].held.len(), 8);
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "True");
    // A new session asks again, and is held again.
    world.cut("a");
    world.connect("a");
    world.pass(5);
    assert_eq!(world.members[&cluster("a")].held.len(), 8);
    // Put back: the agents are applied again, and take the old ones' places.
    world.crd_going = false;
    (0..8).for_each(|n| world.apply(&format!("x{n}"), |spec| spec.placement = Some(in_region("eu"))));
    world.pass(5);
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "False");
    assert_eq!(world.status("x0").replica_summary.as_deref(), Some("1/1"));
}

#[test]
fn a_crd_that_cannot_be_read_delays_a_deletion() {
    let mut world = labelled(1);
    world.delete("x0");
    world.deliver(0);
    world.inbox.retain(|channel, _| *channel != super::world::Channel::Crd);
    world.feed(Input::Crd(CrdState::Unknown("time-out".to_owned())));
    assert_eq!(removals(&world), 0);
    world.pass(3);
    assert!(world.agents.is_empty());
}
