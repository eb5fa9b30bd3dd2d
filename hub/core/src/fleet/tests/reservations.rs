//! What clusters are given by the word that they said before: never more than they have.

use parallax_crds::Amounts;
use parallax_crds::agent::Placement;
use parallax_crds::link::Resources;
use serde_json::json;

use super::world::{World, cluster, key};

/// Nodes that take so many pods more.
fn room_for(pods: i64) -> Resources {
    let amounts = |pods| Amounts { cpu: 64_000, memory: 1 << 40, pods, ..Amounts::default() };
    Resources { capacity: amounts(110), allocatable: amounts(110), free: Some(amounts(pods)) }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("x{n:02}")).collect()
}

/// How many replicas of all agents each of the clusters has.
fn held<const N: usize>(world: &World, clusters: [&str; N]) -> [i32; N] {
    clusters.map(|name| world.members[&cluster(name)].held.values().map(|(.., scale)| scale.replicas).sum())
}

/// Two clusters with room for four replicas and for six, whose pods don't become ready by themselves.
fn small() -> World {
    let mut world = World::with(&["a", "b"]);
    for (name, room) in [("a", 4), ("b", 6)] {
        world.members.get_mut(&cluster(name)).unwrap().slow = true;
        world.has(name, room_for(room));
    }
    world.settle();
    world
}

fn all_ready(world: &mut World, count: usize) {
    for (name, agent) in ["a", "b"].into_iter().flat_map(|c| names(count).into_iter().map(move |n| (c, n))) {
        world.pods_ready(name, &agent, 10);
    }
    world.settle();
}

#[test]
fn many_agents_at_once_are_not_promised_the_same_room() {
    let mut world = small();
    for name in names(14) {
        world.apply(&name, |_| {});
    }
    world.pass(5);
    assert_eq!(held(&world, ["a", "b"]), [4, 6]);
    // Word that doesn't know of the pods yet makes no room.
    world.has("a", room_for(3));
    world.has("a", room_for(4));
    world.pass(5);
    assert_eq!(held(&world, ["a", "b"]), [4, 6]);
    // They run, and are told of: room that somebody else leaves is given once.
    all_ready(&mut world, 14);
    world.has("a", room_for(0));
    world.has("b", room_for(0));
    world.pass(400);
    assert_eq!(held(&world, ["a", "b"]), [4, 6]);
    world.has("a", room_for(3));
    world.pass(5);
    assert_eq!(held(&world, ["a", "b"]), [7, 6]);
}

#[test]
fn what_is_told_of_is_not_taken_from_what_is_free_once_more() {
    let mut world = small();
    world.apply("x00", |spec| spec.replicas = 4);
    world.pass(5);
    let free = |world: &mut World| {
        ["a", "b"].map(|name| {
            world.fleet.facts_of(&cluster(name)).and_then(|facts| facts.free.clone()).unwrap().pods
        })
    };
    let placed = held(&world, ["a", "b"]).map(i64::from);
    let left = [4 - placed[0], 6 - placed[1]];
    assert_eq!((placed.iter().sum::<i64>(), free(&mut world)), (4, left));
    all_ready(&mut world, 1);
    assert_eq!(free(&mut world), left, "they serve, and what their clusters have free isn't told yet");
    world.has("a", room_for(left[0]));
    world.has("b", room_for(left[1]));
    world.settle();
    assert_eq!(free(&mut world), left);
}

#[test]
fn a_cluster_that_told_before_they_served_is_not_waited_for() {
    let mut world = small();
    world.apply("x00", |spec| spec.replicas = 4);
    world.pass(5);
    let placed = held(&world, ["a", "b"]).map(i64::from);
    world.has("a", room_for(4 - placed[0]));
    world.has("b", room_for(6 - placed[1]));
    all_ready(&mut world, 1);
    world.pass(40);
    for name in names(7) {
        world.apply(&name, |_| {});
    }
    world.pass(5);
    assert_eq!(held(&world, ["a", "b"]), [4, 6]);
}

#[test]
fn what_finds_no_node_keeps_room_from_others_for_five_minutes() {
    let mut world = small();
    for name in names(14) {
        world.apply(&name, |_| {});
    }
    world.pass(290);
    assert_eq!(held(&world, ["a", "b"]), [4, 6]);
    world.pass(30);
    assert_eq!(held(&world, ["a", "b"]).iter().sum::<i32>(), 14);
}

#[test]
fn an_agent_that_goes_leaves_its_room_at_once() {
    let mut world = small();
    for name in names(14) {
        world.apply(&name, |_| {});
    }
    world.pass(5);
    let there = |world: &World, name: &str| world.members[&cluster("a")].held.contains_key(&key(name));
    let gone = names(14).into_iter().find(|name| there(&world, name)).unwrap();
    world.delete(&gone);
    world.pass(10);
    assert!(!there(&world, &gone));
    assert_eq!(held(&world, ["a", "b"]), [4, 6]);
}

#[test]
fn a_suspended_agent_reserves_nothing() {
    let mut world = small();
    world.apply("idle", |spec| {
        spec.suspend = true;
        spec.replicas = 10;
    });
    world.pass(5);
    for name in names(10) {
        world.apply(&name, |_| {});
    }
    world.pass(5);
    assert_eq!(held(&world, ["a", "b"]), [4, 6]);
}

#[test]
fn where_an_agent_requests_more_more_is_reserved() {
    let mut world = small();
    world.edit_cluster("b", |object| {
        object.metadata.labels = Some([("site".to_owned(), "own".to_owned())].into());
    });
    world.settle();
    let placement: Placement = serde_json::from_value(json!({"overrides": [{
        "clusterSelector": {"matchLabels": {"site": "own"}},
        "resources": {"requests": {"cpu": "20"}},
    }]}))
    .unwrap();
    for name in names(14) {
        world.apply(&name, |spec| spec.placement = Some(placement.clone()));
    }
    world.pass(5);
    assert_eq!(held(&world, ["a", "b"]), [4, 3], "b has 64 cores");
}
