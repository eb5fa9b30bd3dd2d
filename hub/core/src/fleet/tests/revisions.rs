//! Revisions: what is pinned when, what is kept of it, and what a hub that starts goes on with.
use parallax_crds::{AgentTemplate, ClusterName, labels};

use super::world::{World, cluster, config, key, scaling};
use crate::fleet::*;
use crate::revisions::About;

/// The image that a member runs of an agent, by the last order that it was sent.
fn image(world: &World, member: &str, name: &str) -> String {
    let held = &world.members[&cluster(member)].held[&key(name)];
    let sent = world.log.iter().rev().find_map(|effect| match effect {
        Effect::Upsert { session, order } => of(order, &session.cluster, member, name),
        Effect::Admit { session, orders, .. } => {
            orders.iter().find_map(|order| of(order, &session.cluster, member, name))
        }
        _ => None,
    });
    let (hash, image) = sent.expect("it was never ordered");
    assert_eq!(hash, held.1, "what was ordered is held");
    image
}

fn of(
    order: &parallax_crds::link::Order,
    session: &ClusterName,
    member: &str,
    name: &str,
) -> Option<(parallax_crds::SpecHash, String)> {
    let template: AgentTemplate = serde_json::from_slice(&order.template).unwrap();
    (*session == cluster(member) && order.agent.key == key(name)).then_some((order.hash, template.image))
}

fn numbers(world: &World, name: &str) -> Vec<i64> {
    world.revisions_of(name).iter().map(|stored| stored.about.number).collect()
}

fn current(world: &World, name: &str) -> About {
    world.fleet.agents[&key(name)].revisions.newest().unwrap().1.clone()
}

fn previous(world: &World, name: &str) -> Option<i64> {
    world.fleet.agents[&key(name)].revisions.before().map(|before| before.number)
}

fn set_image(world: &mut World, name: &str, image: &str) {
    world.apply(name, |spec| spec.image = Some(image.to_owned()));
    world.settle();
}

fn upgrade(world: &mut World, tag: &str, members: &[&str]) {
    world.image_tag = tag.to_owned();
    world.start_hub();
    for member in members {
        world.connect(member);
    }
    world.pass(60);
}

fn run_with_one(members: &[&str]) -> World {
    let mut world = World::with(members);
    world.apply("x", |_| {});
    world.pass(5);
    world
}

#[test]
fn a_new_agent_has_one_revision_and_each_change_of_its_pods_makes_another() {
    let mut world = run_with_one(&["a"]);
    assert_eq!(numbers(&world, "x"), [1]);
    assert_eq!(previous(&world, "x"), None);
    set_image(&mut world, "x", "example.org/mine:1");
    assert_eq!(numbers(&world, "x"), [1, 2]);
    assert_eq!(current(&world, "x").generation, 2);
    assert_eq!(previous(&world, "x"), Some(1));
    assert!(world.fleet.agents[&key("x")].revisions.numbered(1).unwrap().is_stored);
}

#[test]
fn replicas_bounds_suspension_and_placement_make_none() {
    let mut world = run_with_one(&["a", "b"]);
    world.apply("x", |spec| spec.scaling = Some(scaling(1, 3)));
    world.settle();
    assert_eq!(numbers(&world, "x"), [1, 2], "a target is what pods' requests are for");
    world.log.clear();
    world.apply("x", |spec| spec.replicas = 2);
    world.apply("x", |spec| spec.scaling = Some(scaling(2, 4)));
    world.apply("x", |spec| spec.suspend = true);
    world.apply("x", |spec| spec.placement.get_or_insert_default().clusters = vec!["b".to_owned()]);
    world.pass(5);
    assert_eq!(numbers(&world, "x"), [1, 2]);
    assert_eq!(world.count(|e| matches!(e, Effect::WriteRevision { .. })), 0);
}

#[test]
fn they_are_written_beside_the_order_and_not_before_it() {
    let mut world = run_with_one(&["a"]);
    world.log.clear();
    world.apply("x", |spec| spec.image = Some("example.org/mine:1".to_owned()));
    // Nothing is answered before everything that follows from the change alone is on its way.
    assert!(world.deliver(0));
    let at = |which: fn(&Effect) -> bool| world.log.iter().position(which);
    let ordered = at(|e| matches!(e, Effect::Upsert { .. })).unwrap();
    let written = at(|e| matches!(e, Effect::WriteRevision { .. })).unwrap();
    assert!(ordered < written, "{:#?}", world.log);
}

#[test]
fn five_are_kept_and_one_that_comes_back_gets_the_next_number() {
    let mut world = run_with_one(&["a"]);
    for tag in 2..=7 {
        set_image(&mut world, "x", &format!("example.org/mine:{tag}"));
    }
    assert_eq!(numbers(&world, "x"), [3, 4, 5, 6, 7]);
    set_image(&mut world, "x", "example.org/mine:4");
    assert_eq!(numbers(&world, "x"), [3, 5, 6, 7, 8]);
    assert_eq!(previous(&world, "x"), Some(7));
    set_image(&mut world, "x", "example.org/mine:2");
    assert_eq!(numbers(&world, "x"), [5, 6, 7, 8, 9], "one that was dropped is stored again");
}

