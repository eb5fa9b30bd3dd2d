//! What watches, and the answers to writes, bring.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::api::{DynamicObject, ObjectMeta};
use parallax_crds::labels::SCORES;
use parallax_crds::{AgentAssignment, AgentKey};
use parallax_member_core::ChildKind;
use parallax_member_core::cluster::NodeFacts;
use parallax_member_core::cluster::scores::scores;

use super::Agents;
use crate::store::{
    AnyPod, Assignment, Child, End, Ending, Index, Namespace, Pod, Slice, SlimNode, SlimPod, addresses,
    served_by,
};

impl Agents {
    /// Looks at or changes the index.
    pub fn with_index<T>(&self, f: impl FnOnce(&mut Index) -> T) -> T {
        f(&mut self.index.lock())
    }

    /// An assignment, as it is now.
    pub fn assignment_seen(&self, object: AgentAssignment) {
        let Some((old, new)) = self.index.lock().put_assignment(Assignment::new(object)) else { return };
        let key = &new.agent.key;
        if old.is_none() {
            self.orders.lock().first_seen(&new);
        }
        if old.as_ref().is_none_or(|old| old.held() != new.held()) {
            self.uplink.tell(|link| match new.held() {
                Some(held) => link.hold(held),
                None => link.release(key),
            });
        }
        if old.is_none_or(|old| new.ordered_differently(&old)) {
            self.queue.add(key);
        }
        if new.deleting() {
            self.refresh(key);
        }
    }

    /// An assignment that the watch saw go.
    pub fn assignment_deleted(&self, meta: &ObjectMeta) {
        let gone = self.index.lock().drop_assignment(&AgentKey::of(meta), &End::of(meta));
        if let Some(gone) = gone {
            self.assignment_gone(&gone);
        }
    }

    /// An assignment that is not there any more.
    pub fn assignment_gone(&self, gone: &Arc<Assignment>) {
        let key = &gone.agent.key;
        if let Some(slot) = self.index.lock().slot_mut(key) {
            slot.reported = None;
            slot.sync = None;
            slot.credentials = None;
            slot.missing.clear();
        }
        self.uplink.tell(|link| {
            link.release(key);
            link.unreport(key);
        });
        self.conflicts.end(key);
        self.keys.forget(key);
        self.needs.forget(key);
        self.stubborn.forget(key);
        self.orders.lock().gone(gone);
        self.queue.add(key);
    }

    /// An object of an agent, as it is now.
    pub fn child_seen(&self, kind: ChildKind, key: &AgentKey, child: Child) {
        let body = child.body.clone();
        let terminating = child.terminating;
        let Some(old) = self.index.lock().put_child(kind, key, child) else { return };
        // What its controllers write into a status is to be told, but changes nothing that we do.
        if old.is_none_or(|old| old.body != body || old.terminating != terminating) {
            self.queue.add(key);
        }
        self.refresh(key);
    }

    /// An object of an agent that the watch saw go, or lose our label.
    pub fn child_deleted(&self, kind: ChildKind, key: &AgentKey, end: &End<'_>) {
        if self.index.lock().drop_child(kind, key, end).is_some() {
            self.queue.add(key);
            self.refresh(key);
        }
    }

    /// A child that a listing didn't have any more.
    pub fn child_lost(&self, key: &AgentKey) {
        self.queue.add(key);
        self.refresh(key);
    }

    /// Pods that a listing didn't have any more.
    pub fn pods_lost(&self, key: &AgentKey) {
        self.pods_changed(key);
    }

    /// A pod, as it is now.
    pub fn pod_seen(&self, pod: &SlimPod) {
        let Some((key, kept)) = Pod::of(pod) else { return };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        if self.index.lock().put_pod(&key, name, kept) {
            self.pods_changed(&key);
        }
    }

    /// A pod that is not there any more.
    pub fn pod_deleted(&self, pod: &SlimPod) {
        let Some((key, _)) = Pod::of(pod) else { return };
        if self.index.lock().drop_pod(&key, pod.metadata.name.as_deref().unwrap_or_default()) {
            self.pods_changed(&key);
        }
    }

    /// One that sleeps may wake once its pods are gone.
    fn pods_changed(&self, key: &AgentKey) {
        if self.index.lock().assignment(key).is_some_and(|assignment| assignment.is_asleep()) {
            self.queue.add(key);
        }
        self.refresh(key);
    }

