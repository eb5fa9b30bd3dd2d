//! A test's own corner of the shared fleet, whose one cluster has the node.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{ContainerStatus, Namespace, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use parallax_crds::{ParallaxAgent, Phase};
use parallax_e2e::real_node::images::TOOLBOX;
use parallax_e2e::testing::{TestNamespace, can_run_a_real_node, shared_fleet};
use parallax_e2e::waiting::{self, OnTimeout};
use parallax_e2e::{Fleet, FleetOptions};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Containers start in seconds; a machine that builds at the same time takes longer.
pub const LIMIT: Duration = Duration::from_mins(3);

/// The one cluster: a hub with a member, and the node.
pub const CLUSTER: &str = "hub";

/// The fleet that these tests share.
async fn fleet() -> &'static Fleet {
    let options = FleetOptions::new(env!("CARGO_BIN_EXE_fleet")).of_one().real_node(CLUSTER);
    tokio::task::spawn_blocking(|| shared_fleet(options)).await.unwrap()
}

/// A namespace that admits only pods of the standard "restricted", with an agent and a shell in it.
pub struct World {
    pub fleet: &'static Fleet,
    pub namespace: TestNamespace,
    pub pods: Api<Pod>,
    _turn: Turn,
}

/// Calm tests run beside each other; one that kills what all share runs alone.
static GATE: RwLock<()> = RwLock::const_new(());

