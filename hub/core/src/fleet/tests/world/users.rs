//! What users and administrators do, and what an API server makes of it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::{AgentKey, AgentRef, MemberCluster, ParallaxAgent, ParallaxAgentSpec, labels};

use super::{Channel, World, cluster, key, reference};
use crate::fleet::*;
use crate::revisions::part_of;

impl World {
    pub(super) fn version(&mut self) -> String {
        self.counter += 1;
        self.counter.to_string()
    }

    pub(super) fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    pub fn apply(&mut self, name: &str, edit: impl FnOnce(&mut ParallaxAgentSpec)) {
        let key = key(name);
        let (version, uid) = (self.version(), self.uid());
        let object = self.agents.entry(key.clone()).or_insert_with(|| {
            let spec: ParallaxAgentSpec = serde_json::from_str(r#"{"type":"claude"}"#).unwrap();
            let mut object = ParallaxAgent::new(key.name(), spec);
            object.metadata.namespace = Some(key.namespace().to_owned());
            object.metadata.uid = Some(uid);
            object.metadata.generation = Some(0);
            object
        });
        let before = object.spec.clone();
        edit(&mut object.spec);
        if part_of(&object.spec) != part_of(&before) {
            self.pinned.remove(&reference(&key, object));
        }
        if object.spec != before || object.metadata.generation == Some(0) {
            object.metadata.generation = object.metadata.generation.map(|g| g + 1);
        }
        object.metadata.resource_version = Some(version);
        self.removable.insert(reference(&key, object));
        let seen = Input::AgentSeen(Arc::new(object.clone()));
        self.send(Channel::Agents, seen);
    }

    /// Sets an annotation of an agent.
    pub fn annotate(&mut self, name: &str, annotation: &str, value: &str) {
        let version = self.version();
        let Some(object) = self.agents.get_mut(&key(name)) else { return };
        object.metadata.annotations.get_or_insert_default().insert(annotation.to_owned(), value.to_owned());
        self.pinned.remove(&reference(&key(name), object));
        object.metadata.resource_version = Some(version);
        self.after_metadata(&key(name));
    }

    /// Somebody empties an agent's status while no hub runs; the next one is started.
    pub fn wipe_and_start_hub(&mut self, name: &str) {
        let version = self.version();
        if let Some(object) = self.agents.get_mut(&key(name)) {
            object.status = None;
            object.metadata.resource_version = Some(version);
        }
        self.start_hub();
    }

    pub fn delete(&mut self, name: &str) {
        let key = key(name);
        let version = self.version();
        let now = Time(self.now().wall);
        let Some(object) = self.agents.get_mut(&key) else { return };
        object.metadata.deletion_timestamp.get_or_insert(now);
        object.metadata.resource_version = Some(version);
        self.removable.insert(reference(&key, object));
        self.after_metadata(&key);
    }

    /// What an API server does when finalizers or the deletionTimestamp have changed.
    pub(super) fn after_metadata(&mut self, key: &AgentKey) {
        let object = &self.agents[key];
        let finalizers = object.metadata.finalizers.as_ref().is_some_and(|f| !f.is_empty());
        if object.metadata.deletion_timestamp.is_some() && !finalizers {
            let uid = object.metadata.uid.clone().unwrap();
            self.agents.remove(key);
            self.collect_garbage(key);
            self.send(Channel::Agents, Input::AgentGone { key: key.clone(), uid });
        } else {
            let seen = Input::AgentSeen(Arc::new(object.clone()));
            self.send(Channel::Agents, seen);
        }
    }

    pub fn make_cluster(&mut self, name: &str, pairs: &[(&str, &str)]) {
        let mut object = MemberCluster::new(
            name,
            parallax_crds::MemberClusterSpec { accepted: true, ..Default::default() },
        );
        object.metadata.uid = Some(self.uid());
        object.metadata.labels =
            Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        self.clusters.insert(cluster(name), object);
        self.members.entry(cluster(name)).or_default().uid = format!("kube-system of {name}");
        self.edit_cluster(name, |_| {});
    }

    pub fn edit_cluster(&mut self, name: &str, edit: impl FnOnce(&mut MemberCluster)) {
        let version = self.version();
        let Some(object) = self.clusters.get_mut(&cluster(name)) else { return };
        let before = object.spec.clone();
        edit(object);
        if object.spec != before || object.metadata.generation.is_none() {
            object.metadata.generation = Some(object.metadata.generation.unwrap_or(0) + 1);
        }
        object.metadata.resource_version = Some(version);
        let seen = Input::ClusterSeen(Arc::new(object.clone()));
        self.send(Channel::Clusters, seen);
    }

    pub fn delete_cluster(&mut self, name: &str) {
        if self.clusters.remove(&cluster(name)).is_some() {
            self.detached.insert(cluster(name));
            self.send(Channel::Clusters, Input::ClusterGone(cluster(name)));
        }
    }

    /// Deletes a MemberCluster, if it is there, and makes it again between two looks of the hub.
    pub fn replace_cluster(&mut self, name: &str) {
        if self.clusters.remove(&cluster(name)).is_some() {
            self.detached.insert(cluster(name));
        }
        self.make_cluster(name, &[]);
    }

    pub fn approve(&mut self, name: &str) {
        let blocked = self.condition_of(name, "PruneBlocked").unwrap();
        let digest = blocked.message.rsplit_once('=').unwrap().1.to_owned();
        self.edit_cluster(name, |object| {
            object
                .metadata
                .annotations
                .get_or_insert_default()
                .insert(labels::PRUNE_APPROVE.to_owned(), digest);
        });
        let held = self.members[&cluster(name)].held.iter();
        let held = held.map(|(key, (i, ..))| AgentRef { key: key.clone(), incarnation: i.clone() });
        self.removable.extend(held);
    }
}