    /// A slice of an agent's Service, as it is now.
    pub fn slice_seen(&self, slice: DynamicObject) {
        let Some(key) = served_by(&slice.metadata) else { return };
        let name = slice.metadata.name.clone().unwrap_or_default();
        let news = self.index.lock().put_slice(&key, &name, Slice::new(slice));
        self.ways_changed(&key, news);
    }

    /// A slice of an agent's Service that is not there any more.
    pub fn slice_deleted(&self, meta: &ObjectMeta) {
        let Some(key) = served_by(meta) else { return };
        let name = meta.name.as_deref().unwrap_or_default();
        let news = self.index.lock().drop_slice(&key, name, &End::of(meta));
        self.ways_changed(&key, news);
    }

    /// How an agent is reached matters where activators are, or are to be, in the way.
    pub(super) fn ways_changed(&self, key: &AgentKey, news: bool) {
        let concerned = |assignment: &Arc<Assignment>| assignment.activation().is_some();
        if news && self.index.lock().assignment(key).is_some_and(|assignment| concerned(&assignment)) {
            self.queue.add(key);
        }
    }

    /// A slice of the activators' Service, as it is now: whether it is news.
    pub fn activators_seen(&self, slice: &DynamicObject) -> bool {
        let name = slice.metadata.name.as_deref().unwrap_or_default();
        self.index.lock().activators.put(name, addresses(slice))
    }

    /// There are other activators now.
    pub fn activators_changed(&self) {
        let index = self.index.lock();
        let concerned =
            |a: &&Arc<Assignment>| a.activation().is_some() || a.object.spec.template.sleep.is_some();
        let keys: Vec<_> = index.assigned().filter(concerned).map(|a| a.agent.key.clone()).collect();
        drop(index);
        keys.iter().for_each(|key| self.queue.add(key));
    }

    /// Whether the cluster has a kind of others' now. Where it doesn't, agents have no objects of it.
    pub fn kind_served(&self, kind: ChildKind, served: bool) {
        let mut index = self.index.lock();
        if !served {
            index.list_children(kind);
            index.sweep_children(kind);
        }
        let changed = if served { index.served.insert(kind) } else { index.served.remove(&kind) };
        if !changed {
            return;
        }
        let concerned = |a: &&Arc<Assignment>| {
            let runtime = &a.object.spec.template.runtime;
            if kind == ChildKind::PodMonitor {
                runtime.metrics_port().is_some()
            } else {
                runtime.is_exported()
            }
        };
        let keys: Vec<_> = index.assigned().filter(concerned).map(|a| a.agent.key.clone()).collect();
        drop(index);
        keys.iter().for_each(|key| self.queue.add(key));
    }

    /// A namespace, as it is now: who waited for it is looked at again.
    pub fn namespace_seen(&self, name: &str, state: Namespace) {
        if !self.index.lock().namespaces.put(name, state) || state == Namespace::Terminating {
            return;
        }
        let mut waiting = self.orders.lock().waiting_in(name);
        waiting.extend(self.index.lock().agents_in(name));
        waiting.iter().for_each(|key| self.queue.add(key));
    }

    /// A node, as it is now: whether that is news.
    pub fn node_seen(&self, node: &SlimNode) -> bool {
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let (spec, status) = (node.spec.clone().unwrap_or_default(), node.status.clone().unwrap_or_default());
        let facts = NodeFacts::of(&labels, &spec, &status);
        self.index.lock().capacity.put_node(node.metadata.name.as_deref().unwrap_or_default(), facts)
    }

    /// A pod of anybody's, as it is now: whether it keeps more or less of its node than before.
    pub fn any_pod_seen(&self, pod: &AnyPod) -> bool {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let over = pod.status.as_ref().is_some_and(Ending::is_over);
        let mut index = self.index.lock();
        match pod.spec.node().filter(|_| !over) {
            Some(node) => index.capacity.put_pod(uid, node, pod.spec.amounts()),
            None => index.capacity.remove_pod(uid),
        }
    }

    /// What the cluster's administrator says of it, as it is now.
    pub fn scores_seen(&self, entries: &BTreeMap<String, String>) {
        let (scores, wrong) = scores(entries);
        if !wrong.is_empty() {
            tracing::warn!("entries of the ConfigMap {SCORES} are left out: {}", wrong.join("; "));
        }
        self.index.lock().scores = scores;
        self.tell_about_cluster();
    }

    /// Tells the hub about the cluster itself.
    pub fn tell_about_cluster(&self) {
        let report = {
            let mut about = self.about.lock();
            self.index.lock().tell_of_cluster(&mut about);
            about.clone()
        };
        self.uplink.tell(|link| link.cluster(report));
    }
}
