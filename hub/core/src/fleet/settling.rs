//! The order in which consequences are drawn after each input: first decisions, then what they take from whom, then
//! who may come in, and last what is written.

use std::time::Duration;

use parallax_crds::ClusterName;

use super::{Fleet, Now, StatusOf, Timer, Timers, Write, WriteOutcome};
use crate::fleet::Effect;

/// How many agents are placed anew per input, so that one edited label doesn't hold up every session.
const REPLAN_AT_ONCE: usize = 512;

impl Fleet {
    pub(super) fn settle(&mut self, now: Now) {
        self.fire_timers(now);
        if !self.is_ready() {
            return;
        }
        self.standings.end_reservations(now.mono);
        self.look_at_shares();
        for _ in 0..REPLAN_AT_ONCE {
            let Some(key) = self.replan.pop_first() else { break };
            #[cfg(test)]
            {
                self.decisions += 1;
            }
            self.decide(&key, now);
            // The next one is not promised what this one got.
            self.look_at_shares();
        }
        self.look_at_moves(now);
        self.look_at_loads(now);
        if self.replan.is_empty() {
            // Only now is it known how much a change of the fleet takes from each cluster.
            while let Some(cluster) = self.asked.pop_first() {
                self.judge(&cluster, now);
            }
            // One that is admitted may make agents be placed anew; the next is looked at after that.
            for cluster in std::mem::take(&mut self.hellos) {
                self.consider(&cluster, now);
            }
        }
        self.check_crd(now);
        self.look_at_dirty(now);
        while let Some(key) = self.finalizers.take(now.mono) {
            self.write_finalizer(&key, now);
        }
        while let Some(whose) = self.statuses.take(now.mono) {
            match whose {
                StatusOf::Agent(key) => self.write_agent_status(&key, now),
                StatusOf::Cluster(name) => self.write_cluster_status(&name, now),
            }
        }
        while let Some(key) = self.revision_writes.take(now.mono) {
            self.write_revision(&key, now);
        }
        if let Some(write) = self.tombstones.take(now.mono) {
            self.effects.push_back(Effect::WriteTombstones { store: write.store, drop: write.drop });
        }
    }

    pub(super) fn written(&mut self, write: Write, outcome: &WriteOutcome, now: Now) {
        match write {
            Write::AddFinalizer(key, uid) => self.finalizer_added(&key, &uid, outcome, now),
            Write::ReleaseFinalizer(key, uid) => self.finalizer_released(&key, &uid, outcome, now),
            Write::AgentStatus(key, uid) => self.agent_status_written(&key, &uid, outcome, now),
            Write::ClusterStatus(name) => self.cluster_status_written(name, outcome, now),
            Write::PinCluster(name, cluster_uid) => self.cluster_pinned(&name, cluster_uid, outcome, now),
            // It was used already, and can't be again: what it stood for is no longer held.
            Write::PruneApproval(_) => {}
            Write::Revision(key, id) => self.revision_written(&key, id, outcome, now),
            Write::Tombstones => self.tombstones_written(outcome, now),
            Write::Epoch => self.epoch_written(outcome, now),
        }
    }

    pub(super) fn at(&mut self, when: Duration, timer: Timer) {
        self.timers.insert((when, timer));
    }

    /// The certificate's end is waited for: that of the latest one only, however often the member comes back.
    pub(super) fn await_certificate(&mut self, name: &ClusterName, now: Now) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        let left = cluster
            .certificate_ends()
            .and_then(|ends| Duration::try_from(ends.duration_since(now.wall)).ok());
        let due = left.map(|left| now.mono + left);
        replace(&mut self.timers, &mut cluster.certificate_timer, due, || Timer::Certificate(name.clone()));
    }

    /// Says for some minutes longer, or no longer, that a second cluster uses this one's identity.
    pub(super) fn await_copy(&mut self, name: &ClusterName, until: Option<Duration>) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        replace(&mut self.timers, &mut cluster.copy_timer, until, || Timer::Copied(name.clone()));
    }

    fn fire_timers(&mut self, now: Now) {
        while let Some((when, timer)) = self.timers.first().cloned() {
            if when > now.mono {
                break;
            }
            self.timers.remove(&(when, timer.clone()));
            match timer {
                Timer::Started => self.start_is_over(now),
                Timer::Unreachable(name) => self.unreachable(&name, now),
                Timer::Joining(name) => {
                    self.hellos.insert(name);
                }
                Timer::Certificate(name) => {
                    if let Some(cluster) = self.clusters.get_mut(&name) {
                        cluster.certificate_timer = None;
                    }
                    self.touch_cluster(&name, now);
                }
                Timer::Copied(name) => self.copy_is_quiet(&name, now),
                Timer::Agent(key) => {
                    if let Some(agent) = self.agents.get_mut(&key).filter(|a| a.timer == Some(when)) {
                        agent.timer = None;
                        self.touch(&key);
                    }
                }
                Timer::Thawed => self.thawed(now),
                Timer::Failover(key) => self.has_waited(&key, now),
                Timer::Move(key) => {
                    if let Some(agent) = self.agents.get_mut(&key) {
                        agent.move_timer = None;
                        self.touch(&key);
                    }
                }
                Timer::Lending(key) => {
                    if let Some(agent) = self.agents.get_mut(&key) {
                        agent.lending_timer = None;
                        self.touch(&key);
                    }
                }
                Timer::Revisit(key) => {
                    if let Some(agent) = self.agents.get_mut(&key).filter(|a| a.revisit == Some(when)) {
                        agent.revisit = None;
                        self.replan.insert(key);
                    }
                }
                Timer::Revision(key) => self.read_again(&key),
                // Checked in every round.
                Timer::Crd => {}
            }
        }
    }
}

/// Sets a timer of which there is one at a time, or none: `set` is when the earlier one is due.
pub(super) fn replace(
    timers: &mut Timers,
    set: &mut Option<Duration>,
    due: Option<Duration>,
    timer: impl Fn() -> Timer,
) {
    if due == *set {
        return;
    }
    if let Some(earlier) = std::mem::replace(set, due) {
        timers.remove(&(earlier, timer()));
    }
    timers.extend(due.map(|at| (at, timer())));
}
