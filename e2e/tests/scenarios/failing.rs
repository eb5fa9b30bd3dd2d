//! What becomes of a test that fails.

use std::panic::AssertUnwindSafe;

use anyhow::Result;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use parallax_e2e::Component;
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_fails_leaves_nothing_down_and_nothing_behind() -> Result<()> {
    let failing = async {
        let world = World::alone("failing").await?;
        world.apply("left", json!({"type": "claude"})).await?;
        world.running("left", "1/1").await?;
        world.fleet().kill("hub", Component::ParallaxHub).await?;
        anyhow::bail!("as a scenario's question mark does")
    };
    let ended: Result<Result<()>, _> = AssertUnwindSafe(failing).catch_unwind().await;
    assert!(ended.is_ok_and(|result| result.is_err()));

    let world = World::calm("after-failing").await?;
    assert!(world.fleet().process("hub", Component::ParallaxHub).is_some());
    let namespaces: Api<Namespace> = Api::all(world.hub.clone());
    world
        .eventually("its namespace is gone, and the agent in it", || async {
            let all = namespaces.list_metadata(&ListParams::default()).await?.items;
            let name =
                |one: &kube::api::PartialObjectMeta<Namespace>| one.metadata.name.clone().unwrap_or_default();
            Ok(!all.iter().any(|namespace| name(namespace).starts_with("failing-")))
        })
        .await?;
    world.finish().await
}
