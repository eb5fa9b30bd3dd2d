//! How much a change of a status hurries.

use std::collections::BTreeSet;

use parallax_crds::agent::{ClusterRow, Freshness, PlacementDecision};
use parallax_crds::{ParallaxAgentStatus, Phase};

use parallax_crds::conditions::{CREDENTIALS_READY, PLACED, READY, SYNCED, find, truth};

/// How soon a changed status is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Significance {
    /// Nothing has changed, but for what the agent uses, and when it was last active unless it sleeps.
    None,
    /// An intermediate change: the one that settles it is likely to follow, and may carry it along.
    Soon,
    /// It settles something, or people and tools wait for it.
    Now,
}

/// How much the change from `previous` (what was last written) to `next` hurries.
///
/// At once go: a new decision, the phases in which an agent rests, conditions that turn good or bad, and the loss
/// of a cluster's freshness. Everything else may wait for one of them.
#[must_use]
pub fn significance(previous: Option<&ParallaxAgentStatus>, next: &ParallaxAgentStatus) -> Significance {
    let Some(previous) = previous else {
        return Significance::Now;
    };
    if same_but_for_use(previous, next) {
        // It may have woken and gone to sleep again within one pause, with nothing else to show for it.
        let woke = next.desired_replicas == 0 && next.last_activity_time != previous.last_activity_time;
        return if woke { Significance::Soon } else { Significance::None };
    }
    let at_once = decided(previous, next)
        || rolls_out(previous, next)
        || rests(previous, next)
        || turned(previous, next, READY, |truth| truth == Some(true))
        || turned(previous, next, PLACED, |truth| truth == Some(false))
        || turned(previous, next, SYNCED, |truth| truth == Some(false))
        || turned(previous, next, CREDENTIALS_READY, |truth| truth == Some(false))
        || lost_freshness(previous, next);
    if at_once { Significance::Now } else { Significance::Soon }
}

/// Clusters wait for it, or somebody has to do something.
fn rolls_out(previous: &ParallaxAgentStatus, next: &ParallaxAgentStatus) -> bool {
    let step = |status: &ParallaxAgentStatus| {
        status.rollout.as_ref().map(|r| (r.revision, r.wave, r.state, r.clusters.len(), r.plan.clone()))
    };
    step(previous) != step(next)
}

/// Usage has a slower pace of its own. Both it and the time of the last activity go along with whatever else is written.
fn same_but_for_use(previous: &ParallaxAgentStatus, next: &ParallaxAgentStatus) -> bool {
    let ParallaxAgentStatus {
        phase,
        desired_replicas,
        replicas,
        ready_replicas,
        replica_summary,
        selector,
        observed_generation,
        conditions,
        placement,
        rollout,
        cluster_summary,
        usage: _,
        last_activity_time: _,
        clusters,
    } = next;
    (*phase, *desired_replicas, *replicas, *ready_replicas)
        == (previous.phase, previous.desired_replicas, previous.replicas, previous.ready_replicas)
        && (*observed_generation, *cluster_summary)
            == (previous.observed_generation, previous.cluster_summary)
        && *replica_summary == previous.replica_summary
        && *selector == previous.selector
        && *placement == previous.placement
        && *rollout == previous.rollout
        && *conditions == previous.conditions
        && *clusters == previous.clusters
}

/// There is a decision that must be stored. That a cluster has let go of the agent is no reason to hurry, and that one is
/// about to is followed by others: they may share a write.
fn decided(previous: &ParallaxAgentStatus, next: &ParallaxAgentStatus) -> bool {
    match (&previous.placement, &next.placement) {
        (Some(old), Some(new)) => {
            (old.generation, old.all_matching, &old.targets)
                != (new.generation, new.all_matching, &new.targets)
                || !letting_go(new).is_subset(&letting_go(old))
                || old.rebalanced != new.rebalanced
                || new.leaving.iter().any(|leaving| !old.leaving.contains(leaving))
        }
        (old, new) => old.is_some() != new.is_some(),
    }
}

fn letting_go(decision: &PlacementDecision) -> BTreeSet<&str> {
    decision.withdrawing.iter().map(String::as_str).collect()
}

fn rests(previous: &ParallaxAgentStatus, next: &ParallaxAgentStatus) -> bool {
    let resting = matches!(next.phase, Some(Phase::Running | Phase::Failed | Phase::Terminating));
    resting && previous.phase != next.phase
}

/// Whether the answer of `test` to a condition's status differs. For Ready anything but True is bad; for the others only
/// False is, since Unknown is where every agent begins.
fn turned(
    previous: &ParallaxAgentStatus,
    next: &ParallaxAgentStatus,
    type_: &str,
    test: fn(Option<bool>) -> bool,
) -> bool {
    let answer = |of: &ParallaxAgentStatus| test(find(&of.conditions, type_).and_then(truth));
    answer(previous) != answer(next)
}

fn lost_freshness(previous: &ParallaxAgentStatus, next: &ParallaxAgentStatus) -> bool {
    let fresh = |row: &ClusterRow| row.freshness == Freshness::Fresh;
    let was_fresh = |name: &str| previous.clusters.iter().any(|row| row.name == name && fresh(row));
    let stale = |of: &ParallaxAgentStatus| of.cluster_summary.map_or(0, |summary| summary.stale);
    stale(next) > stale(previous) || next.clusters.iter().any(|row| !fresh(row) && was_fresh(&row.name))
}
