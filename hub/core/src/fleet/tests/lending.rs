//! Shares of an agent's maximum that go where its load is.

use super::world::{World, cluster, key, scaling};

const CLUSTERS: [&str; 3] = ["a", "b", "c"];

/// An agent in three clusters with a maximum of 12.
fn world() -> World {
    let mut world = World::with(&CLUSTERS);
    world.apply("x", |spec| {
        spec.replicas = 3;
        spec.scaling = Some(scaling(3, 12));
    });
    world.pass(5);
    for name in CLUSTERS {
        world.load(name, "x", 1);
    }
    world.pass(5);
    world
}

/// The most that each cluster may choose, by what it holds.
fn most(world: &World) -> Vec<i32> {
    let of = |name: &&str| world.members[&cluster(name)].held[&key("x")].2.bounds.unwrap().max;
    CLUSTERS.iter().map(of).collect()
}

fn lent(world: &World) -> Vec<(String, i32)> {
    let placement = world.status("x").placement.as_ref().unwrap();
    placement.lent.iter().map(|lent| (lent.cluster.clone(), lent.replicas)).collect()
}

/// A second after the other, in each of which no more may be chosen than there is.
fn pass(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.pass(1);
        assert!(most(world).iter().sum::<i32>() <= 12, "{:?}", most(world));
    }
}

#[test]
fn what_others_do_not_need_goes_where_the_load_is_and_comes_back_with_it() {
    let mut world = world();
    assert_eq!(most(&world), [4, 4, 4]);
    world.load("a", "x", 8);
    pass(&mut world, 5);
    assert_eq!(most(&world).iter().sum::<i32>(), 12);
    assert_eq!(most(&world)[0], 6);
    pass(&mut world, 120);
    assert_eq!(most(&world), [8, 2, 2]);
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("10/10"));

    world.load("a", "x", 1);
    world.load("c", "x", 6);
    pass(&mut world, 300);
    assert_eq!(world.held("c", "x"), Some(1), "where the count starts is its share, as before");
    assert!(most(&world)[2] >= 6, "{:?}", most(&world));
}

#[test]
fn a_hub_that_starts_again_takes_nothing_back() {
    let mut world = world();
    world.load("a", "x", 8);
    pass(&mut world, 200);
    let (before, written) = (most(&world), lent(&world));
    assert!(before[0] >= 8 && !written.is_empty(), "{before:?} {written:?}");
    let orders = world.orders_and_removals();
    world.start_hub();
    for name in CLUSTERS {
        world.connect(name);
    }
    pass(&mut world, 100);
    assert_eq!((most(&world), lent(&world)), (before, written));
    assert_eq!(world.orders_and_removals(), orders);
}

#[test]
fn nothing_is_taken_from_a_cluster_that_is_away() {
    let mut world = world();
    world.cut("b");
    pass(&mut world, 5);
    world.load("a", "x", 9);
    pass(&mut world, 200);
    assert_eq!(most(&world), [6, 4, 2], "only c could be asked");
}

#[test]
fn an_edit_of_the_bounds_begins_anew() {
    let mut world = world();
    world.load("a", "x", 8);
    pass(&mut world, 200);
    world.apply("x", |spec| spec.scaling = Some(scaling(3, 3)));
    world.pass(60);
    assert!(lent(&world).is_empty());
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("3/3"));
}

#[test]
fn at_rest_nothing_is_written_for_it() {
    let mut world = world();
    world.load("a", "x", 8);
    pass(&mut world, 300);
    let writes = world.writes();
    pass(&mut world, 300);
    assert_eq!(world.writes(), writes);
}
