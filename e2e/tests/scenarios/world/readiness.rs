//! What of an agent is ready over all clusters, at every change of it.

use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use parallax_crds::ParallaxAgent;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::World;

/// Longer than any test; a watch that ends before its test fails it.
const SECONDS: u32 = 290;

/// What the watches have shown so far.
#[derive(Debug, Default)]
struct Seen {
    /// What is ready in each member now.
    ready: Vec<i32>,
    /// The members' counts, at every change.
    members: Vec<Vec<i32>>,
    /// The hub's count, at every change.
    hub: Vec<i32>,
    /// The members' counts when there was too little.
    dips: Vec<Vec<i32>>,
}

/// Watches of an agent's status on the hub and, independently of that, of its Deployment in every member.
pub struct Readiness {
    seen: Arc<Mutex<Seen>>,
    watches: Vec<JoinHandle<Result<()>>>,
}

impl Drop for Readiness {
    fn drop(&mut self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }
}

impl Readiness {
    /// Notes from now on whenever less than `floor` is ready over all members.
    pub async fn watch(world: &World, name: &str, floor: i32) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (changes, all_changes) = mpsc::unbounded_channel();
        let mut watches = vec![];
        let mut deployments = vec![];
        for member in 0..world.members.len() {
            let api = world.deployments(member);
            let (ready, version) = ready_now(&api, name).await?;
            seen.lock().ready.push(ready);
            let (api_here, name, changes) = (api.clone(), name.to_owned(), changes.clone());
            deployments.push(api);
            watches.push(tokio::spawn(async move {
                each_change(&api_here, &name, &version, |deployment| {
                    changes.send((member, deployment.map_or(0, ready_of))).context("nobody judges")
                })
                .await
            }));
        }
        let counts = Arc::clone(&seen);
        watches.push(tokio::spawn(judge(deployments, name.to_owned(), floor, all_changes, counts)));

        let agents = world.agents();
        let agent = agents.get(name).await?;
        let version = agent.metadata.resource_version.context("the agent has no version")?;
        let (counts, name) = (Arc::clone(&seen), name.to_owned());
        watches.push(tokio::spawn(async move {
            each_change(&agents, &name, &version, |agent: Option<&ParallaxAgent>| {
                let status = agent.and_then(|agent| agent.status.as_ref());
                counts.lock().hub.push(status.map_or(0, |status| status.ready_replicas));
                Ok(())
            })
            .await
        }));
        Ok(Self { seen, watches })
    }

    /// Waits until the watches show these counts of the members.
    pub async fn shows(&self, world: &World, counts: &[i32]) -> Result<()> {
        world
            .eventually(&format!("the watches show {counts:?} ready"), async || {
                Ok(self.seen.lock().ready == counts)
            })
            .await
    }

    /// Fails if there was ever too little in the members, or if that may have been missed. Returns the hub's counts.
    pub fn never_dipped(self) -> Result<Vec<i32>> {
        ensure!(self.watches.iter().all(|watch| !watch.is_finished()), "a watch ended before the test did");
        let seen = self.seen.lock();
        ensure!(!seen.members.is_empty() && !seen.hub.is_empty(), "the watches have shown nothing");
        ensure!(seen.dips.is_empty(), "too little was ready: {:?}, of {:?}", seen.dips, seen.members);
        Ok(seen.hub.clone())
    }
}

/// Puts the members' changes together. Watches of different API servers have no common order: where the sum is too low,
/// the others are asked, since what had become ready there before this change may be on its way to us yet.
async fn judge(
    deployments: Vec<Api<Deployment>>,
    name: String,
    floor: i32,
    mut changes: mpsc::UnboundedReceiver<(usize, i32)>,
    seen: Arc<Mutex<Seen>>,
) -> Result<()> {
    while let Some((member, ready)) = changes.recv().await {
        let mut counts = seen.lock().ready.clone();
        counts[member] = ready;
        if counts.iter().sum::<i32>() < floor {
            let mut asked = counts.clone();
            for (other, api) in deployments.iter().enumerate().filter(|(other, _)| *other != member) {
                asked[other] = api.get_opt(&name).await?.as_ref().map_or(0, ready_of);
            }
            if asked.iter().sum::<i32>() < floor {
                seen.lock().dips.push(asked);
            }
        }
        let mut seen = seen.lock();
        seen.ready.clone_from(&counts);
        seen.members.push(counts);
    }
    bail!("nobody watches any more")
}

async fn ready_now(api: &Api<Deployment>, name: &str) -> Result<(i32, String)> {
    let list = api.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await?;
    let version = list.metadata.resource_version.context("a list without a version")?;
    Ok((list.items.first().map_or(0, ready_of), version))
}

fn ready_of(deployment: &Deployment) -> i32 {
    deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
}

/// Hands over every change from this version on; `None` when it is deleted. Comes back only when the watch has failed.
async fn each_change<K>(
    api: &Api<K>,
    name: &str,
    version: &str,
    mut take: impl FnMut(Option<&K>) -> Result<()>,
) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let params = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(SECONDS);
    let mut events = pin!(api.watch(&params, version).await?);
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => take(Some(&object))?,
            WatchEvent::Deleted(_) => take(None)?,
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(error) => bail!("the watch of {name} fails: {error:?}"),
        }
    }
    bail!("the watch of {name} has ended")
}
