//! Clusters that are lost, and what becomes of what they have.

use parallax_crds::Phase;
use parallax_crds::agent::{Failover, FailoverPolicy, Placement, Strategy};

use super::world::{World, cluster, key};
use crate::fleet::*;

/// Three replicas in a, members that are connected, and pods that take their time.
fn running(clusters: &[&str], failover: Option<Failover>) -> World {
    let mut world = World::with(clusters);
    world.apply("x", |spec| {
        spec.replicas = 3;
        spec.placement = Some(Placement { clusters: vec!["a".to_owned()], ..Placement::default() });
    });
    world.pass(5);
    world.apply("x", |spec| {
        spec.placement = Some(Placement { failover, ..Placement::default() });
    });
    world.pass(5);
    assert_eq!(world.held("a", "x"), Some(3), "it stays where it runs");
    world.members.values_mut().for_each(|member| member.slow = true);
    world.log.clear();
    world
}

fn after(grace_seconds: i32) -> Option<Failover> {
    Some(Failover { policy: None, grace_seconds })
}

fn targets(world: &World) -> Vec<(&str, i32)> {
    let decision = world.status("x").placement.as_ref().unwrap();
    decision.targets.iter().map(|t| (t.cluster.as_str(), t.replicas)).collect()
}

fn told(world: &World, what: &str) -> usize {
    world.count(|e| matches!(e, Effect::Event { reason, .. } if reason == what))
}

#[test]
fn what_is_lost_is_placed_again_after_the_grace() {
    let mut world = running(&["a", "b", "c"], after(100));
    world.cut("a");
    world.pass(99);
    assert_eq!((targets(&world), told(&world, "FailedOver")), (vec![("a", 3)], 0));
    world.pass(2);
    let (b, c) = (world.held("b", "x"), world.held("c", "x"));
    assert_eq!(b.unwrap_or(0) + c.unwrap_or(0), 3);
    assert_eq!((world.leaving("x"), told(&world, "FailedOver")), (vec![("a", 3)], 1));
    world.pods_ready("b", "x", 3);
    world.pods_ready("c", "x", 3);
    world.pass(5);
    assert_eq!(
        (world.status("x").phase, world.status("x").replica_summary.as_deref()),
        (Some(Phase::Running), Some("3/3"))
    );
    assert_eq!(world.held("a", "x"), Some(3), "nobody has told it");
    world.connect("a");
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.leaving("x")), (None, vec![]));
    assert_eq!((world.held("b", "x"), world.held("c", "x")), (b, c), "what went elsewhere stays there");
}

#[test]
fn what_is_not_ready_elsewhere_goes_back_to_where_it_runs() {
    let mut world = running(&["a", "b", "c"], after(100));
    world.edit_cluster("c", |object| object.spec.suspended = true);
    world.cut("a");
    world.pass(101);
    assert_eq!(world.held("b", "x"), Some(3));
    world.pods_ready("b", "x", 1);
    world.pass(5);
    world.connect("a");
    world.pass(5);
    assert_eq!(targets(&world), [("a", 2), ("b", 1)]);
    assert_eq!((world.held("a", "x"), world.held("b", "x"), world.leaving("x")), (Some(2), Some(1), vec![]));
    let ready: i32 = ["a", "b"].iter().map(|name| world.members[&cluster(name)].ready[&key("x")]).sum();
    assert_eq!(ready, 3);
}

#[test]
fn the_loss_is_counted_on_after_a_restart_of_the_hub() {
    let mut world = running(&["a", "b", "c"], after(1_000));
    world.cut("a");
    world.pass(900);
    world.start_hub();
    world.connect("b");
    world.connect("c");
    world.pass(60);
    assert_eq!(targets(&world), [("a", 3)]);
    world.pass(60);
    assert!(!targets(&world).iter().any(|(name, _)| *name == "a"), "{:?}", targets(&world));
}

