//! Whose turn it is: clusters that have yet to get a change keep what all of them had before, and follow changes of
//! replicas with it.
//!
//! What is written down (`status.rollout`) decides: a cluster gets a change when it is stored that it may have it. So a hub
//! that starts goes on where the last one was, and no cluster goes back.

use std::sync::Arc;
use std::time::Duration;

use parallax_crds::agent::{Rollout, RolloutState, RolloutStatus, RolloutStrategy};
use parallax_crds::{AgentKey, ClusterName, ParallaxAgentSpec, ParallaxAgentStatus, labels};

use super::agent::{Agent, Persisted};
use super::templates::{Template, Templates};
use super::{Effect, Fleet, Now, Timer};
use crate::phase::PROGRESS_DEADLINE;
use crate::placement::ClusterFacts;
use crate::revisions::RevisionId;
use crate::rollout::{Asked, Change};

/// After how long a revision that couldn't be read is tried again.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// What the clusters of an agent are sent that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Of the revision with this number.
    templates: Option<Box<(i64, Templates)>>,
    /// The revision that is being read.
    reading: Option<RevisionId>,
}

/// How a cluster stands with the agent's current revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It is to have it.
    Come,
    /// It keeps the one before.
    Waits,
    /// It is to have it as soon as that is written down, and it has nothing yet.
    Unwritten,
}

impl Agent {
    /// How changes reach its clusters, if that is in waves.
    pub fn waves(&self) -> Option<&Rollout> {
        let rollout = self.stored.object.spec.rollout.as_ref();
        rollout.filter(|rollout| rollout.strategy == RolloutStrategy::Waves)
    }

    /// By what is stored, not all clusters have the current revision yet.
    fn is_on_its_way(&self) -> bool {
        let rollout = self.stored.status().and_then(|status| status.rollout.as_ref());
        let number = self.revisions.newest().map(|(_, newest)| newest.number);
        self.waves().is_some()
            && rollout.is_some_and(|r| Some(r.revision) != number || r.state != RolloutState::Complete)
    }

    /// From which revision to which its clusters change; none: all are to have the current one.
    pub fn change(&self, status: Option<&ParallaxAgentStatus>) -> Option<Change> {
        self.waves()?;
        let (_, newest) = self.revisions.newest()?;
        let (from, from_generation) = match status.and_then(|status| status.rollout.as_ref()) {
            Some(known) if known.revision == newest.number && known.state == RolloutState::Complete => {
                return None;
            }
            Some(known) if known.revision != newest.number && known.state == RolloutState::Complete => {
                (known.revision, newest.generation - 1)
            }
            // The one before never got everywhere.
            Some(known) => (known.from, known.from_generation),
            // It went everywhere before there were waves.
            None if status.is_some_and(|s| s.observed_generation >= Some(newest.generation)) => return None,
            // Nothing is known of it but what clusters hold.
            None if status.is_none() && !self.is_older_somewhere() => return None,
            None => (self.revisions.before()?.number, newest.generation - 1),
        };
        let before = self.revisions.numbered(from);
        if self.revisions.has_gone_back() || before.is_some_and(|before| before.about.pods == newest.pods) {
            return None;
        }
        // One that nobody has any longer needn't be waited for.
        let is_safe = before.is_none_or(|before| before.is_stored);
        Some(Change { revision: newest.number, from, from_generation, is_safe })
    }

    /// A cluster holds something else than the current revision.
    fn is_older_somewhere(&self) -> bool {
        let Ok(templates) = &self.templates else { return false };
        self.rows.iter().any(|(cluster, row)| {
            let current = templates.of(cluster).hash;
            matches!(row.persisted, Persisted::Order(held, _) if held != current)
        })
    }

    /// What a cluster is to be sent; none: nothing for now.
    pub fn template(&self, cluster: &ClusterName) -> Option<&Template> {
        match self.turn(cluster) {
            Turn::Come => Some(self.templates.as_ref().ok()?.of(cluster)),
            Turn::Waits => {
                let change = self.change(self.stored.status())?;
                let (number, templates) = self.waiting.templates.as_deref()?;
                (*number == change.from).then(|| templates.of(cluster))
            }
            Turn::Unwritten => None,
        }
    }

    /// Whether a cluster has yet to get the current revision.
    pub fn waits(&self, cluster: &ClusterName) -> bool {
        self.turn(cluster) != Turn::Come
    }

    fn turn(&self, cluster: &ClusterName) -> Turn {
        let Some(change) = self.change(self.stored.status()) else { return Turn::Come };
        let may = |status: Option<&ParallaxAgentStatus>| {
            let rollout = status.and_then(|status| status.rollout.as_ref());
            let known = rollout.filter(|rollout| rollout.revision == change.revision);
            known.is_some_and(|known| {
                known.clusters.binary_search_by(|name| name.as_str().cmp(cluster.as_str())).is_ok()
            })
        };
        if may(self.stored.status()) || self.has_it(cluster) {
            return Turn::Come;
        }
        let has_nothing = self.rows.get(cluster).is_none_or(|row| row.sent.is_none());
        if has_nothing && may(self.stored.latest()) { Turn::Unwritten } else { Turn::Waits }
    }

    /// A cluster runs the current revision, or was ordered to, whatever is written down.
    pub fn has_it(&self, cluster: &ClusterName) -> bool {
        let (Ok(templates), Some(row)) = (&self.templates, self.rows.get(cluster)) else { return false };
        let hash = templates.of(cluster).hash;
        let persisted = matches!(row.persisted, Persisted::Order(persisted, _) if persisted == hash);
        let runs = row.report.as_ref().is_some_and(|report| report.hash == Some(hash));
        persisted || runs || row.given == Some(hash)
    }

