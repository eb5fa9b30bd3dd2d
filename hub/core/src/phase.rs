//! The one phase of an agent: a pure, total function of what is known.

use std::time::Duration;

use parallax_crds::Phase;

/// How long nothing ready may change before an agent counts as stuck (`progressDeadlineSeconds`' default).
pub const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);

/// What one cluster with a share says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClusterPhase {
    /// Replicas that it was ordered to run.
    pub wanted: i32,
    /// Replicas of what it runs that are ready there by its last word.
    pub ready: i32,
    /// All that are ready there, those that an update has yet to replace among them: at least `ready`.
    pub serving: i32,
    /// It runs the current generation.
    pub current: bool,
    /// It isn't its turn yet: it was ordered an earlier revision.
    pub waits: bool,
    /// It can't get there without help: its own phase is Failed, or it rejected the order.
    pub failed: bool,
    /// Its session is up, so its word counts.
    pub fresh: bool,
}

impl ClusterPhase {
    /// It doesn't have what it should have.
    fn lags(&self) -> bool {
        !(self.fresh && (self.current || self.waits) && self.ready == self.wanted)
    }
}

/// What the phase is derived from.
#[derive(Debug, Clone, Copy)]
pub struct PhaseFacts<'a> {
    /// The object has a deletionTimestamp.
    pub deleting: bool,
    /// Replicas wanted over the whole fleet; 0 when idle or suspended.
    pub desired: i32,
    /// The clusters that are to have replicas now.
    pub clusters: &'a [ClusterPhase],
    /// Some of what they have is about to leave for another.
    pub moves: bool,
    /// Clusters that wait for their turn don't get it before somebody does something.
    pub held: bool,
    /// For how long neither the wish nor anything ready has changed.
    pub quiet: Duration,
    /// After how much quiet an agent counts as stuck.
    pub deadline: Duration,
    /// The last known phase; none: there was none.
    pub last: Option<Phase>,
}

/// How an agent's own movement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Movement {
    /// What is wanted is there.
    Settled,
    /// It is on its way.
    Moving,
    /// All clusters have what they were ordered, and some wait until somebody lets them go on.
    Held,
    /// It stopped short: every cluster that lags has failed.
    AllFailed,
    /// It stopped short: nothing has changed for the deadline.
    DeadlineOver,
    /// All that it had is in clusters whose session is lost: nobody knows.
    Unreachable,
}

/// The phase, and what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseVerdict {
    /// The phase.
    pub phase: Phase,
    /// Whether it moves, and if not, why it stopped.
    pub movement: Movement,
    /// After how long the verdict changes if nothing is heard until then; none: never.
    pub changes_after: Option<Duration>,
}

/// The phase of an agent: the first that holds, in this order.
///
/// * Terminating: it is being deleted.
/// * Running: nothing is wanted; or all that is wanted is ready, at the current generation, and where it is to be; or
///   something is ready and it has stopped moving; or all that is wanted is ready, and a rollout is held.
/// * Its last known phase, where all that it had is in clusters whose session is lost.
/// * Scaling: something is ready, and it moves.
/// * Failed: nothing is ready, and it has stopped moving.
/// * Pending: nothing is ready yet.
///
/// Ready is a pod of any generation: during an update the old ones count as something, though not as all.
/// It has stopped moving when every cluster that lags has failed, or when it was quiet for the deadline.
#[must_use]
pub fn phase(facts: &PhaseFacts<'_>) -> PhaseVerdict {
    let now = table(facts, facts.quiet >= facts.deadline);
    let left = facts.deadline.checked_sub(facts.quiet).filter(|left| !left.is_zero());
    let changes_after = left.filter(|_| table(facts, true) != now);
    let (phase, movement) = now;
    PhaseVerdict { phase, movement, changes_after }
}

fn table(facts: &PhaseFacts<'_>, deadline_over: bool) -> (Phase, Movement) {
    if facts.deleting {
        return (Phase::Terminating, Movement::Moving);
    }
    let ready: i64 = facts.clusters.iter().filter(|c| c.fresh).map(|c| i64::from(c.ready)).sum();
    let serves = facts.clusters.iter().any(|c| c.fresh && c.serving > 0);
    let lags = facts.clusters.iter().any(ClusterPhase::lags);
    let waits = facts.clusters.iter().any(|c| c.waits && !c.current);
    let there = ready == i64::from(facts.desired) && !lags && !facts.moves;
    match (facts.desired <= 0 || (there && !waits), there, facts.held) {
        (true, ..) => return (Phase::Running, Movement::Settled),
        (false, true, true) => return (Phase::Running, Movement::Held),
        // The next cluster's turn comes by itself, however long it takes.
        (false, true, false) => return (Phase::Scaling, Movement::Moving),
        (false, false, _) => {}
    }
    if !serves && out_of_sight(facts.clusters) {
        return (last_known(facts.last), Movement::Unreachable);
    }
    let all_failed = lags && facts.clusters.iter().filter(|c| c.lags()).all(|c| c.failed);
    match (serves, all_failed, deadline_over) {
        (true, true, _) => (Phase::Running, Movement::AllFailed),
        (true, false, true) => (Phase::Running, Movement::DeadlineOver),
        (true, false, false) => (Phase::Scaling, Movement::Moving),
        (false, true, _) => (Phase::Failed, Movement::AllFailed),
        (false, false, true) => (Phase::Failed, Movement::DeadlineOver),
        (false, false, false) => (Phase::Pending, Movement::Moving),
    }
}

/// All that the agent had was in clusters whose session is lost.
fn out_of_sight(clusters: &[ClusterPhase]) -> bool {
    let mut assigned = clusters.iter().filter(|c| c.wanted > 0).peekable();
    let had_something = clusters.iter().any(|c| !c.fresh && c.serving > 0);
    had_something || (assigned.peek().is_some() && assigned.all(|c| !c.fresh))
}

fn last_known(last: Option<Phase>) -> Phase {
    match last {
        // A deletion can't be taken back, so this was another object's.
        None | Some(Phase::Terminating) => Phase::Pending,
        Some(phase) => phase,
    }
}

#[cfg(test)]
mod tests;
