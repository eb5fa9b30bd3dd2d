//! Moves between clusters: what a decision takes from a cluster leaves it when the replicas that replace it are ready.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parallax_crds::agent::Strategy;
use parallax_crds::{AgentKey, ClusterName};

use super::agent::{Agent, Decision, Life};
use super::settling::replace;
use super::standing::Standing;
use super::{Fleet, Now, Timer};
use crate::moving::{Part, Retained, retain};

/// How long a member may take to tell that it has fewer replicas than it had.
pub(super) const TOLD_LATE: Duration = Duration::from_secs(10);
/// The most clusters that are left step by step (the CRD's bound on `status.placement.leaving`).
const MAX_LEAVING: usize = 1_000;

impl Fleet {
    /// What clusters keep beyond the agent's targets for now, if `before` was in effect.
    pub(super) fn retained(&self, key: &AgentKey, before: &Decision, now: Now) -> Retained {
        let Some(agent) = self.agents.get(key) else { return Retained::default() };
        let spec = &agent.stored.object.spec;
        // Nothing is to be kept up.
        if spec.suspend {
            return Retained::default();
        }
        let names: BTreeSet<_> =
            agent.decision.targets.keys().chain(before.shares().map(|(n, _)| n)).collect();
        let parts: Vec<Part> = names.into_iter().map(|name| self.part(agent, before, name, now)).collect();
        let replicate = spec.placement.as_ref().is_some_and(|p| p.strategy == Strategy::Replicate);
        // Where an autoscaler chooses, the sum of what it may choose is bound at every moment.
        let chosen = spec.scaling.filter(|scaling| !scaling.targets.is_empty() && !replicate);
        let mut retained = retain(&parts, chosen.map(|scaling| i64::from(scaling.most())));
        while retained.replicas.len() > MAX_LEAVING {
            retained.replicas.pop_last();
        }
        retained
    }

    /// What is known of a cluster for a move.
    fn part(&self, agent: &Agent, before: &Decision, name: &ClusterName, now: Now) -> Part {
        let goal = agent.decision.targets.get(name).copied().unwrap_or(0);
        let cluster = self.clusters.get(name);
        let row = agent.rows.get(name);
        // A cluster that was never sent anything, or that is detached, has nothing to lose.
        let has = cluster.is_some() && row.is_some_and(|row| row.touched);
        let in_effect = before.share(name).unwrap_or(0);
        let retained = before.leaving.get(name).copied().unwrap_or(0);
        let session = cluster.and_then(|c| c.session.as_ref());
        Part {
            name: name.clone(),
            goal,
            in_effect: if has { in_effect } else { in_effect.min(goal) },
            retained: if has { retained } else { 0 },
            ready: session.and_then(|s| agent.ready_for(name, goal, s.reports_complete, now.mono)),
            within_reach: session.is_some() && !cluster.is_some_and(super::Cluster::is_suspended),
        }
    }

    /// Lets go what the agent's targets no longer need, now that more of them may be ready.
    pub(super) fn advance(&mut self, key: &AgentKey, now: Now) {
        let Some(agent) = self.agents.get(key).filter(|a| a.life == Life::Living) else { return };
        if agent.decision.leaving.is_empty() || self.replan.contains(key) {
            return;
        }
        let before = agent.decision.clone();
        let doubted = before.shares().filter_map(|(name, _)| agent.rows.get(name)?.doubted);
        let due = doubted.filter(|until| *until > now.mono).min();
        if let Some(agent) = self.agents.get_mut(key) {
            replace(&mut self.timers, &mut agent.move_timer, due, || Timer::Move(key.clone()));
        }
        let retained = self.retained(key, &before, now);
        if (&retained.replicas, &retained.away) == (&before.leaving, &before.away) {
            return;
        }
        self.put_in_effect(key, &before, retained, now);
        self.touch(key);
        self.dispatch_everywhere(key, now);
    }

