//! Whom a change of a cluster concerns: of many agents, few are placed anew.

use parallax_crds::agent::Strategy;
use parallax_crds::{AgentKey, ClusterName};

use super::Fleet;
use super::agent::Agent;
use crate::placement::ClusterFacts;

/// The agents that a change may place otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Concern {
    /// None: nothing that runs moves for it, and nobody could gain by it.
    Nobody,
    /// Those that lack a share, or go wherever they match.
    Open,
    /// Those that have to do with the cluster, too.
    Holders,
    /// All of them.
    Everyone,
}

/// Whom it concerns that a cluster was like this before, and is like that now.
pub(super) fn concern(before: &ClusterFacts, after: &ClusterFacts) -> Concern {
    // Taken apart without `..`: whom a new fact concerns must be decided on here.
    let ClusterFacts {
        name: _,
        labels,
        accepted,
        suspended,
        connected,
        taints,
        namespaces,
        room,
        free,
        // Nothing moves for a score, and none keeps an agent away.
        scores: _,
    } = after;
    let more_room = room != &before.room
        && match (before.room, room) {
            (Some(before), Some(after)) => *after > before,
            (_, after) => after.is_none(),
        };
    let more_free = match (&before.free, free) {
        (Some(before), Some(after)) => after.exceed(before),
        (before, after) => before.is_some() != after.is_some(),
    };
    let of = |changed: bool, concern: Concern| if changed { concern } else { Concern::Nobody };
    [
        of(*labels != before.labels || *accepted != before.accepted, Concern::Everyone),
        of(*suspended != before.suspended, Concern::Holders),
        of(*taints != before.taints || *namespaces != before.namespaces, Concern::Holders),
        of(*connected != before.connected || more_room || more_free, Concern::Open),
    ]
    .into_iter()
    .max()
    .unwrap_or(Concern::Nobody)
}

impl Fleet {
    /// The fleet has other clusters now: everybody is placed anew.
    pub(super) fn clusters_changed(&mut self) {
        self.look_at_clusters();
        self.replan.extend(self.agents.keys().cloned());
    }

    /// Members are counted as absent from now on, where they are: what is missing goes elsewhere.
    pub(super) fn absence_is_known(&mut self) {
        self.look_at_clusters();
        let open: Vec<AgentKey> = self.open().map(|(key, _)| key.clone()).collect();
        self.replan.extend(open);
    }

    fn look_at_clusters(&mut self) {
        let starting = self.is_starting();
        let facts = |(name, cluster): (_, &super::Cluster)| cluster.facts(name, starting, &self.standings);
        self.facts = self.clusters.iter().map(facts).collect();
    }

    /// Something of one cluster may have changed: whoever may be placed otherwise now is placed anew.
    pub(super) fn look_at_cluster(&mut self, name: &ClusterName) {
        let starting = self.is_starting();
        let Some(cluster) = self.clusters.get(name) else { return };
        let after = cluster.facts(name, starting, &self.standings);
        let Some(facts) = self.facts_of(name) else { return };
        let concern = concern(facts, &after);
        *facts = after;
        self.place_anew(name, concern);
    }

    /// Shares were given or taken: what is left of their clusters follows.
    pub(super) fn look_at_shares(&mut self) {
        for cluster in self.standings.take_changed() {
            self.look_at_cluster(&cluster);
        }
    }

    /// What placement sees of a cluster.
    pub(super) fn facts_of(&mut self, name: &ClusterName) -> Option<&mut ClusterFacts> {
        // They are in the order of the clusters' names.
        let found = self.facts.binary_search_by(|facts| facts.name.cmp(name)).ok()?;
        self.facts.get_mut(found)
    }

    pub(super) fn place_anew(&mut self, name: &ClusterName, concern: Concern) {
        match concern {
            Concern::Nobody => {}
            Concern::Everyone => self.replan.extend(self.agents.keys().cloned()),
            Concern::Open | Concern::Holders => {
                let mut concerned: Vec<AgentKey> = self
                    .open()
                    .filter(|(_, agent)| !agent.has_all_in(name))
                    .map(|(key, _)| key.clone())
                    .collect();
                if concern == Concern::Holders {
                    let holders = self.standings.assigned(name).chain(self.standings.withdrawing(name));
                    concerned.extend(holders.cloned());
                }
                self.replan.extend(concerned);
            }
        }
    }

    fn open(&self) -> impl Iterator<Item = (&AgentKey, &Box<Agent>)> {
        self.agents.iter().filter(|(_, agent)| agent.decision.open)
    }
}

impl Agent {
    /// Under Replicate, a cluster that has the agent has all of it: nothing that it could gain would make it more.
    fn has_all_in(&self, name: &ClusterName) -> bool {
        let placement = self.stored.object.spec.placement.as_ref();
        placement.is_some_and(|placement| placement.strategy == Strategy::Replicate)
            && self.decision.targets.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use parallax_crds::cluster::TaintEffect;
    use parallax_crds::{Amounts, fixtures};

    use super::*;
    use crate::placement::Taint;

    fn facts(edit: impl FnOnce(&mut ClusterFacts)) -> ClusterFacts {
        let mut facts = ClusterFacts::open(fixtures::cluster("a"));
        edit(&mut facts);
        facts
    }

    fn free(cpu: i64) -> ClusterFacts {
        facts(|f| f.free = Some(Amounts { cpu, ..Amounts::default() }))
    }

    fn room(room: Option<i32>) -> ClusterFacts {
        facts(|f| f.room = room)
    }

    #[test]
    fn less_of_anything_concerns_nobody_and_more_those_that_lack_something() {
        for (before, after, whom) in [
            (free(1000), free(1000), Concern::Nobody),
            (free(1000), free(900), Concern::Nobody),
            (free(900), free(1000), Concern::Open),
            (facts(|_| ()), free(1000), Concern::Open),
            (free(1000), facts(|_| ()), Concern::Open),
            (room(Some(3)), room(Some(2)), Concern::Nobody),
            (room(None), room(Some(2)), Concern::Nobody),
            (room(Some(2)), room(Some(3)), Concern::Open),
            (room(Some(2)), room(None), Concern::Open),
        ] {
            assert_eq!(concern(&before, &after), whom, "{before:?} and {after:?}");
        }
    }

    #[test]
    fn what_may_take_a_share_away_concerns_those_that_have_one() {
        let tainted = facts(|f| {
            f.taints.push(Taint {
                key: "maintenance".to_owned(),
                value: String::new(),
                effect: TaintEffect::NoExecute,
                since: Timestamp::UNIX_EPOCH,
            });
        });
        let denied = facts(|f| f.namespaces.deny.push("team".to_owned()));
        let suspended = facts(|f| f.suspended = true);
        for after in [tainted, denied, suspended] {
            assert_eq!(concern(&facts(|_| ()), &after), Concern::Holders);
            assert_eq!(concern(&after, &facts(|_| ())), Concern::Holders);
        }
        let away = facts(|f| f.connected = false);
        assert_eq!(concern(&facts(|_| ()), &away), Concern::Open);
        let refused = facts(|f| f.accepted = false);
        assert_eq!(concern(&facts(|_| ()), &refused), Concern::Everyone);
    }

    #[test]
    fn a_score_moves_nothing() {
        let scored = facts(|f| {
            f.scores.insert("cost".to_owned(), 50);
        });
        assert_eq!(concern(&facts(|_| ()), &scored), Concern::Nobody);
    }
}
