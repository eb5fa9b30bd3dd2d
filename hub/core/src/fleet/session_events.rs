//! What admitted members say.

use parallax_crds::link::{AgentReport, Held, MemberEvent, OrderResult, Outcome};
use parallax_crds::{AgentRef, ClusterName};

use super::agent::{Life, Persisted, Record, Wait};
use super::{Effect, Fleet, Now, SessionEvent, SessionId, Subject};
use crate::tombstones::Tombstone;

impl Fleet {
    pub(super) fn session_event(&mut self, id: &SessionId, event: SessionEvent, now: Now) {
        let name = &id.cluster;
        let session = self.clusters.get_mut(name).and_then(|c| c.session.as_mut());
        // A session that was replaced or given up has nothing to say.
        let Some(session) = session.filter(|s| s.id == *id) else { return };
        match event {
            SessionEvent::Unclaimed(held) => {
                held.into_iter().for_each(|held| self.unclaimed(name, held, now));
                self.told(name);
                self.look_for_approval(name, now);
                self.touch_cluster(name, now);
            }
            SessionEvent::Synced => {
                session.synced = true;
                self.synced(name, now);
            }
            SessionEvent::Result(result) => self.result(name, result, now),
            SessionEvent::Report(report) => self.report(name, report, now),
            SessionEvent::ReportsComplete => {
                session.reports_complete = true;
                self.touch_agents_of(name);
                self.count_cluster(name, now);
            }
            SessionEvent::Usage(usages) => {
                let boot_id = session.boot_id.clone();
                self.usage(name, &boot_id, usages, now);
            }
            SessionEvent::KeyWishes(wishes) => self.key_wishes(name, wishes),
            SessionEvent::CopyWishes(wishes) => self.copy_wishes(name, wishes),
            SessionEvent::Cluster(report) => self.cluster_report(name, report, now),
            SessionEvent::Events(events, dropped) => self.member_events(name, events, dropped),
        }
    }

    /// The member holds something that it has no order for. Only what is known to have to go, goes.
    fn unclaimed(&mut self, name: &ClusterName, held: Held, now: Now) {
        let reference = held.agent;
        let key = &reference.key;
        if self.tombstones.contains(&Tombstone { cluster: name.clone(), agent: reference.clone() }) {
            return self.remove_there(name, reference);
        }
        let Some(agent) = self.agents.get_mut(key).filter(|a| a.incarnation == reference.incarnation) else {
            self.guards.entry(name.clone()).or_default().hold_unknown(reference, held.scale.replicas);
            return;
        };
        match &agent.life {
            Life::Living if agent.decision.share(name).is_some() => {
                // Ordered as soon as it may be: the decision or the finalizer is being written, or the cluster is suspended.
                let row = agent.rows.entry(name.clone()).or_default();
                row.touched = true;
                row.persisted = Persisted::Order(held.hash, held.scale);
            }
            Life::Living if agent.record != Record::Kept && !held.removing => {
                self.take_in(key, name, (Some(held.hash), held.scale), now);
            }
            Life::Living => {
                agent.elsewhere.insert(name.clone());
                // Withdrawn with the first decision, if there is none yet.
                if agent.record != Record::Lost {
                    self.withdraw(key, name, now);
                }
            }
            Life::Deleting { confirmed: false, .. } => {
                agent.elsewhere.insert(name.clone());
            }
            Life::Deleting { waits, .. } => {
                if waits.get(name) != Some(&Wait::Held) {
                    agent.elsewhere.insert(name.clone());
                    self.standings.delete(name, key);
                    self.demand(key, name, now);
                }
            }
            Life::Released { kept: false } => {
                // It was seen being deleted, so this copy goes too.
                self.tombstones.plant(Tombstone { cluster: name.clone(), agent: reference.clone() });
                self.remove_there(name, reference);
            }
            Life::Released { kept: true } => {
                self.guards.entry(name.clone()).or_default().hold_unknown(reference, held.scale.replicas);
            }
        }
    }

