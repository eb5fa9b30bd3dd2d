//! What decides between clusters that are equal in everything else.

use parallax_crds::{ClusterName, Incarnation};
use sha2::{Digest, Sha256};

use super::select::Party;

/// Ties are broken by a stable hash of the agent's incarnation and the cluster's name: equal agents spread,
/// and a restart of the hub changes nothing.
#[derive(Clone)]
pub(crate) struct Ties(Sha256);

impl Ties {
    pub(crate) fn of(incarnation: &Incarnation) -> Self {
        let mut hash = Sha256::new();
        hash.update(incarnation.as_str());
        hash.update([0]);
        Self(hash)
    }

    /// The smaller is before the larger.
    pub(crate) fn of_cluster(&self, name: &ClusterName) -> [u8; 32] {
        let mut hash = self.0.clone();
        hash.update(name.as_str());
        hash.finalize().into()
    }

    /// The smaller is the first to be given a replica, and the last to lose one. A cluster that has the
    /// agent already (at 0 replicas) is before one that hasn't; but where replicas may move, who has it now decides
    /// nothing, or each decision would make another.
    pub(super) fn rank(&self, party: &Party<'_>) -> (bool, [u8; 32]) {
        (!party.first, self.of_cluster(party.name))
    }
}
