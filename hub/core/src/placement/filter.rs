//! Which clusters may run an agent: each gets a [`Standing`], with the first rule that excludes it.

use std::collections::{BTreeMap, BTreeSet};

use parallax_crds::agent::{ClusterWeight, DivisionMode, Placement, Strategy};
use parallax_crds::selector::matches;
use parallax_crds::{ClusterName, labels};

use super::ClusterFacts;

/// Why a cluster doesn't run the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exclusion {
    /// `placement.clusters` doesn't name it.
    NotNamed,
    /// Its region is none of `placement.regions`.
    NotInRegion,
    /// `placement.clusterSelector` doesn't match its labels.
    NotSelected,
    /// No entry of `division.weights` that matches it has a weight above 0.
    NoWeight,
    /// Its administrator hasn't accepted it.
    NotAccepted,
    /// It is suspended, and holds nothing of the agent.
    Suspended,
    /// It is not connected, and holds nothing of the agent.
    NotConnected,
}

/// What a cluster may be asked to do for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may take replicas.
    Open {
        /// Replicas that it holds; none: it doesn't have the agent.
        held: Option<i32>,
        /// Its weight under Divide, above 0.
        weight: i32,
    },
    /// It keeps what it holds, and takes nothing new while its session is lost.
    Disconnected {
        /// Replicas that it holds.
        held: i32,
        /// Its weight under Divide, above 0.
        weight: i32,
    },
    /// It keeps what it holds and is sent nothing new while its administrator has it suspended.
    Suspended {
        /// Replicas that it holds.
        held: i32,
        /// Its weight under Divide, above 0.
        weight: i32,
    },
    /// It doesn't qualify: what it holds, it loses.
    Excluded(Exclusion),
}

impl Standing {
    /// Replicas that the cluster holds and may keep; none where it doesn't have the agent, or loses it.
    #[must_use]
    pub fn held(&self) -> Option<i32> {
        match *self {
            Self::Open { held, .. } => held,
            Self::Disconnected { held, .. } | Self::Suspended { held, .. } => Some(held),
            Self::Excluded(_) => None,
        }
    }

    /// The cluster's weight under Divide; none when it is excluded.
    #[must_use]
    pub fn weight(&self) -> Option<i32> {
        match *self {
            Self::Open { weight, .. }
            | Self::Disconnected { weight, .. }
            | Self::Suspended { weight, .. } => Some(weight),
            Self::Excluded(_) => None,
        }
    }
}

/// The standing of each cluster, in the order of `clusters`.
#[must_use]
pub fn standings(
    placement: Option<&Placement>,
    clusters: &[ClusterFacts],
    current: Option<&BTreeMap<ClusterName, i32>>,
) -> Vec<Standing> {
    let rules = Rules::of(placement);
    clusters
        .iter()
        .map(|cluster| {
            let held = current.and_then(|shares| shares.get(&cluster.name)).map(|share| (*share).max(0));
            rules.standing(cluster, held)
        })
        .collect()
}

/// A placement made ready to be asked about many clusters.
struct Rules<'a> {
    placement: Option<&'a Placement>,
    names: BTreeSet<&'a str>,
    /// Under Divide by weight: its entries. None: every cluster weighs the same.
    weights: Option<&'a [ClusterWeight]>,
}

impl<'a> Rules<'a> {
    fn of(placement: Option<&'a Placement>) -> Self {
        let weights = placement
            .filter(|p| p.strategy == Strategy::Divide)
            .and_then(|p| p.division.as_ref())
            .filter(|division| division.mode == DivisionMode::Weighted)
            .map(|division| division.weights.as_slice());
        let names = placement.iter().flat_map(|p| &p.clusters).map(String::as_str).collect();
        Self { placement, names, weights }
    }

    fn standing(&self, cluster: &ClusterFacts, held: Option<i32>) -> Standing {
        if let Some(exclusion) = self.mismatch(cluster) {
            return Standing::Excluded(exclusion);
        }
        let Some(weight) = self.weight(cluster) else {
            return Standing::Excluded(Exclusion::NoWeight);
        };
        if !cluster.accepted {
            return Standing::Excluded(Exclusion::NotAccepted);
        }
        match (cluster.suspended, cluster.connected, held) {
            (false, true, held) => Standing::Open { held, weight },
            (true, _, Some(held)) => Standing::Suspended { held, weight },
            (true, _, None) => Standing::Excluded(Exclusion::Suspended),
            (false, false, Some(held)) => Standing::Disconnected { held, weight },
            (false, false, None) => Standing::Excluded(Exclusion::NotConnected),
        }
    }

    fn mismatch(&self, cluster: &ClusterFacts) -> Option<Exclusion> {
        let placement = self.placement?;
        if !self.names.is_empty() && !self.names.contains(cluster.name.as_str()) {
            return Some(Exclusion::NotNamed);
        }
        let region = cluster.labels.get(labels::REGION);
        if !placement.regions.is_empty() && !region.is_some_and(|region| placement.regions.contains(region)) {
            return Some(Exclusion::NotInRegion);
        }
        let selected = placement.cluster_selector.as_ref().is_none_or(|s| matches(s, &cluster.labels));
        (!selected).then_some(Exclusion::NotSelected)
    }

    fn weight(&self, cluster: &ClusterFacts) -> Option<i32> {
        let Some(weights) = self.weights else {
            return Some(1);
        };
        let entry = weights.iter().find(|entry| matches(&entry.cluster_selector, &cluster.labels))?;
        (entry.weight > 0).then_some(entry.weight)
    }
}
