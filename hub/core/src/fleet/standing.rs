//! How agents stand with clusters: every agent's decision or deletion, turned about, so that what concerns one cluster
//! is found without a look at the whole fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parallax_crds::{AgentKey, ClusterName};

use crate::placement::Amounts;
use crate::reservations::Reservations;

/// How an agent stands with a cluster that it has to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It has a share there.
    Assigned,
    /// It has none there in the end, and stays until those that replace it are ready.
    Leaving,
    /// It is to leave by a decision, and the prune guard hasn't let it go yet.
    Withdrawing,
    /// It is to leave by a decision, and the guard has let it go.
    Passed,
    /// Its deletion waits for the cluster.
    Deleting,
}

/// By cluster, whether its MemberCluster is known or not. An agent has one standing with a cluster, or none.
#[derive(Debug, Default)]
pub(super) struct Standings {
    agents: BTreeMap<ClusterName, Agents>,
    /// What of the shares their clusters can't have told yet.
    reservations: Reservations,
    /// Clusters whose shares, or what is reserved of them, have changed since somebody last asked.
    changed: BTreeSet<ClusterName>,
}

/// The agents that have to do with a cluster, each in one of the sets.
#[derive(Debug, Default)]
struct Agents {
    /// With what they have there now.
    assigned: BTreeMap<AgentKey, i32>,
    /// Those of them that leave as soon as the ones that replace them are ready.
    leaving: BTreeSet<AgentKey>,
    /// The sum of these.
    replicas: i64,
    withdrawing: BTreeSet<AgentKey>,
    passed: BTreeSet<AgentKey>,
    deleting: BTreeSet<AgentKey>,
}

impl Standings {
    /// The agent has so many replicas there now. `stays`: a decision gives it a share there, and it is not about to leave.
    pub fn assign(&mut self, cluster: &ClusterName, key: &AgentKey, share: i32, stays: bool) {
        let standing = if stays { Standing::Assigned } else { Standing::Leaving };
        if self.share(cluster, key) == Some(share) && self.of(cluster, key) == Some(standing) {
            return;
        }
        self.forget(cluster, key);
        self.reservations.lower(cluster, key, share);
        let agents = self.agents.entry(cluster.clone()).or_default();
        agents.assigned.insert(key.clone(), share);
        if !stays {
            agents.leaving.insert(key.clone());
        }
        agents.replicas += i64::from(share);
        self.changed.insert(cluster.clone());
    }

    /// A decision has changed what the agent has there from so many replicas to so many, each of which requests `each`: what
    /// is more is reserved.
    pub fn reserve(
        &mut self,
        cluster: &ClusterName,
        key: &AgentKey,
        change: (i32, i32),
        each: &Amounts,
        now: Duration,
    ) {
        if self.reservations.decide(cluster, key, change, each, now) {
            self.changed.insert(cluster.clone());
        }
    }

    /// A decision takes the agent from there. Whether the guard has let it go already.
    pub fn withdraw(&mut self, cluster: &ClusterName, key: &AgentKey) -> bool {
        let passed = self.of(cluster, key) == Some(Standing::Passed);
        if !passed {
            self.leave(cluster, key, |agents| &mut agents.withdrawing);
        }
        passed
    }

    /// The guard lets go what a decision takes from there. Whether a decision does.
    pub fn pass(&mut self, cluster: &ClusterName, key: &AgentKey) -> bool {
        let withdrawn = matches!(self.of(cluster, key), Some(Standing::Withdrawing | Standing::Passed));
        if withdrawn {
            self.leave(cluster, key, |agents| &mut agents.passed);
        }
        withdrawn
    }

    /// The agent's deletion waits for the cluster, whatever was decided before.
    pub fn delete(&mut self, cluster: &ClusterName, key: &AgentKey) {
        self.leave(cluster, key, |agents| &mut agents.deleting);
    }

