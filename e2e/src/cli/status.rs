//! `fleet status`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use futures::future::join_all;
use serde_json::{Value, json};
use strum::Display;

use super::{Format, print};
use crate::etcd;
use crate::layout::{ClusterRecord, Component, FleetRecord, Layout, ProcessRecord};

/// How long a hub or member may take to say whether it is ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// Prints what runs; the exit code is 1 when there is no fleet, or something of it has ended.
pub(super) async fn status(layout: &Layout, output: Format) -> anyhow::Result<ExitCode> {
    let Some(record) = layout.read()? else {
        let directory = layout.root();
        match output {
            Format::Json => print(&json!({ "directory": directory, "running": false }).to_string()),
            Format::Text => {
                print(&format!("no fleet in {}: `cargo fleet up` starts one", directory.display()));
            }
        }
        return Ok(ExitCode::FAILURE);
    };
    let states = states(&record).await;
    let all_run = record.supervisor.is_alive() && states.iter().all(|one| one.state.runs());
    match output {
        Format::Json => print(&serde_json::to_string_pretty(&with_states(&record, &states, all_run)?)?),
        Format::Text => text(&record, &states),
    }
    Ok(if all_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
#[strum(serialize_all = "lowercase")]
enum State {
    Running,
    /// The hub or member runs, and its `/readyz` doesn't say so yet.
    Starting,
    /// On purpose.
    Stopped,
    /// By itself.
    Ended,
}

impl State {
    fn runs(self) -> bool {
        matches!(self, Self::Running | Self::Starting)
    }
}

/// A component and what was just found out about it.
struct Looked<'a> {
    cluster: &'a str,
    component: Component,
    process: Option<&'a ProcessRecord>,
    state: State,
}

/// Every component, running or not, the hub's cluster first.
async fn states(record: &FleetRecord) -> Vec<Looked<'_>> {
    let all = record.clusters.iter().flat_map(|cluster| {
        cluster.components().into_iter().map(move |component| async move {
            let process = cluster.processes.iter().find(|process| process.component == component);
            let state = match process {
                None => State::Stopped,
                Some(process) if !process.identity.is_alive() => State::Ended,
                Some(_) if is_ready(cluster, component).await => State::Running,
                Some(_) => State::Starting,
            };
            Looked { cluster: &cluster.name, component, process, state }
        })
    });
    join_all(all).await
}

/// What a hub or member says of itself; the others' processes are all that is looked at.
async fn is_ready(cluster: &ClusterRecord, component: Component) -> bool {
    let url = match component {
        Component::ParallaxHub => cluster.hub.as_ref().map(|hub| format!("{}/readyz", hub.http)),
        Component::ParallaxMember => {
            let metrics = cluster.member.as_ref().map(|member| member.metrics.as_str());
            metrics.and_then(|url| url.strip_suffix("/metrics")).map(|base| format!("{base}/readyz"))
        }
        _ => return true,
    };
    let Some(url) = url else { return false };
    tokio::time::timeout(PATIENCE, etcd::get(&url)).await.is_ok_and(|answer| answer.is_ok())
}

/// `fleet.json`, with what was just looked up: `running`, and per process `running`, `state` and `residentBytes`.
fn with_states(record: &FleetRecord, states: &[Looked<'_>], all_run: bool) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(record).context("writing the record")?;
    value["running"] = json!(all_run);
    for (cluster, record) in record.clusters.iter().enumerate() {
        for (process, record) in record.processes.iter().enumerate() {
            let entry = &mut value["clusters"][cluster]["processes"][process];
            let identity =
                |looked: &&Looked<'_>| looked.process.is_some_and(|one| one.identity == record.identity);
            let Some(looked) = states.iter().find(identity) else { continue };
            entry["running"] = json!(looked.state.runs());
            entry["state"] = json!(looked.state.to_string());
            entry["residentBytes"] = json!(record.identity.resident_bytes());
        }
    }
    Ok(value)
}

fn text(record: &FleetRecord, states: &[Looked<'_>]) {
    print(&format!("{}\n", record.directory.display()));
    let mut clusters = Table::new();
    clusters.load_style(NOTHING);
    clusters.set_header(["CLUSTER", "API SERVER", "ETCD METRICS", "HUB OR MEMBER", "KUBECONFIG"]);
    for cluster in &record.clusters {
        let hub = cluster.hub.as_ref().map(|hub| format!("{} {}", hub.http, hub.metrics));
        let member = cluster.member.as_ref().map(|member| member.metrics.clone());
        clusters.add_row([
            cluster.name.clone(),
            cluster.server.clone(),
            cluster.etcd.metrics.clone(),
            [hub, member].into_iter().flatten().collect::<Vec<_>>().join(" "),
            cluster.kubeconfig.display().to_string(),
        ]);
    }
    print(&clusters.trim_fmt());
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["CLUSTER", "PROCESS", "PID", "STATE", "MEMORY"]);
    for Looked { cluster, component, process, state } in states {
        let resident = process.and_then(|process| process.identity.resident_bytes());
        let dash = || "-".to_owned();
        table.add_row([
            (*cluster).to_owned(),
            component.to_string(),
            process.map_or_else(dash, |process| process.identity.pid.to_string()),
            state.to_string(),
            resident.map_or_else(dash, |bytes| format!("{} MiB", bytes >> 20)),
        ]);
    }
    print(&format!("\n{}", table.trim_fmt()));
}
