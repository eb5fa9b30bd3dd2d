//! A test's own corner of the warm fleet.

mod conditions;
pub mod kubelet;
pub mod readiness;
mod traces;
mod waits;

use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use parallax_crds::{AgentAssignment, MemberCluster, ParallaxAgent, labels};
use parallax_e2e::layout::Layout;
use parallax_e2e::testing::{self, TestNamespace};
use parallax_e2e::{Component, Fleet, FleetOptions};
use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use self::conditions::{agent_condition, cluster_condition, condition};
use crate::log::Log;

/// Generous: a busy machine is no failure.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The namespace whose agents may get their API key from the hub.
pub const HANDED_OVER: &str = "handed-over";

/// The label that the members' namespaces have from the hub's.
pub const NAMESPACE_LABEL: &str = "example.org/owner";

/// The namespace whose pods may read the agents' metrics.
pub const SCRAPERS: &str = "monitoring";

/// Calm tests run beside each other; one that kills or changes what all share runs alone.
static GATE: RwLock<()> = RwLock::const_new(());

/// The fleet of a test.
enum Whose {
    All(&'static Fleet),
    Own(Box<Fleet>),
}

impl Deref for Whose {
    type Target = Fleet;

    fn deref(&self) -> &Fleet {
        match self {
            Self::All(fleet) => fleet,
            Self::Own(fleet) => fleet,
        }
    }
}

/// A fleet, mostly the warm one, and a namespace that nobody else uses.
pub struct World {
    fleet: Whose,
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
        let dumps = !*self.dumped.get_mut();
        let clear = || -> Result<String> {
            tokio::runtime::Runtime::new()?.block_on(async {
                let state = if dumps { testing::dump(&self.fleet).await } else { String::new() };
                if let Whose::All(fleet) = self.fleet {
                    put_right(fleet).await?;
                    let namespaces: Api<Namespace> = Api::all(fleet.client("hub").await?);
                    namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
                }
                Ok(state)
            })
        };
        // (On a thread of its own: this one may be a runtime's.)
        match std::thread::scope(|threads| threads.spawn(clear).join()) {
            Ok(Ok(state)) => eprintln!("{} has failed\n{state}", self.namespace),
            Ok(Err(error)) => eprintln!("{} has failed, and is not cleared away: {error:#}", self.namespace),
            Err(_) => eprintln!("{} has failed, and clearing it away too", self.namespace),
        }
    }
}

/// Starts what an earlier test has left down, and takes away the taints that it has left.
async fn put_right(fleet: &Fleet) -> Result<()> {
    for (cluster, component) in [
        ("hub", Component::ParallaxHub),
        ("member-1", Component::ParallaxMember),
        ("member-2", Component::ParallaxMember),
    ] {
        if fleet.process(cluster, component).is_none() {
            fleet.restart(cluster, component).await?;
        }
    }
    let clusters: Api<MemberCluster> = Api::all(fleet.client("hub").await?);
    for cluster in clusters.list(&ListParams::default()).await?.items {
        if !cluster.spec.taints.is_empty() {
            let untainted = Patch::Merge(json!({"spec": {"taints": null}}));
            clusters.patch(&cluster.name_any(), &PatchParams::default(), &untainted).await?;
        }
    }
    Ok(())
}

enum Turn {
    Beside {
        _guard: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
    /// Nobody else uses the fleet.
    Own,
}

impl World {
    /// For a test that leaves the processes and the MemberClusters alone: others run beside it.
    pub async fn calm(test: &str) -> Result<Self> {
        Self::new(Turn::Beside { _guard: GATE.read().await }, test).await
    }

    /// For a test that kills, or changes what all share. What an earlier one has left behind is put right first.
    pub async fn alone(test: &str) -> Result<Self> {
        let world = Self::new(Turn::Alone { _guard: GATE.write().await }, test).await?;
        put_right(&world.fleet).await?;
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

    /// For a test that needs other clusters than the warm fleet has: with so many members, and others run beside it.
    pub async fn of_its_own(test: &str, members: usize) -> Result<Self> {
        let options = FleetOptions::new(env!("CARGO_BIN_EXE_fleet")).members(members);
        Self::of(Whose::Own(Box::new(testing::own_fleet(options))), Turn::Own, test).await
    }

    async fn new(turn: Turn, test: &str) -> Result<Self> {
        let mut options = FleetOptions::new(env!("CARGO_BIN_EXE_fleet"));
        options.hub_args = vec![format!("--credentials-from={HANDED_OVER}")];
        options.member_args =
            vec![format!("--scraper-namespaces={SCRAPERS}"), format!("--namespace-labels={NAMESPACE_LABEL}")];
        Self::of(Whose::All(testing::shared_fleet(options)), turn, test).await
    }

    async fn of(fleet: Whose, turn: Turn, test: &str) -> Result<Self> {
        let namespace = TestNamespace::create(&fleet, test).await?;
        let mut members = vec![];
        for cluster in fleet.clusters().iter().filter(|cluster| *cluster != "hub") {
            members.push(fleet.client(cluster).await?);
        }
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
        &self.fleet
    }

    /// What a component of the fleet says from now on.
    pub fn log(&self, cluster: &str, component: Component) -> Result<Log> {
        Ok(Log::from_now(Layout::new(self.fleet.directory())?.log(cluster, component)))
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

    pub fn nodes(&self, member: usize) -> Api<Node> {
        Api::all(self.members[member].clone())
    }

    pub fn pods(&self, member: usize) -> Api<Pod> {
        Api::namespaced(self.members[member].clone(), &self.namespace)
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

/// What bears the agent's label.
pub fn of(agent: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={agent}", labels::AGENT))
}

/// The UID of a Deployment.
pub fn uid(deployment: &Deployment) -> String {
    deployment.uid().unwrap_or_default()
}
