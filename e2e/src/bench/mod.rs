//! Measurements on a running fleet, each beside a floor of the same run: machines are shared and noisy, so
//! a ratio says more than a time.

pub mod activator;
mod costs;
pub mod percentile;
pub mod propagation;
mod seen;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use kube::Api;
use parallax_crds::{MemberCluster, MemberClusterSpec};
use propagation::{Costs, PropagationArgs, Report, Subjects};

use crate::layout::FleetRecord;
use crate::testing::TestNamespace;
use crate::{Fleet, FleetOptions, Progress, client};

/// Refuses a fleet of which something is down: a measurement would wait for it in vain.
///
/// # Errors
/// Something is down; the message says what, and how it is started.
pub async fn check(record: &FleetRecord) -> Result<()> {
    if let Some((cluster, component)) = record.down().first() {
        let directory = record.directory.display();
        bail!(
            "{component} of {cluster} is down: start it with `cargo fleet start {cluster} {component} --dir {directory}`"
        );
    }
    let hub = client::from_kubeconfig(&record.cluster("hub")?.kubeconfig).await?;
    let clusters: Api<MemberCluster> = Api::all(hub);
    for cluster in record.clusters.iter().filter(|cluster| cluster.member.is_some()) {
        let name = &cluster.name;
        let object =
            clusters.get(name).await.with_context(|| format!("looking at the MemberCluster {name}"))?;
        let MemberClusterSpec { accepted, suspended, .. } = object.spec;
        let conditions = object.status.map(|status| status.conditions).unwrap_or_default();
        let connected = conditions.iter().any(|one| one.type_ == "Connected" && one.status == "True");
        if !(accepted && connected) || suspended {
            bail!("{name} takes no orders: look at `kubectl describe membercluster {name}`");
        }
    }
    Ok(())
}

/// Measures a running fleet, and for the way back starts a small one whose Deployments keep the status that they
/// are given.
///
/// # Errors
/// The fleet has no member, something of it is down, a write is refused, or something is not seen in time.
pub async fn propagation(
    record: &FleetRecord,
    launcher: &Path,
    args: &PropagationArgs,
    progress: Progress,
) -> Result<Report> {
    let member = record.clusters.iter().find(|cluster| cluster.member.is_some());
    let member = member.context("this fleet has no member: `cargo fleet up` starts one that has")?;
    check(record).await?;
    let hub = client::from_kubeconfig(&record.cluster("hub")?.kubeconfig).await?;
    let namespace = TestNamespace::create_with(&hub, "bench").await?;
    let mut members = vec![];
    for cluster in record.clusters.iter().filter(|cluster| cluster.member.is_some()) {
        members.push((cluster.name.clone(), client::from_kubeconfig(&cluster.kubeconfig).await?));
    }
    let subjects = Subjects { hub, members, namespace: namespace.name().to_owned() };
    subjects.prepare().await?;
    let writes = |prefix| costs::agent_writes(record, &subjects.namespace, prefix);

    let step = progress.step(format!("{} agents one at a time", args.samples));
    let singles = propagation::one_at_a_time(&subjects, args.samples).await?;
    let single = writes("single-")?;
    subjects.clear().await?;
    step.done();

    let step = progress.step(format!("agents over all {} members, one at a time", subjects.members.len()));
    let wide = propagation::over_all_members(&subjects, args.samples).await?;
    let wide_writes = writes("wide-")?;
    subjects.clear().await?;
    step.done();

    let step = progress.step(format!("{} agents at once", args.burst));
    let burst = propagation::burst(&subjects, args.burst).await?;
    let burst_writes = writes("burst-")?;
    subjects.clear().await?;
    namespace.delete().await?;
    step.done();

    let step = progress.step("the way back, in a fleet whose Deployments keep the status they are given");
    let status = status(launcher, args).await?;
    step.done();

    let step = progress.step("an idle spell");
    let idle = costs::idle(record, &member.name).await?;
    step.done();
    let costs = Costs { writes_single: single, writes_wide: wide_writes, writes_burst: burst_writes, idle };
    Ok(Report { singles, wide, burst, status, costs })
}

async fn status(launcher: &Path, args: &PropagationArgs) -> Result<propagation::StatusReport> {
    let options = FleetOptions::new(launcher)
        .members(1)
        .controller_manager_arg("member-1", "--controllers=*,-deployment-controller");
    let fleet = Fleet::start(options).await?;
    let namespace = TestNamespace::create(&fleet, "bench").await?;
    let subjects = Subjects {
        hub: namespace.hub(),
        members: vec![("member-1".to_owned(), fleet.client("member-1").await?)],
        namespace: namespace.name().to_owned(),
    };
    subjects.prepare().await?;
    let report = propagation::status(&subjects, args.samples).await;
    fleet.shut_down().await;
    report
}
