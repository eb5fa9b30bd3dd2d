//! The member's agents: what is ordered, what exists, what is told. Watches, the link and the executor meet here.

mod activation;
mod children;
mod conflicts;
mod executor;
mod namespaces;
mod orders;
mod persist;
mod seen;
mod status;
mod subjects;
#[cfg(test)]
pub mod testing;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use kube::Client;
use parallax_crds::copies::{CopyAnswer, Source};
use parallax_crds::link::{AgentReport, ClusterReport, KeyAnswer, OrderResult};
use parallax_crds::{AgentKey, ClusterName, Phase};
use parallax_member_core::report::Facts;
use parallax_member_core::{ChildKind, Sync, endpoint, events, report};
use parallax_platform::{Begun, Stage, StageGuard};
use parallax_proto::session::MemberLink;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::copies::Copies;
use crate::credentials::Keys;
use crate::metrics::Metrics;
use crate::needs::Needs;
use crate::queue::Queue;
use crate::store::{Assignment, Index, Slot, Versioned as _};

pub use executor::run as execute;
pub use namespaces::Making;
pub use status::run as write_statuses;

/// What the administrator of this cluster decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The member's own namespace, where no agent may run.
    pub own_namespace: String,
    /// Whether and how namespaces that are missing are made.
    pub namespaces: Making,
    /// Namespaces whose control-plane pods may reach every agent.
    pub control_plane_namespaces: Vec<String>,
    /// Namespaces whose pods may read every agent's metrics.
    pub scraper_namespaces: Vec<String>,
}

/// The link to the hub, and what wakes its driver.
#[derive(Clone)]
pub struct Uplink {
    /// The machine.
    pub link: Arc<Mutex<MemberLink>>,
    /// To be notified after a change of it.
    pub wake: Arc<Notify>,
}

impl Uplink {
    /// Changes the link and wakes its driver.
    pub fn tell(&self, change: impl FnOnce(&mut MemberLink)) {
        change(&mut self.link.lock());
        self.wake.notify_one();
    }
}

/// See the module.
pub struct Agents {
    client: Client,
    settings: Settings,
    cluster: OnceLock<ClusterName>,
    index: Mutex<Index>,
    orders: Mutex<orders::Orders>,
    queue: Arc<Queue>,
    statuses: Arc<Queue>,
    conflicts: conflicts::Conflicts,
    keys: Arc<Keys>,
    copies: Arc<Copies>,
    needs: Arc<Needs>,
    stubborn: children::Stubborn,
    about: Mutex<ClusterReport>,
    uplink: Uplink,
    metrics: Metrics,
}

impl Agents {
    /// No agents yet.
    pub fn new(
        client: Client,
        settings: Settings,
        about: ClusterReport,
        uplink: Uplink,
        metrics: Metrics,
    ) -> Arc<Self> {
        let queue = Queue::new(executor::LINGERING);
        let keys = Keys::new(client.clone(), &settings.own_namespace, Arc::clone(&queue), uplink.clone());
        let copies = Copies::new(uplink.clone());
        let needs = Needs::new(client.clone(), Arc::clone(&queue));
        Arc::new(Self {
            client,
            settings,
            cluster: OnceLock::new(),
            index: Mutex::default(),
            orders: Mutex::default(),
            queue,
            statuses: Queue::new(0),
            conflicts: conflicts::Conflicts::default(),
            keys,
            copies,
            needs,
            stubborn: children::Stubborn::default(),
            about: Mutex::new(about),
            uplink,
            metrics,
        })
    }

    /// The name that the fleet has for this cluster, once it is known; agents are told it. The first one stays.
    pub fn name_cluster(&self, name: ClusterName) {
        if self.cluster.set(name).is_ok() {
            let keys: Vec<AgentKey> = self.index.lock().assigned().map(|a| a.agent.key.clone()).collect();
            keys.iter().for_each(|key| self.queue.add(key));
        }
    }

    /// The member's own namespace.
    pub fn own_namespace(&self) -> &str {
        &self.settings.own_namespace
    }

    /// How the hub is told things.
    pub fn uplink(&self) -> &Uplink {
        &self.uplink
    }

    /// The hub has answered a wish for a key.
    pub fn key_answered(&self, answer: KeyAnswer) {
        self.keys.answered(answer);
    }

    /// The hub tells of an object that was asked for.
    pub fn copy_answered(&self, answer: CopyAnswer) {
        let place = answer.place.clone();
        self.copies.answered(answer);
        match place.source {
            Source::Namespace => self.namespace_told(&place.namespace),
        }
    }

    /// Returns once every agent that is to be looked at has been.
    pub async fn looked_at(&self) {
        self.queue.idle().await;
    }

