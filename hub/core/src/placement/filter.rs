//! Which clusters may run an agent: each gets a [`Standing`], with the first rule that excludes it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Toleration;
use parallax_crds::agent::{ClusterWeight, DivisionMode, Placement, Strategy};
use parallax_crds::selector::matches;
use parallax_crds::{ClusterName, labels};

use super::fit::{Scarce, fit, needed};
use super::spread::label_of;
use super::taints::{Hindrance, hindrance};
use super::{ClusterFacts, Request};

/// Why a cluster doesn't run the agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, strum::IntoStaticStr)]
pub enum Exclusion {
    /// `placement.clusters` doesn't name it.
    NotNamed,
    /// Its region is none of `placement.regions`.
    NotInRegion,
    /// `placement.clusterSelector` doesn't match its labels.
    NotSelected,
    /// None of `placement.groups` matches it.
    NotInGroup,
    /// No entry of `division.weights` that matches it has a weight above 0.
    NoWeight,
    /// It lacks the label that `placement.spread` goes by.
    NotLabelled(String),
    /// Its administrator hasn't accepted it.
    NotAccepted,
    /// It doesn't take agents of this namespace.
    NamespaceNotTaken,
    /// It has this taint, which the agent doesn't tolerate.
    Tainted(String),
    /// It is suspended, and holds nothing of the agent.
    Suspended,
    /// It is not connected, and holds nothing of the agent.
    NotConnected,
    /// Its `spec.maxReplicas` leaves no room.
    Full,
    /// It has too little of this free.
    Lacks(String),
    /// It could take some replicas, but fewer than `division.minReplicasPerCluster`.
    TooSmall(i64),
}

/// What a cluster may be asked to do for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may take replicas.
    Open {
        /// Replicas that it holds; none: it doesn't have the agent.
        held: Option<i32>,
        /// How many more it may take, at least 1; none: any number.
        more: Option<i64>,
        /// How it counts among the others.
        terms: Terms,
    },
    /// It keeps what it holds, and takes nothing new.
    Closed {
        /// Replicas that it holds.
        held: i32,
        /// Why it takes no more.
        because: Exclusion,
        /// How it counts among the others.
        terms: Terms,
    },
    /// It doesn't qualify: what it holds, it loses.
    Excluded(Exclusion),
}

/// How a cluster counts among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Its weight under Divide, above 0.
    pub weight: i64,
    /// Which of `placement.groups` it is in; 0 where there are none.
    pub group: usize,
}

impl Standing {
    /// Replicas that the cluster holds and may keep; none where it doesn't have the agent, or loses it.
    #[must_use]
    pub fn held(&self) -> Option<i32> {
        match self {
            Self::Open { held, .. } => *held,
            Self::Closed { held, .. } => Some(*held),
            Self::Excluded(_) => None,
        }
    }

    /// How the cluster counts among the others; none when it is excluded.
    #[must_use]
    pub fn terms(&self) -> Option<Terms> {
        match self {
            Self::Open { terms, .. } | Self::Closed { terms, .. } => Some(*terms),
            Self::Excluded(_) => None,
        }
    }
}

/// The standing of each cluster, in the order of `clusters`; and when one of them loses what it holds by time alone.
#[must_use]
pub fn standings(
    request: &Request<'_>,
    clusters: &[ClusterFacts],
    current: Option<&BTreeMap<ClusterName, i32>>,
    now: Timestamp,
) -> (Vec<Standing>, Option<Timestamp>) {
    let rules = Rules::of(request, now);
    let mut revisit: Option<Timestamp> = None;
    let standings = clusters
        .iter()
        .map(|cluster| {
            let held = current.and_then(|shares| shares.get(&cluster.name)).map(|share| (*share).max(0));
            let (standing, ends) = rules.standing(cluster, held);
            if let Some(ends) = ends.filter(|_| standing.held().is_some()) {
                revisit = Some(revisit.map_or(ends, |earlier| earlier.min(ends)));
            }
            standing
        })
        .collect();
    (standings, revisit)
}

/// A request made ready to be asked about many clusters.
struct Rules<'a> {
    request: &'a Request<'a>,
    placement: Option<&'a Placement>,
    names: BTreeSet<&'a str>,
    strategy: Strategy,
    mode: DivisionMode,
    weights: &'a [ClusterWeight],
    tolerations: &'a [Toleration],
    /// Under Divide: the fewest replicas of a cluster that has any.
    least: i64,
    now: Timestamp,
}

