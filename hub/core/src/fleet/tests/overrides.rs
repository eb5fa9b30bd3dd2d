//! Agents that are otherwise in some of their clusters.

use parallax_crds::ParallaxAgentSpec;
use parallax_crds::agent::Placement;
use serde_json::{Value, json};

use super::world::{World, cluster, config, key};
use crate::resolve::resolve;

const GPU: &str = "example.org/claude-gpu:1";

fn label(world: &mut World, name: &str, pairs: &[(&str, &str)]) {
    let labels = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    world.edit_cluster(name, |object| object.metadata.labels = Some(labels));
}

fn overridden(spec: &mut ParallaxAgentSpec, overrides: &Value) {
    spec.replicas = 2;
    let placement: Placement = serde_json::from_value(json!({ "overrides": overrides })).unwrap();
    spec.placement = Some(placement);
}

fn where_there_are_gpus() -> Value {
    json!([{"clusterSelector": {"matchLabels": {"gpu": "yes"}}, "image": GPU}])
}

/// Whether a member has what is for GPUs.
fn is_for_gpus(world: &World, name: &str, agent: &str) -> bool {
    let mut spec = world.agents[&key(agent)].spec.clone();
    let [usual, gpu] = [None, Some(GPU.to_owned())].map(|image| {
        spec.image = image;
        resolve(&spec, &config().defaults).unwrap().hash
    });
    let hash = world.members[&cluster(name)].held[&key(agent)].1;
    assert!(hash == usual || hash == gpu);
    hash == gpu
}

/// Whether a condition of the agent holds, and what it tells.
fn told(world: &World, type_: &str) -> (bool, String) {
    let condition = world.status("x").conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (condition.status == "True", condition.message.clone())
}

/// Two clusters, one with GPUs, and an agent that is otherwise there.
fn world() -> World {
    let mut world = World::with(&["a", "b"]);
    label(&mut world, "b", &[("gpu", "yes")]);
    world.apply("x", |spec| overridden(spec, &where_there_are_gpus()));
    world.pass(5);
    world
}

#[test]
fn each_cluster_is_sent_what_applies_there_and_both_are_current() {
    let world = world();
    assert!(!is_for_gpus(&world, "a", "x"));
    assert!(is_for_gpus(&world, "b", "x"));
    let status = world.status("x");
    assert_eq!(status.replica_summary.as_deref(), Some("2/2"));
    assert!(status.clusters.iter().all(|row| row.observed_generation == status.observed_generation));
}

#[test]
fn a_label_that_comes_or_goes_changes_what_its_cluster_runs_and_no_other() {
    let mut world = world();
    let before = world.orders_and_removals();
    label(&mut world, "a", &[("gpu", "yes")]);
    world.pass(5);
    assert!(is_for_gpus(&world, "a", "x"));
    assert_eq!(world.orders_and_removals() - before, 1, "b had it already");
    label(&mut world, "b", &[]);
    world.pass(5);
    assert!(!is_for_gpus(&world, "b", "x"));
    assert_eq!(world.orders_and_removals() - before, 2);
    assert_eq!(world.status("x").replica_summary.as_deref(), Some("2/2"));
}

#[test]
fn a_hub_that_starts_again_orders_nothing_anew() {
    let mut world = world();
    let before = world.orders_and_removals();
    world.start_hub();
    world.connect("a");
    world.connect("b");
    world.pass(100);
    assert_eq!(world.orders_and_removals(), before);
    assert!(is_for_gpus(&world, "b", "x"));
}

#[test]
fn what_can_be_applied_nowhere_is_sent_to_nobody() {
    let mut world = World::with(&["a", "b"]);
    world.apply("x", |spec| {
        spec.runtime.resources = serde_json::from_value(json!({"limits": {"cpu": "1"}})).unwrap();
        let much = json!({"requests": {"cpu": "2"}});
        overridden(spec, &json!([{"clusterSelector": {"matchLabels": {"gpu": "yes"}}, "resources": much}]));
    });
    world.pass(5);
    assert_eq!((world.held("a", "x"), world.held("b", "x")), (None, None));
    let (ready, message) = told(&world, "Ready");
    assert!(!ready && message.contains("placement.overrides[0]: cpu would have the request 2"), "{message}");
}

#[test]
fn what_a_replica_requests_is_otherwise_where_an_override_says_so() {
    let mut world = World::with(&["a", "b"]);
    label(&mut world, "b", &[("gpu", "yes")]);
    world.apply("x", |spec| {
        let much = json!({"requests": {"cpu": "2"}});
        overridden(spec, &json!([{"clusterSelector": {"matchLabels": {"gpu": "yes"}}, "resources": much}]));
    });
    world.pass(5);
    let otherwise = world.fleet.agents[&key("x")].requests_otherwise(&world.fleet.facts);
    let cpu: Vec<_> = otherwise.iter().map(|(name, amounts)| (name.as_str(), amounts.cpu)).collect();
    assert_eq!(cpu, [("b", 2_000)]);
}

#[test]
fn an_override_of_no_cluster_is_told_of() {
    let mut world = world();
    label(&mut world, "b", &[]);
    world.pass(5);
    let (placed, message) = told(&world, "Placed");
    assert!(placed && message.contains("placement.overrides[0] matches no cluster"), "{message}");
}
