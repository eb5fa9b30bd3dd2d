//! Removals that decisions cause, and the guard that they pass.

use parallax_crds::{AgentKey, AgentRef, ClusterName};

use super::agent::{Life, Persisted, Record, Wait};
use super::moves::TOLD_LATE;
use super::standing::Standing;
use super::{Effect, Fleet, Now};
use crate::tombstones::Tombstone;

impl Fleet {
    /// The agent is no longer to run in the cluster. The guard judges the removal together with the others of this round.
    pub(super) fn withdraw(&mut self, key: &AgentKey, cluster: &ClusterName, now: Now) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        let touched =
            agent.elsewhere.remove(cluster) || agent.rows.get(cluster).is_some_and(|row| row.touched);
        // What was never sent needs no removal, and a detached cluster keeps what it has.
        if !touched || !self.clusters.contains_key(cluster) {
            agent.rows.remove(cluster);
            agent.decision.withdrawing.remove(cluster);
            self.standings.end(cluster, key);
            return;
        }
        let row = agent.rows.entry(cluster.clone()).or_default();
        row.touched = true;
        (row.sent, row.given) = (None, None);
        row.admitted = false;
        row.trouble = None;
        if row.persisted != Persisted::Unknown {
            row.persisted = Persisted::Nothing;
        }
        row.doubted = Some(now.mono + TOLD_LATE);
        agent.decision.withdrawing.insert(cluster.clone());
        let passed = self.standings.withdraw(cluster, key);
        if let Some(session) = self.clusters.get(cluster).and_then(|c| c.session.as_ref()) {
            // Neither ordered nor removed until the guard has judged.
            self.effects.push_back(Effect::Forget { session: session.id.clone(), agent: key.clone() });
        }
        if !passed {
            let (record, reference) = (agent.record, agent.reference(key));
            self.ask_guard(cluster, record, reference);
            self.touch_cluster(cluster, now);
        }
        self.touch(key);
        self.count_cluster(cluster, now);
    }

    /// Whether the guard lets the removal go is said when all of this round are known.
    pub(super) fn ask_guard(&mut self, cluster: &ClusterName, record: Record, agent: AgentRef) {
        let guard = self.guards.entry(cluster.clone()).or_default();
        if record == Record::Partial {
            guard.hold_unsure(agent);
        } else {
            guard.ask(agent);
            self.asked.insert(cluster.clone());
        }
    }

    /// Lets the guard judge everything that was asked of one cluster.
    pub(super) fn judge(&mut self, cluster: &ClusterName, now: Now) {
        let (agents, leaving) = (self.standings.count(cluster), self.standings.leaving(cluster));
        let Some(guard) = self.guards.get_mut(cluster).filter(|guard| guard.is_asked()) else { return };
        let before = guard.blocked();
        // Draining a cluster is meant.
        let drained = self.clusters.get(cluster).is_some_and(super::Cluster::is_drained);
        let passed = if drained { guard.pass(now.mono) } else { guard.judge(agents, leaving, now.mono) };
        let after = guard.blocked();
        if after.is_some() && after != before {
            self.touch_cluster(cluster, now);
        }
        for agent in passed {
            self.let_go(cluster, &agent, now);
        }
    }

    /// A removal that the guard has let through.
    fn let_go(&mut self, cluster: &ClusterName, reference: &AgentRef, now: Now) {
        let Some(agent) =
            self.agents.get_mut(&reference.key).filter(|a| a.incarnation == reference.incarnation)
        else {
            return;
        };
        if let Life::Deleting { .. } = agent.life {
            return self.demand(&reference.key, cluster, now);
        }
        if self.standings.pass(cluster, &reference.key) {
            self.remove_by_decision(cluster, &reference.key);
        }
    }

    /// Sends a removal that a decision caused and the guard let go, unless the cluster is away or suspended, or nobody has
    /// begun to write down that it is to go.
    pub(super) fn remove_by_decision(&mut self, cluster: &ClusterName, key: &AgentKey) {
        let Some(member) = self.clusters.get(cluster).filter(|c| !c.is_suspended()) else { return };
        let (Some(session), Some(agent)) = (&member.session, self.agents.get(key)) else { return };
        if !agent.decision.issued {
            return;
        }
        let reference = agent.reference(key);
        self.effects.push_back(Effect::Remove {
            session: session.id.clone(),
            agent: reference.clone(),
            traceparent: Some(agent.traceparent()),
        });
        self.removal_sent(cluster, &reference);
    }

    /// The decision is written down, or about to be: what the guard has let go meanwhile goes.
    pub(super) fn remove_what_has_passed(&mut self, key: &AgentKey) {
        let Some(agent) = self.agents.get(key) else { return };
        let unsent = |cluster: &&ClusterName| agent.rows.get(*cluster).is_some_and(|row| row.removals == 0);
        let passed = |cluster: &&ClusterName| self.standings.of(cluster, key) == Some(Standing::Passed);
        let clusters: Vec<_> =
            agent.decision.withdrawing.iter().filter(passed).filter(unsent).cloned().collect();
        for cluster in clusters {
            self.remove_by_decision(&cluster, key);
        }
    }

    /// The current session was told to remove the agent.
    pub(super) fn removal_sent(&mut self, cluster: &ClusterName, reference: &AgentRef) {
        let agent = self.agents.get_mut(&reference.key).filter(|a| a.incarnation == reference.incarnation);
        if let Some(row) = agent.and_then(|a| a.rows.get_mut(cluster)) {
            row.removals += 1;
        }
    }

    /// Whether `Gone` may be the word on a removal that an order of the same agent followed. It says nothing of what
    /// that order made, so a removal that is meant now is sent again: the word on that comes after all of it.
    fn take_overtaken(&mut self, cluster: &ClusterName, reference: &AgentRef, now: Now) -> bool {
        let AgentRef { key, incarnation } = reference;
        let Some(agent) = self.agents.get_mut(key).filter(|a| a.incarnation == *incarnation) else {
            return false;
        };
        let Some(row) = agent.rows.get_mut(cluster) else { return false };
        if row.overtaken == 0 {
            row.removals = row.removals.saturating_sub(1);
            return false;
        }
        row.overtaken -= 1;
        match &agent.life {
            Life::Deleting { waits, .. } if waits.get(cluster) == Some(&Wait::Gone) => {
                self.demand(key, cluster, now);
            }
            Life::Living if self.standings.of(cluster, key) == Some(Standing::Passed) => {
                self.remove_by_decision(cluster, key);
            }
            _ => {}
        }
        true
    }

    /// An administrator's annotation may approve what is held.
    pub(super) fn look_for_approval(&mut self, cluster: &ClusterName, now: Now) {
        let Some(digest) = self.clusters.get(cluster).and_then(|c| c.approval()).cloned() else { return };
        let Some(approved) = self.guards.get_mut(cluster).and_then(|guard| guard.approve(&digest)) else {
            return;
        };
        let count = approved.len();
        for reference in approved {
            let key = reference.key.clone();
            let deleting = self.agents.get(&key).is_some_and(|a| {
                a.incarnation == reference.incarnation && matches!(a.life, Life::Deleting { .. })
            });
            if deleting {
                self.demand(&key, cluster, now);
                continue;
            }
            // As a tombstone the approval outlives this process and this session.
            self.tombstones.plant(Tombstone { cluster: cluster.clone(), agent: reference.clone() });
            self.standings.pass(cluster, &key);
            if let Some(session) = self.clusters.get(cluster).and_then(|c| c.session.as_ref()) {
                let remove =
                    Effect::Remove { session: session.id.clone(), agent: reference, traceparent: None };
                self.effects.push_back(remove);
            }
        }
        self.effects.push_back(Effect::ClearPruneApproval { cluster: cluster.clone(), digest });
        let agents = if count == 1 { "1 agent is".to_owned() } else { format!("{count} agents are") };
        self.cluster_event(
            cluster,
            false,
            "PruneApproved",
            format!("{agents} removed from the cluster as approved"),
        );
        self.touch_cluster(cluster, now);
    }

    /// The cluster has nothing of the agent any longer.
    pub(super) fn gone(&mut self, cluster: &ClusterName, reference: &AgentRef, now: Now) {
        if self.take_overtaken(cluster, reference, now) {
            return;
        }
        let AgentRef { key, incarnation } = reference;
        self.tombstones.lift(&Tombstone { cluster: cluster.clone(), agent: reference.clone() });
        let Some(agent) = self.agents.get_mut(key).filter(|a| a.incarnation == *incarnation) else {
            if self.guards.get_mut(cluster).is_some_and(|guard| guard.recognise(reference).is_some()) {
                self.touch_cluster(cluster, now);
            }
            return;
        };
        agent.elsewhere.remove(cluster);
        if let Life::Deleting { waits, .. } = &mut agent.life {
            if waits.get(cluster).is_some_and(|wait| *wait != Wait::Held) {
                waits.remove(cluster);
                self.standings.end(cluster, key);
            }
            agent.rows.remove(cluster);
            self.touch(key);
            return self.release_if_free(key, now);
        }
        if agent.decision.withdrawing.remove(cluster) {
            agent.rows.remove(cluster);
            self.standings.end(cluster, key);
            if let Some(guard) = self.guards.get_mut(cluster) {
                guard.clear(key);
            }
            self.touch(key);
            self.touch_cluster(cluster, now);
        }
    }

    pub(super) fn is_connected(&self, cluster: &ClusterName) -> bool {
        self.clusters.get(cluster).is_some_and(|c| c.session.is_some())
    }
}
