//! One honest status from what every cluster says.
//!
//! [`aggregate`] is a pure function of the agent, the decision and each cluster's last word. Its result equals
//! the previous status when nothing changed, whatever the time. [`significance`] says how much a change hurries.

mod conditions;
mod rolling_out;
mod row;
mod significance;
mod text;
mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::agent::{
    ClusterRow, ClusterSummary, Freshness, PlacementDecision, PlacementTarget, RolloutState, Strategy,
};
use parallax_crds::conditions::{PROGRESSING, merge};
use parallax_crds::link::{AgentReport, AgentUsage, OrderResult, Scale};
use parallax_crds::{AgentRef, ClusterName, ParallaxAgentSpec, ParallaxAgentStatus, Phase, labels};

use crate::phase::{ClusterPhase, PhaseFacts, phase};
use crate::placement::Explanation;
use crate::resolve::ResolveError;
use crate::scaling::start;

use row::{Row, Unsynced};

pub use conditions::DEADLINE_EXCEEDED;
pub use rolling_out::Waves;
pub use significance::{Significance, significance};

/// The most rows of a status (the CRD's bound on `status.clusters`).
pub const MAX_ROWS: usize = 64;

/// What a status is made of.
#[derive(Debug, Clone, Copy)]
pub struct AggregateInput<'a> {
    /// Which agent.
    pub agent: &'a AgentRef,
    /// `metadata.generation`.
    pub generation: i64,
    /// The object has a deletionTimestamp.
    pub deleting: bool,
    /// Its spec.
    pub spec: &'a ParallaxAgentSpec,
    /// Why the spec can't be sent, if it can't.
    pub unresolved: Option<&'a ResolveError>,
    /// The decision; it becomes the status' own.
    pub decision: Option<&'a PlacementDecision>,
    /// Why it is so; none while it wasn't made anew (the `Placed` condition then stays).
    pub explanation: Option<&'a Explanation>,
    /// How a change reaches clusters, where that is in waves.
    pub rollout: Option<Waves<'a>>,
    /// Every cluster with a share, or that has yet to let go of the agent; in any order.
    pub clusters: &'a [ClusterInput<'a>],
    /// For how long neither the wish nor anything ready had changed before this.
    pub quiet: Duration,
    /// After how much quiet the agent counts as stuck.
    pub deadline: Duration,
}

/// One cluster, as far as the agent is concerned.
#[derive(Debug, Clone, Copy)]
pub struct ClusterInput<'a> {
    /// The MemberCluster.
    pub name: &'a ClusterName,
    /// What its order says (0 replicas while suspended); none: the agent is being withdrawn from it.
    pub wanted: Option<Scale>,
    /// Of these replicas, those that leave as soon as the ones that replace them are ready.
    pub leaving: i32,
    /// It has a share, so that not all of it leaves.
    pub stays: bool,
    /// Which wave of a rollout it belongs to, from 0.
    pub wave: usize,
    /// Its order is of the revision that clusters keep which wait.
    pub waits: bool,
    /// It runs the current revision, or was ordered to, whatever is written down.
    pub has_it: bool,
    /// It has persisted the current order, hash and replicas; none: not known since the hub's start.
    pub persisted: Option<bool>,
    /// Its administrator has it suspended: it is sent no order.
    pub suspended: bool,
    /// The result of the current order, unless all is well.
    pub result: Option<&'a OrderResult>,
    /// What it said last.
    pub word: Word<'a>,
    /// How old that is.
    pub freshness: Freshness,
    /// When it was last heard of this agent, for a row that no earlier status shows.
    pub last_reported: Option<Timestamp>,
    /// What the agent uses there; none: not heard of since the hub's start.
    pub usage: Option<&'a AgentUsage>,
}

/// A cluster's last word about an agent.
#[derive(Debug, Clone, Copy)]
pub enum Word<'a> {
    /// This hub process hasn't heard from it: what the previous status says of it stands.
    Unheard,
    /// It has reported on everything that it has, and this agent isn't in it.
    Silent,
    /// Its report.
    Report {
        /// What it says.
        report: &'a AgentReport,
        /// The newest generation that resolves, for this cluster, to the hash that it runs; none: no known one.
        generation: Option<i64>,
    },
}

