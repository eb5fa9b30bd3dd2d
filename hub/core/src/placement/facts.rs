//! What placement needs to know of a cluster.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_crds::cluster::TaintEffect;
use parallax_crds::{Amounts, ClusterName};

/// A cluster as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    /// The MemberCluster's name.
    pub name: ClusterName,
    /// The MemberCluster's labels, with those that it may copy from what the cluster reports.
    pub labels: BTreeMap<String, String>,
    /// `spec.accepted`, and the cluster is the one that was accepted.
    pub accepted: bool,
    /// `spec.suspended`: it keeps what it has and is given nothing new.
    pub suspended: bool,
    /// Its session is up.
    pub connected: bool,
    /// `spec.taints`.
    pub taints: Vec<Taint>,
    /// `spec.namespaces`.
    pub namespaces: Namespaces,
    /// How many more replicas, of whatever agent, it may take by `spec.maxReplicas`; none: there is no bound.
    pub room: Option<i32>,
    /// What its nodes have free by its last report, less what was promised to it since; none: it hasn't told.
    pub free: Option<Amounts>,
    /// What it says of itself, by name: higher is more of it (cost, latency), from 0 to 100.
    pub scores: BTreeMap<String, i32>,
}

#[cfg(test)]
impl ClusterFacts {
    /// A cluster that is accepted and connected, and of which nothing more is known.
    #[must_use]
    pub fn open(name: ClusterName) -> Self {
        Self {
            name,
            labels: BTreeMap::new(),
            accepted: true,
            suspended: false,
            connected: true,
            taints: Vec::new(),
            namespaces: Namespaces::default(),
            room: None,
            free: None,
            scores: BTreeMap::new(),
        }
    }
}

/// A taint of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
    /// What it does to agents that don't tolerate it.
    pub effect: TaintEffect,
    /// Since when, for those that tolerate it for a time.
    pub since: Timestamp,
}

/// Whose agents a cluster takes, by namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Only these; empty: all.
    pub allow: Vec<String>,
    /// Not these, whatever `allow` says.
    pub deny: Vec<String>,
}

impl Namespaces {
    /// Whether agents of this namespace are taken.
    #[must_use]
    pub fn take(&self, namespace: &str) -> bool {
        let lists = |names: &[String]| names.iter().any(|name| name == namespace);
        (self.allow.is_empty() || lists(&self.allow)) && !lists(&self.deny)
    }
}
