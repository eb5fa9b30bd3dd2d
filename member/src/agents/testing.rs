//! A member's agents against an API server in memory, for tests.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::ObjectMeta;
use parallax_crds::agent::AgentRuntime;
use parallax_crds::assignment::{AgentAssignmentSpec, AgentTemplate, AssignedAgent};
use parallax_crds::link::ClusterReport;
use parallax_crds::{AgentAssignment, AgentKey, ClusterName, SpecHash};
use parallax_member_core::ChildKind;
use parallax_member_core::sync::Blocked;
use parallax_platform::testing::ApiServer;
use parallax_proto::session::{MemberLink, MemberLinkConfig};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use super::{Agents, Making, Settings, Uplink};
use crate::metrics::Metrics;
use crate::store::{Child, resource};

/// Where the assignment is.
pub const ASSIGNMENT: &str = "/apis/parallax.io/v1alpha1/namespaces/team/agentassignments/writer";

/// Agents of a cluster that has no name yet.
pub fn agents(client: Client) -> Arc<Agents> {
    agents_with(client, Making::default())
}

/// The same, of a member that makes namespaces so.
pub fn agents_with(client: Client, namespaces: Making) -> Arc<Agents> {
    let config = MemberLinkConfig {
        cluster_uid: "uid".to_owned(),
        boot_id: "boot".to_owned(),
        member_version: "1".to_owned(),
        hub_uid: None,
        max_epoch: 0,
        seed: 1,
    };
    let link = Arc::new(Mutex::new(MemberLink::new(config, Duration::ZERO)));
    let settings = Settings {
        own_namespace: "parallax-system".to_owned(),
        namespaces,
        control_plane_namespaces: Vec::new(),
        scraper_namespaces: Vec::new(),
    };
    let metrics = Metrics::new(&parallax_platform::Metrics::new("member", "1"));
    let uplink = Uplink { link, wake: Arc::new(Notify::new()) };
    Agents::new(client, settings, ClusterReport::default(), uplink, metrics)
}

/// A cluster with the agent team/writer.
pub struct World {
    pub server: ApiServer,
    pub agents: Arc<Agents>,
    pub key: AgentKey,
    /// What is ordered.
    pub order: AgentAssignmentSpec,
}

impl World {
    /// One replica of it is ordered, and nothing done yet.
    pub fn new() -> Self {
        let server = ApiServer::new();
        let agents = agents(server.client());
        agents.name_cluster(ClusterName::new("member-1").unwrap());
        let template = AgentTemplate {
            runtime: AgentRuntime { agent_type: "claude".into(), ..AgentRuntime::default() },
            image: "ghcr.io/parallax/agent-claude:0.1.0".into(),
            ..AgentTemplate::default()
        };
        let agent = AssignedAgent {
            namespace: "team".to_owned(),
            name: "writer".to_owned(),
            incarnation: "first".to_owned(),
        };
        let order = AgentAssignmentSpec {
            agent,
            hub: "hub".to_owned(),
            hash: String::new(),
            replicas: 1,
            bounds: None,
            wake: None,
            template,
        };
        let mut world = Self { server, agents, key: AgentKey::new("team", "writer"), order };
        world.order(|_| {});
        world
    }

    /// Another order comes, and its watch tells of it.
    pub fn order(&mut self, change: impl FnOnce(&mut AgentAssignmentSpec)) {
        change(&mut self.order);
        self.order.hash = SpecHash::of(&self.order.template).unwrap().to_string();
        let object =
            AgentAssignment { metadata: ObjectMeta::default(), spec: self.order.clone(), status: None };
        let stored = self.server.put(ASSIGNMENT, serde_json::to_value(object).unwrap());
        self.agents.assignment_seen(serde_json::from_value(stored).unwrap());
    }

    /// Works until nothing is to be done at once; the calls that were made.
    pub async fn work(&self) -> Vec<String> {
        let _ = self.server.calls();
        while self.agents.queue.depth() > 0 {
            let turn = self.agents.queue.next().await;
            self.agents.reconcile(turn).await;
        }
        self.said()
    }

    /// The agent is looked at again, without a cause.
    pub async fn look_again(&self) -> Vec<String> {
        self.agents.queue.add(&self.key);
        self.work().await
    }

    /// The calls since this was last asked, as `verb resource/name`, with `forced` behind an apply that takes over.
    pub fn said(&self) -> Vec<String> {
        let call = |call: parallax_platform::testing::Call| {
            let what: Vec<_> = call.path.rsplit('/').take(2).collect();
            let forced = if call.query.contains("force=true") { " forced" } else { "" };
            format!("{} {}/{}{forced}", call.verb, what[1], what[0])
        };
        self.server.calls().into_iter().map(call).collect()
    }

    /// Why not all is as ordered.
    pub fn blocked(&self) -> Option<Blocked> {
        self.agents.with_index(|index| {
            let (_, _, sync) = index.slot(&self.key)?.sync.as_ref()?;
            sync.why_not().cloned()
        })
    }

    /// The watch of a kind tells what is there.
    pub fn see(&self, kind: ChildKind) {
        let object = serde_json::from_value(self.live(kind).unwrap()).unwrap();
        self.agents.child_seen(kind, &self.key, Child::new(kind, object));
    }

    /// The object of a kind, as the API server has it.
    pub fn live(&self, kind: ChildKind) -> Option<Value> {
        self.server.get(&path(kind))
    }

    /// Somebody else changes the object of a kind.
    pub fn edit(&self, kind: ChildKind, change: impl FnOnce(&mut Value)) {
        self.server.edit(&path(kind), change);
    }
}

/// Where the object of a kind is.
pub fn path(kind: ChildKind) -> String {
    let resource = resource(kind);
    let root = if resource.group.is_empty() { "/api" } else { "/apis" };
    format!(
        "{root}/{}/namespaces/team/{}/{}",
        resource.api_version,
        resource.plural,
        kind.object_name("writer")
    )
}
