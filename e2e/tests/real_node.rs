//! Agents on a real node: their containers run, answer by name, are checked, measured, fail as real ones do, and end
//! gracefully; and nothing of the node is left when its tool is killed. Where the machine can't run one, every test here
//! is skipped, and says why.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use parallax_crds::{AgentAssignment, ParallaxAgent, Phase};
use parallax_e2e::layout::{FleetRecord, Layout};
use parallax_e2e::real_node::images::{AGENT, TOOLBOX};
use parallax_e2e::testing::{TestNamespace, can_run_a_real_node, eventually, shared_fleet};
use parallax_e2e::{Component, Fleet, FleetOptions};
use serde_json::{Value, json};
use tokio::process::Command;

/// Containers start in seconds; a machine that builds at the same time takes longer.
const LIMIT: Duration = Duration::from_mins(3);

/// The one cluster: a hub with a member, and the node.
const CLUSTER: &str = "hub";

/// The fleet that these tests share.
async fn fleet() -> &'static Fleet {
    let options = FleetOptions::new(env!("CARGO_BIN_EXE_fleet")).of_one().real_node(CLUSTER);
    tokio::task::spawn_blocking(|| shared_fleet(options)).await.unwrap()
}

/// A namespace that admits only pods of the standard "restricted", with an agent and a shell in it.
struct World {
    fleet: &'static Fleet,
    namespace: TestNamespace,
    pods: Api<Pod>,
}

impl World {
    /// None where the machine can't run a real node.
    async fn new(purpose: &str) -> Result<Option<Self>> {
        if !can_run_a_real_node() {
            return Ok(None);
        }
        let fleet = fleet().await;
        let namespace = TestNamespace::create(fleet, purpose).await?;
        let labels =
            json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        let namespaces: Api<Namespace> = Api::all(fleet.client(CLUSTER).await?);
        namespaces.patch(namespace.name(), &PatchParams::default(), &Patch::Merge(&labels)).await?;
        let pods = namespace.of(fleet, CLUSTER).await?;
        Ok(Some(Self { fleet, namespace, pods }))
    }

    /// Applies an agent that the built-in image runs, and waits until all its replicas are ready.
    async fn agent(&self, name: &str, replicas: i32) -> Result<()> {
        self.apply(name, json!({ "replicas": replicas })).await?;
        self.runs(name, replicas).await;
        Ok(())
    }

