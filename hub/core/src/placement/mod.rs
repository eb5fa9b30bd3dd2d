//! Where an agent runs, and with how many replicas in each cluster.
//!
//! [`place`] is a pure function of the agent, the fleet, what the agent holds now, and the time. It works in steps, each a
//! module:
//!
//! 1. [`filter`] gives every cluster a standing: open, closed to anything new, or excluded; by the agent's rules, by
//!    [`taints`], and by what is [`fit`] to be held there;
//! 2. [`score`] says what each that is left is worth;
//! 3. [`select`] puts them in tiers, by group and score;
//! 4. [`sticky`] divides: a replica that runs stays where it is, and only the difference to what is wanted is shared out,
//!    tier by tier, integer-exact ([`divide`]), between equals by [`ties`];
//! 5. [`spread`] says what a division must hold to, and [`solve`] finds one that does, or what can't be held to.
//!
//! What came of it is data ([`Explanation`]), from which the `Placed` condition takes its text; [`explain`] is the same for
//! people and programs that want to know everything.

pub(crate) mod divide;
mod explanation;
mod facts;
mod filter;
mod fit;
mod report;
mod score;
mod select;
mod shares;
mod solve;
mod spread;
mod sticky;
mod taints;
mod ties;

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_crds::agent::{Placement, Strategy};
use parallax_crds::{ClusterName, Incarnation};

pub use explanation::{Coverage, Explanation};
pub use facts::{ClusterFacts, Namespaces, Taint};
pub use parallax_crds::Amounts;
pub use report::{ClusterReport, PartReport, Report, SpreadReport};
pub use spread::Unsatisfied;
pub use taints::tolerates;
pub(crate) use ties::Ties;

/// The most targets that a decision lists (the CRD's bound on `status.placement.targets`). Divide never uses
/// more clusters; Replicate over more is stored as "all matching".
pub const MAX_TARGETS: usize = 1_000;

/// The agent to place.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Which agent; breaks ties, so that equal agents spread over the fleet.
    pub incarnation: &'a Incarnation,
    /// Its namespace: not every cluster takes agents of all.
    pub namespace: &'a str,
    /// Replicas to place: a total under Divide, a number per cluster under Replicate. Negative counts as 0.
    pub replicas: i32,
    /// What each of them requests.
    pub requests: &'a Amounts,
    /// What each of them requests in clusters where that is otherwise.
    pub otherwise: &'a BTreeMap<ClusterName, Amounts>,
    /// `spec.placement`; none: divided over all accepted clusters.
    pub placement: Option<&'a Placement>,
    /// What runs may move to where it would go now, as with `sticky: false`.
    pub rebalance: bool,
}

impl Request<'_> {
    fn strategy(&self) -> Strategy {
        self.placement.map_or(Strategy::Divide, |p| p.strategy)
    }

    /// What a replica requests in a cluster.
    fn requests_in(&self, cluster: &ClusterName) -> &Amounts {
        self.otherwise.get(cluster).unwrap_or(self.requests)
    }

    /// The fewest replicas of a cluster that has any. An agent that has fewer in all has them in one.
    fn least(&self) -> i64 {
        let division = self.placement.and_then(|p| p.division.as_ref());
        let least = division.and_then(|d| d.min_replicas_per_cluster).unwrap_or(1);
        i64::from(least.min(self.replicas).max(1))
    }
}

/// Where the agent goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Replicas by cluster, complete also when `all_matching`. A share of 0 occurs only where nothing at all is
    /// wanted of the agent, so that its Service and its row exist.
    pub targets: BTreeMap<ClusterName, i32>,
    /// There are more targets than a decision lists ([`MAX_TARGETS`]): it is stored as a marker.
    pub all_matching: bool,
    /// When a cluster loses what it holds by time alone: a taint isn't tolerated for longer.
    pub revisit: Option<Timestamp>,
    /// Why.
    pub explanation: Explanation,
}

/// Decides where the agent runs.
///
/// `current` is what it holds now by the last decision (none: it was never placed); shares in clusters that
/// no longer exist or qualify are dropped. What a cluster holds of the agent always fits there. The order of `clusters`
/// decides the order of the verdicts and nothing else.
#[must_use]
pub fn place(
    request: &Request<'_>,
    clusters: &[ClusterFacts],
    current: Option<&BTreeMap<ClusterName, i32>>,
    now: Timestamp,
) -> Placed {
    let (standings, revisit) = filter::standings(request, clusters, current, now);
    let strategy = request.strategy();
    let scores = score::scores(request.placement, clusters, &standings);
    let (targets, unsatisfied) = match strategy {
        Strategy::Divide => shares::divided(request, clusters, &standings, &scores),
        Strategy::Replicate => (shares::replicated(request.replicas.max(0), clusters, &standings), None),
    };
    let all_matching = strategy == Strategy::Replicate && targets.len() > MAX_TARGETS;
    let explanation = Explanation::new(request, clusters, standings, scores, &targets, unsatisfied);
    Placed { targets, all_matching, revisit, explanation }
}

/// Tells everything about where the agent runs: what [`place`] decides, cluster by cluster.
#[must_use]
pub fn explain(
    request: &Request<'_>,
    clusters: &[ClusterFacts],
    current: Option<&BTreeMap<ClusterName, i32>>,
    now: Timestamp,
) -> Report {
    let placed = place(request, clusters, current, now);
    Report::new(request, clusters, &placed)
}

#[cfg(test)]
mod tests;
