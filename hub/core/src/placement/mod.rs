//! Where an agent runs, and with how many replicas in each cluster.
//!
//! [`place`] is a pure function of the agent, the fleet and what the agent holds now. It works in three
//! steps, each a module: [`filter`] gives every cluster a standing, [`divide`] shares replicas out, and
//! [`sticky`] joins the two so that a replica that runs stays where it is. What came of it is data
//! ([`Explanation`]), from which the `Placed` condition and `explain` take their texts.

pub(crate) mod divide;
mod explain;
mod facts;
mod filter;
mod sticky;

use std::collections::BTreeMap;

use parallax_crds::agent::{Placement, Strategy};
use parallax_crds::{ClusterName, Incarnation};

pub use explain::{Coverage, Explanation};
pub use facts::{ClusterFacts, Namespaces, Taint};
pub(crate) use sticky::Ties;

/// The most targets that a decision lists (the CRD's bound on `status.placement.targets`). Divide never uses
/// more clusters; Replicate over more is stored as "all matching".
pub const MAX_TARGETS: usize = 1_000;

/// The agent to place.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Which agent; breaks ties, so that equal agents spread over the fleet.
    pub incarnation: &'a Incarnation,
    /// Replicas to place: a total under Divide, a number per cluster under Replicate. Negative counts as 0.
    pub replicas: i32,
    /// `spec.placement`; none: divided over all accepted clusters.
    pub placement: Option<&'a Placement>,
}

/// Where the agent goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Replicas by cluster, complete also when `all_matching`. A share of 0 occurs only where nothing at all is
    /// wanted of the agent, so that its Service and its row exist.
    pub targets: BTreeMap<ClusterName, i32>,
    /// There are more targets than a decision lists ([`MAX_TARGETS`]): it is stored as a marker.
    pub all_matching: bool,
    /// Why.
    pub explanation: Explanation,
}

/// Decides where the agent runs.
///
/// `current` is what it holds now by the last decision (none: it was never placed); shares in clusters that
/// no longer exist or qualify are dropped. The order of `clusters` decides the order of the verdicts and
/// nothing else.
#[must_use]
pub fn place(
    request: &Request<'_>,
    clusters: &[ClusterFacts],
    current: Option<&BTreeMap<ClusterName, i32>>,
) -> Placed {
    let standings = filter::standings(request.placement, clusters, current);
    let wanted = request.replicas.max(0);
    let strategy = request.placement.map_or(Strategy::Divide, |p| p.strategy);
    let targets = match strategy {
        Strategy::Divide => sticky::divide(wanted, request.incarnation, clusters, &standings),
        Strategy::Replicate => sticky::replicate(wanted, clusters, &standings),
    };
    let all_matching = strategy == Strategy::Replicate && targets.len() > MAX_TARGETS;
    let explanation = Explanation::new(request, strategy, clusters, &standings, &targets);
    Placed { targets, all_matching, explanation }
}

#[cfg(test)]
mod tests;
