//! What the hub's API server says of agents.

use std::collections::BTreeMap;
use std::sync::Arc;

use parallax_crds::link::Scale;
use parallax_crds::{AgentKey, ParallaxAgent, labels};

use super::agent::{Agent, Life, Record, has_finalizer};
use super::settling::replace;
use super::standing::Standing;
use super::stored::Change;
use super::{Effect, Fleet, Now, StatusOf, Timer};
use crate::tombstones::Tombstone;
use crate::writes::Urgency;

impl Fleet {
    pub(super) fn agent_seen(&mut self, object: Arc<ParallaxAgent>, now: Now) {
        let key = AgentKey::of(&object.metadata);
        let Some(uid) = object.metadata.uid.clone() else { return };
        match self.agents.get(&key).map(|a| a.uid == uid) {
            Some(true) => return self.agent_changed(&key, object, now),
            // Deleted and created again between two looks.
            Some(false) => self.agent_gone_as(&key, now),
            None => {}
        }
        let agent = Agent::new(object, uid, self.pins.present(), &self.facts, now.mono);
        for (cluster, share) in agent.decision.shares() {
            let stays = agent.decision.targets.contains_key(cluster);
            self.standings.assign(cluster, &key, share, stays);
            self.count_cluster(cluster, now);
        }
        for cluster in &agent.decision.withdrawing {
            self.standings.withdraw(cluster, &key);
            self.ask_guard(cluster, agent.record, agent.reference(&key));
        }
        let deleted = agent.stored.object.metadata.deletion_timestamp.is_some();
        let finalizer = agent.finalizer;
        if agent.record != Record::Kept {
            self.unrecorded.insert(key.clone());
        }
        self.agents.insert(key.clone(), Box::new(agent));
        if self.lists.revisions {
            self.recall_revisions(&key, now);
        }
        // What the clusters were thought to hold without an owner may be this one's.
        self.recognise(&key, now);
        self.follow_life(&key, deleted, finalizer, now);
        self.replan.insert(key.clone());
        self.dirty.insert(key, true);
    }