#[test]
fn what_fails_to_be_stored_is_stored_later_and_holds_up_nothing() {
    let mut world = run_with_one(&["a"]);
    world.apply("x", |spec| spec.image = Some("example.org/mine:1".to_owned()));
    world.faults.extend([false, false, false, false]);
    world.settle();
    assert_eq!(image(&world, "a", "x"), "example.org/mine:1");
    assert!(!numbers(&world, "x").contains(&2));
    world.pass(60);
    assert_eq!(numbers(&world, "x"), [1, 2]);
}

#[test]
fn an_upgrade_of_the_hub_changes_no_pod_until_the_user_changes_something() {
    let mut world = run_with_one(&["a"]);
    let default = |tag: &str| format!("registry.example/parallax/agent-claude:{tag}");
    assert_eq!(image(&world, "a", "x"), default("1"));
    world.log.clear();
    upgrade(&mut world, "2", &["a"]);
    assert_eq!(image(&world, "a", "x"), default("1"));
    assert_eq!(numbers(&world, "x"), [1]);
    assert_eq!(world.count(|e| matches!(e, Effect::WriteRevision { .. })), 0);
    world.apply("x", |spec| spec.replicas = 2);
    world.settle();
    assert_eq!(image(&world, "a", "x"), default("1"), "another number of replicas is no change of pods");
    upgrade(&mut world, "3", &["a"]);
    assert_eq!(image(&world, "a", "x"), default("1"));
    world.apply("x", |spec| spec.runtime.role = Some("reviewer".to_owned()));
    world.settle();
    assert_eq!(image(&world, "a", "x"), default("3"));
    assert_eq!(numbers(&world, "x"), [1, 2]);
}

#[test]
fn a_change_that_was_made_while_no_hub_ran_is_the_users() {
    let mut world = run_with_one(&["a"]);
    world.apply("x", |spec| spec.runtime.role = Some("reviewer".to_owned()));
    world.inbox.clear();
    upgrade(&mut world, "2", &["a"]);
    assert_eq!(image(&world, "a", "x"), "registry.example/parallax/agent-claude:2");
    assert_eq!(numbers(&world, "x"), [1, 2]);
    assert_eq!(current(&world, "x").number, 2);
}

#[test]
fn the_fleets_present_defaults_come_when_they_are_wished_for_once() {
    let mut world = run_with_one(&["a"]);
    world.annotate("x", labels::REFRESH, "first");
    world.settle();
    assert_eq!(numbers(&world, "x"), [1], "they are pinned already");
    upgrade(&mut world, "2", &["a"]);
    assert_eq!(image(&world, "a", "x"), "registry.example/parallax/agent-claude:1", "it was heeded before");
    world.annotate("x", labels::REFRESH, "second");
    world.settle();
    assert_eq!(image(&world, "a", "x"), "registry.example/parallax/agent-claude:2");
    assert_eq!(numbers(&world, "x"), [1, 2]);
    upgrade(&mut world, "3", &["a"]);
    assert_eq!(image(&world, "a", "x"), "registry.example/parallax/agent-claude:2");
}

#[test]
fn a_user_goes_back_to_what_was_pinned_too() {
    let mut world = run_with_one(&["a"]);
    upgrade(&mut world, "2", &["a"]);
    world.annotate("x", labels::REFRESH, "now");
    world.settle();
    let first = world.revisions.keys().find(|at| world.revisions[at].about.number == 1).unwrap().1;
    world.annotate("x", labels::REFRESH, &format!("later/{first}"));
    world.settle();
    assert_eq!(image(&world, "a", "x"), "registry.example/parallax/agent-claude:1");
    assert_eq!(numbers(&world, "x"), [2, 3]);
    upgrade(&mut world, "3", &["a"]);
    assert_eq!(image(&world, "a", "x"), "registry.example/parallax/agent-claude:1");
}

#[test]
fn a_spec_that_cannot_be_resolved_is_none() {
    let mut world = run_with_one(&["a"]);
    world.apply("x", |spec| spec.runtime.agent_type = "unknown".to_owned());
    world.settle();
    assert_eq!(numbers(&world, "x"), [1]);
    world.apply("x", |spec| spec.runtime.agent_type = "claude".to_owned());
    world.settle();
    assert_eq!(numbers(&world, "x"), [1], "it is the same as before");
}

#[test]
fn those_of_a_namesake_that_is_gone_are_nobodys() {
    let mut world = run_with_one(&["a"]);
    set_image(&mut world, "x", "example.org/mine:1");
    let left_behind = world.revisions.clone();
    world.delete("x");
    world.pass(5);
    assert!(world.revisions.is_empty());
    world.revisions = left_behind;
    world.apply("x", |_| {});
    world.inbox.clear();
    upgrade(&mut world, "2", &["a"]);
    assert_eq!(numbers(&world, "x"), [1]);
    assert_eq!(image(&world, "a", "x"), "registry.example/parallax/agent-claude:2");
}

#[test]
fn nothing_is_ordered_before_they_are_known() {
    let mut world = run_with_one(&["a"]);
    world.image_tag = "2".to_owned();
    world.log.clear();
    world.start_hub_without_revisions(config());
    world.connect("a");
    world.pass(60);
    assert!(!world.fleet.is_ready() && !world.members[&cluster("a")].admitted);
    world.load_revisions();
    world.pass(60);
    assert_eq!(image(&world, "a", "x"), "registry.example/parallax/agent-claude:1");
}
