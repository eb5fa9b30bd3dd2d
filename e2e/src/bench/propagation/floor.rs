//! The floor: a Deployment like an agent's own, applied and patched directly in the member.

use std::time::Instant;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::json;

use super::{MANAGER, Subjects};
use crate::bench::seen::Seen;

const LABEL: &str = "parallax-bench=floor";

/// Watches the floor's Deployments.
pub(super) async fn watch(subjects: &Subjects) -> Result<Seen> {
    Seen::start(subjects.deployments(), watcher::Config::default().labels(LABEL), |_: &Deployment| true).await
}

/// Watches the floor's Deployments for the one replica that each is to have.
pub(super) async fn watch_available(subjects: &Subjects) -> Result<Seen> {
    let available = |deployment: &Deployment| {
        deployment.status.as_ref().is_some_and(|status| status.available_replicas == Some(1))
    };
    Seen::start(subjects.deployments(), watcher::Config::default().labels(LABEL), available).await
}

/// Applies a Deployment, and says when the call began.
pub(super) async fn apply(subjects: &Subjects, name: &str) -> Result<Instant> {
    let labels = json!({"parallax-bench": "floor", "floor": name});
    let body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": subjects.namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{
                    "name": "agent", "image": "parallax.invalid/agent:floor",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "env": [{"name": "AGENT_NAME", "value": name}, {"name": "AGENT_TYPE", "value": "claude"}],
                }]},
            },
        },
    });
    let begin = Instant::now();
    subjects
        .deployments()
        .patch(name, &PatchParams::apply(MANAGER), &Patch::Apply(&body))
        .await
        .with_context(|| format!("applying the Deployment {name}"))?;
    Ok(begin)
}

/// Deletes the floor's Deployments.
pub(super) async fn clear(subjects: &Subjects) -> Result<()> {
    subjects
        .deployments()
        .delete_collection(&DeleteParams::background(), &ListParams::default().labels(LABEL))
        .await
        .context("deleting the floor's Deployments")?;
    Ok(())
}
