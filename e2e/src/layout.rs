//! What lies where in a fleet's directory, and `fleet.json`, which tells other tools.
//!
//! `DIR/fleet.json`, `DIR/<cluster>/admin.kubeconfig`, `DIR/<cluster>/logs/<component>.log` are stable.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString};

use crate::process::ProcessIdentity;

/// The version of `fleet.json`'s shape.
pub const VERSION: u32 = 1;

/// A process of a cluster.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    EnumIter,
    ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Component {
    /// The store.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The controller manager.
    KubeControllerManager,
    /// The scheduler.
    KubeScheduler,
    /// Simulated nodes and pods.
    Kwok,
    /// What keeps a real node's network namespace. It can't be started again.
    NodeNetwork,
    /// What keeps a real node: its end is that of everything in it.
    Node,
    /// The node's container runtime.
    Containerd,
    /// The node's kubelet.
    Kubelet,
    /// The node's service addresses.
    KubeProxy,
    /// The hub.
    ParallaxHub,
    /// The member.
    ParallaxMember,
    /// What stands in front of the agents that may go to zero.
    ParallaxActivator,
}

/// A whole fleet, as `fleet.json` has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetRecord {
    /// [`VERSION`].
    pub version: u32,
    /// Different for every start, so that nobody clears away another fleet in the same directory.
    pub id: String,
    /// The fleet's directory, absolute.
    pub directory: PathBuf,
    /// The process whose end is the end of all others.
    pub supervisor: ProcessIdentity,
    /// kubectl of the right version.
    pub kubectl: PathBuf,
    /// The hub first.
    pub clusters: Vec<ClusterRecord>,
}

/// One cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRecord {
    /// `hub`, `member-1`, …
    pub name: String,
    /// URL of the API server.
    pub server: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The API server's audit log: one JSON event per finished mutating request.
    pub audit_log: PathBuf,
    /// Its store.
    pub etcd: EtcdRecord,
    /// Its real node, when there is one: its nodes are simulated otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub node: Option<NodeRecord>,
    /// Where its hub listens, when there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hub: Option<HubEndpoints>,
    /// Where its member listens, when there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub member: Option<MemberEndpoints>,
    /// What runs, in the order it was started.
    pub processes: Vec<ProcessRecord>,
    /// What was stopped on purpose, and can be started again.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stopped: Vec<Component>,
}

/// URLs of an etcd.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdRecord {
    /// For clients; plain HTTP on loopback.
    pub client: String,
    /// Prometheus text under `/metrics`; plain HTTP on loopback.
    pub metrics: String,
}

/// A real node. This machine has routes to its pods and its Services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The Node object's name.
    pub name: String,
    /// The node's address.
    pub address: Ipv4Addr,
    /// This machine's address on the link to the node, which pods reach.
    pub host: Ipv4Addr,
    /// The pods' addresses, in CIDR notation.
    pub pods: String,
    /// The Services' addresses, in CIDR notation.
    pub services: String,
}

/// Where a hub listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubEndpoints {
    /// `HOST:PORT` that members dial.
    pub session: String,
    /// URL of its HTTP port: health and readiness.
    pub http: String,
    /// URL of its metrics.
    pub metrics: String,
}

/// Where a member listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberEndpoints {
    /// URL of its metrics; health and readiness are on the same port.
    pub metrics: String,
}

/// One process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// What it is.
    pub component: Component,
    /// Which process it is.
    #[serde(flatten)]
    pub identity: ProcessIdentity,
    /// Its log.
    pub log: PathBuf,
}