/// A status, and what the caller keeps beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregated {
    /// The whole status.
    pub status: ParallaxAgentStatus,
    /// The wish or something ready has changed since the previous status: the quiet time begins anew.
    pub moved: bool,
    /// After how long the status changes if nothing is heard until then; none: never.
    pub changes_after: Option<Duration>,
}

/// The status of an agent. `previous` is the last status of the same object, computed or read; `now` is used only
/// for what has changed since, in whole seconds, as the API keeps it.
#[must_use]
pub fn aggregate(
    input: &AggregateInput<'_>,
    previous: Option<&ParallaxAgentStatus>,
    now: Timestamp,
) -> Aggregated {
    let shown: BTreeMap<&str, &ClusterRow> =
        previous.iter().flat_map(|status| &status.clusters).map(|row| (row.name.as_str(), row)).collect();
    let mut rows: Vec<Row<'_>> = input
        .clusters
        .iter()
        .map(|cluster| Row::of(input, cluster, shown.get(cluster.name.as_str()).copied()))
        .collect();
    rows.sort_by_cached_key(|row| (row.severity(), row.name));
    let targets: Vec<Row<'_>> =
        rows.iter().copied().filter(|row| row.wanted.is_some() && row.stays).collect();
    // One that is out of sight leaves when it is back: nothing moves until then.
    let leaving: Vec<Row<'_>> = rows
        .iter()
        .copied()
        .filter(|row| row.wanted.is_some() && row.leaving > 0 && row.is_fresh())
        .collect();
    let left = || leaving.iter().filter(|row| !row.stays);

    let desired = desired(input, &targets);
    let counted = targets.iter().chain(left()).filter(|row| row.is_fresh() && row.current);
    let ready = total(counted.map(|row| row.ready));
    let rolled_out = rolling_out::rolled_out(input, previous, &targets, now);
    let (rollout, rollout_changes) = (rolled_out.status, rolled_out.changes_after);
    let state = rollout.as_ref().map(|rollout| rollout.state);
    let moved = moved(input, previous, &rows, &shown, (desired, ready))
        || rolling_out::moved(previous, rollout.as_ref());
    let facts = |row: &Row<'_>| row.phase_facts(state == Some(RolloutState::Halted));
    let phases: Vec<ClusterPhase> = targets.iter().chain(left()).filter_map(facts).collect();
    let verdict = phase(&PhaseFacts {
        deleting: input.deleting,
        desired,
        clusters: &phases,
        moves: !leaving.is_empty(),
        held: state.is_some_and(RolloutState::is_held),
        quiet: if moved { Duration::ZERO } else { input.quiet },
        deadline: input.deadline,
        last: previous.and_then(|status| status.phase),
    });
    let serves = targets.iter().chain(left()).any(|row| row.is_fresh() && row.serving > 0);
    let facts = conditions::Facts {
        input,
        previous,
        movement: verdict.movement,
        desired,
        ready,
        serves,
        rollout: rollout.as_ref(),
        targets: &targets,
        leaving: &leaving,
    };

    let now = Time(whole_seconds(now));
    let before = previous.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let shown_usage = previous.and_then(|status| status.usage.as_ref());
    let status = ParallaxAgentStatus {
        phase: Some(verdict.phase),
        desired_replicas: desired,
        replicas: total(rows.iter().filter(|row| row.is_fresh()).map(|row| row.replicas)),
        ready_replicas: ready,
        replica_summary: Some(format!("{ready}/{desired}")),
        selector: Some(selector(input.agent)),
        observed_generation: Some(input.generation),
        conditions: merge(before, &facts.conditions(), input.generation, &now),
        placement: input.decision.cloned(),
        rollout: rollout.clone(),
        cluster_summary: Some(summary(&targets)),
        usage: if input.deleting { None } else { usage::usage(input.clusters, shown_usage) },
        last_activity_time: last_activity(input, previous),
        clusters: rows
            .iter()
            .take(MAX_ROWS)
            .map(|row| row.show(shown.get(row.name).copied(), &now))
            .collect(),
    };
    let changes_after = [verdict.changes_after, rollout_changes].into_iter().flatten().min();
    Aggregated { status, moved, changes_after }
}

