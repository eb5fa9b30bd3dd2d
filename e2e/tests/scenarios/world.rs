//! A test's own corner of the warm fleet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use parallax_crds::agent::Freshness;
use parallax_crds::{AgentAssignment, MemberCluster, ParallaxAgent, Phase, labels};
use parallax_e2e::audit::AuditEvent;
use parallax_e2e::layout::Layout;
use parallax_e2e::testing::{self, TestNamespace};
use parallax_e2e::waiting::{self, OnTimeout};
use parallax_e2e::{Component, Fleet, FleetOptions};
use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::log::Log;

/// Generous: a busy machine is no failure.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The namespace whose agents may get their API key from the hub.
pub const HANDED_OVER: &str = "handed-over";

/// The namespace whose pods may read the agents' metrics.
pub const SCRAPERS: &str = "monitoring";

/// Calm tests run beside each other; one that kills or changes what all share runs alone.
static GATE: RwLock<()> = RwLock::const_new(());

/// The warm fleet, and a namespace that nobody else uses.
pub struct World {
    fleet: &'static Fleet,
    pub hub: Client,
    pub members: Vec<Client>,
    pub namespace: String,
    finished: bool,
    /// A wait that came to nothing has dumped the fleet.
    dumped: AtomicBool,
    _turn: Turn,
}

/// A test that fails says how the fleet is, and leaves nothing for the others to stumble over.
impl Drop for World {
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let (fleet, namespace) = (self.fleet, self.namespace.clone());
        let dumps = !*self.dumped.get_mut();
        let cleared = std::thread::spawn(move || -> Result<String> {
            tokio::runtime::Runtime::new()?.block_on(async {
                let state = if dumps { testing::dump(fleet).await } else { String::new() };
                start_what_is_down(fleet).await?;
                let namespaces: Api<Namespace> = Api::all(fleet.client("hub").await?);
                namespaces.delete(&namespace, &DeleteParams::default()).await?;
                Ok(state)
            })
        });
        match cleared.join() {
            Ok(Ok(state)) => eprintln!("{} has failed\n{state}", self.namespace),
            Ok(Err(error)) => eprintln!("{} has failed, and is not cleared away: {error:#}", self.namespace),
            Err(_) => eprintln!("{} has failed, and clearing it away too", self.namespace),
        }
    }
}

/// What an earlier test has left down.
async fn start_what_is_down(fleet: &Fleet) -> Result<()> {
    for (cluster, component) in [
        ("hub", Component::ParallaxHub),
        ("member-1", Component::ParallaxMember),
        ("member-2", Component::ParallaxMember),
    ] {
        if fleet.process(cluster, component).is_none() {
            fleet.restart(cluster, component).await?;
        }
    }
    Ok(())
}

