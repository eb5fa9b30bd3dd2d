//! The objects that an agent consists of in a member: all of them, one that is refused, one that isn't ours, and one
//! that is not wanted any more.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use parallax_crds::labels;
use serde_json::{Value, json};

use crate::world::{World, agent_condition};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_all_its_objects_and_loses_what_it_wants_no_more() -> Result<()> {
    let world = World::calm("children").await?;
    let network = json!({
        "ingress": [{"podSelector": {"matchLabels": {"app": "web"}}, "ports": [{"port": 8080}]}],
        "egress": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}, "ports": [{"port": 443}]}],
    });
    world.apply("whole", here(2, network)).await?;
    world.running("whole", "2/2").await?;
    world
        .eventually("the member has made every object", || async {
            Ok(policies(&world).get_opt("whole").await?.is_some()
                && budgets(&world).get_opt("whole").await?.is_some()
                && world.services(0).get_opt("whole").await?.is_some())
        })
        .await?;
    let policy = spec(&policies(&world).get("whole").await?.spec)?;
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(policy["ingress"][1]["from"][0]["podSelector"]["matchLabels"]["app"], "web");
    assert_eq!(policy["egress"][1]["to"][0]["ipBlock"]["except"][0], "10.0.0.0/8");
    assert_eq!(spec(&budgets(&world).get("whole").await?.spec)?["maxUnavailable"], 1);
    for object in [
        policies(&world).get_metadata("whole").await?.metadata,
        budgets(&world).get_metadata("whole").await?.metadata,
    ] {
        let labels = object.labels.unwrap_or_default();
        assert_eq!(labels.get(labels::AGENT).map(String::as_str), Some("whole"));
        assert_eq!(object.owner_references.unwrap_or_default()[0].kind, "AgentAssignment");
    }

    // Somebody opens the policy: it is closed again.
    let open = json!({"spec": {"ingress": [{}]}});
    policies(&world).patch("whole", &PatchParams::default(), &Patch::Merge(&open)).await?;
    world
        .eventually("the policy is as ordered again", || async {
            Ok(spec(&policies(&world).get("whole").await?.spec)? == policy)
        })
        .await?;

    world.apply("whole", here(1, Value::Null)).await?;
    world.running("whole", "1/1").await?;
    world
        .eventually("the budget is gone, and the agent goes where it likes", || async {
            let types = spec(&policies(&world).get("whole").await?.spec)?["policyTypes"].clone();
            Ok(budgets(&world).get_opt("whole").await?.is_none() && types == json!(["Ingress"]))
        })
        .await?;
    let policy = spec(&policies(&world).get("whole").await?.spec)?;
    assert!(policy["egress"].is_null(), "{policy}");

    world.delete("whole").await?;
    world.gone_from_member(0, "whole").await?;
    world
        .eventually("its policy went with it", || async {
            Ok(policies(&world).get_opt("whole").await?.is_none())
        })
        .await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_quota_refuses_is_named_and_the_others_are_made() -> Result<()> {
    let world = World::calm("refused").await?;
    let namespaces: Api<Namespace> = Api::all(world.members[0].clone());
    let metadata = ObjectMeta { name: Some(world.namespace.clone()), ..ObjectMeta::default() };
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    let quotas: Api<ResourceQuota> = Api::namespaced(world.members[0].clone(), &world.namespace);
    let none = serde_json::from_value(json!({
        "metadata": {"name": "no-services"}, "spec": {"hard": {"services": "0"}},
    }))?;
    quotas.create(&PostParams::default(), &none).await?;
    world
        .eventually("the quota is counted", || async {
            let status = quotas.get("no-services").await?.status.unwrap_or_default();
            Ok(status.hard.is_some_and(|hard| hard.contains_key("services")))
        })
        .await?;

    world.apply("poor", here(2, Value::Null)).await?;
    let agent = world
        .agent_until("poor", "the hub says which object is refused", |agent| {
            agent_condition(agent, "Synced").is_some_and(|(status, ..)| status == "False")
        })
        .await?;
    let (_, reason, message) = agent_condition(&agent, "Synced").context("a moment ago")?;
    assert_eq!(reason, "Forbidden", "{message}");
    for words in ["Service", "poor", "exceeded quota", "no-services"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    world
        .eventually("the other objects are there", || async {
            Ok(world.deployments(0).get_opt("poor").await?.is_some()
                && policies(&world).get_opt("poor").await?.is_some()
                && budgets(&world).get_opt("poor").await?.is_some())
        })
        .await?;
    assert!(world.services(0).get_opt("poor").await?.is_none());

    // With room for it, the next look makes it: a change of the agent brings one at once.
    quotas.delete("no-services", &DeleteParams::default()).await?;
    world.apply("poor", here(1, Value::Null)).await?;
    world.running("poor", "1/1").await?;
    world
        .agent_until("poor", "every object is as ordered", |agent| {
            agent_condition(agent, "Synced").is_some_and(|(status, ..)| status == "True")
        })
        .await?;
    assert!(world.services(0).get_opt("poor").await?.is_some());
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_others_are_left_alone_and_the_agent_waits_for_their_names() -> Result<()> {
    let world = World::calm("taken").await?;
    let namespaces: Api<Namespace> = Api::all(world.members[0].clone());
    let metadata = ObjectMeta { name: Some(world.namespace.clone()), ..ObjectMeta::default() };
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    let theirs = serde_json::from_value(json!({
        "metadata": {"name": "both"}, "spec": {"podSelector": {"matchLabels": {"app": "theirs"}}},
    }))?;
    let before = policies(&world).create(&PostParams::default(), &theirs).await?;
    let theirs = serde_json::from_value(json!({"metadata": {"name": "both"}, "spec": {"minAvailable": 1}}))?;
    budgets(&world).create(&PostParams::default(), &theirs).await?;

    world.apply("both", here(2, Value::Null)).await?;
    let agent = world
        .agent_until("both", "the hub says whose names are taken", |agent| {
            agent_condition(agent, "Synced").is_some_and(|(_, reason, message)| {
                reason == "NameConflict"
                    && message.contains("NetworkPolicy")
                    && message.contains("PodDisruptionBudget")
            })
        })
        .await?;
    let message = agent_condition(&agent, "Synced").map(|(_, _, message)| message).unwrap_or_default();
    assert!(message.contains("delete or rename it"), "{message}");
    assert!(world.deployments(0).get_opt("both").await?.is_some());
    assert!(world.services(0).get_opt("both").await?.is_some());
    let after = policies(&world).get("both").await?;
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);

    policies(&world).delete("both", &DeleteParams::default()).await?;
    budgets(&world).delete("both", &DeleteParams::default()).await?;
    world.running("both", "2/2").await?;
    world
        .eventually("the names are the agent's now", || async {
            let ours = ListParams::default().labels(&format!("{}=both", labels::AGENT));
            Ok(policies(&world).list_metadata(&ours).await?.items.len() == 1
                && budgets(&world).list_metadata(&ours).await?.items.len() == 1)
        })
        .await?;
    world.finish().await
}

/// An agent in member-1 alone.
fn here(replicas: i32, network: Value) -> Value {
    let mut spec = json!({"type": "claude", "replicas": replicas, "placement": {"clusters": ["member-1"]}});
    if !network.is_null() {
        spec["network"] = network;
    }
    spec
}

fn policies(world: &World) -> Api<NetworkPolicy> {
    Api::namespaced(world.members[0].clone(), &world.namespace)
}

fn budgets(world: &World) -> Api<PodDisruptionBudget> {
    Api::namespaced(world.members[0].clone(), &world.namespace)
}

fn spec<S: serde::Serialize>(spec: &Option<S>) -> Result<Value> {
    Ok(serde_json::to_value(spec.as_ref().context("an object without a spec")?)?)
}
