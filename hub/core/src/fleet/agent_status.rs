//! The status of an agent: written when it has changed, at once where that matters, one write at a time.

use std::time::Duration;

use parallax_crds::agent::Freshness;
use parallax_crds::conditions::{PLACED, PROGRESSING, READY, find, truth};
use parallax_crds::{AgentKey, ClusterName, ParallaxAgentStatus, Phase};

use super::agent::{Agent, Life, Record, Row, Tiding, Untold};
use super::rollouts::tidings;
use super::settling::replace;
use super::{Effect, Fleet, GRACE, Now, StatusOf, Subject, Timer, WriteOutcome};
use crate::aggregate::{
    AggregateInput, ClusterInput, DEADLINE_EXCEEDED, MAX_ROWS, Significance, Waves, Word, aggregate,
    significance,
};
use crate::placement::Explanation;
use crate::rollout::wave_of;
use crate::writes::Urgency;

impl Fleet {
    /// Decides for every agent that something happened to how much its status hurries.
    pub(super) fn look_at_dirty(&mut self, now: Now) {
        while let Some((key, user)) = self.dirty.pop_first() {
            self.look_at_keys(&key);
            self.look_at_copies(&key);
            let Some(agent) = self.agents.get(&key) else { continue };
            // Two writes of one object at once make the API server do one of them twice, and orders wait for the
            // finalizer's: its answer leads back here.
            if agent.life == Life::Living && !agent.finalizer && self.finalizers.is_first_try(&key) {
                continue;
            }
            // Beyond the rows that are shown, working out the whole status for each report would cost more than it tells.
            if agent.rows.len() > MAX_ROWS && agent.decision.issued && !user {
                self.statuses.want(StatusOf::Agent(key), Urgency::Soon, now.mono);
                continue;
            }
            let deleting = agent.life != Life::Living;
            // Nothing is said of it before it is known where it runs.
            if agent.record == Record::Lost && !deleting {
                continue;
            }
            let Some(next) = self.aggregated(&key, now) else { continue };
            let Some(agent) = self.agents.get_mut(&key) else { continue };
            let previous = agent.stored.latest();
            let urgency = match significance(previous, &next) {
                Significance::None => {
                    self.decision_issued(&key, now);
                    let Some(agent) = self.agents.get_mut(&key) else { continue };
                    if !agent.stored.is_writing() {
                        agent.explanation = None;
                    }
                    continue;
                }
                // Most deletions are over before anybody could read about them.
                _ if deleting => Urgency::Soon,
                Significance::Now if user => Urgency::User,
                Significance::Now => Urgency::Now,
                Significance::Soon => Urgency::Soon,
            };
            self.statuses.want(StatusOf::Agent(key), urgency, now.mono);
        }
    }

    /// The agent's turn in the queue of writes.
    pub(super) fn write_agent_status(&mut self, key: &AgentKey, now: Now) {
        let whose = StatusOf::Agent(key.clone());
        let status = self.aggregated(key, now);
        let (Some(agent), Some(status)) = (self.agents.get_mut(key), status) else {
            return self.statuses.done(&whose, now.mono);
        };
        if matches!(agent.life, Life::Released { .. }) || agent.stored.status() == Some(&status) {
            agent.explanation = None;
            self.statuses.done(&whose, now.mono);
            return self.decision_issued(key, now);
        }
        let events = transitions(agent.stored.status(), &status, agent.explanation.as_deref());
        agent.untold = (!events.is_empty()).then(|| Box::new(Untold { status: status.clone(), events }));
        agent.stored.begin(Box::new(status.clone()));
        self.effects.push_back(Effect::WriteAgentStatus {
            key: key.clone(),
            uid: agent.uid.clone(),
            status: Box::new(status),
            traceparent: agent.traceparent(),
        });
        self.decision_issued(key, now);
    }

    /// The status that was sent last is stored: people are told what it means, once.
    pub(super) fn tell(&mut self, key: &AgentKey) {
        let Some(agent) = self.agents.get_mut(key) else { return };
        let Some(untold) = agent.untold.take() else { return };
        let subject = Subject::Agent { key: key.clone(), uid: agent.uid.clone() };
        for Tiding { warning, reason, message } in untold.events {
            let (subject, reason) = (subject.clone(), reason.to_owned());
            self.effects.push_back(Effect::Event { subject, warning, reason, message });
        }
    }