#[test]
fn who_never_fails_over_waits() {
    for edit in [
        (|spec: &mut parallax_crds::ParallaxAgentSpec| {
            let never = Failover { policy: Some(FailoverPolicy::Never), ..Failover::default() };
            spec.placement = Some(Placement { failover: Some(never), ..Placement::default() });
        }) as fn(&mut _),
        |spec| spec.runtime.workspace = serde_json::from_str(r#"{"size": "1Gi"}"#).unwrap(),
        |spec| spec.placement = Some(Placement { strategy: Strategy::Replicate, ..Placement::default() }),
    ] {
        let mut world = running(&["a", "b", "c"], None);
        world.apply("x", edit);
        world.pass(5);
        world.cut("a");
        world.pass(3_600);
        assert!(targets(&world).contains(&("a", 3)), "{:?}", targets(&world));
    }
}

#[test]
fn what_nobody_else_can_take_waits_for_whoever_comes() {
    let mut world = running(&["a", "b"], after(100));
    world.cut("b");
    world.pass(90);
    world.cut("a");
    world.pass(200);
    assert_eq!(targets(&world), [("a", 3)]);
    world.connect("b");
    world.pass(5);
    assert_eq!(world.held("b", "x"), Some(3));
    assert_eq!(world.leaving("x"), [("a", 3)]);
}

#[test]
fn when_most_of_the_fleet_falls_silent_at_once_nothing_is_placed_again() {
    let mut world = running(&["a", "b", "c"], after(100));
    world.cut("a");
    world.pass(20);
    world.cut("b");
    world.pass(400);
    assert_eq!(targets(&world), [("a", 3)]);
    let connected = world.condition_of("a", "Connected").unwrap();
    assert_eq!(connected.reason, "FailoverFrozen");
    assert_eq!(
        connected.message,
        "no session for 45 s; its agents run on there; 2 of 3 clusters fell silent within a minute, so \
         that the fault may be the hub's own network: nothing is placed again elsewhere until most of them are back. If a is lost indeed, annotate its MemberCluster \
         parallax.io/failover=Proceed, or delete it"
    );
    assert_eq!(told(&world, "FailoverFrozen"), 2);
    // Another hub knows of it.
    world.start_hub();
    world.connect("c");
    world.pass(400);
    assert_eq!(targets(&world), [("a", 3)]);
    // One of them is back. The other may be about to come, too; if it isn't, that is no longer the network's fault.
    world.connect("b");
    world.pass(40);
    assert_eq!(targets(&world), [("a", 3)]);
    world.pass(10);
    assert!(!targets(&world).iter().any(|(name, _)| *name == "a"), "{:?}", targets(&world));
    assert_eq!(world.condition_of("a", "Connected").unwrap().reason, "SessionLost");
}

#[test]
fn after_a_freeze_who_comes_back_a_little_later_loses_nothing() {
    let mut world = running(&["a", "b", "c", "d", "e"], after(100));
    for name in ["a", "b", "c"] {
        world.cut(name);
    }
    world.pass(400);
    for name in ["b", "c", "a"] {
        world.connect(name);
        world.pass(10);
    }
    world.pass(400);
    assert_eq!((targets(&world), told(&world, "FailedOver")), (vec![("a", 3)], 0));
}

#[test]
fn an_administrator_says_that_a_cluster_is_lost_indeed() {
    let mut world = running(&["a", "b", "c", "d", "e"], after(100));
    for name in ["a", "b", "c", "d"] {
        world.cut(name);
    }
    world.pass(400);
    assert_eq!(targets(&world), [("a", 3)]);
    world.edit_cluster("a", |object| {
        let annotations = object.metadata.annotations.get_or_insert_default();
        annotations.insert("parallax.io/failover".to_owned(), "Proceed".to_owned());
    });
    world.pass(5);
    assert_eq!(targets(&world), [("e", 3)]);
    assert_eq!(
        world.condition_of("b", "Connected").unwrap().reason,
        "FailoverFrozen",
        "the others are still waited for"
    );
}

#[test]
fn sessions_that_break_and_come_back_freeze_nothing() {
    let mut world = running(&["a", "b", "c"], after(100));
    for name in ["a", "b", "c"] {
        world.cut(name);
    }
    world.pass(5);
    for name in ["b", "c"] {
        world.connect(name);
    }
    world.pass(200);
    assert!(!targets(&world).iter().any(|(name, _)| *name == "a"));
    assert_eq!(told(&world, "FailoverFrozen"), 0);
}
