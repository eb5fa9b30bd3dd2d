//! The pods of the cluster: those of agents, to be sent to, and all, to know who calls.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use kube::core::Object;
use parallax_crds::labels::{AGENT, INCARNATION};
use parallax_crds::{AgentKey, AgentRef, Incarnation};
use parallax_member_core::activation::Backend;
use parallax_member_core::build::PORT;
use serde::{Deserialize, Serialize};

use super::admission::Sources;

/// A pod as it is watched: nothing else of it is even parsed.
pub type WatchedPod = Object<WatchedSpec, WatchedStatus>;

/// The spec of a pod, as far as it is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WatchedSpec {
    host_network: bool,
}

/// The status of a pod, as far as it is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WatchedStatus {
    #[serde(rename = "podIP")]
    pod_ip: Option<IpAddr>,
    phase: String,
    conditions: Vec<WatchedCondition>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct WatchedCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Pods {
    /// Who calls.
    pub sources: Sources,
    known: HashMap<String, Known>,
    /// The pods of agents that are to stay, and whether each takes requests.
    staying: HashMap<AgentRef, Vec<(Backend, bool)>>,
    /// The listing that the watch is in, and what it has brought so far.
    listing: Option<Vec<String>>,
}

#[derive(Debug, PartialEq)]
struct Known {
    address: Option<IpAddr>,
    /// Whose it is while it is to stay, and whether it takes requests.
    backend: Option<(AgentRef, Backend, bool)>,
}

impl Pods {
    /// The pods of an agent that take requests.
    pub fn ready(&self, agent: &AgentRef) -> Vec<Backend> {
        let staying = self.staying.get(agent).into_iter().flatten();
        staying.filter(|(_, ready)| *ready).map(|(pod, _)| pod.clone()).collect()
    }

    /// The addresses of the pods of an agent that are not told to go.
    pub fn staying(&self, agent: &AgentRef) -> Vec<IpAddr> {
        self.staying.get(agent).into_iter().flatten().map(|(pod, _)| pod.address.ip()).collect()
    }

    /// A listing begins.
    pub fn list(&mut self) {
        self.listing = Some(Vec::new());
    }

    /// It is complete: what it didn't have is gone. Whose pods that changes.
    pub fn listed(&mut self) -> Vec<AgentRef> {
        let Some(listing) = self.listing.take() else { return Vec::new() };
        let listed: std::collections::HashSet<String> = listing.into_iter().collect();
        let gone: Vec<String> = self.known.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
        gone.iter().filter_map(|uid| self.forget(uid)).collect()
    }

    /// A pod, as it is now. Whose pods that changes.
    pub fn put(&mut self, pod: &WatchedPod) -> Vec<AgentRef> {
        let Some(uid) = pod.metadata.uid.clone() else { return Vec::new() };
        if let Some(listing) = &mut self.listing {
            listing.push(uid.clone());
        }
        let new = known(pod, &uid);
        let same = self.known.get(&uid) == Some(&new);
        let before = if same { None } else { self.forget(&uid) };
        // Its labels decide whom it may call, and change without anything else.
        if let Some(address) = new.address {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            self.sources.put(address, &uid, namespace, pod.metadata.labels.as_ref());
        }
        if same {
            return Vec::new();
        }
        let now = new.backend.as_ref().map(|(agent, backend, ready)| {
            self.staying.entry(agent.clone()).or_default().push((backend.clone(), *ready));
            agent.clone()
        });
        self.known.insert(uid, new);
        before.into_iter().chain(now).collect()
    }

    /// A pod is gone. Whose pods that changes.
    pub fn remove(&mut self, pod: &WatchedPod) -> Option<AgentRef> {
        self.forget(pod.metadata.uid.as_deref()?)
    }

