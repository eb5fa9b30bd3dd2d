//! Failover: what is in a cluster that has been unreachable for long enough is placed again elsewhere.
//!
//! The cluster's own copies are left to leave (`status.placement.leaving`), and are judged when it is back: what is ready
//! elsewhere by then replaces them, and what isn't goes back to where it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use parallax_crds::agent::{FailoverPolicy, Strategy};
use parallax_crds::conditions::truth;
use parallax_crds::{AgentKey, ClusterName};

use super::agent::{Agent, Life};
use super::cluster::Cluster;
use super::settling::replace;
use super::{Effect, Fleet, Now, Subject, Timer};

impl Fleet {
    /// The clusters with a share that have been unreachable for longer than the agent waits, with what they have.
    pub(super) fn given_up(&self, agent: &Agent, now: Now) -> BTreeMap<ClusterName, i32> {
        let Some(patience) = agent.patience() else { return BTreeMap::new() };
        let lost = |name: &ClusterName| {
            let cluster = self.clusters.get(name)?;
            Some(cluster.lost_for(now.mono)? >= patience && !self.is_frozen(name))
        };
        let shares = agent.decision.targets.iter().filter(|(name, _)| lost(name) == Some(true));
        shares.map(|(name, share)| (name.clone(), *share)).collect()
    }

    /// Its session is lost, or up again, or what is to be made of its loss has changed: its agents are looked at when
    /// they have waited for long enough.
    pub(super) fn await_failover(&mut self, name: &ClusterName, now: Now) {
        for key in self.standings.assigned(name).cloned().collect::<Vec<_>>() {
            if self.agents.get(&key).is_some_and(|agent| !self.given_up(agent, now).is_empty()) {
                self.replan.insert(key.clone());
            }
            self.await_failover_of(&key, now);
        }
    }

    /// As [`Self::await_failover`], for one agent.
    pub(super) fn await_failover_of(&mut self, key: &AgentKey, now: Now) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        let patience = agent.patience();
        let lost =
            agent.decision.targets.keys().filter_map(|name| self.clusters.get(name)?.lost_for(now.mono));
        let left = lost.filter_map(|lost| patience?.checked_sub(lost)).filter(|left| !left.is_zero()).min();
        let due = left.map(|left| now.mono + left);
        replace(&mut self.timers, &mut agent.failover_timer, due, || Timer::Failover(key.clone()));
    }

    /// An agent has waited for a cluster.
    pub(super) fn has_waited(&mut self, key: &AgentKey, now: Now) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.failover_timer = None;
        if self.agents.get(key).is_some_and(|agent| !self.given_up(agent, now).is_empty()) {
            self.replan.insert(key.clone());
        }
        self.await_failover_of(key, now);
    }

    /// What was given up with its cluster is placed again.
    pub(super) fn tell_of_failover(&mut self, key: &AgentKey, given_up: &BTreeMap<ClusterName, i32>) {
        let Some(agent) = self.agents.get(key) else { return };
        let patience = agent.patience().unwrap_or_default().as_secs();
        let subject = Subject::Agent { key: key.clone(), uid: agent.uid.clone() };
        for (name, share) in given_up {
            let message = format!(
                "{name} has been unreachable for {patience} s: what it has ({share} of the replicas) is placed again elsewhere"
            );
            let (subject, reason) = (subject.clone(), "FailedOver".to_owned());
            self.effects.push_back(Effect::Event { subject, warning: true, reason, message });
        }
    }

    /// The cluster is back. Of what replaces its copies, those that are not ready are given up for them: they run, as far
    /// as anybody knows.
    pub(super) fn take_back(&mut self, name: &ClusterName, lost: Option<Duration>, now: Now) {
        let gone =
            |agent: &Agent| agent.patience().zip(lost).is_some_and(|(patience, lost)| lost >= patience);
        let left = |key: &&AgentKey| {
            self.agents.get(*key).is_some_and(|agent| {
                agent.life == Life::Living && agent.decision.leaving.contains_key(name) && gone(agent)
            })
        };
        let keys: Vec<_> = self.standings.assigned(name).filter(left).cloned().collect();
        if let Some(facts) = self.facts_of(name).filter(|_| !keys.is_empty()) {
            facts.connected = true;
        }
        for key in keys {
            let returned = self.returned(&key, name, now);
            if let Some(current) = returned {
                self.decide_from(&key, Some(current), now);
            }
        }
    }

    /// The agent's shares, with what isn't ready elsewhere moved back to the cluster. None: all of it is ready.
    fn returned(&self, key: &AgentKey, name: &ClusterName, now: Now) -> Option<BTreeMap<ClusterName, i32>> {
        let agent = self.agents.get(key)?;
        let mut shares = agent.decision.targets.clone();
        let mut wanted = agent.decision.leaving.get(name).copied()?;
        let mut back = 0;
        for (elsewhere, share) in &mut shares {
            let session = self.clusters.get(elsewhere).and_then(|c| c.session.as_ref());
            let told = |s: &super::cluster::Session| {
                agent.ready_for(elsewhere, *share, s.reports_complete, now.mono).unwrap_or(*share)
            };
            let ready = session.map_or(0, told);
            let unready = share.saturating_sub(ready).clamp(0, wanted);
            (*share, wanted, back) = (*share - unready, wanted - unready, back + unready);
        }
        if back == 0 {
            return None;
        }
        *shares.entry(name.clone()).or_default() += back;
        shares.retain(|_, share| *share > 0);
        Some(shares)
    }
}

impl Agent {
    /// How long it waits for a cluster that is unreachable; none: for ever.
    pub(super) fn patience(&self) -> Option<Duration> {
        let spec = &self.stored.object.spec;
        let failover = spec.placement.as_ref().and_then(|p| p.failover).unwrap_or_default();
        let kept =
            if spec.runtime.workspace.is_some() { FailoverPolicy::Never } else { FailoverPolicy::AfterGrace };
        let grace = Duration::from_secs(u64::try_from(failover.grace_seconds).unwrap_or(0));
        // Every cluster that could take them has its own already.
        if spec.placement.as_ref().is_some_and(|p| p.strategy == Strategy::Replicate) {
            return None;
        }
        (failover.policy.unwrap_or(kept) == FailoverPolicy::AfterGrace).then_some(grace)
    }
}

impl Cluster {
    /// For how long it has been lost by its stored status. It was lost for a grace before that was written, and a hub
    /// that has just started has waited for as long by itself.
    pub(super) fn shown_as_lost_for(&self, now: Timestamp) -> Duration {
        let lost = self.connection().filter(|condition| truth(condition) == Some(false));
        let since = lost.map(|condition| now.duration_since(condition.last_transition_time.0));
        since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default()
    }
}
