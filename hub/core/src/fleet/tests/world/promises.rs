//! What holds at all times.

use std::collections::BTreeSet;

use parallax_crds::agent::RolloutState;
use parallax_crds::link::Order;
use parallax_crds::{AgentKey, AgentRef, ClusterName};

use super::{World, reference};
use crate::fleet::agent::Life;
use crate::fleet::standing::Standing;
use crate::tombstones::Tombstone;

impl World {
    /// How agents stand with clusters is what has been decided of each of them.
    pub(super) fn check_standings(&self) {
        let mut decided = BTreeSet::new();
        for (key, agent) in &self.fleet.agents {
            let mut stands =
                |cluster: &ClusterName, standing| decided.insert((cluster.clone(), key.clone(), standing));
            match &agent.life {
                Life::Deleting { confirmed: true, waits } => {
                    waits.keys().for_each(|cluster| assert!(stands(cluster, Standing::Deleting)));
                }
                Life::Released { kept: false } => {}
                Life::Living | Life::Deleting { confirmed: false, .. } | Life::Released { kept: true } => {
                    for (cluster, _) in agent.decision.shares() {
                        let stays = agent.decision.targets.contains_key(cluster);
                        assert!(stands(cluster, if stays { Standing::Assigned } else { Standing::Leaving }));
                    }
                    for cluster in &agent.decision.withdrawing {
                        let passed = self.fleet.standings.of(cluster, key) == Some(Standing::Passed);
                        stands(cluster, if passed { Standing::Passed } else { Standing::Withdrawing });
                    }
                }
            }
        }
        assert_eq!(self.fleet.standings.all(), decided);
        for ((cluster, key), share) in self.fleet.standings.reservations() {
            assert_eq!(self.fleet.standings.share(&cluster, &key), Some(share), "{key} in {cluster}");
        }
    }

    pub(super) fn check_order(&self, order: &Order) {
        if let Some(pinned) = self.pinned.get(&order.agent) {
            let same = pinned.contains(&order.hash);
            // Clusters that wait for their turn have an earlier one.
            let in_waves =
                self.fleet.agents.get(&order.agent.key).is_some_and(|agent| agent.waves().is_some());
            assert!(same || in_waves, "a hub that started has changed the pods of {}", order.agent.key);
        }
        if let Some(object) = self.agents.get(&order.agent.key)
            && reference(&order.agent.key, object) == order.agent
        {
            assert!(
                object.metadata.finalizers.is_some(),
                "{} was ordered before its finalizer",
                order.agent.key
            );
        }
    }

    /// A cluster that was given a revision, and it is written down that it was, doesn't get the one before again.
    pub(super) fn check_turn(&mut self, cluster: &ClusterName, order: &Order) {
        let Some(agent) = self.fleet.agents.get(&order.agent.key) else { return };
        let (Some((_, newest)), Ok(templates)) = (agent.revisions.newest(), &agent.templates) else { return };
        let (number, is_newest) = (newest.number, templates.of(cluster).hash == order.hash);
        // One whose MemberCluster was deleted is another one.
        if self.detached.contains(cluster) {
            return;
        }
        let turn = self.turns.entry((cluster.clone(), order.agent.clone())).or_default();
        assert!(
            is_newest || *turn != number,
            "{} went back to an earlier revision in {cluster}",
            order.agent.key
        );
        // A hub that starts goes by what is written down. What a new agent's clusters got before there was a status isn't.
        let status = agent.stored.status();
        let rollout = status.and_then(|status| status.rollout.as_ref()).filter(|r| r.revision == number);
        let named = rollout.is_some_and(|rollout| {
            rollout.state == RolloutState::Complete
                || rollout.clusters.iter().any(|name| name == cluster.as_str())
        });
        let observed = status.is_some_and(|status| status.observed_generation >= Some(newest.generation));
        if is_newest && (named || observed) {
            *turn = number;
        }
    }

    pub(super) fn check_removal(&self, agent: &AgentRef) {
        assert!(
            self.removable.contains(agent),
            "{agent:?} was removed, and the hub can't know that it may be"
        );
    }

    pub(super) fn check_release(&self, key: &AgentKey, uid: &str) {
        let Some(object) = self.agents.get(key).filter(|o| o.metadata.uid.as_deref() == Some(uid)) else {
            return;
        };
        if self.crd_going {
            return;
        }
        let agent = reference(key, object);
        for (name, member) in &self.members {
            let holds = member.held.get(key).is_some_and(|(i, ..)| *i == agent.incarnation);
            let owed = self.tombstones.contains(&Tombstone { cluster: name.clone(), agent: agent.clone() });
            let detached = self.detached.contains(name);
            assert!(!holds || owed || detached, "{key} was let go while {name} holds it");
        }
    }
}