enum Turn {
    Beside { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

impl World {
    /// For a test that leaves the processes and the MemberClusters alone: others run beside it.
    pub async fn calm(test: &str) -> Result<Self> {
        Self::new(Turn::Beside { _guard: GATE.read().await }, test).await
    }

    /// For a test that kills, or changes what all share. What an earlier one has left down is started first.
    pub async fn alone(test: &str) -> Result<Self> {
        let world = Self::new(Turn::Alone { _guard: GATE.write().await }, test).await?;
        start_what_is_down(world.fleet).await?;
        Ok(world)
    }

    /// Alone, in the namespace whose agents may get their API key from the hub.
    pub async fn handed_over() -> Result<Self> {
        let mut world = Self::alone("unused").await?;
        let namespaces: Api<Namespace> = Api::all(world.hub.clone());
        namespaces.delete(&world.namespace, &DeleteParams::default()).await?;
        world.namespace = HANDED_OVER.to_owned();
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(HANDED_OVER.to_owned());
        for client in std::iter::once(&world.hub).chain(&world.members) {
            Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        }
        Ok(world)
    }

    async fn new(turn: Turn, test: &str) -> Result<Self> {
        let mut options = FleetOptions::new(env!("CARGO_BIN_EXE_fleet"));
        options.hub_args = vec![format!("--credentials-from={HANDED_OVER}")];
        options.member_args = vec![format!("--scraper-namespaces={SCRAPERS}")];
        let fleet = testing::shared_fleet(options);
        let namespace = TestNamespace::create(fleet, test).await?;
        let members = vec![fleet.client("member-1").await?, fleet.client("member-2").await?];
        let (hub, namespace) = (namespace.hub(), namespace.name().to_owned());
        let dumped = AtomicBool::new(false);
        Ok(Self { fleet, hub, members, namespace, finished: false, dumped, _turn: turn })
    }

    /// Deletes the namespace on the hub, and waits until its agents are gone from everywhere that is connected.
    pub async fn finish(mut self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.hub.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .context("deleting the namespace")?;
        self.eventually("the namespace is gone from the hub", || async {
            Ok(namespaces.get_opt(&self.namespace).await?.is_none())
        })
        .await?;
        self.finished = true;
        Ok(())
    }

    pub fn fleet(&self) -> &Fleet {
        self.fleet
    }

    /// What a component of the fleet says from now on.
    pub fn log(&self, cluster: &str, component: Component) -> Result<Log> {
        Ok(Log::from_now(Layout::new(self.fleet.directory())?.log(cluster, component)))
    }

    /// Waits until a MemberCluster's condition has this status and reason, and returns its message.
    pub async fn cluster_says(
        &self,
        cluster: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let is =
            |c: &MemberCluster| cluster_condition(c, type_).filter(|(s, r, _)| s == status && r == reason);
        let what = format!("{cluster} has {type_}={status}, {reason}");
        let found = self.cluster_until(cluster, &what, |c| is(c).is_some()).await?;
        let (.., message) = is(&found).with_context(|| format!("a moment ago, {what}"))?;
        Ok(message)
    }

    pub fn agents(&self) -> Api<ParallaxAgent> {
        Api::namespaced(self.hub.clone(), &self.namespace)
    }

    pub fn clusters(&self) -> Api<MemberCluster> {
        Api::all(self.hub.clone())
    }

    pub fn assignments(&self, member: usize) -> Api<AgentAssignment> {
        Api::namespaced(self.members[member].clone(), &self.namespace)
    }

    pub fn deployments(&self, member: usize) -> Api<Deployment> {
        Api::namespaced(self.members[member].clone(), &self.namespace)
    }

    pub fn services(&self, member: usize) -> Api<Service> {
        Api::namespaced(self.members[member].clone(), &self.namespace)
    }

    pub fn pods(&self, member: usize) -> Api<Pod> {
        Api::namespaced(self.members[member].clone(), &self.namespace)
    }

    /// Waits for a condition, and dumps the fleet when it doesn't come.
    pub async fn eventually(
        &self,
        what: &str,
        mut condition: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<()> {
        self.until(what, async || Ok(condition().await?.then_some(()))).await
    }

    /// Waits for a value, and dumps the fleet when it doesn't come.
    pub async fn until<T>(&self, what: &str, condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        let value = waiting::until(what, LIMIT, OnTimeout::Dump(self.fleet), condition).await;
        self.dumped.fetch_or(value.is_err(), Ordering::Relaxed);
        value
    }

    /// Applies an agent as a user would, by server-side apply.
    pub async fn apply(&self, name: &str, spec: Value) -> Result<ParallaxAgent> {
        let body = json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec,
        });
        let params = PatchParams::apply("scenario").force();
        self.agents()
            .patch(name, &params, &Patch::Apply(&body))
            .await
            .with_context(|| format!("applying {name}"))
    }

    pub async fn delete(&self, name: &str) -> Result<()> {
        self.agents()
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("deleting {name}"))?;
        Ok(())
    }

    /// Waits until the agent is Running at its current generation with this summary.
    pub async fn running(&self, name: &str, summary: &str) -> Result<ParallaxAgent> {
        self.agent_until(name, &format!("{name} is Running with {summary}"), |agent| {
            let status = agent.status.as_ref();
            status.is_some_and(|s| {
                s.phase == Some(Phase::Running)
                    && s.observed_generation == agent.metadata.generation
                    && s.replica_summary.as_deref() == Some(summary)
            })
        })
        .await
    }