impl<'a> Rules<'a> {
    fn of(request: &'a Request<'a>, now: Timestamp) -> Self {
        let placement = request.placement;
        let division = placement.and_then(|p| p.division.as_ref());
        Self {
            request,
            placement,
            names: placement.iter().flat_map(|p| &p.clusters).map(String::as_str).collect(),
            strategy: request.strategy(),
            mode: division.map(|d| d.mode).unwrap_or_default(),
            weights: division.map(|d| d.weights.as_slice()).unwrap_or_default(),
            tolerations: placement.map(|p| p.tolerations.as_slice()).unwrap_or_default(),
            least: request.least(),
            now,
        }
    }

    fn standing(&self, cluster: &ClusterFacts, held: Option<i32>) -> (Standing, Option<Timestamp>) {
        let excluded = |exclusion| (Standing::Excluded(exclusion), None);
        if let Some(exclusion) = self.mismatch(cluster) {
            return excluded(exclusion);
        }
        let Some(group) = self.group(cluster) else {
            return excluded(Exclusion::NotInGroup);
        };
        let requests = self.request.requests_in(&cluster.name);
        let fit = fit(cluster, requests);
        let Some(weight) = self.weight(cluster, held, fit.more) else {
            return excluded(Exclusion::NoWeight);
        };
        if let Some(key) = self.label_lacked(cluster) {
            return excluded(Exclusion::NotLabelled(key.to_owned()));
        }
        if !cluster.accepted {
            return excluded(Exclusion::NotAccepted);
        }
        if !cluster.namespaces.take(self.request.namespace) {
            return excluded(Exclusion::NamespaceNotTaken);
        }
        let (taint, ends) = match hindrance(cluster, self.tolerations, self.now) {
            Hindrance::Removes(taint) => return excluded(Exclusion::Tainted(taint)),
            Hindrance::NothingNew(taint, ends) => (Some(taint), ends),
            Hindrance::None => (None, None),
        };
        let need = self.need(held);
        let hindered = match taint {
            _ if cluster.suspended => Some(Exclusion::Suspended),
            _ if !cluster.connected => Some(Exclusion::NotConnected),
            Some(taint) => Some(Exclusion::Tainted(taint)),
            None => match fit.more {
                Some(more) if more < need => Some(match fit.scarce {
                    _ if more > 0 && self.strategy == Strategy::Divide => Exclusion::TooSmall(more),
                    Scarce::Room | Scarce::Nothing => Exclusion::Full,
                    scarce => Exclusion::Lacks(needed(scarce, requests, need)),
                }),
                _ => None,
            },
        };
        let terms = Terms { weight, group };
        let standing = match (hindered, held) {
            (None, held) => Standing::Open { held, more: fit.more, terms },
            (Some(because), Some(held)) => Standing::Closed { held, because, terms },
            (Some(because), None) => Standing::Excluded(because),
        };
        (standing, ends)
    }

    /// How many more replicas a cluster must be able to take to be given any.
    fn need(&self, held: Option<i32>) -> i64 {
        let held = held.map_or(0, i64::from);
        match self.strategy {
            Strategy::Replicate => i64::from(self.request.replicas) - held,
            Strategy::Divide => (self.least - held).max(1),
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

    fn group(&self, cluster: &ClusterFacts) -> Option<usize> {
        match self.placement.map(|p| p.groups.as_slice()).unwrap_or_default() {
            [] => Some(0),
            groups => groups.iter().position(|group| matches(&group.cluster_selector, &cluster.labels)),
        }
    }

    fn weight(&self, cluster: &ClusterFacts, held: Option<i32>, more: Option<i64>) -> Option<i64> {
        match self.mode {
            _ if self.strategy == Strategy::Replicate => Some(1),
            DivisionMode::Balanced | DivisionMode::Packed => Some(1),
            DivisionMode::Weighted => {
                let first =
                    self.weights.iter().find(|entry| matches(&entry.cluster_selector, &cluster.labels));
                first.map(|entry| i64::from(entry.weight)).filter(|weight| *weight > 0)
            }
            // What it holds is a part of what it can hold: placing a replica changes no weight, nor does it where that isn't
            // known.
            DivisionMode::Capacity => Some(more.map_or(1, |more| held.map_or(0, i64::from) + more).max(1)),
        }
    }

    /// The key of the first label that a spread goes by and the cluster doesn't have.
    fn label_lacked(&self, cluster: &ClusterFacts) -> Option<&'a str> {
        let spread = self.placement.map(|p| p.spread.as_slice()).unwrap_or_default();
        let keys = spread.iter().filter_map(|entry| label_of(&entry.by));
        keys.into_iter().find(|key| !cluster.labels.contains_key(*key))
    }
}
