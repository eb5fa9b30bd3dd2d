//! What members ask of objects in agents' namespaces.

use parallax_crds::agent::Placement;
use parallax_crds::copies::Source;
use parallax_crds::{AgentKey, AgentRef, Incarnation, ParallaxAgentSpec};

use super::world::{World, cluster};
use crate::fleet::*;

/// Who was told, or is told no longer, since this was last asked.
fn said(world: &mut World) -> Vec<(String, bool)> {
    let told = |effect| match effect {
        Effect::TellCopy { session, wish: _ } => Some((session.cluster.to_string(), true)),
        Effect::TellCopyNoLonger { session, wish: _ } => Some((session.cluster.to_string(), false)),
        _ => None,
    };
    world.log.drain(..).filter_map(told).collect()
}

fn is(name: &str, told: bool) -> (String, bool) {
    (name.to_owned(), told)
}

fn only(name: &str) -> impl FnOnce(&mut ParallaxAgentSpec) {
    let clusters = vec![name.into()];
    |spec| spec.placement = Some(Placement { clusters, ..Placement::default() })
}

/// The agent x, as the cluster holds it.
fn held(world: &World, name: &str) -> AgentRef {
    let key = AgentKey::new("default", "x");
    let incarnation = world.members[&cluster(name)].held[&key].0.clone();
    AgentRef { key, incarnation }
}

#[test]
fn a_cluster_that_has_the_agent_is_told_of_its_namespace_and_no_other_is() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", only("a"));
    world.settle();
    let agent = held(&world, "a");
    said(&mut world);
    world.ask_for_copy("a", agent.clone(), Source::Namespace);
    world.ask_for_copy("b", agent.clone(), Source::Namespace);
    world.settle();
    assert_eq!(said(&mut world), [is("a", true), is("b", false)]);
    let stale = AgentRef { incarnation: Incarnation::new("another"), ..agent };
    world.ask_for_copy("a", stale, Source::Namespace);
    let unknown = AgentRef { key: AgentKey::new("default", "y"), incarnation: Incarnation::new("u") };
    world.ask_for_copy("a", unknown, Source::Namespace);
    world.settle();
    assert_eq!(said(&mut world), [is("a", false)], "of what the hub doesn't know it says nothing");
}

#[test]
fn who_loses_the_agent_is_told_no_longer_and_who_gets_it_is() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", only("a"));
    world.settle();
    let agent = held(&world, "a");
    world.ask_for_copy("a", agent.clone(), Source::Namespace);
    world.ask_for_copy("b", agent, Source::Namespace);
    world.settle();
    said(&mut world);
    world.apply("x", only("b"));
    world.settle();
    let mut moved = said(&mut world);
    moved.sort();
    assert_eq!(moved, [is("a", false), is("b", true)]);
    world.delete("x");
    world.settle();
    assert_eq!(said(&mut world), [is("b", false)]);
}

#[test]
fn a_wish_ends_with_its_session() {
    let mut world = World::with(&["a"]);
    world.apply("x", only("a"));
    world.settle();
    let agent = held(&world, "a");
    for _ in 0..2 {
        said(&mut world);
        world.ask_for_copy("a", agent.clone(), Source::Namespace);
        world.settle();
        assert_eq!(said(&mut world), [is("a", true)]);
        world.ask_for_copy("a", agent.clone(), Source::Namespace);
        world.settle();
        assert_eq!(said(&mut world), [is("a", true)], "who asks again has lost it");
        world.cut("a");
        world.settle();
        world.connect("a");
        world.settle();
        assert_eq!(said(&mut world), []);
    }
}
