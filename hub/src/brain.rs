//! The one task that owns the fleet's state machine: what happens goes in, in one order; what it wants done
//! comes out and is handed to sessions and writers. It waits for nobody.

mod dispatches;
mod phases;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parallax_crds::AgentKey;
use parallax_crds::link::Order;
use parallax_hub_core::fleet::{Effect, Fleet, Hello, Input, Now, SessionEvent, SessionId};
use parallax_platform::{Begun, Events, Stage};
use parallax_proto::driver::Clock;
use parallax_proto::driver::hub::Addressed;
use parallax_proto::session::{CloseReason, HelloFacts, HubEvent, HubSession, HubSessionConfig, limits};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::copies::Copies;
use crate::events;
use crate::keys::Keys;
use crate::metrics::{Answer, Metrics};
use crate::sessions::{Handle, Registry};
use crate::writers::Writers;
use dispatches::Dispatches;
use phases::Phases;

/// Inputs that are taken in before their effects are carried out: under load, more are coalesced.
const BATCH: usize = 64;

/// The fleet and everything that its effects reach.
pub struct Brain {
    /// The state machine.
    pub fleet: Fleet,
    /// The hub's own UID.
    pub hub_uid: String,
    /// The time of the machine and of the sessions.
    pub clock: Clock,
    /// Where sessions are found.
    pub registry: Arc<Registry>,
    /// Who hands over API keys.
    pub keys: Arc<Keys>,
    /// Who tells what is in objects.
    pub copies: Arc<Copies>,
    /// Who writes.
    pub writers: Writers,
    /// Who tells people.
    pub events: Events,
    /// What is counted.
    pub metrics: Metrics,
}

/// What the brain remembers beside the machine.
#[derive(Default)]
struct Memory {
    /// Sessions that have said Hello and have not ended.
    introduced: HashSet<SessionId>,
    dispatches: Dispatches,
    phases: Phases,
}

