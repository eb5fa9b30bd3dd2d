//! What placement sees of clusters, and who is placed anew when that changes.

use k8s_openapi::api::core::v1::Toleration;
use parallax_crds::Amounts;
use parallax_crds::agent::Placement;
use parallax_crds::cluster::{ClusterTaint, TaintEffect};
use parallax_crds::link::Resources;

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
    assert_eq!(placed_anew(&mut world, edited(|spec| spec.copy_labels = vec!["unsaid".to_owned()])), 0);
    assert_eq!(placed_anew(&mut world, edited(|spec| spec.copy_labels = vec!["zone".to_owned()])), 30);
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

/// 16 cores and 110 pods, of which so much is free.
fn nodes(free_cpu: i64, free_pods: i64) -> Resources {
    let amounts = |cpu, pods| Amounts { cpu, memory: 64 << 30, pods, ..Amounts::default() };
    Resources {
        capacity: amounts(16_000, 110),
        allocatable: amounts(16_000, 110),
        free: Some(amounts(free_cpu, free_pods)),
    }
}

fn free(world: &World) -> Option<(String, String)> {
    let free = world.clusters[&cluster("a")].status.as_ref()?.free.as_ref()?;
    Some((free["cpu"].0.clone(), free["pods"].0.clone()))
}

#[test]
fn what_is_free_is_placed_by_at_once_and_written_when_it_has_changed_much() {
    let mut world = placed(3, 0, 2);
    world.has("a", nodes(16_000, 110));
    world.pass(5);
    assert_eq!(free(&world), Some(("16".to_owned(), "110".to_owned())));
    world.log.clear();
    assert_eq!(placed_anew(&mut world, |world| world.has("a", nodes(15_100, 108))), 0, "it is less");
    assert_eq!(
        placed_anew(&mut world, |world| world.has("a", nodes(15_200, 108))),
        2,
        "those that lack a place"
    );
    world.pass(300);
    assert_eq!((world.writes(), free(&world)), (0, Some(("16".to_owned(), "110".to_owned()))));
    let known = world.fleet.facts_of(&cluster("a")).and_then(|facts| facts.free.clone());
    assert_eq!(known.map(|free| free.cpu), Some(15_200));
    world.has("a", nodes(14_500, 100));
    world.pass(70);
    assert_eq!((world.writes(), free(&world)), (1, Some(("14500m".to_owned(), "100".to_owned()))));
}

#[test]
fn pods_that_come_and_go_are_few_writes() {
    let mut world = placed(1, 0, 0);
    world.has("a", nodes(16_000, 110));
    world.pass(5);
    world.log.clear();
    for second in 0..600 {
        world.has("a", nodes(if second % 2 == 0 { 2_000 } else { 14_000 }, 100));
        world.pass(1);
    }
    assert!((1..=10).contains(&world.writes()), "{} writes in ten minutes", world.writes());
}

#[test]
fn a_restarted_hub_knows_what_was_free_until_it_is_told() {
    let mut world = placed(1, 0, 0);
    world.has("a", nodes(12_000, 90));
    world.pass(70);
    world.log.clear();
    world.start_hub();
    let known = |world: &mut World| {
        world.fleet.facts_of(&cluster("a")).and_then(|facts| facts.free.clone()).map(|free| free.cpu)
    };
    assert_eq!(known(&mut world), Some(12_000));
    world.connect("a");
    world.connect("b");
    world.pass(70);
    assert_eq!((known(&mut world), world.writes()), (Some(12_000), 0));
}

#[test]
fn a_member_that_may_no_longer_see_pods_says_nothing_of_what_is_free() {
    let mut world = placed(1, 0, 0);
    world.has("a", nodes(12_000, 90));
    world.pass(5);
    world.has("a", Resources { free: None, ..nodes(0, 0) });
    world.pass(5);
    assert_eq!(free(&world), None);
    assert!(world.clusters[&cluster("a")].status.as_ref().unwrap().allocatable.is_some());
}
