//! Agents whose decision was lost: somebody wiped their status, or restored the objects without it. What runs knows
//! better than a new decision, so it is made again from what clusters hold.
//!
//! At the hub's start such an agent is placed once every cluster has told what it holds, or has had the time to. Until
//! all have, a copy that turns up is taken in, and none is removed unless an administrator approves it.

use std::collections::BTreeSet;

use parallax_crds::link::Scale;
use parallax_crds::{AgentKey, ClusterName, SpecHash};

use super::agent::{Persisted, Record};
use super::standing::Standing;
use super::{Fleet, Now};

impl Fleet {
    /// Whether the agent may be placed; that is the moment for what was lost to be made up for.
    pub(super) fn may_be_placed(&mut self, key: &AgentKey) -> bool {
        if self.agents.get(key).is_none_or(|a| a.record == Record::Kept) {
            return true;
        }
        let (complete, starting) = (self.silent().next().is_none(), self.is_starting());
        let Some(agent) = self.agents.get_mut(key) else { return false };
        match (&agent.record, complete) {
            (_, true) => {
                agent.record = Record::Kept;
                self.unrecorded.remove(key);
                // What had to stay so far is judged like any other removal.
                for cluster in &agent.decision.withdrawing {
                    if self.standings.of(cluster, key) != Some(Standing::Passed) {
                        self.guards.entry(cluster.clone()).or_default().ask(agent.reference(key));
                        self.asked.insert(cluster.clone());
                    }
                }
            }
            (Record::Lost, false) if starting => return false,
            (_, false) => agent.record = Record::Partial,
        }
        true
    }

    /// Accepted clusters that haven't told what they hold since this process began.
    pub(super) fn silent(&self) -> impl Iterator<Item = &ClusterName> {
        self.clusters.iter().filter(|(_, c)| c.is_accepted() && !c.told).map(|(name, _)| name)
    }

    /// A cluster has told what it holds.
    pub(super) fn told(&mut self, name: &ClusterName) {
        if self.clusters.get_mut(name).is_some_and(|c| !std::mem::replace(&mut c.told, true))
            && self.silent().next().is_none()
        {
            self.look_at_unrecorded();
        }
    }

    /// Agents whose decision was lost are looked at again.
    pub(super) fn look_at_unrecorded(&mut self) {
        self.replan.extend(self.unrecorded.iter().cloned());
    }

    /// The cluster holds so many replicas of an agent whose decision was lost: that was its share.
    pub(super) fn take_in(
        &mut self,
        key: &AgentKey,
        cluster: &ClusterName,
        (hash, scale): (Option<SpecHash>, Scale),
        now: Now,
    ) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.decision.targets.insert(cluster.clone(), scale.replicas);
        agent.decision.withdrawing.remove(cluster);
        // Not before it is written that the cluster has a share.
        agent.decision.issued = false;
        let row = agent.rows.entry(cluster.clone()).or_default();
        row.touched = true;
        if let Some(hash) = hash {
            row.persisted = Persisted::Order(hash, scale);
        }
        self.standings.assign(cluster, key, scale.replicas, true);
        self.replan.insert(key.clone());
        self.count_cluster(cluster, now);
    }

    /// Whoever else may hold an agent that is to be deleted: all that haven't told, if it isn't written who does.
    pub(super) fn suspected(&self, key: &AgentKey) -> BTreeSet<ClusterName> {
        let unsure = self.agents.get(key).is_some_and(|a| a.record != Record::Kept);
        if unsure { self.silent().cloned().collect() } else { BTreeSet::new() }
    }
}
