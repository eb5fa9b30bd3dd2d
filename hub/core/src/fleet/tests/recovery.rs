//! Decisions that were lost: what runs stays where it runs.

use parallax_crds::labels;

use super::world::{Channel, World, cluster, key};
use crate::fleet::*;

/// Three replicas that a has alone, in a fleet that would divide them today.
fn all_on_a() -> World {
    let mut world = World::with(&["a"]);
    world.apply("x", |spec| spec.replicas = 3);
    world.pass(5);
    for name in ["b", "c"] {
        world.make_cluster(name, &[]);
        world.connect(name);
    }
    world.pass(5);
    assert_eq!(shares(&world), [Some(3), None, None]);
    world.log.clear();
    world
}

fn shares(world: &World) -> [Option<i32>; 3] {
    ["a", "b", "c"].map(|name| world.held(name, "x"))
}

fn removals(world: &World) -> usize {
    world.count(|e| matches!(e, Effect::Remove { .. }))
}

#[test]
fn an_agent_whose_status_was_wiped_stays_where_it_runs() {
    let mut world = all_on_a();
    world.wipe_and_start_hub("x");
    world.connect("b");
    world.connect("c");
    world.pass(10);
    assert!(world.agents[&key("x")].status.is_none(), "nobody knows yet where it runs");
    world.connect("a");
    world.pass(10);
    assert_eq!(shares(&world), [Some(3), None, None]);
    assert_eq!(world.status("x").placement.as_ref().unwrap().targets.len(), 1);
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("3/3"));
    assert_eq!(removals(&world), 0);
    world.log.clear();
    world.pass(3600);
    assert_eq!((world.writes(), world.orders_and_removals()), (0, 0), "{:#?}", world.log);
}

#[test]
fn a_cluster_that_stays_away_does_not_keep_an_agent_from_being_placed() {
    let mut world = all_on_a();
    world.wipe_and_start_hub("x");
    world.connect("b");
    world.connect("c");
    world.pass(50);
    assert_eq!(world.held("b", "x").unwrap_or(0) + world.held("c", "x").unwrap_or(0), 3);
    world.connect("a");
    world.pass(10);
    // Three are too many now; all have told, so each is known.
    assert_eq!(shares(&world).iter().flatten().sum::<i32>(), 3);
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "False");
}

/// x runs once, in a, and again elsewhere since a had not told in time; d tells nothing.
fn one_too_many() -> World {
    let mut world = World::with(&["a"]);
    world.apply("x", |_| {});
    world.pass(5);
    for name in ["b", "d"] {
        world.make_cluster(name, &[]);
    }
    world.wipe_and_start_hub("x");
    world.connect("b");
    world.pass(50);
    assert_eq!(world.held("b", "x"), Some(1));
    world.connect("a");
    world.pass(10);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (Some(1), Some(1)));
    assert_eq!(removals(&world), 0);
    world
}

fn holding(world: &World) -> &'static str {
    let holding: Vec<_> = ["a", "b"].into_iter().filter(|name| world.held(name, "x").is_some()).collect();
    assert_eq!(holding.len(), 1, "{holding:?}");
    holding[0]
}

fn blocked(world: &World) -> Vec<&'static str> {
    let of = |name: &&str| world.condition_of(name, "PruneBlocked").is_some_and(|c| c.status == "True");
    ["a", "b"].into_iter().filter(of).collect()
}

#[test]
fn no_copy_is_removed_before_every_cluster_has_told() {
    let mut world = one_too_many();
    let at = blocked(&world);
    assert_eq!(at.len(), 1);
    let condition = world.condition_of(at[0], "PruneBlocked").unwrap();
    assert_eq!(condition.reason, "DecisionLost");
    assert!(condition.message.contains("default/x"), "{}", condition.message);
    world.pass(3600);
    assert_eq!(removals(&world), 0);
    world.connect("d");
    world.pass(10);
    assert_ne!(holding(&world), at[0]);
    assert!(blocked(&world).is_empty());
}

#[test]
fn a_hub_that_starts_again_still_knows_that_not_every_cluster_has_told() {
    let mut world = one_too_many();
    assert!(world.status("x").placement.as_ref().unwrap().incomplete);
    world.start_hub();
    world.connect("a");
    world.connect("b");
    world.pass(60);
    assert_eq!((removals(&world), blocked(&world).len()), (0, 1));
    world.connect("d");
    world.pass(10);
    holding(&world);
    assert!(!world.status("x").placement.as_ref().unwrap().incomplete);
}

#[test]
fn an_administrator_can_approve_the_removal_before() {
    let mut world = one_too_many();
    let at = blocked(&world)[0];
    world.approve(at);
    world.pass(10);
    assert_ne!(holding(&world), at);
    assert!(blocked(&world).is_empty());
    assert!(world.tombstones.is_empty());
}

#[test]
fn a_cluster_that_is_detached_is_not_waited_for() {
    let mut world = one_too_many();
    world.delete_cluster("d");
    world.pass(10);
    holding(&world);
}

#[test]
fn the_deletion_of_an_agent_whose_status_was_wiped_reaches_clusters_that_are_away() {
    let mut world = all_on_a();
    world.wipe_and_start_hub("x");
    world.connect("b");
    world.settle();
    world.delete("x");
    world.pass(5);
    assert!(world.agents.is_empty());
    world.connect("a");
    world.connect("c");
    world.pass(5);
    assert_eq!(shares(&world), [None, None, None]);
    assert!(world.tombstones.is_empty(), "{:?}", world.tombstones);
}

#[test]
fn an_agent_that_is_restored_under_its_incarnation_takes_up_what_runs() {
    let mut world = all_on_a();
    let mut object = world.agents.remove(&key("x")).unwrap();
    let uid = object.metadata.uid.clone().unwrap();
    world.send(Channel::Agents, Input::AgentGone { key: key("x"), uid: uid.clone() });
    world.pass(5);
    object.status = None;
    object.metadata.finalizers = None;
    object.metadata.uid = Some("another".to_owned());
    object.metadata.annotations = Some([(labels::INCARNATION.to_owned(), uid)].into());
    world.agents.insert(key("x"), object);
    world.apply("x", |_| {});
    world.pass(5);
    assert_eq!(shares(&world), [Some(3), None, None]);
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("3/3"));
    assert_eq!(removals(&world), 0);
    assert_eq!(world.condition_of("a", "PruneBlocked").unwrap().status, "False");
    assert!(world.members[&cluster("a")].admitted);
}
