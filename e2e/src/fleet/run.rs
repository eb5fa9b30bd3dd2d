//! Running the hub and the members as processes of their own, under their own service accounts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use kube::api::{Api, Patch, PatchParams};
use parallax_crds::MemberCluster;
use serde::Deserialize;
use serde_json::json;

use super::install::{Installable, Role, install, kubeconfig};
use super::{Fleet, FleetOptions, activator};
use crate::control_plane::Slot;
use crate::layout::{ClusterRecord, Component, HubEndpoints, MemberEndpoints};
use crate::process::{Namespaces, Process, ProcessSpec};
use crate::product::Product;
use crate::real_node::{self, images};
use crate::waiting::{OnTimeout, until};
use crate::{client, etcd, manifests};

/// How long the hub or a member may take until it listens, and a member until it is connected.
const LIMIT: Duration = Duration::from_mins(1);

/// Where a process says that it listens; what it does not serve is absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Addresses {
    pub(super) session: String,
    pub(super) http: String,
    pub(super) metrics: String,
}

pub(super) async fn start_product(
    fleet: &Fleet,
    options: &FleetOptions,
    product: &Product,
    clusters: &[Installable],
) -> anyhow::Result<()> {
    let step = options.progress.step("installing kinds and RBAC");
    let hub = clusters.first().context("a fleet without a hub's cluster")?;
    let names = options.member_clusters();
    let members: Vec<&Installable> = clusters.iter().filter(|one| names.contains(&one.record.name)).collect();
    install(&fleet.layout, hub, Role::Hub).await?;
    try_join_all(members.iter().map(|one| install(&fleet.layout, one, Role::Member))).await?;
    step.done();

    let step = options.progress.step("starting the hub");
    let session = start_hub(fleet, options, product, &hub.record).await?;
    step.done();

    let step = options.progress.step(format!("enrolling {}", names.join(", ")));
    let joining = members
        .iter()
        .map(|member| start_member(fleet, options, product, &hub.record, &member.record, &session));
    try_join_all(joining).await?;
    try_join_all(members.iter().map(|member| activator::start(fleet, product, &member.record))).await?;
    let hub_client = client::from_kubeconfig(&hub.record.kubeconfig).await?;
    try_join_all(names.iter().map(|name| connected(fleet, &hub_client, name))).await?;
    step.done();
    Ok(())
}

/// Starts the hub, fixes its ports for every later start, and gives the address that members dial.
async fn start_hub(
    fleet: &Fleet,
    options: &FleetOptions,
    product: &Product,
    cluster: &ClusterRecord,
) -> anyhow::Result<String> {
    let component = Component::ParallaxHub;
    let account = kubeconfig(&fleet.layout, &cluster.name, "parallax-hub");
    let fixed = [
        format!("--kubeconfig={}", account.display()),
        "--bind=127.0.0.1".into(),
        format!("--addresses-file={}", addresses_file(fleet, &cluster.name, component).display()),
    ];
    let mut args = Vec::from(fixed);
    if options.real_node.is_some() {
        args.extend(images::HUB_FLAGS.map(String::from));
    }
    args.extend(options.hub_args.iter().cloned());
    let mut spec = ProcessSpec {
        program: product.hub.clone(),
        args: args.clone(),
        env: Vec::new(),
        log: fleet.layout.log(&cluster.name, component),
        inside: None,
    };
    spec.args.extend(["--session-port=0", "--port=0", "--metrics-port=0"].map(String::from));
    let addresses = start(fleet, &cluster.name, component, &spec).await?;
    for (flag, address) in [
        ("--session-port", &addresses.session),
        ("--port", &addresses.http),
        ("--metrics-port", &addresses.metrics),
    ] {
        args.push(format!("{flag}={}", port(address)?));
    }
    let endpoints = HubEndpoints {
        session: addresses.session.clone(),
        http: format!("http://{}", addresses.http),
        metrics: format!("http://{}/metrics", addresses.metrics),
    };
    keep(fleet, &cluster.name, component, args, |record| record.hub = Some(endpoints.clone()))?;
    wait_ready(fleet, &cluster.name, component, &format!("{}/readyz", endpoints.http)).await?;
    Ok(addresses.session)
}

