//! Whose business namespaces are.

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use parallax_crds::Phase;
use parallax_crds::labels::{MANAGED_BY, MANAGED_BY_PARALLAX};
use parallax_e2e::Component;
use serde_json::json;

use crate::stand_in::{Member, StandIn};
use crate::world::{NAMESPACE_LABEL, World, agent_condition};

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_the_member_may_not_make_is_waited_for() -> Result<()> {
    let world = World::alone("guest").await?;
    world.fleet().kill("member-1", Component::ParallaxMember).await?;
    let hub = world.fleet().hub_endpoints()?.session;
    let stand_in =
        StandIn::member(&world, &Member { cluster: "member-1", hub: &hub, namespace: None, token: None })?;

    world.apply("guest", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    let agent = world
        .agent_until("guest", "the missing namespace is shown", |agent| {
            agent_condition(agent, "Synced")
                .is_some_and(|(status, reason, _)| status == "False" && reason == "NamespaceMissing")
        })
        .await?;
    let (.., message) = agent_condition(&agent, "Synced").unwrap();
    for words in ["member-1", world.namespace.as_str(), "create it", "--create-namespaces"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(agent.status.unwrap().phase, Some(Phase::Pending));
    let namespaces: Api<Namespace> = Api::all(world.members[0].clone());
    assert!(namespaces.get_opt(&world.namespace).await?.is_none(), "the member made it nevertheless");

    let metadata = ObjectMeta { name: Some(world.namespace.clone()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    namespaces.create(&PostParams::default(), &namespace).await?;
    let agent = world.running("guest", "1/1").await?;
    assert!(agent_condition(&agent, "Synced").is_some_and(|(status, ..)| status == "True"));

    stand_in.kill().await;
    world.fleet().restart("member-1", Component::ParallaxMember).await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_the_member_makes_has_the_hubs_labels_as_far_as_that_is_wanted() -> Result<()> {
    const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
    const WARN: &str = "pod-security.kubernetes.io/warn";
    let world = World::calm("labelled").await?;
    let on_the_hub: Api<Namespace> = Api::all(world.hub.clone());
    let label = async |namespaces: &Api<Namespace>, key: &str, value: &str| {
        let labels = Patch::Merge(json!({"metadata": {"labels": {key: value}}}));
        namespaces.patch(&world.namespace, &PatchParams::default(), &labels).await
    };
    for (key, value) in
        [(NAMESPACE_LABEL, "Ada"), ("example.org/cost", "7"), (ENFORCE, "restricted"), (WARN, "baseline")]
    {
        label(&on_the_hub, key, value).await?;
    }
    let one =
        |image: &str| json!({"type": "claude", "image": image, "placement": {"clusters": ["member-1"]}});
    world.apply("guest", one("example.org/guest:1")).await?;
    world.running("guest", "1/1").await?;

    let there: Api<Namespace> = Api::all(world.members[0].clone());
    let made = there.get(&world.namespace).await?;
    let mut labels = made.labels().clone();
    labels.remove("kubernetes.io/metadata.name");
    let expected = [(ENFORCE, "restricted"), (NAMESPACE_LABEL, "Ada"), (MANAGED_BY, MANAGED_BY_PARALLAX)];
    assert_eq!(labels, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());

    // From then on it is this cluster's own.
    label(&on_the_hub, NAMESPACE_LABEL, "Grace").await?;
    label(&there, NAMESPACE_LABEL, "Edsger").await?;
    world.apply("guest", one("example.org/guest:2")).await?;
    world
        .eventually("the next order is carried out", || async {
            let deployment = world.deployments(0).get("guest").await?;
            let pod = deployment.spec.and_then(|spec| spec.template.spec).unwrap_or_default();
            Ok(pod.containers[0].image.as_deref() == Some("example.org/guest:2"))
        })
        .await?;
    world.delete("guest").await?;
    world.gone_from_hub("guest").await?;
    let left = there.get(&world.namespace).await?;
    assert_eq!((left.uid(), left.metadata.deletion_timestamp.clone()), (made.uid(), None), "it stays");
    assert_eq!(left.labels().get(NAMESPACE_LABEL).map(String::as_str), Some("Edsger"));
    world.finish().await
}