    fn forget(&mut self, uid: &str) -> Option<AgentRef> {
        let known = self.known.remove(uid)?;
        if let Some(address) = known.address {
            self.sources.remove(address, uid);
        }
        let (agent, backend, _) = known.backend?;
        if let Some(staying) = self.staying.get_mut(&agent) {
            staying.retain(|(other, _)| *other != backend);
            if staying.is_empty() {
                self.staying.remove(&agent);
            }
        }
        Some(agent)
    }
}

fn known(pod: &WatchedPod, uid: &str) -> Known {
    let status = pod.status.as_ref();
    let ended = status.is_some_and(|status| matches!(status.phase.as_str(), "Succeeded" | "Failed"));
    // An address that a pod shares with its node says nothing about who calls.
    let own = |address: &IpAddr| !ended && !address.is_unspecified() && !pod.spec.host_network;
    let address = status.and_then(|status| status.pod_ip).filter(own);
    let ready = status.is_some_and(|status| {
        status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    let stays = !ended && pod.metadata.deletion_timestamp.is_none();
    let agent = || {
        let labels = pod.metadata.labels.as_ref()?;
        let key = AgentKey::new(pod.metadata.namespace.as_deref()?, labels.get(AGENT)?);
        Some(AgentRef { key, incarnation: Incarnation::new(labels.get(INCARNATION)?) })
    };
    let port = u16::try_from(PORT.0).unwrap_or_default();
    let backend = address.filter(|_| stays).zip(agent()).map(|(address, agent)| {
        (agent, Backend { uid: uid.into(), address: SocketAddr::new(address, port) }, ready)
    });
    Known { address, backend }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_member_core::callers::Callers;
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, ip: &str, ready: &str, ending: bool) -> WatchedPod {
        let ends = ending.then_some("2026-11-23T05:00:00Z");
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": "team", "name": uid, "uid": uid, "deletionTimestamp": ends,
                "labels": {"parallax.io/agent": "writer", "parallax.io/incarnation": "i1"},
            },
            "spec": {"containers": []},
            "status": {"podIP": ip, "phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    fn writer() -> AgentRef {
        AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("i1") }
    }

    fn ready(pods: &Pods) -> Vec<String> {
        pods.ready(&writer()).iter().map(|backend| backend.address.to_string()).collect()
    }

    #[test]
    fn only_a_ready_pod_that_stays_takes_requests() {
        let mut pods = Pods::default();
        assert_eq!(pods.put(&pod("a", "10.0.0.1", "False", false)), [writer()]);
        assert_eq!(ready(&pods), Vec::<String>::new());
        assert_eq!(pods.staying(&writer()).len(), 1, "it may be at work");
        assert_eq!(pods.put(&pod("a", "10.0.0.1", "True", false)), [writer(), writer()]);
        assert_eq!(ready(&pods), ["10.0.0.1:8080"]);
        assert_eq!(pods.put(&pod("a", "10.0.0.1", "True", true)), [writer()]);
        assert_eq!(ready(&pods), Vec::<String>::new());
        assert!(pods.staying(&writer()).is_empty());
    }

    #[test]
    fn a_caller_is_known_by_the_labels_that_it_has_now() {
        let (mut pods, caller) = (Pods::default(), "10.0.0.1".parse().unwrap());
        let control_plane = Callers::of("team", None, &[]);
        let mut pod = pod("a", "10.0.0.1", "True", false);
        for (app, admitted) in [("web", false), ("parallax-control-plane", true), ("web", false)] {
            pod.metadata.labels.get_or_insert_default().insert("app".into(), app.into());
            pods.put(&pod);
            assert_eq!(pods.sources.admit(caller, &control_plane), admitted, "{app}");
        }
    }

    #[test]
    fn what_a_listing_does_not_have_is_gone() {
        let mut pods = Pods::default();
        pods.put(&pod("a", "10.0.0.1", "True", false));
        pods.put(&pod("b", "10.0.0.2", "True", false));
        pods.list();
        pods.put(&pod("b", "10.0.0.2", "True", false));
        assert_eq!(pods.listed(), [writer()]);
        assert_eq!(ready(&pods), ["10.0.0.2:8080"]);
    }
}
