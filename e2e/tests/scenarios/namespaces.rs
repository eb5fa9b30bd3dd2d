//! Whose business namespaces are.

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use parallax_crds::Phase;
use parallax_e2e::Component;
use serde_json::json;

use crate::stand_in::{Member, StandIn};
use crate::world::{World, agent_condition};

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
