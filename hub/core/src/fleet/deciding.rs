//! Where agents run, and the orders that follow.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_crds::agent::Strategy;
use parallax_crds::{AgentKey, ClusterName};

use super::agent::{Life, Persisted};
use super::moves::TOLD_LATE;
use super::settling::replace;
use super::{Effect, Fleet, Now, Timer};
use crate::placement::{Coverage, Request, place};

impl Fleet {
    /// Places one agent anew, orders what it gains and asks for the removal of what it loses.
    pub(super) fn decide(&mut self, key: &AgentKey, now: Now) {
        self.decide_from(key, None, now);
    }

    /// As [`Self::decide`], for an agent that has `current`; none: what was decided last.
    pub(super) fn decide_from(
        &mut self,
        key: &AgentKey,
        current: Option<BTreeMap<ClusterName, i32>>,
        now: Now,
    ) {
        let living = self.agents.get(key).is_some_and(|a| a.life == Life::Living);
        if !living || !self.may_be_placed(key) {
            return;
        }
        let Some(agent) = self.agents.get(key) else { return };
        let spec = &agent.stored.object.spec;
        let wish = agent.rebalance();
        let anew = wish.is_some() && wish != agent.decision.rebalanced && agent.decision.generation.is_some();
        let otherwise = agent.requests_otherwise(&self.facts);
        let request = Request { rebalance: anew, ..agent.request(key, &otherwise) };
        // A decision that only says "all matching" lists nobody: it is made anew from the fleet.
        let current = current.unwrap_or_else(|| agent.decision.targets.clone());
        // What is lost with its cluster is held nowhere.
        let given_up = self.given_up(agent, now);
        let left = current.iter().filter(|(name, _)| !given_up.contains_key(*name));
        let left: BTreeMap<_, _> = left.map(|(name, share)| (name.clone(), *share)).collect();
        let mut placed = place(&request, &self.facts, Some(&left), now.wall);
        // Unless nobody can take it: then it waits there as well as anywhere.
        let waits = !given_up.is_empty() && placed.explanation.coverage() != Coverage::Whole;
        if waits {
            placed = place(&request, &self.facts, Some(&current), now.wall);
        }
        let ends = placed.revisit.and_then(|at| Duration::try_from(at.duration_since(now.wall)).ok());
        let revisit = ends.map(|ends| now.mono + ends);

        let replicate = spec.placement.as_ref().is_some_and(|p| p.strategy == Strategy::Replicate);
        let generation = Some(agent.generation());
        let sticky = spec.placement.as_ref().is_none_or(|p| p.sticky);
        let Some(agent) = self.agents.get_mut(key) else { return };
        replace(&mut self.timers, &mut agent.revisit, revisit, || Timer::Revisit(key.clone()));
        let before = agent.decision.clone();
        agent.decision.targets = placed.targets;
        agent.decision.generation = generation;
        agent.decision.rebalanced = wish.or(agent.decision.rebalanced.take());
        agent.decision.all_matching = placed.all_matching;
        agent.decision.open =
            replicate || waits || !sticky || placed.explanation.coverage() != Coverage::Whole;
        agent.explanation = Some(Box::new(placed.explanation));

        if !waits {
            self.tell_of_failover(key, &given_up);
        }
        let retained = self.retained(key, &before, now);
        self.put_in_effect(key, &before, retained, now);
        self.touch(key);
        self.dispatch_everywhere(key, now);
        self.await_failover_of(key, now);
    }

    /// Sends the agent's orders to every connected cluster that doesn't have them yet.
    pub(super) fn dispatch_everywhere(&mut self, key: &AgentKey, now: Now) {
        let Some(agent) = self.agents.get(key).filter(|a| a.is_orderable()) else { return };
        let clusters: Vec<_> = agent.decision.shares().map(|(cluster, _)| cluster.clone()).collect();
        for cluster in clusters {
            self.dispatch(key, &cluster, now);
        }
    }

    /// Sends one order, unless the cluster is away, suspended, or was sent the same in this session.
    pub(super) fn dispatch(&mut self, key: &AgentKey, cluster: &ClusterName, now: Now) {
        // A new spec with the shares of the old one would be an order of its own, and nobody's wish.
        if self.replan.contains(key) {
            return;
        }
        let Some(agent) = self.agents.get_mut(key).filter(|a| a.is_orderable()) else { return };
        let Some(member) = self.clusters.get(cluster).filter(|c| !c.is_suspended()) else { return };
        let Some(session) = &member.session else { return };
        let Some(order) = agent.order(key, cluster) else { return };
        let row = agent.rows.entry(cluster.clone()).or_default();
        if row.sent == Some((order.hash, order.scale)) {
            return;
        }
        // A word that hasn't come by now doesn't come.
        if row.doubted.is_some_and(|until| until <= now.mono) {
            row.unanswered = 0;
        }
        row.unanswered += 1;
        if let Some((_, sent)) = row.sent.filter(|(_, sent)| sent.replicas > order.scale.replicas) {
            row.doubted = Some(now.mono + TOLD_LATE).filter(|_| sent.replicas > 0);
        }
        if row.removals > 0 {
            row.doubted = Some(now.mono + TOLD_LATE);
        }
        row.sent = Some((order.hash, order.scale));
        row.given = Some(order.hash);
        row.admitted = false;
        row.overtaken += std::mem::take(&mut row.removals);
        row.touched = true;
        if row.persisted.is(row.sent) != Some(true) {
            row.persisted = Persisted::Nothing;
        }
        self.effects.push_back(Effect::Upsert { session: session.id.clone(), order });
        self.meant_to_be_there(key, cluster, now);
    }

    /// An order was sent: whatever removal of that name was held or owed to the cluster is overtaken.
    pub(super) fn meant_to_be_there(&mut self, key: &AgentKey, cluster: &ClusterName, now: Now) {
        let Some(agent) = self.agents.get(key) else { return };
        for tombstone in self.tombstones.named(cluster, key) {
            // That of an older incarnation stays until the member has the new one: it might never get there.
            if tombstone.agent.incarnation == agent.incarnation {
                self.tombstones.lift(&tombstone);
            }
        }
        if self.guards.get_mut(cluster).is_some_and(|guard| guard.clear(key)) {
            self.touch_cluster(cluster, now);
        }
    }

    /// Members haven't had the time yet to come back to a hub that has just started.
    pub(super) fn is_starting(&self) -> bool {
        self.start == super::Start::UnderWay
    }
}
