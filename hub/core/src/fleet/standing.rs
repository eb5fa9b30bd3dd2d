//! How agents stand with clusters: every agent's decision or deletion, turned about, so that what concerns one cluster
//! is found without a look at the whole fleet.

use std::collections::{BTreeMap, BTreeSet};

use parallax_crds::{AgentKey, ClusterName};

/// How an agent stands with a cluster that it has to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It has a share there.
    Assigned,
    /// It is to leave by a decision, and the prune guard hasn't let it go yet.
    Withdrawing,
    /// It is to leave by a decision, and the guard has let it go.
    Passed,
    /// Its deletion waits for the cluster.
    Deleting,
}

/// By cluster, whether its MemberCluster is known or not. An agent has one standing with a cluster, or none.
#[derive(Debug, Default)]
pub(super) struct Standings(BTreeMap<ClusterName, Agents>);

/// The agents that have to do with a cluster, each in one of the sets.
#[derive(Debug, Default)]
struct Agents {
    assigned: BTreeSet<AgentKey>,
    withdrawing: BTreeSet<AgentKey>,
    passed: BTreeSet<AgentKey>,
    deleting: BTreeSet<AgentKey>,
}

impl Standings {
    /// A decision gives the agent a share there.
    pub fn assign(&mut self, cluster: &ClusterName, key: &AgentKey) {
        self.set(cluster, key, Standing::Assigned);
    }

    /// A decision takes the agent from there. Whether the guard has let it go already.
    pub fn withdraw(&mut self, cluster: &ClusterName, key: &AgentKey) -> bool {
        let passed = self.of(cluster, key) == Some(Standing::Passed);
        if !passed {
            self.set(cluster, key, Standing::Withdrawing);
        }
        passed
    }

    /// The guard lets go what a decision takes from there. Whether a decision does.
    pub fn pass(&mut self, cluster: &ClusterName, key: &AgentKey) -> bool {
        let withdrawn = matches!(self.of(cluster, key), Some(Standing::Withdrawing | Standing::Passed));
        if withdrawn {
            self.set(cluster, key, Standing::Passed);
        }
        withdrawn
    }

    /// The agent's deletion waits for the cluster, whatever was decided before.
    pub fn delete(&mut self, cluster: &ClusterName, key: &AgentKey) {
        self.set(cluster, key, Standing::Deleting);
    }

    /// The agent has nothing to do with the cluster any longer.
    pub fn end(&mut self, cluster: &ClusterName, key: &AgentKey) {
        let Some(agents) = self.0.get_mut(cluster) else { return };
        for set in agents.sets_mut() {
            set.remove(key);
        }
        if agents.sets_mut().iter().all(|set| set.is_empty()) {
            self.0.remove(cluster);
        }
    }

    /// How the agent stands with the cluster.
    pub fn of(&self, cluster: &ClusterName, key: &AgentKey) -> Option<Standing> {
        let agents = self.0.get(cluster)?;
        let sets = [
            (&agents.assigned, Standing::Assigned),
            (&agents.withdrawing, Standing::Withdrawing),
            (&agents.passed, Standing::Passed),
            (&agents.deleting, Standing::Deleting),
        ];
        sets.into_iter().find(|(set, _)| set.contains(key)).map(|(_, standing)| standing)
    }

    /// Agents with a share there.
    pub fn assigned(&self, cluster: &ClusterName) -> impl Iterator<Item = &AgentKey> + Clone {
        self.0.get(cluster).into_iter().flat_map(|agents| &agents.assigned)
    }

    /// Agents that are to leave by a decision, let go by the guard or not.
    pub fn withdrawing(&self, cluster: &ClusterName) -> impl Iterator<Item = &AgentKey> {
        self.0.get(cluster).into_iter().flat_map(|agents| agents.withdrawing.iter().chain(&agents.passed))
    }

    /// Agents that are to leave by a decision and that the guard has let go.
    pub fn passed(&self, cluster: &ClusterName) -> impl Iterator<Item = &AgentKey> {
        self.0.get(cluster).into_iter().flat_map(|agents| &agents.passed)
    }

    /// Agents whose deletion waits for the cluster.
    pub fn deleting(&self, cluster: &ClusterName) -> impl Iterator<Item = &AgentKey> {
        self.0.get(cluster).into_iter().flat_map(|agents| &agents.deleting)
    }

    /// How many agents the cluster has, but for those that the guard has let go.
    pub fn count(&self, cluster: &ClusterName) -> usize {
        let of = |agents: &Agents| agents.assigned.len() + agents.withdrawing.len() + agents.deleting.len();
        self.0.get(cluster).map_or(0, of)
    }

    fn set(&mut self, cluster: &ClusterName, key: &AgentKey, standing: Standing) {
        self.end(cluster, key);
        let agents = self.0.entry(cluster.clone()).or_default();
        let set = match standing {
            Standing::Assigned => &mut agents.assigned,
            Standing::Withdrawing => &mut agents.withdrawing,
            Standing::Passed => &mut agents.passed,
            Standing::Deleting => &mut agents.deleting,
        };
        set.insert(key.clone());
    }

    /// Every standing, for tests to compare with the decisions.
    #[cfg(test)]
    pub fn all(&self) -> BTreeSet<(ClusterName, AgentKey, Standing)> {
        let mut all = BTreeSet::new();
        for (cluster, agents) in &self.0 {
            for (set, standing) in [
                (&agents.assigned, Standing::Assigned),
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
    fn sets_mut(&mut self) -> [&mut BTreeSet<AgentKey>; 4] {
        [&mut self.assigned, &mut self.withdrawing, &mut self.passed, &mut self.deleting]
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
        standings.assign(&a, &x);
        assert!(!standings.pass(&a, &x));
        one(&standings, Standing::Assigned);
        assert!(!standings.withdraw(&a, &x));
        one(&standings, Standing::Withdrawing);
        assert!(standings.pass(&a, &x));
        one(&standings, Standing::Passed);
        assert!(standings.withdraw(&a, &x), "it was let go, and is not judged twice");
        one(&standings, Standing::Passed);
        assert_eq!((standings.count(&a), standings.withdrawing(&a).count()), (0, 1));
        standings.delete(&a, &x);
        one(&standings, Standing::Deleting);
        standings.end(&a, &x);
        assert!(standings.0.is_empty(), "nothing is kept of a cluster that nobody has to do with");
    }
}
