//! How far a change of an agent is on its way through the waves.

use std::time::Duration;

use jiff::Timestamp;
use parallax_crds::ParallaxAgentStatus;
use parallax_crds::agent::{Rollout, RolloutState, RolloutStatus};

use super::AggregateInput;
use super::row::Row;
use crate::rollout::{self, Asked, Change, Member, plan};

/// How changes of an agent reach its clusters.
#[derive(Debug, Clone, Copy)]
pub struct Waves<'a> {
    /// `spec.rollout`.
    pub rollout: &'a Rollout,
    /// The number of its current revision.
    pub revision: i64,
    /// From which revision to which; none: nobody has another one.
    pub change: Option<Change>,
    /// What users have asked for.
    pub asked: Asked,
}

/// `status.rollout`, and after how long it changes by time alone.
#[derive(Debug, Default)]
pub(super) struct RolledOut {
    pub(super) status: Option<RolloutStatus>,
    pub(super) changes_after: Option<Duration>,
}

/// How the rollout stands, by what clusters with a share say.
pub(super) fn rolled_out(
    input: &AggregateInput<'_>,
    previous: Option<&ParallaxAgentStatus>,
    targets: &[Row<'_>],
    now: Timestamp,
) -> RolledOut {
    let Some(waves) = &input.rollout else { return RolledOut::default() };
    let before = previous.and_then(|status| status.rollout.as_ref());
    if input.deleting || input.unresolved.is_some() {
        return RolledOut { status: before.cloned(), changes_after: None };
    }
    let Some(change) = waves.change else {
        let status = before.map(|before| abandoned(before, waves.revision, targets.len()));
        return RolledOut { status, changes_after: None };
    };
    let mut members: Vec<Member<'_>> = targets.iter().map(member).collect();
    members.sort_by_key(|member| member.name);
    let leaving = input.clusters.iter().filter(|cluster| !cluster.stays && cluster.leaving > 0);
    let leaving: Vec<_> = leaving.map(|cluster| cluster.name.as_str()).collect();
    let plan = plan(waves.rollout, change, &members, &leaving, before, waves.asked, now);
    RolledOut { status: Some(plan.status), changes_after: plan.changes_after }
}

/// The rollout or the wave is another, or more clusters have got through it.
pub(super) fn moved(previous: Option<&ParallaxAgentStatus>, rollout: Option<&RolloutStatus>) -> bool {
    let step = |rollout: &RolloutStatus| (rollout.revision, rollout.wave, rollout.state, rollout.updated);
    previous.and_then(|status| status.rollout.as_ref()).map(step) != rollout.map(step)
}

/// The spec is what all clusters had before the rollout: they have it again at once.
fn abandoned(before: &RolloutStatus, revision: i64, clusters: usize) -> RolloutStatus {
    if before.revision == revision {
        return before.clone();
    }
    let total = i32::try_from(clusters).unwrap_or(i32::MAX);
    RolloutStatus {
        revision,
        state: RolloutState::Complete,
        wave: before.waves,
        updated: total,
        total,
        message: None,
        clusters: Vec::new(),
        ..before.clone()
    }
}

fn member<'a>(row: &Row<'a>) -> Member<'a> {
    let ready = !row.waits && row.is_ready();
    let word = if !row.is_fresh() || (row.suspended && !ready) {
        rollout::Word::Away
    } else if row.unheard {
        rollout::Word::Unheard
    } else if ready {
        rollout::Word::Ready
    } else if row.fails && !row.waits {
        let colon = if row.message.trim().is_empty() { "" } else { ": " };
        rollout::Word::Failed(format!("{}{colon}{}", row.reason, row.message))
    } else {
        rollout::Word::NotReady
    };
    Member { name: row.name, wave: row.wave, has_it: row.has_it, word }
}
