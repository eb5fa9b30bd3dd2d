//! `fleet bench propagation`: how long a change takes to the member and its truth back to the hub, beside
//! what a direct write to the member's own API server takes.

mod burst;
mod floor;
mod report;
mod status;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Client};
use parallax_crds::{ParallaxAgent, Phase, labels};
use serde_json::json;

use super::percentile::Percentiles;
use super::seen::Seen;
use crate::waiting::{OnTimeout, until};
pub use burst::run as burst;
pub use report::{AgentWrites, BurstReport, Costs, Idle, Report, SinglesReport, StatusReport, WideReport};
pub use status::run as status;

/// The field manager of every write that the bench makes.
const MANAGER: &str = "parallax-bench";
/// Longer than anything here should take; past it a run has failed.
const LIMIT: Duration = Duration::from_secs(120);

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct PropagationArgs {
    /// How many agents are applied one at a time
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub samples: u16,
    /// How many agents are applied at once
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub burst: u16,
}

/// What is measured: a hub, and its members.
#[derive(Clone)]
pub struct Subjects {
    /// An administrator of the hub's cluster.
    pub hub: Client,
    /// The members' names in the fleet, and an administrator of each; at least one, and the first is measured most.
    pub members: Vec<(String, Client)>,
    /// A namespace of the hub.
    pub namespace: String,
}

impl Subjects {
    fn agents(&self) -> Api<ParallaxAgent> {
        Api::namespaced(self.hub.clone(), &self.namespace)
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.members[0].1.clone(), &self.namespace)
    }

    /// Applies an agent of one replica in the first member, and says when the call began.
    async fn apply(&self, name: &str) -> Result<Instant> {
        self.apply_with(name, json!({"clusters": [self.members[0].0]})).await
    }

    /// Applies an agent of one replica with this placement, and says when the call began.
    async fn apply_with(&self, name: &str, placement: serde_json::Value) -> Result<Instant> {
        let body = json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"type": "claude", "replicas": 1, "placement": placement},
        });
        let begin = Instant::now();
        self.agents()
            .patch(name, &PatchParams::apply(MANAGER), &Patch::Apply(&body))
            .await
            .with_context(|| format!("applying the agent {name}"))?;
        Ok(begin)
    }

    /// Makes the namespace in the first member too, where the floor's Deployments go.
    pub(super) async fn prepare(&self) -> Result<()> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        Api::<Namespace>::all(self.members[0].1.clone())
            .patch(&self.namespace, &PatchParams::apply(MANAGER), &Patch::Apply(&namespace))
            .await
            .context("making the bench's namespace in the member")?;
        Ok(())
    }

    /// Deletes what the bench made, and waits until the hub has let go of it.
    pub(super) async fn clear(&self) -> Result<()> {
        let agents = self.agents();
        agents.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        floor::clear(self).await?;
        until("the bench's agents are gone", LIMIT, OnTimeout::Plain, async || {
            Ok(agents.list_metadata(&ListParams::default()).await?.items.is_empty().then_some(()))
        })
        .await
    }
}

/// The label selector of everything that a member makes.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_PARALLAX))
}

/// Watches for agents that are Running.
async fn watch_running(subjects: &Subjects) -> Result<Seen> {
    Seen::start(subjects.agents(), watcher::Config::default(), |agent: &ParallaxAgent| is_running(agent))
        .await
}

/// Applies agents one at a time, each beside a direct apply of a Deployment like its own.
///
/// # Errors
/// When a write is refused, or something is not seen within two minutes; so for everything here.
pub async fn one_at_a_time(subjects: &Subjects, samples: u16) -> Result<SinglesReport> {
    let ours = Seen::start(subjects.deployments(), ours(), |_: &Deployment| true).await?;
    let running = watch_running(subjects).await?;
    let direct = floor::watch(subjects).await?;
    let settled = floor::watch_available(subjects).await?;
    let (mut floors, mut there, mut back) = (vec![], vec![], vec![]);
    for i in 0..samples {
        let name = format!("floor-{i}");
        let begin = floor::apply(subjects, &name).await?;
        floors.push(direct.when(&name, LIMIT).await? - begin);
        // Or what the controllers do with the one would be measured with the other.
        settled.when(&name, LIMIT).await?;

        let name = format!("single-{i}");
        let begin = subjects.apply(&name).await?;
        there.push(ours.when(&name, LIMIT).await? - begin);
        back.push(running.when(&name, LIMIT).await? - begin);
    }
    Ok(SinglesReport {
        floor: percentiles(&floors)?,
        deployment: percentiles(&there)?,
        running: percentiles(&back)?,
    })
}

/// Applies agents one at a time that every member gets a copy of: until the last member has its Deployment.
///
/// # Errors
/// As [`one_at_a_time`].
pub async fn over_all_members(subjects: &Subjects, samples: u16) -> Result<WideReport> {
    let mut watches = vec![];
    for (_, client) in &subjects.members {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &subjects.namespace);
        watches.push(Seen::start(deployments, ours(), |_: &Deployment| true).await?);
    }
    let running = watch_running(subjects).await?;
    let (mut there, mut back) = (vec![], vec![]);
    for i in 0..samples {
        let name = format!("wide-{i}");
        let begin = subjects.apply_with(&name, json!({"strategy": "Replicate"})).await?;
        let mut last = Duration::ZERO;
        for watch in &watches {
            last = last.max(watch.when(&name, LIMIT).await? - begin);
        }
        there.push(last);
        back.push(running.when(&name, LIMIT).await? - begin);
    }
    Ok(WideReport {
        members: subjects.members.len(),
        last_deployment: percentiles(&there)?,
        running: percentiles(&back)?,
    })
}

fn is_running(agent: &ParallaxAgent) -> bool {
    agent.status.as_ref().is_some_and(|status| {
        status.phase == Some(Phase::Running) && status.observed_generation == agent.metadata.generation
    })
}

fn percentiles(sample: &[Duration]) -> Result<Percentiles> {
    Percentiles::of(sample).context("nothing was measured")
}
