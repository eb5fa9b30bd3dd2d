//! The index of what exists.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use parallax_crds::AgentKey;
use parallax_crds::link::ClusterReport;
use parallax_member_core::ChildKind;
use parallax_member_core::cluster::Capacity;

use super::listed::Listed;
use super::{Assignment, Child, Kept, Pod, Slice, Slot};

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

    /// As the API server tells somebody who asks for the object of that UID.
    pub fn known(uid: &'a str) -> Self {
        Self { uid, version: u64::MAX }
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

/// The number of the listing that each watch of agents' objects is in.
#[derive(Debug, Default)]
struct Listings {
    assignments: u32,
    children: [u32; ChildKind::ALL.len()],
    pods: u32,
    slices: u32,
}

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    slots: HashMap<AgentKey, Slot>,
    listings: Listings,
    /// The namespaces of the cluster.
    pub namespaces: Listed<Namespace>,
    /// Its nodes, and what pods keep of them.
    pub capacity: Capacity,
    /// The scores that it gives itself.
    pub scores: BTreeMap<String, i32>,
    /// The activators, by the slice of their Service: where each is, and whether it takes requests.
    pub activators: Listed<Vec<(IpAddr, bool)>>,
    /// The kinds of others that it has, and of which agents' objects are known.
    pub served: HashSet<ChildKind>,
}

impl Index {
    /// What is known of an agent.
    pub fn slot(&self, key: &AgentKey) -> Option<&Slot> {
        self.slots.get(key)
    }

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
        self.slots.get(key)?.child(kind).live().cloned()
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
        let listing = self.listings.children[kind as usize];
        self.slots.entry(key.clone()).or_default().child_mut(kind).update(new, listing)
    }

    /// A child is gone; what was there.
    pub fn drop_child(&mut self, kind: ChildKind, key: &AgentKey, end: &End<'_>) -> Option<Arc<Child>> {
        let gone = self.slots.get_mut(key)?.child_mut(kind).remove(end.uid, end.version)?;
        self.tidy(key);
        Some(gone)
    }

    /// An object that isn't ours is not kept.
    pub fn forget_child(&mut self, kind: ChildKind, key: &AgentKey) {
        if let Some(slot) = self.slots.get_mut(key) {
            *slot.child_mut(kind) = Kept::default();
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

    /// Takes a slice of an agent's Service in; whether that is news.
    pub fn put_slice(&mut self, key: &AgentKey, name: &str, slice: Slice) -> bool {
        let listing = self.listings.slices;
        let slices = &mut self.slots.entry(key.clone()).or_default().slices;
        slices.entry(name.into()).or_default().update(slice, listing).is_some()
    }

    /// A slice is gone; whether that is news.
    pub fn drop_slice(&mut self, key: &AgentKey, name: &str, end: &End<'_>) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        let gone = slot.slices.get_mut(name).and_then(|slice| slice.remove(end.uid, end.version));
        // Only what the member writes can come back by the late answer to a write.
        if gone.as_ref().is_some_and(|gone| !gone.ours) {
            slot.slices.remove(name);
        }
        self.tidy(key);
        gone.is_some()
    }

    /// Puts what the cluster says of itself into what the hub is told.
    pub fn tell_of_cluster(&self, report: &mut ClusterReport) {
        self.capacity.tell(report);
        report.scores = self.scores.clone();
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
        self.listings.children[kind as usize] += 1;
    }

    /// It is complete: whose child it didn't have.
    pub fn sweep_children(&mut self, kind: ChildKind) -> Vec<AgentKey> {
        let listing = self.listings.children[kind as usize];
        let swept = |(k, s): (&AgentKey, &mut Slot)| s.child_mut(kind).sweep(listing).map(|_| k.clone());
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

    /// A listing of slices begins.
    pub fn list_slices(&mut self) {
        self.listings.slices += 1;
    }

    /// It is complete: whose slices it didn't have.
    pub fn sweep_slices(&mut self) -> Vec<AgentKey> {
        let listing = self.listings.slices;
        let mut changed = Vec::new();
        for (key, slot) in &mut self.slots {
            let gone = slot.slices.values_mut().filter_map(|slice| slice.sweep(listing)).count();
            slot.slices.retain(|_, slice| slice.live().is_some());
            if gone > 0 {
                changed.push(key.clone());
            }
        }
        self.slots.retain(|_, s| !s.is_empty());
        changed
    }

    fn tidy(&mut self, key: &AgentKey) {
        if self.slots.get(key).is_some_and(Slot::is_empty) {
            self.slots.remove(key);
        }
    }
}
