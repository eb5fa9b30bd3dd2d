//! A running fleet: control planes, a hub, members.

pub mod activator;
pub mod control;
mod install;
mod options;
mod run;
mod start;
mod sweep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use control::Control;
pub use options::{FleetOptions, Place};
use parking_lot::Mutex;
use rustix::process::Signal;
pub use sweep::{Claim, clear, sweep};

use crate::audit::{self, AuditEvent};
use crate::control_plane::Slot;
use crate::layout::{Component, FleetRecord, HubEndpoints, Layout, MemberEndpoints};
use crate::process::{Process, ProcessIdentity};
use crate::{client, etcd};

/// How long a hub or member may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(15);

/// A running fleet. Dropping it kills every process and removes the directory.
pub struct Fleet {
    layout: Layout,
    launcher: PathBuf,
    state: Mutex<State>,
    claim: Option<Claim>,
}

struct State {
    record: FleetRecord,
    slots: BTreeMap<(String, Component), Slot>,
}

impl Fleet {
    /// Starts a fleet and waits until it works: with the product, until every member is connected.
    ///
    /// # Errors
    /// Something does not start; the end of its log is in the error, and nothing is left behind.
    pub async fn start(options: FleetOptions) -> anyhow::Result<Self> {
        start::start(options).await
    }

    /// The fleet's directory.
    pub fn directory(&self) -> &Path {
        self.layout.root()
    }

    /// What `fleet.json` says now.
    pub fn record(&self) -> FleetRecord {
        self.state.lock().record.clone()
    }

    /// Lets `cargo fleet stop` and `start` find this fleet; they are answered while the result serves.
    ///
    /// # Errors
    /// The socket can't be made.
    pub fn control(&self) -> anyhow::Result<Control> {
        Control::bind(&self.layout)
    }

    /// The names of all clusters, the hub first.
    pub fn clusters(&self) -> Vec<String> {
        self.state.lock().record.clusters.iter().map(|cluster| cluster.name.clone()).collect()
    }

    /// A new client with the administrator's rights, for the runtime it is called on.
    ///
    /// # Errors
    /// There is no such cluster.
    pub async fn client(&self, cluster: &str) -> anyhow::Result<kube::Client> {
        let path = self.state.lock().record.cluster(cluster)?.kubeconfig.clone();
        client::from_kubeconfig(&path).await
    }

    /// Where the hub listens.
    ///
    /// # Errors
    /// The fleet has only control planes.
    pub fn hub_endpoints(&self) -> anyhow::Result<HubEndpoints> {
        self.state.lock().record.cluster("hub")?.hub.clone().context("this fleet runs no hub")
    }

    /// Where the member of a cluster listens.
    ///
    /// # Errors
    /// There is no such cluster, or it runs no member.
    pub fn member_endpoints(&self, cluster: &str) -> anyhow::Result<MemberEndpoints> {
        let endpoints = self.state.lock().record.cluster(cluster)?.member.clone();
        endpoints.with_context(|| format!("{cluster} runs no member"))
    }

    /// Every finished mutating request that the cluster's API server has seen, oldest first.
    ///
    /// # Errors
    /// There is no such cluster, or its log can't be read.
    pub fn audit(&self, cluster: &str) -> anyhow::Result<Vec<AuditEvent>> {
        let path = self.state.lock().record.cluster(cluster)?.audit_log.clone();
        audit::read(&path)
    }

    /// How many puts the cluster's etcd has done since it started (`etcd_mvcc_put_total`).
    ///
    /// # Errors
    /// There is no such cluster, or its etcd does not answer.
    pub async fn etcd_puts(&self, cluster: &str) -> anyhow::Result<u64> {
        let url = self.state.lock().record.cluster(cluster)?.etcd.metrics.clone();
        etcd::puts(&url).await
    }

    /// The process that runs a component, to look at its memory; `None` while it is down.
    pub fn process(&self, cluster: &str, component: Component) -> Option<ProcessIdentity> {
        self.running(cluster, component).map(|process| process.identity())
    }

    /// The last lines of a component's log.
    pub fn log_tail(&self, cluster: &str, component: Component, lines: usize) -> String {
        crate::process::tail(&self.layout.log(cluster, component), lines)
    }