impl Brain {
    /// Runs until it is told to stop or nobody is left to tell it anything.
    pub async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut sessions: mpsc::Receiver<Addressed>,
        stop: CancellationToken,
    ) {
        let mut memory = Memory::default();
        let mut news = Vec::with_capacity(BATCH);
        let mut said = Vec::with_capacity(BATCH);
        loop {
            let due = self.fleet.next_deadline().map(|at| at.saturating_sub(self.clock.now()));
            let timer = async {
                match due {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                count = inputs.recv_many(&mut news, BATCH) => if count == 0 { return },
                count = sessions.recv_many(&mut said, BATCH) => if count == 0 { return },
                () = timer => news.push(Input::Tick),
            }
            let taken = Instant::now();
            for input in news.drain(..) {
                memory.phases.note(&input, &self.metrics);
                self.take(input);
            }
            for (cluster, number, event) in said.drain(..) {
                if let Some(input) = self.translate(&mut memory, SessionId { cluster, number }, event) {
                    self.take(input);
                }
            }
            while let Some(effect) = self.fleet.poll_effect() {
                self.carry_out(&mut memory, effect, taken);
            }
        }
    }

    /// Gives the machine one input, within the span of the stage that it is.
    fn take(&mut self, input: Input) {
        let now = Now { mono: self.clock.now(), wall: Timestamp::now() };
        let stages = &self.metrics.stages;
        match &input {
            Input::AgentSeen(agent) => {
                let stage = stages.begin(Stage::AgentPlace);
                let key = AgentKey::of(&agent.metadata);
                stage.span().record("agent", tracing::field::display(&key));
                stage.span().in_scope(|| self.fleet.handle(input, now));
            }
            Input::Session { session, event: SessionEvent::Report(report) } => {
                // The member counts how long it was on its way.
                let mut arrived = Begun::at(Stage::StatusReturn, Instant::now());
                arrived
                    .span()
                    .record("agent", tracing::field::display(&report.agent.key))
                    .record("cluster", session.cluster.as_str());
                arrived.traceparent(report.traceparent.as_deref());
                let _arrived = arrived.span().enter();
                let mut stage = stages.begin(Stage::AgentAggregate);
                stage.traceparent(report.traceparent.as_deref());
                stage.span().in_scope(|| self.fleet.handle(input, now));
            }
            _ => self.fleet.handle(input, now),
        }
    }

    /// What a session's event is to the fleet; none for what concerns nobody but the session.
    fn translate(&self, memory: &mut Memory, session: SessionId, event: HubEvent) -> Option<Input> {
        let event = match event {
            HubEvent::Hello(facts) => {
                // Gone already: it will not be heard of again.
                let handle = self.registry.get(&session)?;
                memory.introduced.insert(session.clone());
                self.metrics.session_began();
                return Some(Input::Hello { session, hello: hello(facts, &handle) });
            }
            HubEvent::Closed(reason) => {
                let cause = reason.to_string();
                self.keys.ended(&session);
                self.copies.ended(&session);
                if !memory.introduced.remove(&session) {
                    if let CloseReason::Refused { reason, message } = reason {
                        self.metrics.answered(Answer::Refuse);
                        tracing::warn!(cluster = %session.cluster, session = session.number, %reason, %message, "refused");
                    } else {
                        tracing::info!(cluster = %session.cluster, session = session.number, %cause, "a stream ended before its member introduced itself");
                    }
                    return None;
                }
                self.metrics.session_ended(&session.cluster);
                memory.dispatches.lost(&session.cluster);
                tracing::info!(cluster = %session.cluster, session = session.number, %cause, "disconnected");
                return Some(Input::SessionClosed { session, cause });
            }
            HubEvent::Synced => {
                self.metrics.resynced();
                SessionEvent::Synced
            }
            HubEvent::Unclaimed(held) => SessionEvent::Unclaimed(held),
            HubEvent::Result(result) => {
                memory.dispatches.acknowledged(&session.cluster, &result.agent.key, &self.metrics.stages);
                SessionEvent::Result(result)
            }
            HubEvent::Report(report) => SessionEvent::Report(report),
            HubEvent::ReportsComplete => SessionEvent::ReportsComplete,
            HubEvent::Cluster(report) => SessionEvent::Cluster(report),
            HubEvent::Usage(usages) => SessionEvent::Usage(usages),
            HubEvent::KeyWishes(wishes) => SessionEvent::KeyWishes(wishes),
            HubEvent::CopyWishes(wishes) => SessionEvent::CopyWishes(wishes),
            HubEvent::Events(events, dropped) => SessionEvent::Events(events, dropped),
        };
        memory.introduced.contains(&session).then_some(Input::Session { session, event })
    }

    fn carry_out(&self, memory: &mut Memory, effect: Effect, decided: Instant) {
        match effect {
            Effect::Admit { session, epoch, orders, removals } => {
                self.metrics.answered(Answer::Admit);
                let Some(handle) = self.registry.get(&session) else { return };
                tracing::info!(cluster = %session.cluster, session = session.number, orders = orders.len(), removals = removals.len(), "connected");
                let config = self.config(&session, epoch, &handle);
                let now = self.clock.now();
                handle.with(|machine| machine.admit(config, orders, removals, now));
            }
            Effect::Retry { session, after, reason } => {
                self.metrics.answered(Answer::Retry);
                tracing::info!(cluster = %session.cluster, session = session.number, %reason, after_ms = after.as_millis(), "asked to come again");
                self.session(&session, |machine, now| machine.retry(after, reason, now));
            }
            Effect::Refuse { session, refusal, message } => {
                let reason = refusal.word();
                self.metrics.answered(Answer::Refuse);
                tracing::warn!(cluster = %session.cluster, session = session.number, %reason, %message, "refused");
                self.session(&session, |machine, now| machine.refuse(reason, &message, now));
            }
            Effect::Close { session, why } => {
                self.session(&session, |machine, now| machine.bye(why.word(), now));
            }
            Effect::Upsert { session, order } => {
                let Order { agent, traceparent, .. } = &order;
                memory.dispatches.begin(&session.cluster, &agent.key, traceparent.as_deref(), decided);
                self.session(&session, |machine, _| machine.upsert(order));
            }
            Effect::Remove { session, agent, traceparent } => {
                memory.dispatches.begin(&session.cluster, &agent.key, traceparent.as_deref(), decided);
                self.session(&session, |machine, _| machine.remove(agent, traceparent));
            }
            Effect::Forget { session, agent } => {
                memory.dispatches.forgotten(&session.cluster, &agent);
                self.session(&session, |machine, _| machine.forget(&agent));
            }
            Effect::HandKey { session, wish } => {
                // One that has ended meanwhile would never end again.
                if memory.introduced.contains(&session) {
                    self.keys.hand(session, wish);
                }
            }
            Effect::WithholdKey { session, wish, why } => self.keys.withhold(&session, wish, why),
            Effect::TellCopy { session, wish } => {
                if memory.introduced.contains(&session) {
                    self.copies.tell(session, &wish);
                }
            }
            Effect::TellCopyNoLonger { session, wish } => self.copies.tell_no_longer(&session, &wish),
            Effect::AddFinalizer { key, uid } => self.writers.add_finalizer(key, uid),
            Effect::ReleaseFinalizer { key, uid } => self.writers.release_finalizer(key, uid),
            Effect::WriteAgentStatus { key, uid, status, traceparent } => {
                self.writers.agent_status(key, uid, status, &traceparent);
            }
            Effect::WriteClusterStatus { cluster, uid, status } => {
                self.writers.cluster_status(cluster, uid, status);
            }
            Effect::PinCluster { cluster, resource_version, cluster_uid } => {
                self.writers.pin_cluster(cluster, &resource_version, &cluster_uid);
            }
            Effect::ClearPruneApproval { cluster, digest } => {
                self.writers.clear_prune_approval(cluster, &digest);
            }
            Effect::WriteRevision { key, uid, id, about, revision } => {
                self.writers.revision(key, uid, id, &about, &revision);
            }
            Effect::DropRevision { key, id } => self.writers.drop_revision(key, id),
            Effect::ReadRevision { key, id } => self.writers.read_revision(key, id),
            Effect::WriteTombstones { store, drop } => self.writers.tombstones(store, drop),
            Effect::RaiseEpoch { to } => self.writers.raise_epoch(to),
            Effect::CheckCrd => self.writers.check_crd(),
            Effect::Usage { cluster, usage } => self.metrics.usage.show(&cluster, &usage),
            Effect::Event { subject, warning, reason, message } => {
                let object = events::reference(&subject);
                if warning {
                    self.events.warning(object, &reason, &message);
                } else {
                    self.events.normal(object, &reason, &message);
                }
            }
        }
    }

    /// Changes a session's machine, if it is still open.
    fn session(&self, id: &SessionId, change: impl FnOnce(&mut HubSession, Duration)) {
        if let Some(handle) = self.registry.get(id) {
            let now = self.clock.now();
            handle.with(|machine| change(machine, now));
        }
    }

    fn config(&self, session: &SessionId, epoch: u64, handle: &Handle) -> HubSessionConfig {
        let left = handle.not_after.duration_since(Timestamp::now());
        HubSessionConfig {
            hub_uid: self.hub_uid.clone(),
            epoch,
            session: session.to_string(),
            heartbeat: limits::HEARTBEAT,
            silence: limits::SILENCE,
            not_after_unix: handle.not_after.as_second(),
            lifetime: Duration::try_from(left).unwrap_or_default(),
        }
    }
}

fn hello(facts: HelloFacts, handle: &Handle) -> Hello {
    Hello {
        cluster_uid: facts.cluster_uid,
        boot_id: facts.boot_id,
        hub_uid: facts.hub_uid,
        max_epoch_seen: facts.max_epoch_seen,
        member_version: facts.member_version,
        certificate_serial: handle.serial.clone(),
        certificate_not_after: handle.not_after,
    }
}