enum Turn {
    Beside { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

impl World {
    /// For a test that leaves the node alone. None where the machine can't run a real node.
    pub async fn new(purpose: &str) -> Result<Option<Self>> {
        match can_run_a_real_node() {
            true => Self::begin(purpose, Turn::Beside { _guard: GATE.read().await }).await.map(Some),
            false => Ok(None),
        }
    }

    /// For a test that kills the node. None where the machine can't run a real node.
    pub async fn alone(purpose: &str) -> Result<Option<Self>> {
        match can_run_a_real_node() {
            true => Self::begin(purpose, Turn::Alone { _guard: GATE.write().await }).await.map(Some),
            false => Ok(None),
        }
    }

    async fn begin(purpose: &str, turn: Turn) -> Result<Self> {
        let fleet = fleet().await;
        let namespace = TestNamespace::create(fleet, purpose).await?;
        let labels =
            json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        let namespaces: Api<Namespace> = Api::all(fleet.client(CLUSTER).await?);
        namespaces.patch(namespace.name(), &PatchParams::default(), &Patch::Merge(&labels)).await?;
        let pods = namespace.of(fleet, CLUSTER).await?;
        Ok(Self { fleet, namespace, pods, _turn: turn })
    }

    /// Applies an agent that the built-in image runs, and waits until all its replicas are ready.
    pub async fn agent(&self, name: &str, replicas: i32) -> Result<()> {
        self.apply(name, json!({ "replicas": replicas })).await?;
        self.runs(name, replicas).await
    }

    /// Applies an agent with these fields beside its type and its requests.
    pub async fn apply(&self, name: &str, fields: Value) -> Result<()> {
        let mut agent = json!({
            "apiVersion": "parallax.io/v1alpha1",
            "kind": "ParallaxAgent",
            "metadata": { "name": name },
            "spec": {
                "type": "claude",
                "resources": { "requests": { "cpu": "20m", "memory": "32Mi" } },
            },
        });
        for (field, value) in fields.as_object().into_iter().flatten() {
            agent["spec"][field] = value.clone();
        }
        let params = PatchParams::apply("test").force();
        self.namespace.agents().patch(name, &params, &Patch::Apply(agent)).await?;
        Ok(())
    }

    /// Waits for a value, and dumps the fleet when it doesn't come.
    pub async fn until<T>(&self, what: &str, condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        waiting::until(what, LIMIT, OnTimeout::Dump(self.fleet), condition).await
    }

    /// Waits until the agent is Failed for this reason, and gives the message that goes with it.
    pub async fn fails(&self, name: &str, reason: &str) -> Result<String> {
        let agents: Api<ParallaxAgent> = self.namespace.agents();
        self.until(&format!("{name} to fail for {reason}"), async || {
            let status = agents.get(name).await?.status.unwrap_or_default();
            let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready");
            let fits = ready.filter(|ready| status.phase == Some(Phase::Failed) && ready.reason == reason);
            Ok(fits.map(|ready| ready.message))
        })
        .await
    }

    pub async fn runs(&self, name: &str, replicas: i32) -> Result<()> {
        let agents: Api<ParallaxAgent> = self.namespace.agents();
        let summary = format!("{replicas}/{replicas}");
        self.until(&format!("{name} to run"), async || {
            let agent = agents.get(name).await?;
            let status = agent.status.unwrap_or_default();
            let is_running = status.phase == Some(Phase::Running)
                && status.observed_generation == agent.metadata.generation;
            Ok((is_running && status.replica_summary.as_deref() == Some(&summary)).then_some(()))
        })
        .await
    }

    /// The agent's pods that are not being deleted.
    pub async fn pods_of(&self, agent: &str) -> Result<Vec<Pod>> {
        let params = ListParams::default().labels(&format!("app.kubernetes.io/instance={agent}"));
        let mut pods = self.pods.list(&params).await?.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// The one container of a pod, as the kubelet sees it.
    pub async fn container(&self, pod: &str) -> Result<ContainerStatus> {
        let status = self.pods.get(pod).await?.status.unwrap_or_default();
        let container = status.container_statuses.unwrap_or_default().into_iter().next();
        container.with_context(|| format!("the kubelet says nothing of {pod}'s container"))
    }

    /// Waits for something, while the agent is Failed at each look.
    pub async fn stays_failed_until(
        &self,
        agent: &str,
        what: &str,
        mut condition: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<()> {
        let agents = self.namespace.agents();
        self.until(&format!("{agent} to be Failed until {what}"), async || {
            let status = agents.get(agent).await?.status.unwrap_or_default();
            assert_eq!(status.phase, Some(Phase::Failed), "{what}: {:?}", status.conditions);
            Ok(condition().await?.then_some(()))
        })
        .await
    }

    /// Starts a pod with a shell and curl.
    pub async fn shell(&self) -> Result<()> {
        let pod = serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": "shell" },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "shell",
                    "image": TOOLBOX,
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "capabilities": { "drop": ["ALL"] },
                    },
                }],
            },
        }))?;
        self.pods.create(&PostParams::default(), &pod).await?;
        self.until("the shell to run", async || {
            let status = self.pods.get("shell").await?.status.unwrap_or_default();
            Ok((status.phase.as_deref() == Some("Running")).then_some(()))
        })
        .await
    }

    /// Runs curl in the shell's pod, and gives what it printed.
    pub async fn curl(&self, args: &[&str]) -> Result<String> {
        let curl = ["curl", "--silent", "--show-error", "--fail", "--max-time", "30"];
        self.exec("shell", &[&curl, args].concat()).await
    }

    /// Runs a command in a pod, and gives what it printed.
    pub async fn exec(&self, pod: &str, command: &[&str]) -> Result<String> {
        let record = self.fleet.record();
        let output = Command::new(&record.kubectl)
            .arg("--kubeconfig")
            .arg(&record.cluster(CLUSTER)?.kubeconfig)
            .args(["exec", pod, "--namespace", self.namespace.name(), "--"])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .await
            .context("running kubectl exec")?;
        if !output.status.success() {
            bail!("{} in {pod}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Asks an agent by its Service's name until it answers.
    pub async fn ask(&self, agent: &str, path: &str) -> Result<String> {
        let url = format!("http://{agent}.{}.svc.cluster.local:8080{path}", self.namespace.name());
        self.until(&format!("an answer from {url}"), async || Ok(Some(self.curl(&[&url]).await?))).await
    }
}