    /// The agent has nothing to do with the cluster any longer.
    pub fn end(&mut self, cluster: &ClusterName, key: &AgentKey) {
        self.forget(cluster, key);
        if self.reservations.end(cluster, key) {
            self.changed.insert(cluster.clone());
        }
    }

    fn forget(&mut self, cluster: &ClusterName, key: &AgentKey) {
        let Some(agents) = self.agents.get_mut(cluster) else { return };
        if let Some(share) = agents.assigned.remove(key) {
            agents.replicas -= i64::from(share);
            agents.leaving.remove(key);
            self.changed.insert(cluster.clone());
        }
        for set in agents.leaving_mut() {
            set.remove(key);
        }
        if agents.assigned.is_empty() && agents.leaving_mut().iter().all(|set| set.is_empty()) {
            self.agents.remove(cluster);
        }
    }

    /// How the agent stands with the cluster.
    pub fn of(&self, cluster: &ClusterName, key: &AgentKey) -> Option<Standing> {
        let agents = self.agents.get(cluster)?;
        if agents.leaving.contains(key) {
            return Some(Standing::Leaving);
        }
        if agents.assigned.contains_key(key) {
            return Some(Standing::Assigned);
        }
        let sets = [
            (&agents.withdrawing, Standing::Withdrawing),
            (&agents.passed, Standing::Passed),
            (&agents.deleting, Standing::Deleting),
        ];
        sets.into_iter().find(|(set, _)| set.contains(key)).map(|(_, standing)| standing)
    }

    /// Agents that have replicas there now, or a share of none: those that stay, and those that are about to leave.
    pub fn assigned(&self, cluster: &ClusterName) -> impl Iterator<Item = &AgentKey> + Clone {
        self.agents.get(cluster).into_iter().flat_map(|agents| agents.assigned.keys())
    }

    /// How many agents leave as soon as those that replace them are ready.
    pub fn leaving(&self, cluster: &ClusterName) -> usize {
        self.agents.get(cluster).map_or(0, |agents| agents.leaving.len())
    }

    /// What the agent has there now, if it has anything.
    pub fn share(&self, cluster: &ClusterName, key: &AgentKey) -> Option<i32> {
        self.agents.get(cluster)?.assigned.get(key).copied()
    }

    /// So many of the agent's replicas serve there.
    pub fn serving(&mut self, cluster: &ClusterName, key: &AgentKey, serving: i32, now: Duration) {
        self.reservations.serving(cluster, key, serving, now);
    }

    /// The cluster has told what is free, with those replicas on its nodes that `serving` says to serve.
    pub fn told(&mut self, cluster: &ClusterName, serving: impl Fn(&AgentKey) -> Option<i32>) {
        if self.reservations.told(cluster, serving) {
            self.changed.insert(cluster.clone());
        }
    }

    /// Ends what was reserved for long enough.
    pub fn end_reservations(&mut self, now: Duration) {
        self.changed.extend(self.reservations.pass(now));
    }

