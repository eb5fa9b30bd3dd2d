//! Measurements on a running fleet, each beside a floor of the same run: machines are shared and noisy, so
//! a ratio says more than a time.

mod costs;
pub mod percentile;
pub mod propagation;
mod seen;
mod until;

use std::path::Path;

use anyhow::{Context as _, Result};
use propagation::{PropagationArgs, Report, Subjects};

use crate::layout::FleetRecord;
use crate::testing::TestNamespace;
use crate::{Fleet, FleetOptions, Progress, audit, client};

/// Measures a running fleet, and for the way back starts a small one whose Deployments keep the status that they
/// are given.
///
/// # Errors
/// The fleet has no member, a write is refused, or something is not seen in time.
pub async fn propagation(
    record: &FleetRecord,
    launcher: &Path,
    args: &PropagationArgs,
    progress: Progress,
) -> Result<Report> {
    let member = record.clusters.iter().find(|cluster| cluster.member.is_some());
    let member = member.context("this fleet has no member: `fleet up` starts one that has")?;
    let hub = client::from_kubeconfig(&record.cluster("hub")?.kubeconfig).await?;
    let namespace = TestNamespace::create_with(&hub, "bench").await?;
    let subjects = Subjects {
        hub,
        member: client::from_kubeconfig(&member.kubeconfig).await?,
        member_name: member.name.clone(),
        namespace: namespace.name().to_owned(),
    };
    subjects.prepare().await?;

    let mark = audit::read(&record.cluster("hub")?.audit_log)?.len();
    let step = progress.step(format!("{} agents one at a time, then {} at once", args.samples, args.burst));
    let mut report = propagation::run(&subjects, args).await?;
    let single = costs::agent_writes(record, mark, &subjects.namespace, "single-")?;
    let burst = costs::agent_writes(record, mark, &subjects.namespace, "burst-")?;
    namespace.delete().await?;
    step.done();

    let step = progress.step("the way back, in a fleet whose Deployments keep the status they are given");
    report.status = Some(status(launcher, args).await?);
    step.done();

    let step = progress.step("an idle spell");
    report.costs = Some(costs::idle(record, &member.name, &single, &burst).await?);
    step.done();
    Ok(report)
}

async fn status(launcher: &Path, args: &PropagationArgs) -> Result<propagation::StatusReport> {
    let options = FleetOptions::new(launcher)
        .members(1)
        .controller_manager_arg("member-1", "--controllers=*,-deployment-controller");
    let fleet = Fleet::start(options).await?;
    let namespace = TestNamespace::create(&fleet, "bench").await?;
    let subjects = Subjects {
        hub: namespace.hub(),
        member: fleet.client("member-1").await?,
        member_name: "member-1".to_owned(),
        namespace: namespace.name().to_owned(),
    };
    subjects.prepare().await?;
    let report = propagation::run_status(&subjects, args).await;
    fleet.shut_down().await;
    report
}