    /// What was decided, and what is retained besides, is what clusters are to have: those that gain are assigned, those
    /// that lose everything are left.
    pub(super) fn put_in_effect(&mut self, key: &AgentKey, before: &Decision, retained: Retained, now: Now) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.decision.leaving = retained.replicas;
        agent.decision.away = retained.away;
        agent.divide_bounds();
        if agent.is_overridden() {
            agent.resolve_templates(&self.facts);
        }
        let shares: BTreeMap<ClusterName, i32> =
            agent.decision.shares().map(|(cluster, share)| (cluster.clone(), share)).collect();
        let mut gained = Vec::new();
        for cluster in shares.keys() {
            agent.rows.entry(cluster.clone()).or_default();
            if before.share(cluster).is_none() {
                agent.decision.withdrawing.remove(cluster);
                gained.push(cluster.clone());
            }
        }
        agent.elsewhere.retain(|cluster| {
            !shares.contains_key(cluster) || {
                gained.push(cluster.clone());
                false
            }
        });
        let mut lost: Vec<_> =
            before.shares().map(|(c, _)| c).filter(|c| !shares.contains_key(*c)).cloned().collect();
        lost.extend(agent.elsewhere.iter().cloned());
        let moves = !agent.decision.leaving.is_empty() || !before.leaving.is_empty();
        let same = agent.decision.leaving == before.leaving && agent.decision.targets == before.targets;
        agent.decision.issued &= gained.is_empty() && lost.is_empty() && (same || !moves);

        let runs = !agent.stored.object.spec.suspend;
        for (cluster, share) in &shares {
            let stays = agent.decision.targets.contains_key(cluster);
            self.standings.assign(cluster, key, *share, stays);
            let change = (before.share(cluster).unwrap_or(0), if runs { *share } else { 0 });
            self.standings.reserve(cluster, key, change, agent.requests_in(cluster), now.mono);
        }
        for cluster in &lost {
            self.withdraw(key, cluster, now);
        }
        for cluster in gained.iter().chain(&lost) {
            self.count_cluster(cluster, now);
        }
    }

    /// Whether the agent has only been waiting for the cluster to be within reach: what replaces it there is ready.
    pub(super) fn goes_now(&self, key: &AgentKey, cluster: &ClusterName, now: Now) -> bool {
        self.standings.of(cluster, key) == Some(Standing::Leaving)
            && self
                .agents
                .get(key)
                .is_some_and(|agent| !self.retained(key, &agent.decision, now).replicas.contains_key(cluster))
    }

    /// The cluster is within reach again: what agents have there beyond their shares can be judged.
    pub(super) fn is_within_reach(&mut self, cluster: &ClusterName) {
        let leaves =
            |key: &&AgentKey| self.agents.get(*key).is_some_and(|a| a.decision.leaving.contains_key(cluster));
        for key in self.standings.assigned(cluster).filter(leaves).cloned().collect::<Vec<_>>() {
            self.touch(&key);
        }
    }

    /// Looks at the moves of all agents that something has happened to.
    pub(super) fn look_at_moves(&mut self, now: Now) {
        let moving = |key: &&AgentKey| self.agents.get(*key).is_some_and(|a| !a.decision.leaving.is_empty());
        for key in self.dirty.keys().filter(moving).cloned().collect::<Vec<_>>() {
            self.advance(&key, now);
        }
    }
}

impl Agent {
    /// How many of its share's replicas serve in a cluster; none: it isn't known, or it has no share there.
    pub(super) fn serving_in(&self, name: &ClusterName, complete: bool, now: Duration) -> Option<i32> {
        self.ready_for(name, self.decision.share(name)?, complete, now)
    }

    /// How many replicas are ready in a cluster that is to have `goal` of them; none: it isn't known. `complete`: it has
    /// told of everything that it has.
    pub(super) fn ready_for(
        &self,
        name: &ClusterName,
        goal: i32,
        complete: bool,
        now: Duration,
    ) -> Option<i32> {
        let row = self.rows.get(name)?;
        if row.doubted.is_some_and(|until| now < until) {
            return None;
        }
        let Some(report) = row.report.as_ref().filter(|_| row.heard) else {
            return complete.then_some(0);
        };
        let serving = report.serving.max(report.ready);
        // Its load asks for fewer of those that it has been ordered, and these are there.
        let chosen = report.chosen.filter(|_| report.desired >= goal);
        let enough = chosen.is_some_and(|chosen| chosen < goal && serving >= chosen);
        Some(if enough { goal } else { serving })
    }
}
