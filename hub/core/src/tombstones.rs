//! Tombstones: removals that outlive the agent's object, because a cluster was away when it was deleted.

use parallax_crds::{AgentRef, ClusterName};

/// A removal that one cluster still has to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tombstone {
    /// The cluster that may hold the agent.
    pub cluster: ClusterName,
    /// Which agent: another of the same name is not meant.
    pub agent: AgentRef,
}