    /// Works out what is to be told of an agent, and tells it when that is news: the hub at once, the
    /// assignment's status a little later.
    fn refresh(&self, key: &AgentKey) {
        let mut index = self.index.lock();
        let Some(assignment) = index.assignment(key) else { return };
        let called = activation::is_called(&assignment, &index);
        let Some(slot) = index.slot_mut(key) else { return };
        let Some(mut new) = told(slot, &assignment) else { return };
        if slot.reported.as_ref() == Some(&new) {
            return;
        }
        // Along with other news, since it would be news with every request.
        if called || slot.reported.as_ref().is_some_and(|old| wakes(old, &new)) {
            new.last_activity = new.last_activity.max(Some(Timestamp::now().as_second()));
        }
        // A status with a phase was told of by an earlier process.
        let told_before = assignment.object.status.as_ref().is_some_and(|s| s.phase.is_some());
        let beginning = (slot.reported.is_none() && !told_before).then(|| events::beginning(&new));
        let old = slot.reported.as_ref().or(beginning.as_ref());
        let event = events::transition(old, &new, known_sync(slot, &assignment));
        if new.phase == Phase::Running
            && new.reason.is_empty()
            && let Some(applied) = slot.applied.take()
        {
            let mut stage = Begun::at(Stage::PodsReady, applied);
            stage.span().record("agent", tracing::field::display(key));
            stage.traceparent(new.traceparent.as_deref());
            stage.end(&self.metrics.stages);
        }
        slot.reported = Some(new.clone());
        let status_due = !std::mem::replace(&mut slot.status_due, true);
        drop(index);
        let stage = self.stage(Stage::StatusReturn, key, new.traceparent.as_deref());
        let _entered = stage.span().enter();
        tracing::debug!(phase = %new.phase, ready = new.ready, desired = new.desired, reason = new.reason, "reported");
        self.uplink.tell(|link| {
            link.report(new);
            if let Some(event) = event {
                link.event(event);
            }
        });
        if status_due {
            self.statuses.add_after(key, status::PAUSE);
        }
    }

    /// Tells the hub what became of orders.
    fn answer(&self, results: Vec<(u64, OrderResult)>) {
        if results.is_empty() {
            return;
        }
        results.iter().for_each(|(_, result)| self.metrics.order(result.outcome));
        self.uplink.tell(|link| {
            for (nonce, result) in results {
                link.on_result(nonce, result);
            }
        });
    }

    /// Begins a stage of a change.
    fn stage(&self, stage: Stage, key: &AgentKey, traceparent: Option<&str>) -> StageGuard {
        let mut guard = self.metrics.stages.begin(stage);
        guard.span().record("agent", tracing::field::display(key));
        guard.traceparent(traceparent);
        guard
    }
}

/// Whether an agent was asleep and isn't any more.
fn wakes(old: &AgentReport, new: &AgentReport) -> bool {
    old.agent == new.agent && old.chosen == Some(0) && new.chosen != Some(0)
}

/// What became of the assignment's present order; of one that is being deleted, of its last one that was looked at.
fn known_sync<'a>(slot: &'a Slot, assignment: &Assignment) -> Option<&'a Sync> {
    let (uid, generation, sync) = slot.sync.as_ref()?;
    let same = **uid == *assignment.uid();
    (same && (assignment.deleting() || *generation == assignment.generation())).then_some(sync)
}

/// Where the agent is reached; none while it has no Service.
fn endpoint(slot: &Slot, assignment: &Assignment) -> Option<String> {
    let has = |kind| slot.child(kind).live().is_some_and(|live| live.is_ours(assignment.uid()));
    has(ChildKind::Service).then(|| endpoint::endpoint(&assignment.agent.key, has(ChildKind::ServiceExport)))
}

/// The report on an agent; none while its present order hasn't been looked at.
fn told(slot: &Slot, assignment: &Assignment) -> Option<AgentReport> {
    let sync = known_sync(slot, assignment);
    if sync.is_none() && !assignment.deleting() {
        return None;
    }
    let last = slot.reported.as_ref().filter(|r| r.agent == assignment.agent);
    let stored = || {
        let status = assignment.object.status.as_ref()?;
        status.observed_hash.as_deref()?.parse().ok()
    };
    let known = || {
        let time = assignment.object.status.as_ref()?.last_activity_time.as_ref()?;
        Some(time.0.as_second())
    };
    let mine = |p: &&crate::store::Pod| p.staying && p.incarnation == assignment.agent.incarnation;
    let pods: Vec<_> = slot.pods().filter(mine).map(|p| &p.facts).collect();
    Some(report(&Facts {
        agent: &assignment.agent,
        hash: assignment.hash,
        scale: assignment.scale(),
        targets: assignment.object.spec.template.scaling,
        asleep: assignment.is_asleep(),
        deleting: assignment.deleting(),
        sync,
        deployment: slot.child(ChildKind::Deployment).live().and_then(|d| d.deployment.as_deref()),
        pods: &pods,
        previous: last.map_or_else(stored, |r| r.hash),
        credentials: slot.credentials.as_ref(),
        missing: &slot.missing,
        endpoint: endpoint(slot, assignment),
        last_activity: activation::last_called(assignment, last.map_or_else(known, |r| r.last_activity)),
        traceparent: assignment.traceparent(),
    }))
}
