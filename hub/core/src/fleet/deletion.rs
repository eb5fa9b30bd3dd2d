//! Deletion: the finalizer goes when every cluster has let go, or is owed a tombstone that is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_crds::{AgentKey, ClusterName};

use super::agent::{Life, Wait};
use super::standing::Standing;
use super::{CrdState, Effect, Fleet, Now, Subject, Timer, WriteOutcome};
use crate::tombstones::Tombstone;
use crate::writes::Urgency;

const CRD_RETRY: Duration = Duration::from_secs(1);

impl Fleet {
    /// Asks for a look at the CRD when deletions wait for one.
    pub(super) fn check_crd(&mut self, now: Now) {
        if self.crd.checking.is_none() && !self.crd.waiting.is_empty() && now.mono >= self.crd.not_before {
            self.crd.checking = Some(std::mem::take(&mut self.crd.waiting));
            self.effects.push_back(Effect::CheckCrd);
        }
    }

    pub(super) fn crd_answered(&mut self, state: &CrdState, now: Now) {
        let Some(agents) = self.crd.checking.take() else { return };
        match state {
            CrdState::Live => agents.iter().for_each(|key| self.begin_deletion(key, now)),
            CrdState::Going => agents.iter().for_each(|key| self.let_live(key, now)),
            CrdState::Unknown(_) => {
                self.crd.waiting.extend(agents);
                self.crd.not_before = now.mono + CRD_RETRY;
                self.at(self.crd.not_before, Timer::Crd);
            }
        }
    }

    /// The deletion is a user's wish: every cluster that may hold the agent has to let go of it.
    fn begin_deletion(&mut self, key: &AgentKey, now: Now) {
        let suspected = self.suspected(key);
        let Some(agent) = self.agents.get_mut(key) else { return };
        if !matches!(agent.life, Life::Deleting { confirmed: false, .. }) {
            return;
        }
        agent.elsewhere.extend(suspected);
        agent.life = Life::Deleting { confirmed: true, waits: BTreeMap::new() };
        let reference = agent.reference(key);
        let untouched = |cluster: &ClusterName| {
            !agent.elsewhere.contains(cluster) && agent.rows.get(cluster).is_some_and(|row| !row.touched)
        };
        let (never_sent, holders): (Vec<_>, Vec<_>) = agent
            .holders()
            .into_iter()
            .partition(|cluster| !self.clusters.contains_key(cluster) || untouched(cluster));
        for cluster in never_sent.iter().chain(&holders) {
            self.standings.end(cluster, key);
            self.count_cluster(cluster, now);
        }
        // All of them wait before the first is asked, or it would let the finalizer go alone.
        for cluster in &holders {
            self.standings.delete(cluster, key);
            self.wait(key, cluster, Wait::Held);
        }
        for cluster in holders {
            let guard = self.guards.entry(cluster.clone()).or_default();
            guard.clear(key);
            if self.config.hold_mass_deletions {
                guard.ask(reference.clone());
                self.asked.insert(cluster.clone());
            } else {
                self.demand(key, &cluster, now);
            }
        }
        self.release_if_free(key, now);
    }

    /// Makes sure that one cluster lets go: by an order if it is connected, by a tombstone otherwise.
    pub(super) fn demand(&mut self, key: &AgentKey, cluster: &ClusterName, now: Now) {
        let Some(agent) = self.agents.get(key) else { return };
        let reference = agent.reference(key);
        if let Some(session) = self.clusters.get(cluster).and_then(|c| c.session.as_ref()) {
            let traceparent = Some(agent.traceparent());
            self.effects.push_back(Effect::Remove {
                session: session.id.clone(),
                agent: reference.clone(),
                traceparent,
            });
            self.removal_sent(cluster, &reference);
            self.wait(key, cluster, Wait::Gone);
        } else if self.tombstones.plant(Tombstone { cluster: cluster.clone(), agent: reference }) {
            self.no_longer_waits(key, cluster, now);
        } else {
            self.wait(key, cluster, Wait::Tombstone);
        }
    }

    /// The cluster was just told to remove everything whose deletion waits for it: its word is waited for.
    pub(super) fn deletions_now_ordered(&mut self, cluster: &ClusterName) {
        for key in self.standings.deleting(cluster) {
            if let Some(Life::Deleting { waits, .. }) = self.agents.get_mut(key).map(|a| &mut a.life) {
                waits.entry(cluster.clone()).and_modify(|wait| {
                    if *wait == Wait::Tombstone {
                        *wait = Wait::Gone;
                    }
                });
            }
        }
    }

