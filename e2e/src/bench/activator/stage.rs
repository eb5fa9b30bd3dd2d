//! What the bench measures on: a control plane with one assignment and one pod, both only written down, an activator,
//! and this process in the pod's place.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, Patch, PatchParams};
use parallax_crds::AgentAssignment;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::wire;
use crate::layout::Layout;
use crate::manifests;
use crate::process::{Process, ProcessSpec};
use crate::product::Product;
use crate::waiting::{OnTimeout, until};
use crate::{Component, Fleet, FleetOptions, Progress};

const LIMIT: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "bench";
const AGENT: &str = "waker";
const INCARNATION: &str = "bench";
const ADDRESS: &str = "127.0.0.1";

/// See the module.
pub(super) struct Stage {
    /// Where the pod listens.
    pub pod: SocketAddr,
    /// Where the activator listens for it.
    pub activator: SocketAddr,
    fleet: Fleet,
    process: Arc<Process>,
    pod_task: tokio::task::JoinHandle<()>,
}

impl Stage {
    pub(super) async fn set(launcher: &Path, progress: Progress) -> Result<Self> {
        // Agents' pods listen on 8080: an address of its own keeps that port free.
        let pod = SocketAddr::from(([127, 94, 1, 1], 8080));
        let listener = TcpListener::bind(pod).await.with_context(|| format!("listening on {pod}"))?;
        let pod_task = tokio::spawn(wire::answer(listener));
        let product = Product::build(launcher, progress).await?;
        let mut options = FleetOptions::new(launcher).members(1).control_planes_only();
        options.progress = progress;
        let fleet = Fleet::start(options).await?;
        let client = fleet.client("member-1").await?;
        let mut kinds = manifests::read("crds/yaml")?;
        kinds.retain(|kind| kind.metadata.name.as_deref() == Some("agentassignments.parallax.io"));
        manifests::apply(&client, &kinds).await?;
        write_down(&client, pod).await?;

        let step = progress.step("starting the activator");
        let layout = Layout::new(fleet.directory())?;
        let spec = ProcessSpec {
            program: product.member,
            args: [
                "activator".to_owned(),
                format!("--kubeconfig={}", layout.admin_kubeconfig("member-1").display()),
                format!("--address={ADDRESS}"),
                format!("--bind={ADDRESS}"),
                "--metrics-port=0".to_owned(),
                "--admit=127.0.0.0/8".to_owned(),
            ]
            .into(),
            env: vec![],
            log: layout.log("member-1", Component::ParallaxActivator),
            inside: None,
        };
        let process = Process::start(launcher, &spec)?;
        let assignments: Api<AgentAssignment> = Api::namespaced(client, NAMESPACE);
        let port = async || {
            let status = assignments.get_status(AGENT).await?.status.unwrap_or_default();
            let word = status.activators.get(ADDRESS);
            anyhow::Ok(word.and_then(|word| u16::try_from(word.port).ok()))
        };
        let log = OnTimeout::Logs(vec![(Component::ParallaxActivator, &process)]);
        let port = until("the activator to listen", LIMIT, log, port).await?;
        step.done();
        Ok(Self { pod, activator: SocketAddr::from(([127, 0, 0, 1], port)), fleet, process, pod_task })
    }

    pub(super) async fn clear(self) {
        let Self { pod: _, activator: _, fleet, process, pod_task } = self;
        process.kill().await;
        fleet.shut_down().await;
        pod_task.abort();
    }
}

/// The namespace, the agent that is up, and its pod that is ready.
async fn write_down(client: &kube::Client, pod: SocketAddr) -> Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.patch(NAMESPACE, &params(), &Patch::Apply(&namespace)).await.context("making a namespace")?;
    let labels = json!({"parallax.io/agent": AGENT, "parallax.io/incarnation": INCARNATION});
    let metadata = json!({"namespace": NAMESPACE, "name": AGENT, "labels": labels});
    let object = |api_version: &str, kind: &str, field: &str, value: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, field: value});
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    // No scheduler looks at it, so that nobody says otherwise.
    let spec = json!({
        "schedulerName": "nobody", "automountServiceAccountToken": false,
        "containers": [{"name": "agent", "image": "fleet.test/bench:1"}],
    });
    let status = json!({
        "phase": "Running", "podIP": pod.ip(), "podIPs": [{"ip": pod.ip()}],
        "conditions": [{"type": "Ready", "status": "True"}],
    });
    // The service account that pods name is made by a controller in its own time.
    let apply = async || {
        pods.patch(AGENT, &params(), &Patch::Apply(&object("v1", "Pod", "spec", spec.clone()))).await?;
        Ok(Some(()))
    };
    until("the namespace to take pods", LIMIT, OnTimeout::Plain, apply).await?;
    pods.patch_status(AGENT, &params(), &Patch::Apply(&object("v1", "Pod", "status", status)))
        .await
        .context("writing the pod's status")?;

    let assignments: Api<AgentAssignment> = Api::namespaced(client.clone(), NAMESPACE);
    let assignment = "parallax.io/v1alpha1";
    let spec = json!({
        "agent": {"namespace": NAMESPACE, "name": AGENT, "incarnation": INCARNATION}, "hub": "bench",
        "hash": "0".repeat(32), "replicas": 1,
        "template": {"type": "claude", "image": "fleet.test/bench:1"},
    });
    let status = json!({"activation": {"stage": "Up", "serial": 1, "since": "2026-01-01T00:00:00Z"}});
    let body = object(assignment, "AgentAssignment", "spec", spec);
    assignments.patch(AGENT, &params(), &Patch::Apply(&body)).await.context("making the assignment")?;
    let body = object(assignment, "AgentAssignment", "status", status);
    assignments.patch_status(AGENT, &params(), &Patch::Apply(&body)).await.context("opening its gate")?;
    Ok(())
}

fn params() -> PatchParams {
    PatchParams::apply(manifests::MANAGER).force()
}