/// The latest activity that any cluster has told of. What was once known stays known, whoever is away.
fn last_activity(input: &AggregateInput<'_>, previous: Option<&ParallaxAgentStatus>) -> Option<Time> {
    let told = input.clusters.iter().filter_map(|cluster| match cluster.word {
        Word::Report { report, .. } => Timestamp::from_second(report.last_activity?).ok(),
        Word::Unheard | Word::Silent => None,
    });
    let known = previous.and_then(|status| status.last_activity_time.as_ref()).map(|time| time.0);
    told.chain(known).max().map(Time)
}

/// How long an agent counts as quiet when a hub starts and finds `previous`: all of the deadline where that was
/// over for the same generation already, so that a restart doesn't hide it; nothing otherwise.
#[must_use]
pub fn remembered_quiet(
    previous: Option<&ParallaxAgentStatus>,
    generation: i64,
    deadline: Duration,
) -> Duration {
    let over = previous.iter().flat_map(|status| &status.conditions).any(|condition| {
        condition.type_ == PROGRESSING
            && condition.reason == conditions::DEADLINE_EXCEEDED
            && condition.observed_generation == Some(generation)
    });
    if over { deadline } else { Duration::ZERO }
}

/// Replicas wanted over the whole fleet: of clusters whose autoscaler chooses, so many as it has chosen.
fn desired(input: &AggregateInput<'_>, targets: &[Row<'_>]) -> i32 {
    if input.deleting || input.spec.suspend {
        return 0;
    }
    let strategy = input.spec.placement.as_ref().map_or(Strategy::Divide, |placement| placement.strategy);
    let start = start(input.spec);
    let stays = |row: &Row<'_>| Some(row.wanted?.saturating_sub(row.leaving).max(0));
    let wanted = || total(targets.iter().filter_map(stays));
    match strategy {
        Strategy::Replicate if !targets.is_empty() => wanted(),
        Strategy::Divide if input.spec.scaling.is_some() => {
            let placed = input.decision.map_or(0, |d| total(d.targets.iter().map(|t| t.replicas)));
            wanted().saturating_add(start.saturating_sub(placed).max(0))
        }
        Strategy::Divide | Strategy::Replicate => start,
    }
}

/// Whether the wish, or what is known to be ready somewhere, differs from the previous status. A lost or regained
/// session moves nothing.
fn moved(
    input: &AggregateInput<'_>,
    previous: Option<&ParallaxAgentStatus>,
    rows: &[Row<'_>],
    shown: &BTreeMap<&str, &ClusterRow>,
    (desired, ready): (i32, i32),
) -> bool {
    let Some(previous) = previous else { return true };
    let changed = |row: &Row<'_>| {
        shown.get(row.name).is_some_and(|shown| {
            (shown.ready_replicas, shown.observed_generation) != (row.ready, row.observed)
        })
    };
    previous.observed_generation != Some(input.generation)
        || previous.desired_replicas != desired
        || previous.placement.as_ref().map(shares) != input.decision.map(shares)
        || rows.iter().any(changed)
        // Where not every cluster has a row, the sum tells of the others.
        || (rows.len() > MAX_ROWS && previous.ready_replicas != ready)
}

fn shares(decision: &PlacementDecision) -> (&[PlacementTarget], &[PlacementTarget]) {
    (&decision.targets, &decision.leaving)
}

fn summary(targets: &[Row<'_>]) -> ClusterSummary {
    ClusterSummary {
        assigned: count(targets, |_| true),
        synced: count(targets, |row| row.unsynced.is_none_or(|unsynced| unsynced == Unsynced::Blocked)),
        ready: count(targets, Row::is_ready),
        stale: count(targets, |row| !row.is_fresh()),
        failed: count(targets, |row| row.phase == Phase::Failed),
    }
}

fn count<'a>(targets: &[Row<'a>], test: impl Fn(&Row<'a>) -> bool) -> i32 {
    total(targets.iter().map(|row| i32::from(test(row))))
}

fn selector(agent: &AgentRef) -> String {
    format!("{}={},{}={}", labels::AGENT, agent.key.name(), labels::INCARNATION, agent.incarnation)
}

fn total(counts: impl Iterator<Item = i32>) -> i32 {
    counts.fold(0, i32::saturating_add)
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests;
