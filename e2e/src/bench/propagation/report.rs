//! What was measured, as text and as JSON.

use std::fmt;

use serde::Serialize;

use crate::bench::percentile::Percentiles;

/// Everything that one run measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// A direct apply of a Deployment in the member, seen by a watch.
    pub floor_apply: Percentiles,
    /// An agent applied on the hub, its Deployment seen in the member.
    pub apply_to_deployment: Percentiles,
    /// An agent applied on the hub, seen Running there.
    pub apply_to_running: Percentiles,
    /// Many at once.
    pub burst: BurstReport,
    /// The way back.
    pub status: Option<StatusReport>,
    /// What it cost.
    pub costs: Option<Costs>,
}

/// Many at once, in seconds from the first call to the last sighting.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BurstReport {
    /// How many.
    pub count: u16,
    /// As many Deployments applied directly.
    pub floor_seconds: f64,
    /// Until the hub's API server had taken every agent.
    pub applied_seconds: f64,
    /// Until every Deployment was seen in the member.
    pub deployments_seconds: f64,
    /// Until every agent was seen Running on the hub.
    pub running_seconds: f64,
}

/// The way back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// A direct status patch in the member, seen by a watch there.
    pub floor: Percentiles,
    /// A Deployment's status patched in the member, shown in the agent's status on the hub.
    pub status_return: Percentiles,
}

/// What the run and an idle spell cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Costs {
    /// Writes of ParallaxAgents from apply to Running, one at a time: the most for one agent.
    pub writes_single_max: usize,
    /// The same, over all of them divided by their count.
    pub writes_single_mean: f64,
    /// The same for the burst: the most for one agent.
    pub writes_burst_max: usize,
    /// The same, over all of them divided by their count.
    pub writes_burst_mean: f64,
    /// Seconds of the idle spell.
    pub idle_seconds: f64,
    /// Mutating requests of the hub and the members in that spell.
    pub idle_writes_of_ours: usize,
    /// `etcd_mvcc_put_total` of the hub's etcd in that spell: Kubernetes' own leases are in it.
    pub idle_hub_etcd_puts: u64,
    /// Resident memory of the hub after the idle spell, in MiB.
    pub hub_rss_mib: f64,
    /// Resident memory of the member after the idle spell, in MiB.
    pub member_rss_mib: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { f64::NAN };
        writeln!(f, "one at a time")?;
        writeln!(f, "  floor: direct apply in the member, seen     {}", self.floor_apply)?;
        writeln!(
            f,
            "  apply on the hub, Deployment in the member  {}  = {:.1} × the floor at p50",
            self.apply_to_deployment,
            ratio(self.apply_to_deployment.p50, self.floor_apply.p50)
        )?;
        writeln!(f, "  apply on the hub, Running there             {}", self.apply_to_running)?;
        let b = &self.burst;
        writeln!(f, "{} at once", b.count)?;
        writeln!(f, "  floor: as many direct applies, all seen     {:.2} s", b.floor_seconds)?;
        writeln!(f, "  all applied on the hub                      {:.2} s", b.applied_seconds)?;
        writeln!(
            f,
            "  all Deployments in the member               {:.2} s  = {:.1} × the floor",
            b.deployments_seconds,
            ratio(b.deployments_seconds, b.floor_seconds)
        )?;
        writeln!(f, "  all Running on the hub                      {:.2} s", b.running_seconds)?;
        if let Some(s) = &self.status {
            writeln!(f, "status return")?;
            writeln!(f, "  floor: direct status patch, seen            {}", s.floor)?;
            writeln!(
                f,
                "  Deployment status, shown on the hub         {}  = {:.1} × the floor at p50",
                s.status_return,
                ratio(s.status_return.p50, s.floor.p50)
            )?;
        }
        if let Some(c) = &self.costs {
            writeln!(f, "costs")?;
            writeln!(
                f,
                "  writes of a ParallaxAgent, apply to Running: one at a time {:.2} (at most {}), burst {:.2} (at most {})",
                c.writes_single_mean, c.writes_single_max, c.writes_burst_mean, c.writes_burst_max
            )?;
            writeln!(
                f,
                "  idle for {:.0} s: {} writes of ours, {} etcd puts on the hub (Kubernetes' own leases)",
                c.idle_seconds, c.idle_writes_of_ours, c.idle_hub_etcd_puts
            )?;
            writeln!(f, "  idle memory: hub {:.1} MiB, member {:.1} MiB", c.hub_rss_mib, c.member_rss_mib)?;
        }
        Ok(())
    }
}
