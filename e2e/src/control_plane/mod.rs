//! One real control plane on loopback: etcd, API server, controller manager, scheduler, and simulated nodes.

mod arguments;
mod files;
pub(crate) mod nodes;
mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use start::{Starting, start};

use crate::layout::{ClusterRecord, Component};
use crate::process::{Process, ProcessSpec};

/// What differs between clusters.
#[derive(Clone, Debug)]
pub struct ControlPlaneOptions {
    /// The cluster's name: `hub`, `member-1`, …
    pub name: String,
    /// Nodes with this value of `topology.kubernetes.io/region`; none without it.
    pub region: Option<String>,
    /// One real node instead of simulated ones.
    pub real_node: Option<RealNodeOptions>,
    /// Further arguments of the controller manager, after (and so over) the usual ones.
    pub controller_manager_args: Vec<String>,
}

/// What a real node is made with.
#[derive(Clone, Debug)]
pub struct RealNodeOptions {
    /// The name of what it leaves outside its namespaces, by [`crate::real_node::traces::name`].
    pub mark: String,
    /// The example agent's program.
    pub example_agent: PathBuf,
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
