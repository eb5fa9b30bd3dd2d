//! One real control plane on loopback: etcd, API server, controller manager, scheduler, and simulated nodes.

mod arguments;
mod files;
mod nodes;
mod start;

use std::collections::BTreeMap;

pub use start::start;

use crate::layout::{ClusterRecord, Component};
use crate::process::{Process, ProcessSpec};
use std::sync::Arc;

/// What differs between clusters.
#[derive(Clone, Debug)]
pub struct ControlPlaneOptions {
    /// The cluster's name: `hub`, `member-1`, …
    pub name: String,
    /// Simulated nodes with this value of `topology.kubernetes.io/region`; none without it.
    pub region: Option<String>,
    /// Further arguments of the controller manager, after (and so over) the usual ones.
    pub controller_manager_args: Vec<String>,
}

/// A process with how it was started; `None` while it is down on purpose.
#[derive(Debug)]
pub struct Slot {
    /// How to start it again.
    pub spec: ProcessSpec,
    /// The running (or crashed) one.
    pub process: Option<Arc<Process>>,
}

/// A control plane that is ready.
#[derive(Debug)]
pub struct ControlPlane {
    /// What `fleet.json` says of it, without its processes.
    pub record: ClusterRecord,
    /// The CA's certificate, PEM.
    pub ca: String,
    /// Its processes.
    pub slots: BTreeMap<Component, Slot>,
}
