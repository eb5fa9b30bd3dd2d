//! What was measured, as text and as JSON.

use std::fmt;

use serde::Serialize;

use crate::bench::percentile::Percentiles;

/// Everything that one run measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// One at a time, in one member.
    pub singles: SinglesReport,
    /// One at a time, in every member.
    pub wide: WideReport,
    /// Many at once.
    pub burst: BurstReport,
    /// The way back.
    pub status: StatusReport,
    /// What it cost.
    pub costs: Costs,
}

/// One at a time, in one member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinglesReport {
    /// A direct apply of a Deployment in the member, seen by a watch.
    pub floor: Percentiles,
    /// An agent applied on the hub, its Deployment seen in the member.
    pub deployment: Percentiles,
    /// An agent applied on the hub, seen Running there.
    pub running: Percentiles,
}

/// One at a time, in every member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WideReport {
    /// How many members there are.
    pub members: usize,
    /// An agent applied on the hub, its Deployment seen in the last of them.
    pub last_deployment: Percentiles,
    /// An agent applied on the hub, seen Running there.
    pub running: Percentiles,
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

/// What it cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Costs {
    /// From apply to Running, one at a time in one member.
    pub writes_single: AgentWrites,
    /// The same in every member.
    pub writes_wide: AgentWrites,
    /// The same for many at once.
    pub writes_burst: AgentWrites,
    /// While nothing changes.
    pub idle: Idle,
}

/// How often one ParallaxAgent was written on the hub, the user's own write included.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AgentWrites {
    /// The most for one agent.
    pub most: usize,
    /// The mean.
    pub mean: f64,
}

/// What a fleet costs in which nothing changes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// For how long it was watched.
    pub seconds: f64,
    /// Mutating requests of the hub and the members.
    pub writes_of_ours: usize,
    /// `etcd_mvcc_put_total` of the hub's etcd: Kubernetes' own leases are in it.
    pub hub_etcd_puts: u64,
    /// Resident memory of the hub, in MiB.
    pub hub_rss_mib: f64,
    /// Resident memory of the member, in MiB.
    pub member_rss_mib: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { singles, wide, burst, status, costs } = self;
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { f64::NAN };
        writeln!(f, "one at a time")?;
        writeln!(f, "  floor: direct apply in the member, seen     {}", singles.floor)?;
        let times = ratio(singles.deployment.p50, singles.floor.p50);
        writeln!(f, "  apply on the hub, Deployment in the member  {}", singles.deployment)?;
        writeln!(f, "                                              = {times:.1} × the floor at p50")?;
        writeln!(f, "  apply on the hub, Running there             {}", singles.running)?;
        writeln!(f, "over all {} members, one at a time", wide.members)?;
        writeln!(f, "  apply on the hub, Deployment in the last    {}", wide.last_deployment)?;
        writeln!(f, "  apply on the hub, Running there             {}", wide.running)?;
        writeln!(f, "{} at once", burst.count)?;
        writeln!(f, "  floor: as many direct applies, all seen     {:.2} s", burst.floor_seconds)?;
        writeln!(f, "  all applied on the hub                      {:.2} s", burst.applied_seconds)?;
        let times = ratio(burst.deployments_seconds, burst.floor_seconds);
        writeln!(f, "  all Deployments in the member               {:.2} s", burst.deployments_seconds)?;
        writeln!(f, "                                              = {times:.1} × the floor")?;
        writeln!(f, "  all Running on the hub                      {:.2} s", burst.running_seconds)?;
        writeln!(f, "status return")?;
        writeln!(f, "  floor: direct status patch, seen            {}", status.floor)?;
        let times = ratio(status.status_return.p50, status.floor.p50);
        writeln!(f, "  Deployment status, shown on the hub         {}", status.status_return)?;
        writeln!(f, "                                              = {times:.1} × the floor at p50")?;
        writeln!(f, "writes of one ParallaxAgent from apply to Running, the user's own included")?;
        for (what, writes) in [
            ("one at a time", costs.writes_single),
            ("over all members", costs.writes_wide),
            ("at once", costs.writes_burst),
        ] {
            writeln!(f, "  {what:<43} {:.2}, at most {}", writes.mean, writes.most)?;
        }
        let idle = &costs.idle;
        writeln!(f, "idle for {:.0} s", idle.seconds)?;
        writeln!(f, "  writes of the hub and the members           {}", idle.writes_of_ours)?;
        writeln!(f, "  etcd puts on the hub (Kubernetes' leases)   {}", idle.hub_etcd_puts)?;
        writeln!(
            f,
            "  memory of the hub, of a member              {:.1} MiB, {:.1} MiB",
            idle.hub_rss_mib, idle.member_rss_mib
        )
    }
}
