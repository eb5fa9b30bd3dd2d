//! Everything the member knows of its cluster, in one index. Watches and the answers to writes update it
//! at once, so that nobody waits for the echo of an own write.

mod kept;
mod objects;
pub mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parallax_crds::AgentKey;
use parallax_crds::link::{AgentReport, ClusterReport};
use parallax_member_core::report::Sync;

pub use kept::{Kept, Versioned};
pub use objects::{Assignment, Child, Pod, SlimNode, SlimPod, key_of, node_ready};

/// The kinds whose objects an agent consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChildKind {
    /// apps/v1.
    Deployment,
    /// v1.
    Service,
}

impl ChildKind {
    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Service => "Service",
        }
    }

    /// How the API server is asked for it.
    pub fn resource(self) -> kube::api::ApiResource {
        use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
        match self {
            Self::Deployment => kube::api::ApiResource::erase::<Deployment>(&()),
            Self::Service => kube::api::ApiResource::erase::<Service>(&()),
        }
    }
}

/// An object's end.
#[derive(Debug)]
pub struct End<'a> {
    /// Which object.
    pub uid: &'a str,
    /// The resourceVersion of its end.
    pub version: u64,
}

impl<'a> End<'a> {
    /// As a watch tells it.
    pub fn of(meta: &'a kube::api::ObjectMeta) -> Self {
        let version = meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(u64::MAX);
        Self { uid: meta.uid.as_deref().unwrap_or_default(), version }
    }
}

/// Everything known of one agent here.
#[derive(Debug, Default)]
pub struct Slot {
    /// The order.
    pub assignment: Kept<Assignment>,
    /// Its Deployment.
    pub deployment: Kept<Child>,
    /// Its Service.
    pub service: Kept<Child>,
    /// Its pods by name, with the listing that last had them.
    pods: HashMap<Box<str>, (u32, Pod)>,
    /// What became of the assignment of that UID and generation.
    pub sync: Option<(Box<str>, i64, Sync)>,
    /// What was last told of it.
    pub reported: Option<AgentReport>,
    /// When its Deployment was last written, until its pods are ready.
    pub applied: Option<Instant>,
    /// The status of its assignment is about to be written.
    pub status_due: bool,
}

impl Slot {
    /// Its child of that kind.
    pub fn child(&mut self, kind: ChildKind) -> &mut Kept<Child> {
        match kind {
            ChildKind::Deployment => &mut self.deployment,
            ChildKind::Service => &mut self.service,
        }
    }

    /// Its pods.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().map(|(_, pod)| pod)
    }

    fn is_empty(&self) -> bool {
        self.assignment.live().is_none()
            && self.deployment.live().is_none()
            && self.service.live().is_none()
            && self.pods.is_empty()
    }
}

/// Whether a namespace can take objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// It can.
    Active,
    /// It is being deleted.
    Terminating,
}

/// The number of the listing that each watch is in.
#[derive(Debug, Default)]
pub struct Listings {
    assignments: u32,
    deployments: u32,
    services: u32,
    pods: u32,
    namespaces: u32,
    nodes: u32,
}

impl Listings {
    fn child(&mut self, kind: ChildKind) -> &mut u32 {
        match kind {
            ChildKind::Deployment => &mut self.deployments,
            ChildKind::Service => &mut self.services,
        }
    }
}

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    slots: HashMap<AgentKey, Slot>,
    namespaces: HashMap<Box<str>, (u32, Namespace)>,
    nodes: HashMap<Box<str>, (u32, bool)>,
    listings: Listings,
}

impl Index {
    /// What is known of an agent, to be changed.
    pub fn slot_mut(&mut self, key: &AgentKey) -> Option<&mut Slot> {
        self.slots.get_mut(key)
    }

    /// The order for an agent.
    pub fn assignment(&self, key: &AgentKey) -> Option<Arc<Assignment>> {
        self.slots.get(key)?.assignment.live().cloned()
    }

    /// A child of an agent.
    pub fn child(&self, key: &AgentKey, kind: ChildKind) -> Option<Arc<Child>> {
        let slot = self.slots.get(key)?;
        match kind {
            ChildKind::Deployment => slot.deployment.live().cloned(),
            ChildKind::Service => slot.service.live().cloned(),
        }
    }

    /// Whether a namespace exists.
    pub fn namespace(&self, name: &str) -> Option<Namespace> {
        self.namespaces.get(name).map(|(_, state)| *state)
    }

    /// The agents that have an assignment.
    pub fn assigned(&self) -> impl Iterator<Item = &Arc<Assignment>> {
        self.slots.values().filter_map(|s| s.assignment.live())
    }

    /// Takes an assignment in: what was there before, when it is news.
    pub fn put_assignment(&mut self, new: Assignment) -> Option<(Option<Arc<Assignment>>, Arc<Assignment>)> {
        let slot = self.slots.entry(new.agent.key.clone()).or_default();
        let old = slot.assignment.update(new, self.listings.assignments)?;
        Some((old, slot.assignment.live()?.clone()))
    }