    /// The decision is stored, or on its way: orders may follow.
    fn decision_issued(&mut self, key: &AgentKey, now: Now) {
        if let Some(agent) = self.agents.get_mut(key).filter(|a| !a.decision.issued) {
            agent.decision.issued = true;
            self.dispatch_everywhere(key, now);
            self.remove_what_has_passed(key);
        }
    }

    pub(super) fn agent_status_written(
        &mut self,
        key: &AgentKey,
        uid: &str,
        outcome: &WriteOutcome,
        now: Now,
    ) {
        let agent = self.agents.get_mut(key).filter(|a| a.uid == uid);
        let whose = StatusOf::Agent(key.clone());
        let Some(agent) = agent else { return self.statuses.done(&whose, now.mono) };
        let refused = agent.stored.written(outcome);
        let subject = Subject::Agent { key: key.clone(), uid: agent.uid.clone() };
        self.effects.extend(refused.map(|why| status_refused(subject, why)));
        self.statuses.answered(&whose, outcome, now.mono);
        if matches!(outcome, WriteOutcome::Ok(_)) {
            self.tell(key);
            self.touch(key);
            self.rollout_stored(key, now);
        }
    }

    /// The status that follows from what is known now; sets the timer for what follows from time alone.
    fn aggregated(&mut self, key: &AgentKey, now: Now) -> Option<ParallaxAgentStatus> {
        let starting = self.is_starting();
        let agent = self.agents.get_mut(key)?;
        for (name, row) in &mut agent.rows {
            row.freshness = freshness(row, self.clusters.get(name), starting, now.mono);
        }
        let rows: Vec<_> =
            agent.rows.iter().map(|(name, row)| input(agent, name, row, self.clusters.get(name))).collect();
        let reference = agent.reference(key);
        let decision = agent.decision.to_store(agent.record);
        let previous = agent.stored.latest();
        let result = aggregate(
            &AggregateInput {
                agent: &reference,
                generation: agent.generation(),
                deleting: agent.stored.object.metadata.deletion_timestamp.is_some(),
                spec: &agent.stored.object.spec,
                unresolved: agent.templates.as_ref().err(),
                decision: decision.as_ref(),
                explanation: agent.explanation.as_deref(),
                rollout: agent.waves().map(|rollout| Waves {
                    rollout,
                    revision: agent.revisions.newest().map_or(0, |(_, newest)| newest.number),
                    change: agent.change(previous),
                    asked: agent.asked(),
                }),
                clusters: &rows,
                quiet: agent.quiet.1 + now.mono.saturating_sub(agent.quiet.0),
                deadline: agent.progress_deadline(),
            },
            previous,
            now.wall,
        );
        if result.moved {
            agent.quiet = (now.mono, Duration::ZERO);
        }
        let due = result.changes_after.map(|after| now.mono + after);
        replace(&mut self.timers, &mut agent.timer, due, || Timer::Agent(key.clone()));
        Some(result.status)
    }
}

fn freshness(row: &Row, cluster: Option<&super::Cluster>, starting: bool, now: Duration) -> Freshness {
    let Some(cluster) = cluster else { return Freshness::Unreachable };
    match (&cluster.session, cluster.lost) {
        (Some(session), _) if row.heard || session.reports_complete => Freshness::Fresh,
        // It is about to speak.
        (Some(_), _) => row.freshness,
        (None, Some(lost)) if now < lost + GRACE => Freshness::Stale,
        (None, None) if starting => row.freshness,
        (None, _) => Freshness::Unreachable,
    }
}