    /// What users have asked for of the current rollout.
    pub fn asked(&self) -> Asked {
        let number = self.revisions.newest().map(|(_, newest)| newest.number);
        let wave = |annotation: &str| {
            let (revision, wave) = self.annotation(annotation)?.split_once('/')?;
            let wave = wave.parse().ok()?;
            (revision.parse().ok() == number).then_some(wave)
        };
        Asked {
            approved: wave(labels::APPROVE).unwrap_or(0),
            excused: wave(labels::RESUME_ROLLOUT).unwrap_or(0),
        }
    }

    /// After how long without a change it counts as stuck.
    pub fn progress_deadline(&self) -> Duration {
        progress_deadline(&self.stored.object.spec)
    }

    /// What clusters that wait are sent, as their labels are now.
    pub fn resolve_waiting(&mut self, facts: &[ClusterFacts]) {
        self.waiting.templates = None;
        let Some(change) = self.change(self.stored.status()) else { return };
        let Some(revision) =
            self.revisions.numbered(change.from).and_then(|found| found.revision).map(Arc::clone)
        else {
            return;
        };
        let clusters = self.decision.shares().map(|(name, _)| name);
        // It could be resolved when it began.
        let Ok(templates) = Templates::new(&revision.spec, &revision.defaults, facts, clusters) else {
            return;
        };
        for hash in templates.hashes() {
            self.note(change.from_generation, hash);
        }
        self.waiting.templates = Some(Box::new((change.from, templates)));
    }
}

/// After how long without a change an agent with this spec counts as stuck.
pub(super) fn progress_deadline(spec: &ParallaxAgentSpec) -> Duration {
    let seconds = spec.rollout.as_ref().map(|rollout| rollout.progress_deadline_seconds);
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(PROGRESS_DEADLINE, Duration::from_secs)
}

impl Fleet {
    /// The agent has another revision, or something else is written down of its rollout.
    pub(super) fn look_at_rollout(&mut self, key: &AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        let from = agent.change(agent.stored.status()).map(|change| change.from);
        // That the user has gone back is known by what clusters had that waited, until it is written down.
        if !(agent.is_on_its_way() && agent.revisions.has_gone_back()) {
            agent.revisions.wait(from);
        }
        agent.resolve_waiting(&self.facts);
        let Some(before) = from.and_then(|from| agent.revisions.numbered(from)) else { return };
        if before.revision.is_none() && agent.waiting.reading.is_none() {
            let id = before.id;
            agent.waiting.reading = Some(id);
            self.effects.push_back(Effect::ReadRevision { key: key.clone(), id });
        }
    }

    /// What is written down of the agent's rollout is stored: clusters whose turn has come are told.
    pub(super) fn rollout_stored(&mut self, key: &AgentKey, now: Now) {
        if self.agents.get(key).is_some_and(|agent| agent.waves().is_some()) {
            self.look_at_rollout(key);
            self.dispatch_everywhere(key, now);
        }
    }

    pub(super) fn revision_read(
        &mut self,
        key: &AgentKey,
        id: RevisionId,
        read: Result<Option<Box<ParallaxAgentSpec>>, String>,
        now: Now,
    ) {
        let Some(agent) = self.agents.get_mut(key).filter(|a| a.waiting.reading == Some(id)) else { return };
        match read {
            Ok(Some(spec)) => agent.revisions.read(id, *spec),
            Ok(None) => agent.revisions.is_gone(id),
            Err(_) => return self.at(now.mono + READ_AGAIN, Timer::Revision(key.clone())),
        }
        agent.waiting.reading = None;
        self.rollout_stored(key, now);
        self.touch(key);
    }

    /// A revision that couldn't be read is tried again.
    pub(super) fn read_again(&mut self, key: &AgentKey) {
        if let Some(agent) = self.agents.get_mut(key) {
            agent.waiting.reading = None;
            self.look_at_rollout(key);
        }
    }
}

/// What people are told of a rollout: whether it is a warning, a reason and a message.
pub(super) fn tidings(
    before: Option<&RolloutStatus>,
    after: Option<&RolloutStatus>,
) -> Option<(bool, &'static str, String)> {
    let after = after?;
    let before = before.filter(|before| before.revision == after.revision);
    let step = |rollout: &RolloutStatus| (rollout.state, rollout.wave);
    if before.map(step) == Some(step(after)) {
        return None;
    }
    let message = || after.message.clone().unwrap_or_default();
    let of = format!("revision {}", after.revision);
    Some(match after.state {
        RolloutState::Halted => (true, "RolloutHalted", format!("{of}: {}", message())),
        RolloutState::Paused => (false, "RolloutPaused", format!("{of}: {}", message())),
        RolloutState::WaitingForApproval => (false, "WaitingForApproval", format!("{of}: {}", message())),
        RolloutState::Complete => {
            (false, "RolloutComplete", format!("{of} is in all clusters of the agent: {}", after.total))
        }
        RolloutState::Observing => return None,
        // It may have been looked at, and be so again.
        RolloutState::Progressing if before.is_some_and(|before| before.wave == after.wave) => return None,
        RolloutState::Progressing => {
            (false, "WaveBegun", format!("{of}: wave {} of {} begins", after.wave, after.waves))
        }
    })
}