    fn wait(&mut self, key: &AgentKey, cluster: &ClusterName, wait: Wait) {
        if let Some(Life::Deleting { waits, .. }) = self.agents.get_mut(key).map(|a| &mut a.life) {
            waits.insert(cluster.clone(), wait);
        }
    }

    /// The deletion needs nothing more of the cluster.
    pub(super) fn no_longer_waits(&mut self, key: &AgentKey, cluster: &ClusterName, now: Now) {
        if let Some(Life::Deleting { waits, .. }) = self.agents.get_mut(key).map(|a| &mut a.life) {
            waits.remove(cluster);
        }
        if self.standings.of(cluster, key) == Some(Standing::Deleting) {
            self.standings.end(cluster, key);
        }
        self.release_if_free(key, now);
    }

    /// The CRD is going, so the object goes without anybody wanting the agent gone: its clusters keep it.
    fn let_live(&mut self, key: &AgentKey, now: Now) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        if matches!(agent.life, Life::Deleting { confirmed: false, .. }) {
            agent.life = Life::Released { kept: true };
            self.stop_orders(key);
            self.finalizers.want(key.clone(), Urgency::User, now.mono);
        }
    }

    pub(super) fn release_if_free(&mut self, key: &AgentKey, now: Now) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        if matches!(&agent.life, Life::Deleting { confirmed: true, waits } if waits.is_empty()) {
            agent.life = Life::Released { kept: false };
            self.finalizers.want(key.clone(), Urgency::User, now.mono);
        }
    }

    pub(super) fn tombstones_written(&mut self, outcome: &WriteOutcome, now: Now) {
        let stored = self.tombstones.written(matches!(outcome, WriteOutcome::Ok(_)), now.mono);
        for Tombstone { cluster, agent: reference } in stored {
            let Some(agent) = self.agents.get(&reference.key) else { continue };
            let Life::Deleting { waits, .. } = &agent.life else { continue };
            if agent.incarnation != reference.incarnation || waits.get(&cluster) != Some(&Wait::Tombstone) {
                continue;
            }
            let subject = Subject::Agent { key: reference.key.clone(), uid: agent.uid.clone() };
            self.effects.push_back(Effect::Event {
                subject,
                warning: false,
                reason: "TombstoneStored".to_owned(),
                message: format!("{cluster} is not connected; the agent is removed there when it comes back"),
            });
            self.no_longer_waits(&reference.key, &cluster, now);
        }
    }

    /// The finalizer's turn in the queue of writes.
    pub(super) fn write_finalizer(&mut self, key: &AgentKey, now: Now) {
        let Some(agent) = self.agents.get(key) else { return self.finalizers.done(key, now.mono) };
        let (key, uid) = (key.clone(), agent.uid.clone());
        match (&agent.life, agent.finalizer) {
            (Life::Living, false) => self.effects.push_back(Effect::AddFinalizer { key, uid }),
            (Life::Released { .. }, true) => self.effects.push_back(Effect::ReleaseFinalizer { key, uid }),
            _ => self.finalizers.done(&key, now.mono),
        }
    }

    pub(super) fn finalizer_added(&mut self, key: &AgentKey, uid: &str, outcome: &WriteOutcome, now: Now) {
        if self.agents.contains_key(key) {
            self.dirty.insert(key.clone(), true);
        }
        // A conflict: another object, or one that is being deleted. The watch says so soon; if not, it is tried again.
        self.finalizers.answered(key, outcome, now.mono);
        if let WriteOutcome::Ok(stored) = outcome
            && let Some(agent) = self.agents.get_mut(key).filter(|a| a.uid == uid)
        {
            agent.finalizer = true;
            agent.stored.has_become(stored);
            self.dispatch_everywhere(key, now);
        }
    }

    pub(super) fn finalizer_released(&mut self, key: &AgentKey, uid: &str, outcome: &WriteOutcome, now: Now) {
        self.finalizers.answered(key, outcome, now.mono);
        if matches!(outcome, WriteOutcome::Ok(_) | WriteOutcome::NotFound)
            && let Some(agent) = self.agents.get_mut(key).filter(|a| a.uid == uid)
        {
            agent.finalizer = false;
        }
    }
}
