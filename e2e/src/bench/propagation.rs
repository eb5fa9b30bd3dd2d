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
use super::until::until;
pub use report::{Costs, Report, StatusReport};

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

/// What is measured: a hub, and one of its members.
#[derive(Clone)]
pub struct Subjects {
    /// An administrator of the hub's cluster.
    pub hub: Client,
    /// An administrator of the member's cluster.
    pub member: Client,
    /// The member's name in the fleet.
    pub member_name: String,
    /// An existing namespace on the hub and in the member.
    pub namespace: String,
}

impl Subjects {
    fn agents(&self) -> Api<ParallaxAgent> {
        Api::namespaced(self.hub.clone(), &self.namespace)
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.member.clone(), &self.namespace)
    }

    fn agent(&self, name: &str, replicas: i32) -> serde_json::Value {
        json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"type": "claude", "replicas": replicas, "placement": {"clusters": [self.member_name]}},
        })
    }

    /// Applies an agent, and says when the call began.
    async fn apply(&self, name: &str, replicas: i32) -> Result<Instant> {
        let body = self.agent(name, replicas);
        let begin = Instant::now();
        self.agents()
            .patch(name, &PatchParams::apply(MANAGER), &Patch::Apply(&body))
            .await
            .with_context(|| format!("applying the agent {name}"))?;
        Ok(begin)
    }

    /// Makes the namespace in the member too, where the floor's Deployments go.
    pub(super) async fn prepare(&self) -> Result<()> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        Api::<Namespace>::all(self.member.clone())
            .patch(&self.namespace, &PatchParams::apply(MANAGER), &Patch::Apply(&namespace))
            .await
            .context("making the bench's namespace in the member")?;
        Ok(())
    }

    /// Deletes what the bench made, and waits until the hub has let go of it.
    async fn clear(&self) -> Result<()> {
        let agents = self.agents();
        agents.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        floor::clear(self).await?;
        until("the bench's agents are gone", LIMIT, async || {
            Ok(agents.list_metadata(&ListParams::default()).await?.items.is_empty())
        })
        .await
    }
}

/// Applies agents one at a time, each beside a direct apply of a Deployment like its own.
async fn one_at_a_time(
    subjects: &Subjects,
    samples: u16,
) -> Result<(Vec<Duration>, Vec<Duration>, Vec<Duration>)> {
    let ours = Seen::start(
        subjects.deployments(),
        watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_PARALLAX)),
        |_: &Deployment| true,
    )
    .await?;
    let running =
        Seen::start(subjects.agents(), watcher::Config::default(), |agent: &ParallaxAgent| is_running(agent))
            .await?;
    let direct = floor::watch(subjects).await?;
    let (mut floors, mut there, mut back) = (vec![], vec![], vec![]);
    for i in 0..samples {
        let name = format!("floor-{i}");
        let begin = floor::apply(subjects, &name).await?;
        floors.push(direct.when(&name, LIMIT).await? - begin);

        let name = format!("single-{i}");
        let begin = subjects.apply(&name, 1).await?;
        there.push(ours.when(&name, LIMIT).await? - begin);
        back.push(running.when(&name, LIMIT).await? - begin);
    }
    Ok((floors, there, back))
}

fn is_running(agent: &ParallaxAgent) -> bool {
    agent.status.as_ref().is_some_and(|status| {
        status.phase == Some(Phase::Running) && status.observed_generation == agent.metadata.generation
    })
}

/// Everything that needs a member whose Deployments become ready.
///
/// # Errors
/// When a write is refused, or something is not seen within two minutes.
pub async fn run(subjects: &Subjects, args: &PropagationArgs) -> Result<Report> {
    subjects.clear().await?;
    let (floor, there, running) = one_at_a_time(subjects, args.samples).await?;
    subjects.clear().await?;
    let burst = burst::run(subjects, args.burst).await?;
    subjects.clear().await?;
    Ok(Report {
        floor_apply: percentiles(&floor)?,
        apply_to_deployment: percentiles(&there)?,
        apply_to_running: percentiles(&running)?,
        burst,
        status: None,
        costs: None,
    })
}

/// The way back, in a member whose controller manager leaves Deployment status alone.
///
/// # Errors
/// As for [`run`].
pub async fn run_status(subjects: &Subjects, args: &PropagationArgs) -> Result<StatusReport> {
    subjects.clear().await?;
    let report = status::run(subjects, args.samples).await?;
    subjects.clear().await?;
    Ok(report)
}

fn percentiles(sample: &[Duration]) -> Result<Percentiles> {
    Percentiles::of(sample).context("nothing was measured")
}
