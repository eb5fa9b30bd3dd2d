//! How an agent's Service leads to it.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::json;

use crate::world::World;

/// One of the slices of a Service.
pub struct Way {
    /// It is the member's.
    pub ours: bool,
    pub port: u16,
}

fn selector(name: &str) -> String {
    format!("kubernetes.io/service-name={name}")
}

fn is_ours(slice: &EndpointSlice) -> bool {
    slice.labels().get("endpointslice.kubernetes.io/managed-by").is_some_and(|by| by == "parallax-member")
}

fn is_ready(slice: &EndpointSlice) -> bool {
    slice.endpoints.iter().any(|one| one.conditions.as_ref().is_none_or(|c| c.ready != Some(false)))
}

impl World {
    fn slices(&self) -> Api<EndpointSlice> {
        Api::namespaced(self.members[0].clone(), &self.namespace)
    }

    /// Whether the agent's Service in member-1 selects pods, and the slices that it has.
    pub(super) async fn ways(&self, name: &str) -> Result<(bool, Vec<Way>)> {
        let Some(service) = self.services(0).get_opt(name).await? else { return Ok((false, vec![])) };
        let selects =
            service.spec.and_then(|spec| spec.selector).is_some_and(|selector| !selector.is_empty());
        let slices = self.slices().list(&ListParams::default().labels(&selector(name))).await?;
        let way = |slice: &EndpointSlice| {
            let port = slice.ports.iter().flatten().find_map(|port| port.port);
            Way { ours: is_ours(slice), port: port.and_then(|port| port.try_into().ok()).unwrap_or(0) }
        };
        Ok((selects, slices.iter().map(way).collect()))
    }

    async fn has_endpoints(&self, name: &str) -> Result<bool> {
        let api: Api<Endpoints> = Api::namespaced(self.members[0].clone(), &self.namespace);
        Ok(api.get_opt(name).await?.is_some())
    }
}

/// How many of a Service's slices lead to somebody, after each change of one.
struct Watched {
    counts: Arc<Mutex<Vec<usize>>>,
    watch: tokio::task::JoinHandle<Result<()>>,
}

impl Watched {
    async fn start(world: &World, name: &str) -> Result<Self> {
        let (api, selector) = (world.slices(), selector(name));
        let listed = api.list(&ListParams::default().labels(&selector)).await?;
        let version = listed.metadata.resource_version.clone().context("a list has a version")?;
        let mut ready: HashMap<String, bool> = listed.iter().map(|s| (s.name_any(), is_ready(s))).collect();
        let counts = Arc::new(Mutex::new(vec![ready.values().filter(|ready| **ready).count()]));
        let seen = Arc::clone(&counts);
        let watch = tokio::spawn(async move {
            let mut events = pin!(api.watch(&WatchParams::default().labels(&selector), &version).await?);
            while let Some(event) = events.try_next().await? {
                match event {
                    WatchEvent::Added(slice) | WatchEvent::Modified(slice) => {
                        ready.insert(slice.name_any(), is_ready(&slice));
                    }
                    WatchEvent::Deleted(slice) => {
                        ready.remove(&slice.name_any());
                    }
                    WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
                }
                seen.lock().push(ready.values().filter(|ready| **ready).count());
            }
            anyhow::bail!("the watch has ended")
        });
        Ok(Self { counts, watch })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_an_agent_leads_to_the_activators_and_back_without_a_gap() -> Result<()> {
    let world = World::calm("ways").await?;
    let scaled = |least: i32| {
        json!({
            "type": "claude", "placement": {"clusters": ["member-1"]},
            "scaling": {"minReplicas": least, "maxReplicas": 2},
        })
    };
    world.apply("worker", scaled(1)).await?;
    world.running("worker", "1/1").await?;
    world
        .eventually("its Service leads to its pod", || async {
            let (selects, ways) = world.ways("worker").await?;
            Ok(selects && ways.len() == 1 && world.has_endpoints("worker").await?)
        })
        .await?;
    let watched = Watched::start(&world, "worker").await?;

    for _ in 0..2 {
        world.apply("worker", scaled(0)).await?;
        world
            .eventually("its Service leads to the activator alone", || async {
                let (selects, ways) = world.ways("worker").await?;
                let ours = ways.len() == 1 && ways[0].ours && ways[0].port > 0;
                Ok(!selects && ours && !world.has_endpoints("worker").await?)
            })
            .await?;
        world.apply("worker", scaled(1)).await?;
        world
            .eventually("its Service leads to its pod again", || async {
                let (selects, ways) = world.ways("worker").await?;
                let theirs = ways.len() == 1 && !ways[0].ours;
                Ok(selects && theirs && world.activation("worker").await?.is_none())
            })
            .await?;
    }
    anyhow::ensure!(!watched.watch.is_finished(), "the watch ended before the test did");
    watched.watch.abort();
    let counts = watched.counts.lock().clone();
    assert!(counts.iter().all(|ways| *ways > 0), "there was a moment without a way: {counts:?}");
    world.running("worker", "1/1").await?;
    world.finish().await
}