    fn agent_changed(&mut self, key: &AgentKey, object: Arc<ParallaxAgent>, now: Now) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        let Some(Change { object: before, foreign, .. }) = agent.stored.seen(object) else { return };
        let object = &agent.stored.object;
        let edited = object.metadata.generation != before.metadata.generation;
        let deleted = object.metadata.deletion_timestamp.is_some();
        agent.finalizer = has_finalizer(object);
        let finalizer = agent.finalizer;
        let asked = |of: &ParallaxAgent| {
            let annotations = of.metadata.annotations.as_ref();
            [labels::APPROVE, labels::RESUME_ROLLOUT]
                .map(|key| annotations.and_then(|all| all.get(key)).cloned())
        };
        let asks = asked(object) != asked(&before);
        // The answer to the write may be late, or lost.
        let stored =
            agent.untold.as_ref().is_some_and(|untold| agent.stored.status() == Some(&untold.status));
        let resolved_anew = edited || agent.wants_refresh();
        if resolved_anew {
            self.revise(key, now);
            self.dirty.insert(key.clone(), true);
        }
        let Some(agent) = self.agents.get(key) else { return };
        if resolved_anew
            || foreign
            || agent.rebalance().is_some_and(|wish| agent.decision.rebalanced != Some(wish))
        {
            // Somebody else's status: everything that it should say is said again.
            self.replan.insert(key.clone());
            self.touch(key);
        }
        if stored {
            self.tell(key);
        }
        if asks {
            self.dirty.insert(key.clone(), true);
        }
        self.follow_life(key, deleted, finalizer, now);
        // What is written down of a rollout may have come before the answer to its write.
        self.rollout_stored(key, now);
    }

    /// Draws the consequences of a deletionTimestamp and of our finalizer.
    fn follow_life(&mut self, key: &AgentKey, deleted: bool, finalizer: bool, now: Now) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        match (deleted, finalizer, &agent.life) {
            (false, false, Life::Living) => self.finalizers.want(key.clone(), Urgency::User, now.mono),
            (false, true, Life::Living) => self.dispatch_everywhere(key, now),
            (true, true, Life::Living) => {
                agent.life = Life::Deleting { confirmed: false, waits: BTreeMap::new() };
                self.crd.waiting.insert(key.clone());
                self.touch(key);
            }
            // Nothing was ordered before the finalizer was there; if somebody else took it away, the clusters
            // keep what they have, as for any agent that vanishes.
            (true, false, Life::Living) => {
                agent.life = Life::Released { kept: true };
                self.stop_orders(key);
            }
            _ => {}
        }
    }

    pub(super) fn agent_gone(&mut self, key: &AgentKey, uid: &str, now: Now) {
        if self.agents.get(key).is_some_and(|a| a.uid == uid) {
            self.agent_gone_as(key, now);
        }
    }

    /// Forgets an agent whose object is no longer there. Its clusters keep what the hub has not seen deleted.
    fn agent_gone_as(&mut self, key: &AgentKey, now: Now) {
        self.stop_orders(key);
        let Some(mut agent) = self.agents.remove(key) else { return };
        self.end_wishes(key);
        self.end_copies(key);
        replace(&mut self.timers, &mut agent.timer, None, || Timer::Agent(key.clone()));
        replace(&mut self.timers, &mut agent.revisit, None, || Timer::Revisit(key.clone()));
        replace(&mut self.timers, &mut agent.failover_timer, None, || Timer::Failover(key.clone()));
        replace(&mut self.timers, &mut agent.move_timer, None, || Timer::Move(key.clone()));
        if agent.life == Life::Living {
            self.remember_revisions(key, &mut agent);
        }
        let reference = agent.reference(key);
        for cluster in agent.holders() {
            self.standings.end(&cluster, key);
            if let Some(guard) = self.guards.get_mut(&cluster) {
                guard.clear(key);
            }
            let may_hold = agent.rows.get(&cluster).is_some_and(|row| row.is_told_of())
                || agent.elsewhere.contains(&cluster);
            let tombstone = Tombstone { cluster: cluster.clone(), agent: reference.clone() };
            match &agent.life {
                // It was seen being deleted; somebody else took the finalizer away before its clusters let go.
                Life::Deleting { confirmed: true, waits } if waits.contains_key(&cluster) => {
                    self.tombstones.plant(tombstone);
                }
                Life::Released { kept: false } => {}
                _ if may_hold && self.is_connected(&cluster) && !self.tombstones.contains(&tombstone) => {
                    let share = agent.scale(&cluster).map_or(0, |scale| scale.replicas);
                    self.guards.entry(cluster.clone()).or_default().hold_unknown(reference.clone(), share);
                }
                _ => {}
            }
            self.touch_cluster(&cluster, now);
        }
        self.replan.remove(key);
        self.unrecorded.remove(key);
        self.dirty.remove(key);
        self.crd.waiting.remove(key);
        self.statuses.forget(&StatusOf::Agent(key.clone()));
        self.finalizers.forget(key);
        self.revision_writes.forget(key);
    }

    /// Tells connected clusters that the agent is neither ordered nor to be removed.
    pub(super) fn stop_orders(&mut self, key: &AgentKey) {
        let Some(agent) = self.agents.get(key) else { return };
        for cluster in agent.holders() {
            let Some(session) = self.clusters.get(&cluster).and_then(|c| c.session.as_ref()) else {
                continue;
            };
            if self.standings.of(&cluster, key) != Some(Standing::Deleting) {
                self.effects.push_back(Effect::Forget { session: session.id.clone(), agent: key.clone() });
            }
        }
    }

    /// An agent has come (back): clusters that were thought to hold it without an owner hold this one's.
    fn recognise(&mut self, key: &AgentKey, now: Now) {
        let Some(agent) = self.agents.get(key) else { return };
        let (reference, lost) = (agent.reference(key), agent.record == Record::Lost);
        let mut holding = Vec::new();
        for (cluster, guard) in &mut self.guards {
            if let Some(replicas) = guard.recognise(&reference) {
                holding.push((cluster.clone(), replicas));
            }
        }
        for (cluster, replicas) in holding {
            if lost {
                self.take_in(key, &cluster, (None, Scale::fixed(replicas)), now);
            } else if let Some(agent) = self.agents.get_mut(key) {
                agent.elsewhere.insert(cluster.clone());
            }
            self.touch_cluster(&cluster, now);
        }
    }

    /// The agent's status may have changed.
    pub(super) fn touch(&mut self, key: &AgentKey) {
        self.dirty.entry(key.clone()).or_insert(false);
    }
}