    /// A listing has the assignment of that UID, but not in a form that can be read.
    pub fn keep_assignment(&mut self, key: &AgentKey, uid: &str) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.assignment.listed(uid, self.listings.assignments);
        }
    }

    /// An assignment is gone; what was there.
    pub fn drop_assignment(&mut self, key: &AgentKey, end: &End<'_>) -> Option<Arc<Assignment>> {
        let gone = self.slots.get_mut(key)?.assignment.remove(end.uid, end.version)?;
        self.tidy(key);
        Some(gone)
    }

    /// Takes a child in: what was there before, when it is news.
    pub fn put_child(&mut self, kind: ChildKind, key: &AgentKey, new: Child) -> Option<Option<Arc<Child>>> {
        let listing = *self.listings.child(kind);
        self.slots.entry(key.clone()).or_default().child(kind).update(new, listing)
    }

    /// A child is gone; what was there.
    pub fn drop_child(&mut self, kind: ChildKind, key: &AgentKey, end: &End<'_>) -> Option<Arc<Child>> {
        let gone = self.slots.get_mut(key)?.child(kind).remove(end.uid, end.version)?;
        self.tidy(key);
        Some(gone)
    }

    /// An object that isn't ours is not kept.
    pub fn forget_child(&mut self, kind: ChildKind, key: &AgentKey) {
        if let Some(slot) = self.slots.get_mut(key) {
            *slot.child(kind) = Kept::default();
        }
        self.tidy(key);
    }

    /// Takes a pod in; whether that is news.
    pub fn put_pod(&mut self, key: &AgentKey, name: &str, pod: Pod) -> bool {
        let listing = self.listings.pods;
        let pods = &mut self.slots.entry(key.clone()).or_default().pods;
        let news = pods.get(name).is_none_or(|(_, old)| *old != pod);
        pods.insert(name.into(), (listing, pod));
        news
    }

    /// A pod is gone; whether that is news.
    pub fn drop_pod(&mut self, key: &AgentKey, name: &str) -> bool {
        let gone = self.slots.get_mut(key).is_some_and(|s| s.pods.remove(name).is_some());
        self.tidy(key);
        gone
    }

    /// Takes a namespace in; whether that is news.
    pub fn put_namespace(&mut self, name: &str, state: Namespace) -> bool {
        let old = self.namespaces.insert(name.into(), (self.listings.namespaces, state));
        old.is_none_or(|(_, old)| old != state)
    }

    /// A namespace is gone.
    pub fn drop_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// Takes a node in; whether that is news.
    pub fn put_node(&mut self, name: &str, ready: bool) -> bool {
        self.nodes.insert(name.into(), (self.listings.nodes, ready)).is_none_or(|(_, old)| old != ready)
    }

    /// A node is gone.
    pub fn drop_node(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// Nodes in all, and ready ones.
    pub fn count_nodes(&self, report: &mut ClusterReport) {
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        report.nodes_total = count(self.nodes.len());
        report.nodes_ready = count(self.nodes.values().filter(|(_, ready)| *ready).count());
    }

    /// Agents of a namespace that are known here.
    pub fn agents_in(&self, namespace: &str) -> Vec<AgentKey> {
        self.slots.keys().filter(|k| k.namespace() == namespace).cloned().collect()
    }

    /// A listing of assignments begins.
    pub fn list_assignments(&mut self) {
        self.listings.assignments += 1;
    }

    /// It is complete: what it didn't have.
    pub fn sweep_assignments(&mut self) -> Vec<Arc<Assignment>> {
        let listing = self.listings.assignments;
        let gone = self.slots.values_mut().filter_map(|s| s.assignment.sweep(listing)).collect();
        self.slots.retain(|_, s| !s.is_empty());
        gone
    }

    /// A listing of children begins.
    pub fn list_children(&mut self, kind: ChildKind) {
        *self.listings.child(kind) += 1;
    }

    /// It is complete: whose child it didn't have.
    pub fn sweep_children(&mut self, kind: ChildKind) -> Vec<AgentKey> {
        let listing = *self.listings.child(kind);
        let swept = |(k, s): (&AgentKey, &mut Slot)| s.child(kind).sweep(listing).map(|_| k.clone());
        let gone = self.slots.iter_mut().filter_map(swept).collect();
        self.slots.retain(|_, s| !s.is_empty());
        gone
    }

    /// A listing of pods begins.
    pub fn list_pods(&mut self) {
        self.listings.pods += 1;
    }

    /// It is complete: whose pods it didn't have.
    pub fn sweep_pods(&mut self) -> Vec<AgentKey> {
        let listing = self.listings.pods;
        let mut changed = Vec::new();
        for (key, slot) in &mut self.slots {
            let before = slot.pods.len();
            slot.pods.retain(|_, (seen, _)| *seen == listing);
            if slot.pods.len() != before {
                changed.push(key.clone());
            }
        }
        self.slots.retain(|_, s| !s.is_empty());
        changed
    }

    /// A listing of namespaces begins.
    pub fn list_namespaces(&mut self) {
        self.listings.namespaces += 1;
    }

    /// It is complete.
    pub fn sweep_namespaces(&mut self) {
        let listing = self.listings.namespaces;
        self.namespaces.retain(|_, (seen, _)| *seen == listing);
    }

    /// A listing of nodes begins.
    pub fn list_nodes(&mut self) {
        self.listings.nodes += 1;
    }

    /// It is complete.
    pub fn sweep_nodes(&mut self) {
        let listing = self.listings.nodes;
        self.nodes.retain(|_, (seen, _)| *seen == listing);
    }

    fn tidy(&mut self, key: &AgentKey) {
        if self.slots.get(key).is_some_and(Slot::is_empty) {
            self.slots.remove(key);
        }
    }
}