async fn start_member(
    fleet: &Fleet,
    options: &FleetOptions,
    product: &Product,
    hub: &ClusterRecord,
    cluster: &ClusterRecord,
    session: &str,
) -> anyhow::Result<()> {
    let component = Component::ParallaxMember;
    let account = kubeconfig(&fleet.layout, &cluster.name, "parallax-member");
    let token = join_token(&product.hub, &hub.kubeconfig, &cluster.name).await?;
    label(&hub.kubeconfig, &cluster.name, options.region(&cluster.name).as_deref()).await?;
    let fixed = [
        format!("--kubeconfig={}", account.display()),
        format!("--hub={session}"),
        "--create-namespaces".into(),
        "--bind=127.0.0.1".into(),
        format!("--addresses-file={}", addresses_file(fleet, &cluster.name, component).display()),
    ];
    let mut args = Vec::from(fixed);
    args.extend(options.member_args.iter().cloned());
    let mut spec = ProcessSpec {
        program: product.member.clone(),
        args: args.clone(),
        env: vec![("PARALLAX_JOIN_TOKEN".into(), token)],
        log: fleet.layout.log(&cluster.name, component),
        inside: None,
    };
    spec.args.push("--metrics-port=0".into());
    let addresses = start(fleet, &cluster.name, component, &spec).await?;
    args.push(format!("--metrics-port={}", port(&addresses.metrics)?));
    let endpoints = MemberEndpoints { metrics: format!("http://{}/metrics", addresses.metrics) };
    keep(fleet, &cluster.name, component, args, |record| record.member = Some(endpoints))
}

/// Starts what is down, as it was started before.
pub(super) async fn restart(fleet: &Fleet, cluster: &str, component: Component) -> anyhow::Result<()> {
    let key = (cluster.to_owned(), component);
    let spec = {
        let state = fleet.state.lock();
        let slot = state.slots.get(&key).with_context(|| format!("{cluster} has no {component}"))?;
        if slot.process.as_ref().is_some_and(|process| process.is_running()) {
            bail!("{component} of {cluster} runs already: stop or kill it first");
        }
        slot.spec.clone()
    };
    if component >= Component::ParallaxHub {
        start(fleet, cluster, component, &spec).await?;
        return Ok(());
    }
    if component == Component::NodeNetwork {
        bail!("{cluster}'s node can't get another network: start the fleet again");
    }
    let directory = fleet.layout.node(cluster);
    if component == Component::Node {
        real_node::forget_arranged(&directory);
    }
    let log = spec.log.clone();
    let said = std::fs::metadata(&log).map_or(0, |log| log.len());
    let process = Process::start(&fleet.launcher, &spec)?;
    put(fleet, cluster, component, Slot { spec, process: Some(process.clone()) })?;
    if component == Component::Containerd {
        let what = format!("the container runtime of {cluster}'s node to take pods");
        let takes = async || Ok(real_node::takes_pods(&log, said)?.then_some(()));
        until(&what, LIMIT, OnTimeout::Logs(vec![(component, &process)]), takes).await?;
    }
    if component == Component::Node {
        let what = format!("the namespaces of {cluster}'s node");
        let arranged = async || Ok(real_node::is_arranged(&directory).then_some(()));
        until(&what, LIMIT, OnTimeout::Logs(vec![(component, &process)]), arranged).await?;
        inside_of(fleet, cluster)?.open(process.pid())?;
    }
    Ok(())
}

pub(super) async fn restart_with(
    fleet: &Fleet,
    cluster: &str,
    component: Component,
    more: &[&str],
) -> anyhow::Result<()> {
    let key = (cluster.to_owned(), component);
    let before = {
        let mut state = fleet.state.lock();
        let slot = state.slots.get_mut(&key).with_context(|| format!("{cluster} has no {component}"))?;
        let before = slot.spec.args.clone();
        slot.spec.args.extend(more.iter().map(ToString::to_string));
        before
    };
    let restarted = restart(fleet, cluster, component).await;
    if let Some(slot) = fleet.state.lock().slots.get_mut(&key) {
        slot.spec.args = before;
    }
    restarted
}

/// The way into a cluster's real node, which everything that is started in it has.
fn inside_of(fleet: &Fleet, cluster: &str) -> anyhow::Result<Namespaces> {
    let state = fleet.state.lock();
    let slot = state.slots.get(&(cluster.to_owned(), Component::Containerd));
    slot.and_then(|slot| slot.spec.inside.clone()).with_context(|| format!("{cluster} has no real node"))
}

