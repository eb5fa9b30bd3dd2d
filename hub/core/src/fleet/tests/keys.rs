//! API keys that members ask the hub for.

use parallax_crds::agent::{Credentials, CredentialsSource, KeyReference, Placement};
use parallax_crds::{AgentKey, AgentRef, Incarnation, ParallaxAgentSpec};

use super::world::{World, cluster, config};
use crate::fleet::*;

fn reference(key: &str) -> KeyReference {
    KeyReference { name: "keys".into(), key: key.into() }
}

fn keyed(key: &str) -> impl FnOnce(&mut ParallaxAgentSpec) {
    let secret_ref = Some(reference(key));
    |spec| {
        let source = Some(CredentialsSource::Hub);
        spec.runtime.credentials = Some(Credentials { secret_ref, source, ..Credentials::default() });
    }
}

/// What became of wishes since this was last asked: the cluster, the key, and why there is none.
fn said(world: &mut World) -> Vec<(String, String, Option<String>)> {
    let told = |effect| match effect {
        Effect::HandKey { session, wish } => {
            Some((session.cluster.to_string(), wish.reference.key, Some("given".to_owned())))
        }
        Effect::WithholdKey { session, wish, why } => {
            Some((session.cluster.to_string(), wish.reference.key, why.map(|why| why.reason)))
        }
        _ => None,
    };
    world.log.drain(..).filter_map(told).collect()
}

fn given(name: &str, key: &str) -> (String, String, Option<String>) {
    (name.to_owned(), key.to_owned(), Some("given".to_owned()))
}

fn quietly_withheld(name: &str, key: &str) -> (String, String, Option<String>) {
    (name.to_owned(), key.to_owned(), None)
}

#[test]
fn a_cluster_that_runs_the_agent_gets_its_key_and_no_other_does() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| {
        keyed("KEY")(spec);
        spec.placement = Some(Placement { clusters: vec!["a".into()], ..Placement::default() });
    });
    world.settle();
    said(&mut world);
    world.ask("a", "x", reference("KEY"));
    let agent = AgentRef {
        key: AgentKey::new("default", "x"),
        incarnation: world.members[&cluster("a")].held[&AgentKey::new("default", "x")].0.clone(),
    };
    world.ask_as(&cluster("b"), agent.clone(), reference("KEY"));
    let stale = AgentRef { incarnation: Incarnation::new("another"), ..agent.clone() };
    world.settle();
    assert_eq!(said(&mut world), [given("a", "KEY"), quietly_withheld("b", "KEY")]);
    world.ask_as(&cluster("a"), stale, reference("KEY"));
    world.ask_as(&cluster("a"), agent, reference("ANOTHER"));
    world.settle();
    assert_eq!(said(&mut world), [quietly_withheld("a", "KEY"), quietly_withheld("a", "ANOTHER")]);
}

#[test]
fn who_loses_the_agent_loses_its_key() {
    let mut world = World::with(&["a", "b"]);
    let only = |name: &str| {
        let clusters = vec![name.into()];
        move |spec: &mut ParallaxAgentSpec| {
            keyed("KEY")(spec);
            spec.placement = Some(Placement { clusters, ..Placement::default() });
        }
    };
    world.apply("x", only("a"));
    world.settle();
    world.ask("a", "x", reference("KEY"));
    world.settle();
    said(&mut world);
    world.apply("x", only("b"));
    world.settle();
    assert_eq!(said(&mut world), [quietly_withheld("a", "KEY")]);
    world.ask("b", "x", reference("KEY"));
    world.settle();
    assert_eq!(said(&mut world), [given("b", "KEY")]);
    world.delete("x");
    world.settle();
    assert_eq!(said(&mut world), [quietly_withheld("b", "KEY")]);
}

#[test]
fn a_wish_is_answered_by_what_the_agent_names_now() {
    let mut world = World::with(&["a"]);
    world.apply("x", keyed("KEY"));
    world.settle();
    world.ask("a", "x", reference("KEY"));
    world.settle();
    said(&mut world);
    world.apply("x", keyed("NEXT"));
    world.settle();
    assert_eq!(said(&mut world), [quietly_withheld("a", "KEY")]);
    world.ask("a", "x", reference("NEXT"));
    world.settle();
    assert_eq!(said(&mut world), [given("a", "NEXT")]);
    world.apply("x", |spec| spec.runtime.credentials.as_mut().unwrap().source = None);
    world.settle();
    assert_eq!(said(&mut world), [quietly_withheld("a", "NEXT")]);
}

#[test]
fn a_wish_ends_with_its_session_and_is_answered_anew_in_the_next() {
    let mut world = World::with(&["a"]);
    world.apply("x", keyed("KEY"));
    world.settle();
    for _ in 0..2 {
        world.ask("a", "x", reference("KEY"));
        world.settle();
        assert_eq!(said(&mut world), [given("a", "KEY")]);
        world.ask("a", "x", reference("KEY"));
        world.settle();
        assert_eq!(said(&mut world), [given("a", "KEY")], "who asks again has lost it");
        world.cut("a");
        world.settle();
        world.connect("a");
        world.settle();
        assert_eq!(said(&mut world), []);
    }
}

#[test]
fn no_key_of_another_namespace_is_handed_over() {
    let mut world = World::with(&["a"]);
    let none = Config { credentials_from: std::collections::BTreeSet::new(), ..config() };
    world.start_hub_as(none);
    world.connect("a");
    world.settle();
    world.apply("x", keyed("KEY"));
    world.settle();
    said(&mut world);
    world.ask("a", "x", reference("KEY"));
    world.settle();
    let refused = ("a".to_owned(), "KEY".to_owned(), Some("SourceHubNotAllowed".to_owned()));
    assert_eq!(said(&mut world), [refused]);
}