    /// Kills a component without notice, and waits until it is gone.
    ///
    /// # Errors
    /// There is no such component.
    pub async fn kill(&self, cluster: &str, component: Component) -> anyhow::Result<()> {
        let process = self.take(cluster, component)?;
        if let Some(process) = process {
            process.kill().await;
        }
        self.note_processes()
    }

    /// Asks a component to end (SIGTERM), and waits until it is gone; it is killed after 15 s.
    ///
    /// # Errors
    /// There is no such component.
    pub async fn stop(&self, cluster: &str, component: Component) -> anyhow::Result<()> {
        let process = self.take(cluster, component)?;
        if let Some(process) = process {
            process.stop(GRACE).await;
        }
        self.note_processes()
    }

    /// Sends any signal to a component: SIGSTOP and SIGCONT make it hang and go on.
    ///
    /// # Errors
    /// It is not running.
    pub fn signal(&self, cluster: &str, component: Component, signal: Signal) -> anyhow::Result<()> {
        let process = self.running(cluster, component);
        process.with_context(|| format!("{component} of {cluster} is not running"))?.signal(signal);
        Ok(())
    }

    /// Starts a component that is down, as it was started before, on the same ports; returns once it listens. That
    /// it has connected, or serves what it should, is the caller's to wait for.
    ///
    /// # Errors
    /// It does not start; the end of its log is in the error.
    pub async fn restart(&self, cluster: &str, component: Component) -> anyhow::Result<()> {
        run::restart(self, cluster, component).await
    }

    /// As [`Self::restart`], with more arguments for this once.
    ///
    /// # Errors
    /// As those of [`Self::restart`].
    pub async fn restart_with(
        &self,
        cluster: &str,
        component: Component,
        more: &[&str],
    ) -> anyhow::Result<()> {
        run::restart_with(self, cluster, component, more).await
    }

    /// Asks the hub and the members to end, then kills the rest, and removes the directory.
    pub async fn shut_down(self) {
        let product: Vec<Arc<Process>> = {
            let state = self.state.lock();
            let mut all: Vec<_> = state
                .slots
                .iter()
                .filter(|((_, component), _)| *component >= Component::ParallaxHub)
                .filter_map(|(_, slot)| slot.process.clone())
                .collect();
            // Members first: a hub that goes away under them would make them log that they lost it.
            all.reverse();
            all
        };
        futures::future::join_all(product.iter().map(|process| process.stop(GRACE))).await;
    }

    fn running(&self, cluster: &str, component: Component) -> Option<Arc<Process>> {
        let state = self.state.lock();
        let slot = state.slots.get(&(cluster.to_owned(), component))?;
        slot.process.clone().filter(|process| process.is_running())
    }

    fn take(&self, cluster: &str, component: Component) -> anyhow::Result<Option<Arc<Process>>> {
        let mut state = self.state.lock();
        let slot = state
            .slots
            .get_mut(&(cluster.to_owned(), component))
            .with_context(|| format!("{cluster} has no {component}"))?;
        Ok(slot.process.take())
    }

    /// Components that have ended without having been asked to, each with the end of its log.
    pub fn crashed(&self) -> Vec<(String, Component, String)> {
        let state = self.state.lock();
        let has_ended = |slot: &&Slot| slot.process.as_ref().is_some_and(|process| !process.is_running());
        state
            .slots
            .iter()
            .filter(|(_, slot)| has_ended(slot))
            .filter_map(|((cluster, component), slot)| {
                Some((cluster.clone(), *component, slot.process.as_ref()?.log_tail(10)))
            })
            .collect()
    }

    /// Brings the record's processes up to date, in memory and in `fleet.json`.
    fn note_processes(&self) -> anyhow::Result<()> {
        let mut state = self.state.lock();
        let State { record, slots } = &mut *state;
        start::record_processes(record, slots);
        self.layout.write(record)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // Every handle's drop kills its process; the directory goes when they are gone.
        let slots = std::mem::take(&mut self.state.get_mut().slots);
        let processes: Vec<Arc<Process>> = slots.into_values().filter_map(|slot| slot.process).collect();
        for process in &processes {
            process.signal(Signal::KILL);
        }
        if let Some(claim) = self.claim.take() {
            claim.release(processes.iter().map(|process| process.identity()));
        }
    }
}