/// A fleet's directory.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The directory `root`, made absolute.
    ///
    /// # Errors
    /// The working directory is gone, or the path is empty.
    pub fn new(root: &Path) -> anyhow::Result<Self> {
        let root = std::path::absolute(root).with_context(|| format!("the directory {}", root.display()))?;
        Ok(Self { root })
    }

    /// `$XDG_STATE_HOME/parallax/fleet`, by default `~/.local/state/parallax/fleet`.
    ///
    /// # Errors
    /// Neither `XDG_STATE_HOME` nor `HOME` is set.
    pub fn default_root() -> anyhow::Result<PathBuf> {
        Ok(base_directory("XDG_STATE_HOME", ".local/state")?.join("parallax/fleet"))
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `fleet.json`.
    pub fn record_path(&self) -> PathBuf {
        self.root.join("fleet.json")
    }

    /// The file that the supervisor holds locked for as long as it lives.
    pub fn lock_path(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// A cluster's directory.
    pub fn cluster(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The administrator's kubeconfig of a cluster.
    pub fn admin_kubeconfig(&self, cluster: &str) -> PathBuf {
        self.cluster(cluster).join("admin.kubeconfig")
    }

    /// A cluster's certificates, keys, and the kubeconfigs of its components.
    pub fn pki(&self, cluster: &str) -> PathBuf {
        self.cluster(cluster).join("pki")
    }

    /// The files of a cluster's real node.
    pub fn node(&self, cluster: &str) -> PathBuf {
        self.cluster(cluster).join("node")
    }

    /// A component's log.
    pub fn log(&self, cluster: &str, component: Component) -> PathBuf {
        self.cluster(cluster).join("logs").join(format!("{component}.log"))
    }

    /// The API server's audit log of a cluster.
    pub fn audit_log(&self, cluster: &str) -> PathBuf {
        self.cluster(cluster).join("logs").join("audit.log")
    }

    /// Reads `fleet.json`; `None` when there is none.
    ///
    /// # Errors
    /// It can't be read or understood.
    pub fn read(&self) -> anyhow::Result<Option<FleetRecord>> {
        let path = self.record_path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let record: FleetRecord = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a fleet's record: remove the directory", path.display()))?;
        if record.version != VERSION {
            bail!("{} is of another version of this tool: run its `cargo fleet down` first", path.display());
        }
        Ok(Some(record))
    }

    /// Replaces `fleet.json` in one step.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, record: &FleetRecord) -> anyhow::Result<()> {
        let path = self.record_path();
        let beside = self.root.join(".fleet.json.new");
        let text = serde_json::to_string_pretty(record).context("writing fleet.json")?;
        std::fs::write(&beside, text + "\n").with_context(|| format!("writing {}", beside.display()))?;
        std::fs::rename(&beside, &path).with_context(|| format!("replacing {}", path.display()))
    }
}

impl ClusterRecord {
    /// What it consists of, running or not.
    pub fn components(&self) -> Vec<Component> {
        let running = self.processes.iter().map(|process| process.component);
        let mut all: Vec<_> = running.chain(self.stopped.iter().copied()).collect();
        all.sort_unstable();
        all
    }
}

impl FleetRecord {
    /// What is down, on purpose or not: the cluster and the component.
    pub fn down(&self) -> Vec<(String, Component)> {
        let of = |cluster: &ClusterRecord| {
            let ended = cluster.processes.iter().filter(|process| !process.identity.is_alive());
            let all = ended.map(|process| process.component).chain(cluster.stopped.iter().copied());
            all.map(|component| (cluster.name.clone(), component)).collect::<Vec<_>>()
        };
        self.clusters.iter().flat_map(of).collect()
    }

    /// A cluster by its name.
    ///
    /// # Errors
    /// There is none of that name; the message lists those there are.
    pub fn cluster(&self, name: &str) -> anyhow::Result<&ClusterRecord> {
        self.clusters.iter().find(|cluster| cluster.name == name).with_context(|| {
            if self.clusters.is_empty() {
                return format!(
                    "the fleet in {} is still starting: try again when it works",
                    self.directory.display()
                );
            }
            let names: Vec<&str> = self.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
            format!("no cluster {name:?} in this fleet: it has {}", names.join(", "))
        })
    }
}

/// A base directory of the XDG specification.
///
/// # Errors
/// Neither the variable nor `HOME` is set.
pub fn base_directory(variable: &str, under_home: &str) -> anyhow::Result<PathBuf> {
    // The specification: a relative path in these variables is to be ignored.
    if let Some(path) = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(path);
    }
    let home = std::env::var_os("HOME").with_context(|| format!("set HOME or {variable}, or give --dir"))?;
    Ok(PathBuf::from(home).join(under_home))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn components_are_named_after_their_programs() {
        assert_eq!(Component::KubeApiserver.to_string(), "kube-apiserver");
        assert_eq!("parallax-hub".parse::<Component>().unwrap(), Component::ParallaxHub);
    }

    #[test]
    fn the_command_line_knows_components_by_the_same_names() {
        for component in <Component as strum::IntoEnumIterator>::iter() {
            let value = component.to_possible_value().unwrap();
            assert_eq!(value.get_name(), component.to_string());
        }
    }

    #[test]
    fn logs_and_kubeconfigs_lie_where_other_tools_look_for_them() {
        let layout = Layout::new(Path::new("/fleet")).unwrap();
        assert_eq!(layout.admin_kubeconfig("member-1"), Path::new("/fleet/member-1/admin.kubeconfig"));
        assert_eq!(layout.log("hub", Component::Etcd), Path::new("/fleet/hub/logs/etcd.log"));
    }

    #[test]
    fn what_has_ended_or_was_stopped_is_down() {
        let me = ProcessIdentity::of(std::process::id()).unwrap();
        let gone = ProcessIdentity { start_time: me.start_time.wrapping_sub(1), ..me };
        let process = |component, identity| ProcessRecord { component, identity, log: "/l".into() };
        let record: FleetRecord = serde_json::from_value(serde_json::json!({
            "version": VERSION, "id": "x", "directory": "/d", "supervisor": me, "kubectl": "/k",
            "clusters": [{
                "name": "hub", "server": "", "kubeconfig": "/k", "auditLog": "/a",
                "etcd": {"client": "", "metrics": ""},
                "processes": [process(Component::Etcd, me), process(Component::KubeApiserver, gone)],
                "stopped": ["parallax-hub"],
            }],
        }))
        .unwrap();
        let down: Vec<_> = record.down().into_iter().map(|(_, component)| component).collect();
        assert_eq!(down, [Component::KubeApiserver, Component::ParallaxHub]);
        let all = record.clusters[0].components();
        assert_eq!(all, [Component::Etcd, Component::KubeApiserver, Component::ParallaxHub]);
    }

    #[test]
    fn a_process_is_recorded_flat() {
        let record = ProcessRecord {
            component: Component::Etcd,
            identity: ProcessIdentity { pid: 7, start_time: 9 },
            log: "/l".into(),
        };
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json, serde_json::json!({"component": "etcd", "pid": 7, "startTime": 9, "log": "/l"}));
    }
}