    /// When [`Self::end_reservations`] has something to do.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.reservations.next()
    }

    /// What is reserved there; none: nothing.
    pub fn reserved(&self, cluster: &ClusterName) -> Option<&Amounts> {
        self.reservations.sum(cluster)
    }

    /// The clusters whose shares may have changed since this was last asked.
    pub fn take_changed(&mut self) -> BTreeSet<ClusterName> {
        std::mem::take(&mut self.changed)
    }

    /// The sum of the shares there.
    pub fn replicas(&self, cluster: &ClusterName) -> i64 {
        self.agents.get(cluster).map_or(0, |agents| agents.replicas)
    }

    /// Agents that are to leave by a decision, let go by the guard or not.
    pub fn withdrawing(&self, cluster: &ClusterName) -> impl Iterator<Item = &AgentKey> {
        self.agents
            .get(cluster)
            .into_iter()
            .flat_map(|agents| agents.withdrawing.iter().chain(&agents.passed))
    }

    /// Agents that are to leave by a decision and that the guard has let go.
    pub fn passed(&self, cluster: &ClusterName) -> impl Iterator<Item = &AgentKey> {
        self.agents.get(cluster).into_iter().flat_map(|agents| &agents.passed)
    }

    /// Agents whose deletion waits for the cluster.
    pub fn deleting(&self, cluster: &ClusterName) -> impl Iterator<Item = &AgentKey> {
        self.agents.get(cluster).into_iter().flat_map(|agents| &agents.deleting)
    }

    /// How many agents the cluster has, but for those that the guard has let go.
    pub fn count(&self, cluster: &ClusterName) -> usize {
        let of = |agents: &Agents| agents.assigned.len() + agents.withdrawing.len() + agents.deleting.len();
        self.agents.get(cluster).map_or(0, of)
    }

    fn leave(
        &mut self,
        cluster: &ClusterName,
        key: &AgentKey,
        set: impl FnOnce(&mut Agents) -> &mut BTreeSet<AgentKey>,
    ) {
        self.end(cluster, key);
        set(self.agents.entry(cluster.clone()).or_default()).insert(key.clone());
    }

    /// The shares that something is reserved of.
    #[cfg(test)]
    pub fn reservations(&self) -> BTreeMap<(ClusterName, AgentKey), i32> {
        self.reservations.shares()
    }

    /// Every standing, for tests to compare with the decisions.
    #[cfg(test)]
    pub fn all(&self) -> BTreeSet<(ClusterName, AgentKey, Standing)> {
        let mut all = BTreeSet::new();
        for (cluster, agents) in &self.agents {
            assert_eq!(agents.replicas, agents.assigned.values().map(|share| i64::from(*share)).sum::<i64>());
            let standing =
                |key| if agents.leaving.contains(key) { Standing::Leaving } else { Standing::Assigned };
            all.extend(agents.assigned.keys().map(|key| (cluster.clone(), key.clone(), standing(key))));
            for (set, standing) in [
                (&agents.withdrawing, Standing::Withdrawing),
                (&agents.passed, Standing::Passed),
                (&agents.deleting, Standing::Deleting),
            ] {
                all.extend(set.iter().map(|key| (cluster.clone(), key.clone(), standing)));
            }
        }
        all
    }
}

impl Agents {
    fn leaving_mut(&mut self) -> [&mut BTreeSet<AgentKey>; 3] {
        [&mut self.withdrawing, &mut self.passed, &mut self.deleting]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_agent_has_one_standing_with_a_cluster_or_none() {
        let mut standings = Standings::default();
        let (a, x) = (ClusterName::new("a").unwrap(), AgentKey::new("team", "x"));
        let one = |standings: &Standings, standing| {
            assert_eq!(standings.all(), [(a.clone(), x.clone(), standing)].into());
        };
        assert!(!standings.pass(&a, &x), "no decision takes it from there");
        standings.assign(&a, &x, 2, true);
        standings.assign(&a, &x, 3, true);
        assert_eq!(standings.replicas(&a), 3);
        assert!(!standings.pass(&a, &x));
        one(&standings, Standing::Assigned);
        standings.assign(&a, &x, 3, false);
        one(&standings, Standing::Leaving);
        assert_eq!((standings.leaving(&a), standings.count(&a), standings.replicas(&a)), (1, 1, 3));
        assert!(!standings.withdraw(&a, &x));
        one(&standings, Standing::Withdrawing);
        assert_eq!(standings.leaving(&a), 0);
        assert_eq!(standings.replicas(&a), 0, "what leaves has no share");
        assert!(standings.pass(&a, &x));
        one(&standings, Standing::Passed);
        assert!(standings.withdraw(&a, &x), "it was let go, and is not judged twice");
        one(&standings, Standing::Passed);
        assert_eq!((standings.count(&a), standings.withdrawing(&a).count()), (0, 1));
        standings.delete(&a, &x);
        one(&standings, Standing::Deleting);
        standings.end(&a, &x);
        assert_eq!(standings.take_changed(), [a.clone()].into());
        assert!(standings.agents.is_empty(), "nothing is kept of a cluster that nobody has to do with");
    }
}
