//! API keys that the hub hands over: where that is allowed, to whom the agent runs with, and nowhere else.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use parallax_crds::labels::SYSTEM_NAMESPACE;
use parallax_e2e::Component;
use serde_json::{Value, json};

use crate::credentials::{
    everything, log_everything, log_no_more, nowhere, of_one, put_in, says, secrets, source, stamp,
};
use crate::world::World;

const KEPT: &str = "keyed-credentials";

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_hands_over_no_key_where_that_is_not_allowed() -> Result<()> {
    let world = World::calm("not-handed-over").await?;
    put_in(&on_the_hub(&world), "keys", &[("KEY", "one")]).await?;
    world.apply("keyed", from_hub("KEY")).await?;
    let message = says(&world, "keyed", "False", "SourceHubNotAllowed").await?;
    assert!(message.contains("--credentials-from"), "{message}");
    assert!(secrets(&world).get_opt(KEPT).await?.is_none());
    assert!(world.deployments(0).get_opt("keyed").await?.is_none(), "pods without their key");
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_hubs_goes_to_the_cluster_that_runs_the_agent_and_changes_with_it() -> Result<()> {
    let world = World::handed_over().await?;
    log_everything(&world).await?;
    let (canaries, encoded) =
        (["canary-9d41e7c2", "canary-03b6f58a"], ["Y2FuYXJ5LTlkNDFlN2My", "Y2FuYXJ5LTAzYjZmNThh"]);
    bind(&world.members[0], &world.namespace, "parallax-member", "parallax-member-credentials-from-hub")
        .await?;
    world.apply("keyed", from_hub("KEY")).await?;
    let message = says(&world, "keyed", "False", "Forbidden").await?;
    assert!(message.contains("parallax-hub-credentials"), "{message}");
    bind(&world.hub, &world.namespace, "parallax-hub", "parallax-hub-credentials").await?;
    let message = says(&world, "keyed", "False", "SecretMissing").await?;
    assert!(message.contains("on the hub"), "{message}");
    put_in(&on_the_hub(&world), "keys", &[("OTHER", "x")]).await?;
    says(&world, "keyed", "False", "KeyMissing").await?;
    put_in(&on_the_hub(&world), "keys", &[("KEY", canaries[0])]).await?;
    world.running("keyed", "1/1").await?;
    says(&world, "keyed", "True", "Found").await?;
    let first = world.deployments(0).get("keyed").await?;
    for variable in ["KEY", "ANTHROPIC_API_KEY"] {
        assert_eq!(source(&first, variable), Some((KEPT.into(), "KEY".into())), "{variable}");
    }

    put_in(&on_the_hub(&world), "keys", &[("KEY", canaries[1])]).await?;
    world
        .eventually("the next value has arrived and replaces the pods", || async {
            let there = stamp(&world.deployments(0).get("keyed").await?) != stamp(&first);
            Ok(there && kept(&world).await?.as_deref() == Some(canaries[1].as_bytes()))
        })
        .await?;
    world.running("keyed", "1/1").await?;

    // What is kept comes back, and goes nowhere else.
    secrets(&world).delete(KEPT, &DeleteParams::default()).await?;
    world
        .eventually("what was lost is handed over again", || async { Ok(kept(&world).await?.is_some()) })
        .await?;
    assert!(everything(&world.members[0], true).await?.iter().any(|(_, text)| text.contains(encoded[1])));
    assert!(!everything(&world.members[1], true).await?.iter().any(|(_, text)| text.contains(encoded[1])));
    nowhere(&world, &[canaries, encoded].concat()).await?;
    log_no_more(&world).await?;

    // Neither a member nor its agents need the hub for what was handed over.
    let before = world.deployments(0).get("keyed").await?;
    world.fleet().kill("hub", Component::ParallaxHub).await?;
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    world.services(0).delete("keyed", &DeleteParams::default()).await?;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world
        .eventually("the member looks after the agent", || async {
            Ok(world.services(0).get_opt("keyed").await?.is_some())
        })
        .await?;
    world.fleet().restart("hub", Component::ParallaxHub).await?;
    world.connected("member-1").await?;
    says(&world, "keyed", "True", "Found").await?;
    world.running("keyed", "1/1").await?;
    let after = world.deployments(0).get("keyed").await?;
    assert_eq!(after.metadata.generation, before.metadata.generation, "rolled for no reason");

    // With a key of the cluster's own, the hub's is let go.
    put_in(&secrets(&world), "keys", &[("KEY", "own")]).await?;
    world.apply("keyed", of_one(json!({"secretRef": {"name": "keys", "key": "KEY"}}))).await?;
    world
        .eventually("the pods use the cluster's own key, and the hub's is gone", || async {
            let deployment = world.deployments(0).get("keyed").await?;
            Ok(source(&deployment, "KEY") == Some(("keys".into(), "KEY".into()))
                && secrets(&world).get_opt(KEPT).await?.is_none())
        })
        .await?;
    world.running("keyed", "1/1").await?;
    world.apply("keyed", from_hub("KEY")).await?;
    world.eventually("it is handed over anew", || async { Ok(kept(&world).await?.is_some()) }).await?;
    world.running("keyed", "1/1").await?;

    world.delete("keyed").await?;
    world.gone_from_hub("keyed").await?;
    world
        .eventually("the key goes with the agent", || async {
            Ok(secrets(&world).get_opt(KEPT).await?.is_none())
        })
        .await?;
    world.finish().await
}

/// A built-in agent in member-1 whose key the hub hands over.
fn from_hub(key: &str) -> Value {
    of_one(json!({"secretRef": {"name": "keys", "key": key}, "source": "Hub"}))
}

fn on_the_hub(world: &World) -> Api<Secret> {
    Api::namespaced(world.hub.clone(), &world.namespace)
}

/// The value that member-1 keeps.
async fn kept(world: &World) -> Result<Option<Vec<u8>>> {
    let secret = secrets(world).get_opt(KEPT).await?;
    Ok(secret.and_then(|secret| Some(secret.data?.get("KEY")?.0.clone())))
}

/// Gives a service account a ClusterRole in a namespace.
async fn bind(client: &Client, namespace: &str, account: &str, role: &str) -> Result<()> {
    let mut binding = RoleBinding {
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: account.to_owned(),
            namespace: Some(SYSTEM_NAMESPACE.to_owned()),
            ..Subject::default()
        }]),
        ..RoleBinding::default()
    };
    binding.metadata.name = Some(role.to_owned());
    Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &binding).await?;
    Ok(())
}