    /// Waits until the agent on the hub satisfies a condition, and returns it.
    pub async fn agent_until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&ParallaxAgent) -> bool,
    ) -> Result<ParallaxAgent> {
        let agents = self.agents();
        self.until(what, async || Ok(agents.get_opt(name).await?.filter(&holds))).await
    }

    /// Waits until the hub has noticed that a cluster's word about the agent is no longer fresh.
    pub async fn not_fresh(&self, name: &str, cluster: &str) -> Result<()> {
        self.agent_until(name, &format!("{cluster}'s word about {name} is not fresh"), |agent| {
            let rows = agent.status.as_ref().map(|s| s.clusters.as_slice()).unwrap_or_default();
            rows.iter().any(|row| row.name == cluster && row.freshness != Freshness::Fresh)
        })
        .await?;
        Ok(())
    }

    /// Waits until the agent is gone from the hub.
    pub async fn gone_from_hub(&self, name: &str) -> Result<()> {
        let agents = self.agents();
        self.eventually(&format!("{name} is gone from the hub"), || async {
            Ok(agents.get_opt(name).await?.is_none())
        })
        .await
    }

    /// Waits until nothing of the agent is left in the member.
    pub async fn gone_from_member(&self, member: usize, name: &str) -> Result<()> {
        let pods = of(name);
        self.eventually(&format!("nothing of {name} is left in member-{}", member + 1), || async {
            Ok(self.assignments(member).get_opt(name).await?.is_none()
                && self.deployments(member).get_opt(name).await?.is_none()
                && self.services(member).get_opt(name).await?.is_none()
                && self.pods(member).list_metadata(&pods).await?.items.is_empty())
        })
        .await
    }

    /// The replicas that each member's Deployment of this name asks for; `None` where there is none.
    pub async fn shares(&self, name: &str) -> Result<Vec<Option<i32>>> {
        let mut shares = vec![];
        for member in 0..self.members.len() {
            let deployment = self.deployments(member).get_opt(name).await?;
            shares.push(deployment.and_then(|d| d.spec).and_then(|spec| spec.replicas));
        }
        Ok(shares)
    }

    /// Waits until the members' Deployments ask for these replicas, in any order of the members.
    pub async fn shared_out(&self, name: &str, expected: &[i32]) -> Result<()> {
        self.eventually(&format!("{name} is shared out as {expected:?}"), || async {
            let mut shares: Vec<_> = self.shares(name).await?.into_iter().flatten().collect();
            shares.sort_unstable_by(|a, b| b.cmp(a));
            Ok(shares == expected)
        })
        .await
    }

    /// UIDs and creation times of all that belongs to the test's agents in the members, pods included: what a
    /// resync must not change.
    pub async fn fingerprint(&self) -> Result<BTreeMap<String, String>> {
        let ours =
            ListParams::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_PARALLAX));
        let mut all = BTreeMap::new();
        for member in 0..self.members.len() {
            let mut note = |kind: &str, meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
                let created = meta.creation_timestamp.as_ref().map(|time| time.0.to_string());
                let name = meta.name.clone().unwrap_or_default();
                all.insert(
                    format!("member-{} {kind} {name}", member + 1),
                    format!("{:?} {created:?}", meta.uid),
                );
            };
            for object in self.assignments(member).list_metadata(&ListParams::default()).await? {
                note("AgentAssignment", &object.metadata);
            }
            for object in self.deployments(member).list_metadata(&ours).await? {
                note("Deployment", &object.metadata);
            }
            for object in self.services(member).list_metadata(&ours).await? {
                note("Service", &object.metadata);
            }
            for object in self.pods(member).list_metadata(&ours).await? {
                note("Pod", &object.metadata);
            }
        }
        Ok(all)
    }

    /// Waits until a member's own record of an agent is the last that it has to write: it writes one a second at most.
    pub async fn recorded(&self, member: usize, name: &str, ready: i32) -> Result<()> {
        self.eventually(&format!("member-{}'s assignment {name} has caught up", member + 1), || async {
            let status = self.assignments(member).get(name).await?.status.unwrap_or_default();
            Ok(status.phase == Some(Phase::Running) && status.ready_replicas == ready)
        })
        .await
    }

    /// What the hub's or a member's own service account has written in a cluster since `mark` events.
    pub fn writes_since(&self, cluster: &str, account: &str, mark: usize) -> Result<Vec<AuditEvent>> {
        let mut events = self.fleet().audit(cluster)?;
        let new = events.split_off(mark.min(events.len()));
        Ok(new.into_iter().filter(|e| e.is_write() && e.is_by_service_account(account)).collect())
    }

    /// Waits until the cluster's `Connected` condition is true.
    pub async fn connected(&self, cluster: &str) -> Result<()> {
        self.cluster_until(cluster, &format!("{cluster} is connected"), |c| {
            condition(c, "Connected").is_some_and(|(status, _)| status == "True")
        })
        .await?;
        Ok(())
    }

    /// Waits until a MemberCluster satisfies a condition, and returns it.
    pub async fn cluster_until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&MemberCluster) -> bool,
    ) -> Result<MemberCluster> {
        let clusters = self.clusters();
        self.until(what, async || Ok(clusters.get_opt(name).await?.filter(&holds))).await
    }

    /// Kills the hub, and starts it again.
    pub async fn restart_hub(&self) -> Result<()> {
        self.fleet().kill("hub", Component::ParallaxHub).await?;
        self.fleet().restart("hub", Component::ParallaxHub).await
    }

    /// kubectl, as a user of the hub.
    pub async fn kubectl(&self, args: &[&str]) -> Result<std::process::Output> {
        let record = self.fleet().record();
        let output = tokio::process::Command::new(&record.kubectl)
            .arg("--kubeconfig")
            .arg(&record.cluster("hub")?.kubeconfig)
            .args(["--namespace", &self.namespace])
            .args(args)
            .output()
            .await
            .context("running kubectl")?;
        Ok(output)
    }
}

/// Status and message of a MemberCluster's condition.
pub fn condition(cluster: &MemberCluster, type_: &str) -> Option<(String, String)> {
    let conditions = &cluster.status.as_ref()?.conditions;
    conditions.iter().find(|c| c.type_ == type_).map(|c| (c.status.clone(), c.message.clone()))
}

/// Status, reason and message of a MemberCluster's condition.
pub fn cluster_condition(cluster: &MemberCluster, type_: &str) -> Option<(String, String, String)> {
    let conditions = &cluster.status.as_ref()?.conditions;
    conditions
        .iter()
        .find(|c| c.type_ == type_)
        .map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
}

/// Status, reason and message of an agent's condition.
pub fn agent_condition(agent: &ParallaxAgent, type_: &str) -> Option<(String, String, String)> {
    let conditions = &agent.status.as_ref()?.conditions;
    conditions
        .iter()
        .find(|c| c.type_ == type_)
        .map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
}

/// What bears the agent's label.
pub fn of(agent: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={agent}", labels::AGENT))
}

/// The UID of a Deployment.
pub fn uid(deployment: &Deployment) -> String {
    deployment.uid().unwrap_or_default()
}
