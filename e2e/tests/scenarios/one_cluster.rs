//! A fleet of one: a hub and a member in one cluster.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use parallax_crds::{AgentAssignment, ParallaxAgent, Phase};
use parallax_e2e::FleetOptions;
use parallax_e2e::testing::{TestNamespace, own_fleet};
use parallax_e2e::waiting::{OnTimeout, until};
use serde_json::json;

use crate::world::LIMIT;

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_and_a_member_share_a_cluster() -> Result<()> {
    let fleet = own_fleet(FleetOptions::new(env!("CARGO_BIN_EXE_fleet")).of_one());
    let client = fleet.client("hub").await?;
    let namespace = TestNamespace::create(&fleet, "one").await?.name().to_owned();
    let agents: Api<ParallaxAgent> = Api::namespaced(client.clone(), &namespace);
    let body = json!({
        "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent",
        "metadata": {"name": "solo"}, "spec": {"type": "claude", "replicas": 2},
    });
    agents.patch("solo", &PatchParams::apply("scenario"), &Patch::Apply(&body)).await?;
    until("solo is Running", LIMIT, OnTimeout::Dump(&fleet), async || {
        let status = agents.get("solo").await?.status.context("no status yet")?;
        let runs = status.phase == Some(Phase::Running) && status.replica_summary.as_deref() == Some("2/2");
        Ok(runs.then_some(()))
    })
    .await?;

    agents.delete("solo", &DeleteParams::default()).await?;
    let assignments: Api<AgentAssignment> = Api::namespaced(client.clone(), &namespace);
    let deployments: Api<Deployment> = Api::namespaced(client, &namespace);
    until("solo is gone", LIMIT, OnTimeout::Dump(&fleet), async || {
        let gone = agents.get_opt("solo").await?.is_none()
            && assignments.get_opt("solo").await?.is_none()
            && deployments.get_opt("solo").await?.is_none();
        Ok(gone.then_some(()))
    })
    .await?;
    fleet.shut_down().await;
    Ok(())
}
