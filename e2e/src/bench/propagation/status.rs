//! The way back: a Deployment's status is patched in the member, and the hub's status shows it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher;
use parallax_crds::ParallaxAgent;
use serde_json::json;

use super::report::StatusReport;
use super::{LIMIT, MANAGER, Subjects, floor, percentiles};
use crate::bench::seen::Seen;
use crate::waiting::{OnTimeout, until};

/// Patches the status of Deployments directly, an agent's and one like it in turn, in a member whose controller
/// manager leaves it alone.
///
/// # Errors
/// When a write is refused, or something is not seen within two minutes.
pub async fn run(subjects: &Subjects, samples: u16) -> Result<StatusReport> {
    let there =
        Seen::start(subjects.deployments(), watcher::Config::default(), |_: &Deployment| true).await?;
    let direct = Seen::start(subjects.deployments(), watcher::Config::default(), is_ready).await?;
    let hub = Seen::start(subjects.agents(), watcher::Config::default(), |agent: &ParallaxAgent| {
        agent.status.as_ref().is_some_and(|status| status.ready_replicas > 0)
    })
    .await?;
    let (mut floors, mut ours) = (vec![], vec![]);
    for i in 0..samples {
        let name = format!("status-floor-{i}");
        floor::apply(subjects, &name).await?;
        there.when(&name, LIMIT).await?;
        let begin = make_ready(subjects, &name).await?;
        floors.push(direct.when(&name, LIMIT).await? - begin);

        let name = format!("status-{i}");
        subjects.apply(&name).await?;
        there.when(&name, LIMIT).await?;
        settle(subjects, &name).await?;
        let begin = make_ready(subjects, &name).await?;
        ours.push(hub.when(&name, LIMIT).await? - begin);
    }
    Ok(StatusReport { floor: percentiles(&floors)?, status_return: percentiles(&ours)? })
}

fn is_ready(deployment: &Deployment) -> bool {
    deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default() > 0
}

/// Waits until the hub shows that the member has applied the order, so that the patch is all that is measured.
async fn settle(subjects: &Subjects, name: &str) -> Result<()> {
    let agents = subjects.agents();
    until(&format!("{name} is synced"), LIMIT, OnTimeout::Plain, async || {
        let conditions = agents.get(name).await?.status.unwrap_or_default().conditions;
        Ok(conditions.iter().any(|c| c.type_ == "Synced" && c.status == "True").then_some(()))
    })
    .await
}

/// Says of a Deployment, in its controller's place, that its one replica is ready; returns when the call began.
async fn make_ready(subjects: &Subjects, name: &str) -> Result<Instant> {
    let deployments = subjects.deployments();
    let generation = deployments.get(name).await?.metadata.generation;
    let body = json!({"status": {
        "observedGeneration": generation,
        "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
    }});
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let body = Patch::Merge(&body);
    let begin = Instant::now();
    let patch = deployments.patch_status(name, &params, &body);
    tokio::time::timeout(Duration::from_secs(30), patch)
        .await
        .context("the API server did not answer a status patch within 30 s")?
        .with_context(|| format!("patching the status of the Deployment {name}"))?;
    Ok(begin)
}
