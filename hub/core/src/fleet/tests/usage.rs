//! What agents use: in their status at leisure, in sums at once.

use parallax_crds::link::{AgentUsage, Traffic};
use parallax_crds::{AgentRef, Incarnation};

use super::world::{World, cluster};
use crate::fleet::*;

/// So much of a core, after so many requests.
fn busy(cpu: u64, requests: u64) -> impl FnOnce(AgentRef) -> AgentUsage {
    let requests = Some(Traffic { total: requests, per_minute: requests });
    move |agent| AgentUsage { cpu_millicores: Some(cpu), requests, ..AgentUsage::unknown(agent) }
}

fn cpu_shown(world: &World) -> Option<String> {
    Some(world.status("a").usage.as_ref()?.cpu.as_ref()?.0.clone())
}

/// The sums that were told since the log was last cleared.
fn sums(world: &World, name: &str) -> Vec<ClusterUsage> {
    let sum = |effect: &Effect| match effect {
        Effect::Usage { cluster: of, usage } => (of.as_str() == name).then_some(*usage),
        _ => None,
    };
    world.log.iter().filter_map(sum).collect()
}

fn running() -> World {
    let mut world = World::with(&["eu-1", "eu-2"]);
    world.apply("a", |spec| spec.replicas = 2);
    world.pass(5);
    world.log.clear();
    world
}

#[test]
fn the_first_word_is_shown_soon_and_later_ones_once_a_minute() {
    let mut world = running();
    world.uses("eu-1", "a", busy(100, 0));
    world.pass(1);
    assert_eq!(cpu_shown(&world).as_deref(), Some("100m"));
    world.log.clear();
    for second in 1..=5 {
        world.uses("eu-1", "a", busy(100 + second * 100, 0));
        world.pass(10);
    }
    assert_eq!((world.writes(), cpu_shown(&world).as_deref()), (0, Some("100m")));
    world.pass(10);
    assert_eq!((world.writes(), cpu_shown(&world).as_deref()), (1, Some("600m")));
}

#[test]
fn what_is_about_the_same_is_never_written() {
    let mut world = running();
    world.uses("eu-1", "a", busy(100, 0));
    world.pass(1);
    world.log.clear();
    for cpu in [101, 99, 110, 95].into_iter().cycle().take(40) {
        world.uses("eu-1", "a", busy(cpu, 0));
        world.pass(10);
    }
    assert_eq!(world.writes(), 0);
}

#[test]
fn what_else_is_written_takes_the_usage_along() {
    let mut world = running();
    world.uses("eu-1", "a", busy(100, 0));
    world.pass(1);
    world.uses("eu-1", "a", busy(900, 0));
    world.settle();
    world.apply("a", |spec| spec.replicas = 4);
    world.pass(5);
    assert_eq!(cpu_shown(&world).as_deref(), Some("900m"));
}

#[test]
fn a_hub_that_starts_keeps_what_is_shown_until_it_is_told() {
    let mut world = running();
    world.uses("eu-1", "a", busy(100, 0));
    world.pass(1);
    world.start_hub();
    world.connect("eu-1");
    world.connect("eu-2");
    world.pass(5);
    assert_eq!(cpu_shown(&world).as_deref(), Some("100m"));
    world.cut("eu-1");
    world.cut("eu-2");
    world.pass(100);
    assert_eq!(cpu_shown(&world), None, "nobody knows");
}

#[test]
fn sums_are_of_all_agents_and_count_each_request_once() {
    let mut world = running();
    world.apply("b", |spec| spec.replicas = 2);
    world.pass(5);
    world.log.clear();
    world.uses("eu-1", "a", busy(100, 1_000));
    world.uses("eu-1", "b", busy(50, 10));
    world.uses("eu-1", "a", busy(120, 1_007));
    world.settle();
    let told: Vec<_> = sums(&world, "eu-1").iter().map(|sum| (sum.cpu_millicores, sum.requests)).collect();
    assert_eq!(told, [(100, 0), (150, 0), (170, 7)], "what came before the first word was counted by nobody");
}

#[test]
fn a_member_that_starts_counts_from_nought_and_one_that_was_cut_goes_on() {
    let mut world = running();
    world.uses("eu-1", "a", busy(0, 100));
    world.settle();
    world.cut("eu-1");
    world.connect("eu-1");
    world.settle();
    world.log.clear();
    world.uses("eu-1", "a", busy(0, 105));
    world.settle();
    assert_eq!(sums(&world, "eu-1")[0].requests, 5);
    world.cut("eu-1");
    world.members.get_mut(&cluster("eu-1")).unwrap().boot_id = "another".to_owned();
    world.connect("eu-1");
    world.settle();
    world.log.clear();
    world.uses("eu-1", "a", busy(0, 3));
    world.settle();
    assert_eq!(sums(&world, "eu-1")[0].requests, 3);
}

#[test]
fn a_stranger_uses_nothing() {
    let mut world = running();
    world.uses("eu-1", "a", |agent| {
        let stranger = AgentRef { incarnation: Incarnation::new("another"), ..agent };
        busy(100, 5)(stranger)
    });
    world.pass(100);
    assert_eq!((cpu_shown(&world), sums(&world, "eu-1")), (None, vec![ClusterUsage::default()]));
}
