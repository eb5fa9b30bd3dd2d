//! What placement sees of clusters, and who is placed anew when that changes.

use k8s_openapi::api::core::v1::Toleration;
use parallax_crds::agent::Placement;
use parallax_crds::cluster::{ClusterTaint, TaintEffect};

use super::world::{World, cluster};

fn taint() -> ClusterTaint {
    ClusterTaint {
        key: "example.com/maintenance".to_owned(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
        time_added: None,
    }
}

/// Agents on each of two clusters, and some that lack a place.
fn placed(on_a: usize, on_b: usize, nowhere: usize) -> World {
    let mut world = World::with(&["a", "b"]);
    for (name, count) in [("a", on_a), ("b", on_b), ("nowhere", nowhere)] {
        for n in 0..count {
            world.apply(&format!("{name}-{n}"), |spec| {
                spec.placement = Some(Placement { clusters: vec![name.to_owned()], ..Placement::default() });
            });
        }
    }
    world.pass(5);
    world
}

/// How many agents are placed anew by this.
fn placed_anew(world: &mut World, change: impl FnOnce(&mut World)) -> u64 {
    let before = world.fleet.decisions;
    change(world);
    world.settle();
    world.fleet.decisions - before
}

#[test]
fn a_change_of_one_cluster_places_those_anew_that_it_can_concern() {
    let mut world = placed(7, 20, 3);
    let edited = |edit: fn(&mut parallax_crds::MemberClusterSpec)| {
        move |world: &mut World| world.edit_cluster("a", |object| edit(&mut object.spec))
    };
    assert_eq!(placed_anew(&mut world, edited(|spec| spec.max_replicas = Some(9))), 0, "it got less room");
    assert_eq!(
        placed_anew(&mut world, edited(|spec| spec.max_replicas = Some(10))),
        3,
        "those that lack a place"
    );
    assert_eq!(placed_anew(&mut world, edited(|spec| spec.taints = vec![taint()])), 7 + 3);
    assert_eq!(placed_anew(&mut world, edited(|spec| spec.copy_labels = vec!["zone".to_owned()])), 0);
    let labelled = |world: &mut World| {
        world.edit_cluster("a", |object| {
            object.metadata.labels.get_or_insert_default().insert("tier".to_owned(), "gold".to_owned());
        });
    };
    assert_eq!(placed_anew(&mut world, labelled), 30, "a label may matter to anybody");
}

#[test]
fn what_shares_take_of_a_clusters_room_is_given_back_with_them() {
    let mut world = placed(4, 0, 0);
    world.edit_cluster("a", |object| object.spec.max_replicas = Some(10));
    world.settle();
    let room = |world: &mut World| world.fleet.facts_of(&cluster("a")).and_then(|facts| facts.room);
    assert_eq!(room(&mut world), Some(6));
    world.apply("a-0", |spec| spec.replicas = 5);
    world.settle();
    assert_eq!(room(&mut world), Some(2));
    world.delete("a-0");
    world.pass(5);
    assert_eq!(room(&mut world), Some(7));
}

#[test]
fn the_status_has_since_when_a_taint_is_there_whatever_becomes_of_the_hub() {
    let mut world = placed(1, 0, 0);
    world.edit_cluster("a", |object| object.spec.taints = vec![taint()]);
    world.pass(5);
    let seen = |world: &World| world.clusters[&cluster("a")].status.as_ref().map(|s| s.taints.clone());
    let before = seen(&world);
    assert_eq!(before.as_ref().map(Vec::len), Some(1));
    world.pass(100);
    world.start_hub();
    world.connect("a");
    world.connect("b");
    world.pass(100);
    assert_eq!(seen(&world), before);
    assert_eq!(world.fleet.facts_of(&cluster("a")).map(|facts| facts.taints.len()), Some(1));
    world.edit_cluster("a", |object| object.spec.taints.clear());
    world.pass(5);
    assert_eq!(seen(&world), Some(Vec::new()));
}

#[test]
fn a_taint_that_is_tolerated_for_a_time_takes_the_agent_away_when_that_is_over() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| {
        let minute = Toleration {
            operator: Some("Exists".to_owned()),
            effect: Some("NoExecute".to_owned()),
            toleration_seconds: Some(60),
            ..Toleration::default()
        };
        spec.replicas = 2;
        spec.placement = Some(Placement { tolerations: vec![minute], ..Placement::default() });
    });
    world.pass(5);
    world.edit_cluster("a", |object| {
        object.spec.taints = vec![ClusterTaint { effect: TaintEffect::NoExecute, ..taint() }];
    });
    world.pass(50);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (Some(1), Some(1)));
    world.pass(30);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, Some(2)));
}
