//! From nothing to a fleet that works.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use futures::future::try_join_all;
use parking_lot::Mutex;

use super::install::Installable;
use super::{Claim, Fleet, FleetOptions, Place, State, run};
use crate::binaries::{Binaries, Tool};
use crate::control_plane::{self, ControlPlane, ControlPlaneOptions, RealNodeOptions, Slot};
use crate::layout::{Component, FleetRecord, Layout, ProcessRecord, VERSION};
use crate::process::ProcessIdentity;
use crate::product::{self, Product};
use crate::real_node::{self, traces};

pub(super) async fn start(options: FleetOptions) -> anyhow::Result<Fleet> {
    let progress = options.progress;
    let layout = Layout::new(&directory(&options.place))?;
    if options.real_node.is_some() {
        real_node::check(&[layout.root(), &options.launcher])?;
    }
    let supervisor = ProcessIdentity::of(std::process::id()).context("reading /proc: a fleet needs Linux")?;
    let record = FleetRecord {
        version: VERSION,
        id: format!("{:032x}", rand::random::<u128>()),
        directory: layout.root().to_path_buf(),
        supervisor,
        kubectl: PathBuf::new(),
        clusters: Vec::new(),
    };
    let claim = Some(Claim::take(&layout, &options.launcher, &record)?);
    // From here on, dropping the fleet clears everything away.
    let state = Mutex::new(State { record, slots: BTreeMap::new() });
    let fleet = Fleet { layout, launcher: options.launcher.clone(), state, claim };

    let (launcher, real_node) = (options.launcher.clone(), options.real_node.is_some());
    let binaries = tokio::task::spawn_blocking(move || Binaries::prepare(&launcher, real_node, progress))
        .await
        .context("finding the control plane's programs")??;
    fleet.state.lock().record.kubectl = binaries.path(Tool::Kubectl);
    let product = match options.product {
        true => Some(Product::build(&options.launcher, progress).await?),
        false => None,
    };
    let example_agent = match real_node {
        true => Some(product::example_agent(&options.launcher, progress).await?),
        false => None,
    };
    let control_planes = start_control_planes(&fleet, &options, &binaries, example_agent.as_deref()).await?;
    if let Some(product) = product {
        run::start_product(&fleet, &options, &product, &control_planes).await?;
    }
    Ok(fleet)
}

async fn start_control_planes(
    fleet: &Fleet,
    options: &FleetOptions,
    binaries: &Binaries,
    example_agent: Option<&Path>,
) -> anyhow::Result<Vec<Installable>> {
    let names = options.clusters();
    let node = options.real_node.as_ref().map_or(String::new(), |name| format!(", and {name}'s node"));
    let step = options.progress.step(format!("starting control planes for {}{node}", names.join(", ")));
    let id = fleet.state.lock().record.id.clone();
    let real_node = |name: &str| {
        let example_agent = example_agent.filter(|_| options.real_node.as_deref() == Some(name))?;
        Some(RealNodeOptions { mark: traces::name(&id, name), example_agent: example_agent.to_path_buf() })
    };
    let each = names.iter().map(|name| {
        let plan = ControlPlaneOptions {
            name: name.clone(),
            region: options.region(name),
            real_node: real_node(name),
            controller_manager_args: options.controller_manager_args.get(name).cloned().unwrap_or_default(),
        };
        async move { control_plane::start(&fleet.layout, &fleet.launcher, binaries, &plan).await }
    });
    let started = try_join_all(each).await?;
    let mut state = fleet.state.lock();
    let mut installables = Vec::new();
    for ControlPlane { record, ca, slots } in started {
        installables.push(Installable { record: record.clone(), ca });
        state
            .slots
            .extend(slots.into_iter().map(|(component, slot)| ((record.name.clone(), component), slot)));
        state.record.clusters.push(record);
    }
    drop(state);
    fleet.note_processes()?;
    step.done();
    Ok(installables)
}

fn directory(place: &Place) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    match place {
        Place::At(directory) => directory.clone(),
        Place::Temporary => {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            std::env::temp_dir().join(format!("parallax-fleet-{}-{number}", std::process::id()))
        }
    }
}

/// Writes into the record which processes run.
pub(super) fn record_processes(record: &mut FleetRecord, slots: &BTreeMap<(String, Component), Slot>) {
    for cluster in &mut record.clusters {
        cluster.processes = slots
            .iter()
            .filter(|((name, _), _)| *name == cluster.name)
            .filter_map(|((_, component), slot)| {
                let process = slot.process.as_ref()?;
                Some(ProcessRecord {
                    component: *component,
                    identity: process.identity(),
                    log: slot.spec.log.clone(),
                })
            })
            .collect();
        cluster.stopped = slots
            .iter()
            .filter(|((name, _), slot)| *name == cluster.name && slot.process.is_none())
            .map(|((_, component), _)| *component)
            .collect();
    }
}
