//! What a run cost the API servers, by their audit logs, and the processes, by their memory.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::propagation::{AgentWrites, Idle};
use crate::layout::{Component, FleetRecord};
use crate::{audit, etcd};

/// How long the fleet is watched doing nothing; several heartbeats long.
const IDLE: Duration = Duration::from_secs(30);
const MIB: f64 = 1024.0 * 1024.0;

/// Successful writes of the namespace's ParallaxAgents whose names begin with `prefix`, so far.
pub(super) fn agent_writes(record: &FleetRecord, namespace: &str, prefix: &str) -> Result<AgentWrites> {
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for event in audit::read(&record.cluster("hub")?.audit_log)? {
        let object = &event.object_ref;
        let counts = event.is_write()
            && object.resource == "parallaxagents"
            && object.namespace == namespace
            && object.name.starts_with(prefix);
        if counts {
            *by_name.entry(object.name.clone()).or_default() += 1;
        }
    }
    let total: usize = by_name.values().sum();
    let most = by_name.values().copied().max().unwrap_or_default();
    #[allow(clippy::cast_precision_loss)] // Counts of thousands.
    let mean = total as f64 / by_name.len().max(1) as f64;
    Ok(AgentWrites { most, mean })
}

/// Watches the fleet doing nothing.
pub(super) async fn idle(record: &FleetRecord, member: &str) -> Result<Idle> {
    let metrics = &record.cluster("hub")?.etcd.metrics;
    let (writes, puts) = (writes_of_ours(record)?, etcd::puts(metrics).await?);
    tokio::time::sleep(IDLE).await;
    Ok(Idle {
        seconds: IDLE.as_secs_f64(),
        writes_of_ours: writes_of_ours(record)? - writes,
        hub_etcd_puts: etcd::puts(metrics).await? - puts,
        hub_rss_mib: resident(record, "hub", Component::ParallaxHub)?,
        member_rss_mib: resident(record, member, Component::ParallaxMember)?,
    })
}

fn writes_of_ours(record: &FleetRecord) -> Result<usize> {
    let mut count = 0;
    for cluster in &record.clusters {
        let events = audit::read(&cluster.audit_log)?;
        let ours = |event: &&audit::AuditEvent| {
            event.is_write()
                && (event.is_by_service_account("parallax-hub")
                    || event.is_by_service_account("parallax-member"))
        };
        count += events.iter().filter(ours).count();
    }
    Ok(count)
}

/// Resident memory of a component, in MiB.
fn resident(record: &FleetRecord, cluster: &str, component: Component) -> Result<f64> {
    let processes = &record.cluster(cluster)?.processes;
    let process = processes.iter().find(|process| process.component == component);
    let bytes = process.and_then(|process| process.identity.resident_bytes());
    let bytes = bytes.with_context(|| format!("{component} of {cluster} is not running"))?;
    #[allow(clippy::cast_precision_loss)] // Bytes of a process.
    Ok(bytes as f64 / MIB)
}
