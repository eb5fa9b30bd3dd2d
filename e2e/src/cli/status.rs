//! `fleet status`.

use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::{Value, json};

use super::{Format, print};
use crate::layout::{ClusterRecord, FleetRecord, Layout, ProcessRecord};

/// Prints what runs; the exit code is 1 when there is no fleet, or something of it has ended.
pub(super) async fn status(layout: &Layout, output: Format) -> anyhow::Result<ExitCode> {
    let Some(record) = layout.read()? else {
        let directory = layout.root();
        match output {
            Format::Json => print(&json!({ "directory": directory, "running": false }).to_string()),
            Format::Text => print(&format!("no fleet in {}: `fleet up` starts one", directory.display())),
        }
        return Ok(ExitCode::FAILURE);
    };
    let all_run =
        record.supervisor.is_alive() && processes(&record).all(|(_, process)| process.identity.is_alive());
    match output {
        Format::Json => print(&serde_json::to_string_pretty(&with_liveness(&record, all_run)?)?),
        Format::Text => text(&record),
    }
    Ok(if all_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn processes(record: &FleetRecord) -> impl Iterator<Item = (&ClusterRecord, &ProcessRecord)> {
    record.clusters.iter().flat_map(|cluster| cluster.processes.iter().map(move |process| (cluster, process)))
}

/// `fleet.json`, with what was just looked up: `running`, and per process `running` and `residentBytes`.
fn with_liveness(record: &FleetRecord, all_run: bool) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(record).context("writing the record")?;
    value["running"] = json!(all_run);
    for (cluster, record) in record.clusters.iter().enumerate() {
        for (process, record) in record.processes.iter().enumerate() {
            let entry = &mut value["clusters"][cluster]["processes"][process];
            entry["running"] = json!(record.identity.is_alive());
            entry["residentBytes"] = json!(record.identity.resident_bytes());
        }
    }
    Ok(value)
}

fn text(record: &FleetRecord) {
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
    for (cluster, process) in processes(record) {
        let resident = process.identity.resident_bytes();
        table.add_row([
            cluster.name.clone(),
            process.component.to_string(),
            process.identity.pid.to_string(),
            if process.identity.is_alive() { "running" } else { "ended" }.to_owned(),
            resident.map_or_else(|| "-".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
        ]);
    }
    print(&format!("\n{}", table.trim_fmt()));
}