/// Starts a process of the product, and waits until it has said where it listens.
pub(super) async fn start(
    fleet: &Fleet,
    cluster: &str,
    component: Component,
    spec: &ProcessSpec,
) -> anyhow::Result<Addresses> {
    let file = addresses_file(fleet, cluster, component);
    std::fs::remove_file(&file).ok();
    let process = Process::start(&fleet.launcher, spec)?;
    put(fleet, cluster, component, Slot { spec: spec.clone(), process: Some(process.clone()) })?;
    let what = format!("{component} of {cluster} to listen");
    let log = OnTimeout::Logs(vec![(component, &process)]);
    until(&what, LIMIT, log, async || Ok(file.is_file().then_some(()))).await?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("the addresses in {}", file.display()))
}

fn put(fleet: &Fleet, cluster: &str, component: Component, slot: Slot) -> anyhow::Result<()> {
    fleet.state.lock().slots.insert((cluster.to_owned(), component), slot);
    fleet.note_processes()
}

/// Remembers the arguments for later starts, and what the record should say.
pub(super) fn keep(
    fleet: &Fleet,
    cluster: &str,
    component: Component,
    args: Vec<String>,
    note: impl FnOnce(&mut ClusterRecord),
) -> anyhow::Result<()> {
    {
        let mut state = fleet.state.lock();
        if let Some(slot) = state.slots.get_mut(&(cluster.to_owned(), component)) {
            slot.spec.args = args;
        }
        if let Some(record) = state.record.clusters.iter_mut().find(|record| record.name == cluster) {
            note(record);
        }
    }
    fleet.note_processes()
}

pub(super) fn addresses_file(fleet: &Fleet, cluster: &str, component: Component) -> PathBuf {
    fleet.layout.cluster(cluster).join(format!("{component}.addresses.json"))
}

pub(super) fn port(address: &str) -> anyhow::Result<u16> {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.with_context(|| format!("{address:?} is no HOST:PORT"))
}

/// What `parallax-hub token` prints.
#[derive(Deserialize)]
struct Printed {
    token: String,
}

/// Makes the MemberCluster and a join token for it, as an administrator would.
async fn join_token(hub: &Path, admin: &Path, cluster: &str) -> anyhow::Result<String> {
    let output = tokio::process::Command::new(hub)
        .args(["token", cluster, "-o", "json", "--kubeconfig"])
        .arg(admin)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("running {} token", hub.display()))?;
    if !output.status.success() {
        bail!("parallax-hub token {cluster} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let printed: Printed =
        serde_json::from_slice(&output.stdout).context("what parallax-hub token printed")?;
    Ok(printed.token)
}

/// Placement labels are the administrator's to give: a member can't give itself one.
async fn label(admin: &Path, cluster: &str, region: Option<&str>) -> anyhow::Result<()> {
    let clusters: Api<MemberCluster> = Api::all(client::from_kubeconfig(admin).await?);
    let body = json!({ "metadata": { "labels": { "topology.kubernetes.io/region": region } } });
    let params = PatchParams { field_manager: Some(manifests::MANAGER.into()), ..PatchParams::default() };
    let patched = clusters.patch(cluster, &params, &Patch::Merge(&body)).await;
    patched.with_context(|| format!("labelling the MemberCluster {cluster}")).map(drop)
}

/// Waits until the hub says that the member is connected.
async fn connected(fleet: &Fleet, hub: &kube::Client, cluster: &str) -> anyhow::Result<()> {
    let clusters: Api<MemberCluster> = Api::all(hub.clone());
    let component = Component::ParallaxMember;
    let process = fleet.running(cluster, component);
    let log = OnTimeout::Logs(process.iter().map(|process| (component, process)).collect());
    until(&format!("{cluster} to be connected"), LIMIT, log, async || {
        let object = clusters.get(cluster).await?;
        let conditions = object.status.map(|status| status.conditions).unwrap_or_default();
        let connected = conditions.iter().any(|c| c.type_ == "Connected" && c.status == "True");
        Ok(connected.then_some(()))
    })
    .await
}

async fn wait_ready(fleet: &Fleet, cluster: &str, component: Component, url: &str) -> anyhow::Result<()> {
    let process = fleet.running(cluster, component);
    let log = OnTimeout::Logs(process.iter().map(|process| (component, process)).collect());
    until(&format!("{component} of {cluster} to be ready"), LIMIT, log, async || {
        etcd::get(url).await.map(|_| Some(()))
    })
    .await
}