    fn remove_there(&mut self, name: &ClusterName, agent: AgentRef) {
        if let Some(session) = self.clusters.get(name).and_then(|c| c.session.as_ref()) {
            self.effects.push_back(Effect::Remove { session: session.id.clone(), agent, traceparent: None });
        }
    }

    /// The member holds what it was ordered when it was admitted.
    fn synced(&mut self, name: &ClusterName, now: Now) {
        for key in self.standings.assigned(name).cloned().collect::<Vec<_>>() {
            let Some(agent) = self.agents.get_mut(&key) else { continue };
            let Some(row) = agent.rows.get_mut(name) else { continue };
            // No word on it in this session: it was there already, whatever an earlier session has heard last.
            if std::mem::take(&mut row.admitted)
                && let Some((hash, scale)) = row.sent
            {
                row.persisted = Persisted::Order(hash, scale);
                row.unanswered = row.unanswered.saturating_sub(1);
                row.trouble = None;
                self.touch(&key);
            }
        }
        if self.guards.get_mut(name).is_some_and(crate::prune::PruneGuard::learnt) {
            self.touch_cluster(name, now);
        }
    }

    fn result(&mut self, name: &ClusterName, result: OrderResult, now: Now) {
        if result.outcome == Outcome::Gone {
            return self.gone(name, &result.agent, now);
        }
        let key = result.agent.key.clone();
        let Some(agent) = self.agents.get_mut(&key).filter(|a| a.incarnation == result.agent.incarnation)
        else {
            return;
        };
        if result.outcome == Outcome::Persisted {
            for tombstone in self.tombstones.named(name, &key) {
                // The new incarnation has taken the old one's place.
                if tombstone.agent.incarnation != result.agent.incarnation {
                    self.tombstones.lift(&tombstone);
                }
            }
        }
        let (Some(hash), Some(row)) = (result.hash, agent.rows.get_mut(name)) else { return };
        if let (Outcome::Persisted, Some((sent, scale))) = (result.outcome, row.sent)
            && sent == hash
        {
            row.persisted = Persisted::Order(hash, scale);
        }
        if matches!(result.outcome, Outcome::Persisted | Outcome::Rejected) {
            row.unanswered = row.unanswered.saturating_sub(1);
        }
        row.admitted = false;
        row.trouble = (result.outcome != Outcome::Persisted).then(|| Box::new(result));
        self.touch(&key);
    }

    fn report(&mut self, name: &ClusterName, report: AgentReport, now: Now) {
        let key = report.agent.key.clone();
        let Some(agent) = self.agents.get_mut(&key).filter(|a| a.incarnation == report.agent.incarnation)
        else {
            return;
        };
        // Copies that the decision excludes are the inventory's to find; their reports count for nothing.
        let Some(row) = agent.rows.get_mut(name) else { return };
        row.heard = true;
        if row.is_up_to_date() {
            row.doubted = None;
        }
        row.reported = Some(now.wall);
        row.report = Some(report);
        if let Some(serving) = agent.serving_in(name, false, now.mono) {
            self.standings.serving(name, &key, serving, now.mono);
        }
        self.touch(&key);
        self.count_cluster(name, now);
    }

    fn member_events(&mut self, name: &ClusterName, events: Vec<MemberEvent>, dropped: u64) {
        for event in events {
            let agent =
                self.agents.get_mut(&event.agent.key).filter(|a| a.incarnation == event.agent.incarnation);
            let Some(agent) = agent else { continue };
            let message = agent.tellers.tell(&event.reason, name, &event.message);
            self.effects.push_back(Effect::Event {
                subject: Subject::Agent { key: event.agent.key, uid: agent.uid.clone() },
                warning: event.warning,
                reason: event.reason,
                message,
            });
        }
        if dropped > 0 {
            let message =
                format!("{dropped} events of agents in {name} were dropped: there were too many at once");
            self.cluster_event(name, true, "EventsDropped", message);
        }
    }

    pub(super) fn touch_agents_of(&mut self, name: &ClusterName) {
        for key in self.standings.assigned(name).chain(self.standings.withdrawing(name)) {
            self.dirty.entry(key.clone()).or_insert(false);
        }
    }
}