fn input<'a>(
    agent: &'a Agent,
    name: &'a ClusterName,
    row: &'a Row,
    cluster: Option<&super::Cluster>,
) -> ClusterInput<'a> {
    let hash = agent.hash(name);
    let wanted = agent.scale(name);
    let order = hash.zip(wanted);
    let complete = cluster.and_then(|c| c.session.as_ref()).is_some_and(|s| s.reports_complete);
    let word = match &row.report {
        Some(_) if complete && !row.heard => Word::Silent,
        Some(report) => {
            Word::Report { report, generation: report.hash.and_then(|hash| agent.generation_of(name, hash)) }
        }
        None if complete => Word::Silent,
        None => Word::Unheard,
    };
    ClusterInput {
        name,
        wanted,
        leaving: agent.decision.leaving.get(name).copied().unwrap_or(0),
        stays: agent.decision.targets.contains_key(name),
        wave: agent.waves().zip(cluster).map_or(0, |(rollout, c)| wave_of(&rollout.waves, &c.labels())),
        waits: agent.waits(name),
        has_it: agent.has_it(name),
        persisted: row.persisted.is(order),
        suspended: cluster.is_some_and(super::Cluster::is_suspended),
        result: row.trouble.as_deref().filter(|r| r.hash.is_some() && r.hash == hash),
        word,
        freshness: row.freshness,
        last_reported: row.reported,
        usage: row.usage.as_deref(),
    }
}

/// The API server doesn't take the status.
pub(super) fn status_refused(subject: Subject, message: String) -> Effect {
    Effect::Event { subject, warning: true, reason: "StatusRefused".to_owned(), message }
}

/// What people are told of a change of status: transitions only. `explanation` is that of `after`, if it was decided anew.
fn transitions(
    before: Option<&ParallaxAgentStatus>,
    after: &ParallaxAgentStatus,
    explanation: Option<&Explanation>,
) -> Vec<Tiding> {
    let mut events = Vec::new();
    let mut tell = |warning, reason, message| events.push(Tiding { warning, reason, message });
    let targets =
        |s: &ParallaxAgentStatus| s.placement.as_ref().map(|p| p.targets.clone()).unwrap_or_default();
    let (old, new) = (before.map(targets).unwrap_or_default(), targets(after));
    if new != old && !new.is_empty() {
        let shares: Vec<_> = new.iter().take(10).map(|t| format!("{}: {}", t.cluster, t.replicas)).collect();
        let more =
            if new.len() > 10 { format!(" and {} more clusters", new.len() - 10) } else { String::new() };
        tell(false, "Placed", format!("placed on {}{more}", shares.join(", ")));
    }
    let condition = |s: &ParallaxAgentStatus, type_: &str| {
        find(&s.conditions, type_).map(|c| (truth(c), c.message.clone()))
    };
    let placed = condition(after, PLACED);
    if let Some((status, message)) = placed
        && status == Some(false)
        && before.and_then(|s| condition(s, PLACED)).is_none_or(|(old, _)| old != Some(false))
    {
        tell(true, "Unplaceable", message);
    }
    let told = before.and_then(|s| condition(s, PLACED)).map(|(_, message)| message).unwrap_or_default();
    if let Some(unknown) = explanation.and_then(Explanation::unknown)
        && !told.contains(&unknown)
    {
        tell(true, "UnknownCluster", unknown);
    }
    let late = |s: &ParallaxAgentStatus| {
        find(&s.conditions, PROGRESSING).filter(|c| c.reason == DEADLINE_EXCEEDED).map(|c| c.message.clone())
    };
    let moves = after.placement.as_ref().is_some_and(|p| !p.leaving.is_empty());
    if let Some(message) = late(after).filter(|_| moves && before.and_then(late).is_none()) {
        tell(true, "MoveStalled", message);
    }
    let rollout = |s: &ParallaxAgentStatus| s.rollout.clone();
    let tidings = tidings(before.and_then(rollout).as_ref(), after.rollout.as_ref());
    if let Some((warning, reason, message)) = tidings {
        tell(warning, reason, message);
    }
    let phase = before.and_then(|s| s.phase);
    if after.phase != phase {
        let summary = after.replica_summary.clone().unwrap_or_default();
        let (ready, message) = condition(after, READY).unwrap_or_default();
        match after.phase {
            Some(Phase::Running) if ready == Some(true) => tell(false, "Running", message),
            Some(Phase::Running) => tell(false, "Running", format!("{summary} replicas are ready")),
            Some(Phase::Failed) => tell(true, "Failed", message),
            _ => {}
        }
    }
    events
}