    /// Applies an agent with these fields beside its type and its requests.
    async fn apply(&self, name: &str, fields: Value) -> Result<()> {
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

    /// Waits until the agent is Failed for this reason, and gives the message that goes with it.
    async fn fails(&self, name: &str, reason: &str) -> String {
        let agents: Api<ParallaxAgent> = self.namespace.agents();
        eventually(self.fleet, &format!("{name} to fail for {reason}"), LIMIT, async || {
            let status = agents.get(name).await?.status.unwrap_or_default();
            let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready");
            let fits = ready.filter(|ready| status.phase == Some(Phase::Failed) && ready.reason == reason);
            Ok(fits.map(|ready| ready.message))
        })
        .await
    }

    async fn runs(&self, name: &str, replicas: i32) {
        let agents: Api<ParallaxAgent> = self.namespace.agents();
        let summary = format!("{replicas}/{replicas}");
        eventually(self.fleet, &format!("{name} to run"), LIMIT, async || {
            let status = agents.get(name).await?.status.unwrap_or_default();
            let is_running = status.phase == Some(Phase::Running);
            Ok((is_running && status.replica_summary.as_deref() == Some(&summary)).then_some(()))
        })
        .await;
    }

    /// The agent's pods that are not being deleted.
    async fn pods_of(&self, agent: &str) -> Result<Vec<Pod>> {
        let params = ListParams::default().labels(&format!("app.kubernetes.io/instance={agent}"));
        let mut pods = self.pods.list(&params).await?.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// Starts a pod with a shell and curl.
    async fn shell(&self) -> Result<()> {
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
        eventually(self.fleet, "the shell to run", LIMIT, async || {
            let status = self.pods.get("shell").await?.status.unwrap_or_default();
            Ok((status.phase.as_deref() == Some("Running")).then_some(()))
        })
        .await;
        Ok(())
    }

    /// Runs curl in the shell's pod, and gives what it printed.
    async fn curl(&self, args: &[&str]) -> Result<String> {
        let record = self.fleet.record();
        let output = Command::new(&record.kubectl)
            .arg("--kubeconfig")
            .arg(&record.cluster(CLUSTER)?.kubeconfig)
            .args(["exec", "shell", "--namespace", self.namespace.name(), "--"])
            .args(["curl", "--silent", "--show-error", "--fail", "--max-time", "30"])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .await
            .context("running kubectl exec")?;
        if !output.status.success() {
            bail!("curl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Asks an agent by its Service's name until it answers.
    async fn ask(&self, agent: &str, path: &str) -> String {
        let url = format!("http://{agent}.{}.svc.cluster.local:8080{path}", self.namespace.name());
        eventually(self.fleet, &format!("an answer from {url}"), LIMIT, async || {
            Ok(Some(self.curl(&[&url]).await?))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_containers_run_under_restricted_and_answer_by_the_services_name() -> Result<()> {
    let Some(world) = World::new("runs").await? else { return Ok(()) };
    world.agent("reviewer", 2).await?;
    let pods = world.pods_of("reviewer").await?;
    assert_eq!(pods.len(), 2);
    for pod in &pods {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let id = containers[0].container_id.clone().unwrap_or_default();
        assert!(id.starts_with("containerd://"), "{id:?} is no container");
    }

    world.shell().await?;
    let answer: Value = serde_json::from_str(&world.ask("reviewer", "/").await)?;
    assert_eq!(answer["identity"]["agent"], "reviewer");
    assert_eq!(answer["identity"]["cluster"], CLUSTER);
    let events = world.ask("reviewer", "/events?count=3&every_ms=10").await;
    assert_eq!(events.matches("data: ").count(), 3, "{events}");
    assert_eq!(world.ask("reviewer", "/health").await, "ok\n");

    let name = pods[0].metadata.name.clone().unwrap_or_default();
    let log = world.pods.logs(&name, &LogParams::default()).await?;
    assert!(log.contains(r#""message":"answering""#), "{log}");
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_agent_takes_its_containers_with_it() -> Result<()> {
    let Some(world) = World::new("deleted").await? else { return Ok(()) };
    world.agent("brief", 2).await?;
    world.namespace.agents().delete("brief", &DeleteParams::default()).await?;
    let (fleet, namespace) = (world.fleet, &world.namespace);
    let (assignments, deployments, services): (Api<AgentAssignment>, Api<Deployment>, Api<Service>) = (
        namespace.of(fleet, CLUSTER).await?,
        namespace.of(fleet, CLUSTER).await?,
        namespace.of(fleet, CLUSTER).await?,
    );
    // The kubelet lets a pod's object go only when its containers have ended.
    eventually(fleet, "nothing of brief to be left", LIMIT, async || {
        let is_gone = namespace.agents().get_opt("brief").await?.is_none()
            && assignments.get_opt("brief").await?.is_none()
            && deployments.get_opt("brief").await?.is_none()
            && services.get_opt("brief").await?.is_none()
            && world.pods.list(&ListParams::default()).await?.items.is_empty();
        Ok(is_gone.then_some(()))
    })
    .await;
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled_fails_the_agent_until_another_is_named() -> Result<()> {
    let Some(world) = World::new("image").await? else { return Ok(()) };
    world.apply("misspelt", json!({ "image": "parallax.local/exmaple-agent:1" })).await?;
    let message = world.fails("misspelt", "ImagePullBackOff").await;
    assert!(message.contains("parallax.local/exmaple-agent:1"), "{message}");
    world.apply("misspelt", json!({ "image": AGENT })).await?;
    world.runs("misspelt", 1).await;
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_told_in_the_containers_own_words() -> Result<()> {
    let Some(world) = World::new("crash").await? else { return Ok(()) };
    let script = "echo 'no model is configured' > /dev/termination-log; exit 3";
    world.apply("hasty", json!({ "command": ["/bin/sh", "-c", script] })).await?;
    let message = world.fails("hasty", "CrashLoopBackOff").await;
    assert!(message.contains("no model is configured"), "{message}");
    let pod = world.pods_of("hasty").await?.remove(0);
    let containers = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
    let last = containers[0].last_state.clone().unwrap_or_default().terminated.context("it never ended")?;
    assert_eq!(last.exit_code, 3);
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_answers_its_probes_badly_is_restarted_and_runs_again() -> Result<()> {
    let Some(world) = World::new("probes").await? else { return Ok(()) };
    world.apply("moody", json!({ "healthCheck": { "periodSeconds": 1, "failureThreshold": 2 } })).await?;
    world.runs("moody", 1).await;
    world.shell().await?;
    let pod = world.pods_of("moody").await?.remove(0);
    let (name, status) = (pod.metadata.name.unwrap_or_default(), pod.status.unwrap_or_default());
    let address = status.pod_ip.context("the pod has no address")?;
    world.curl(&["--request", "PUT", &format!("http://{address}:8080/health?ok=false")]).await?;
    eventually(world.fleet, "the container to be restarted", LIMIT, async || {
        let status = world.pods.get(&name).await?.status.unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        Ok(containers.iter().any(|container| container.restart_count > 0).then_some(()))
    })
    .await;
    world.runs("moody", 1).await;
    assert_eq!(world.ask("moody", "/health").await, "ok\n");
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_breaks_restricted_is_refused() -> Result<()> {
    let Some(world) = World::new("refused").await? else { return Ok(()) };
    let pod: Pod = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "careless" },
        "spec": { "containers": [{ "name": "main", "image": TOOLBOX }] },
    }))?;
    let refusal = world.pods.create(&PostParams::default(), &pod).await.unwrap_err().to_string();
    assert!(refusal.contains("violates PodSecurity \"restricted"), "{refusal}");
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agents_containers_use_is_measured() -> Result<()> {
    let Some(world) = World::new("measured").await? else { return Ok(()) };
    world.agent("worker", 1).await?;
    let client = world.fleet.client(CLUSTER).await?;
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", world.namespace.name());
    eventually(world.fleet, "the worker's memory in the resource metrics", LIMIT, async || {
        let request = http::Request::get(&path).body(Vec::new())?;
        let metrics: Value = client.request(request).await?;
        let memory = &metrics["items"][0]["containers"][0]["usage"]["memory"];
        Ok(memory.as_str().filter(|memory| *memory != "0").map(drop))
    })
    .await;
    world.namespace.delete().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_ended_finishes_the_answer_that_it_has_begun() -> Result<()> {
    let Some(world) = World::new("graceful").await? else { return Ok(()) };
    world.agent("careful", 1).await?;
    world.shell().await?;
    world.ask("careful", "/").await;
    let pod = world.pods_of("careful").await?.remove(0);
    let name = pod.metadata.name.clone().unwrap_or_default();
    let address = pod.status.and_then(|status| status.pod_ip).context("the pod has no address")?;
    let metrics = format!("http://{address}:8080/metrics");
    let before = requests(&world.curl(&[&metrics]).await?)?;

    let url = format!("http://{address}:8080/work?ms=10000");
    let task = [url.as_str()];
    let (answer, ()) = tokio::try_join!(world.curl(&task), async {
        eventually(world.fleet, "the work to have begun", LIMIT, async || {
            Ok((requests(&world.curl(&[&metrics]).await?)? > before).then_some(()))
        })
        .await;
        world.pods.delete(&name, &DeleteParams::default()).await?;
        Ok(())
    })?;
    assert_eq!(answer, r#"{"worked":10000}"#);
    world.namespace.delete().await
}

/// The agent's own count of requests.
fn requests(metrics: &str) -> Result<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix("agent_requests_total "));
    line.and_then(|count| count.trim().parse().ok()).with_context(|| format!("no count in {metrics}"))
}

#[test]
fn nothing_of_the_node_is_left_when_the_tool_is_killed() {
    if !can_run_a_real_node() {
        return;
    }
    let directory = std::env::temp_dir().join(format!("parallax-e2e-{}-killed-node", std::process::id()));
    let mut tool = std::process::Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["up", "--members", "1", "--real-node", "--control-planes-only", "--dir"])
        .arg(&directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let layout = Layout::new(&directory).unwrap();
    let mut record = None;
    while record.is_none() {
        if tool.try_wait().unwrap().is_some() {
            let output = tool.wait_with_output().unwrap();
            panic!("the fleet does not start: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(50));
        record = layout.read().unwrap_or_default().filter(has_a_running_node);
    }
    let record: FleetRecord = record.unwrap();
    assert!(!cgroups(&record.id).is_empty(), "the node has no cgroup");
    let host = record.clusters[1].node.clone().unwrap().host.to_string();
    assert!(routes().contains(&host) || links().contains(&host), "no link to the node");

    tool.kill().unwrap();
    tool.wait().unwrap();
    // The directory is the last to go.
    until("the directory is gone", || !directory.exists());
    assert_eq!(cgroups(&record.id), Vec::<PathBuf>::new());
    assert!(!routes().contains(&host) && !links().contains(&host), "{}{}", routes(), links());
    let processes = record.clusters.iter().flat_map(|cluster| &cluster.processes);
    assert!(processes.into_iter().all(|process| !process.identity.is_alive()));
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&*directory.to_string_lossy()), "{mounts}");
}

fn has_a_running_node(record: &FleetRecord) -> bool {
    let processes = record.clusters.iter().flat_map(|cluster| &cluster.processes);
    processes.into_iter().any(|process| process.component == Component::Kubelet)
}

fn cgroups(fleet: &str) -> Vec<PathBuf> {
    let prefix = format!("parallax-{}", &fleet[..12]);
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    let roots = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]);
    let children = |root: PathBuf| std::fs::read_dir(root).into_iter().flatten().flatten();
    roots
        .flat_map(children)
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect()
}

fn routes() -> String {
    ip(&["route", "show"])
}

fn links() -> String {
    ip(&["address", "show"])
}

fn ip(args: &[&str]) -> String {
    let program = if Path::new("/usr/sbin/ip").exists() { "/usr/sbin/ip" } else { "ip" };
    let output = std::process::Command::new(program).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
