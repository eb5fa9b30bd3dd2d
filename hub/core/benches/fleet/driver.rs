//! A fleet whose API server stores everything at once, and whose members do everything that they are told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_crds::link::{Held, Order, OrderResult, Outcome};
use parallax_crds::{AgentKey, ClusterName, MemberCluster, ParallaxAgent, fixtures, labels};
use parallax_hub_core::FleetDefaults;
use parallax_hub_core::fleet::{
    Config, Effect, Fleet, Hello, Input, Now, SessionEvent, SessionId, Write, WriteOutcome,
};
use serde_json::{Value, json};

/// What is stored, and the hub that is driven.
pub struct Driver {
    /// The hub.
    pub fleet: Fleet,
    agents: BTreeMap<AgentKey, Arc<ParallaxAgent>>,
    clusters: BTreeMap<ClusterName, Arc<MemberCluster>>,
    inputs: VecDeque<Input>,
    version: u64,
    /// How much time has passed; only [`Self::start`] lets it.
    mono: Duration,
}

impl Driver {
    /// So many clusters, none of them connected, and no agent.
    #[must_use]
    pub fn new(clusters: usize) -> Self {
        let config = Config {
            hub_uid: "2a6cd5b2-5d0e-4f4c-9a3a-0d2c1f6e4b11".to_owned(),
            epoch: 1,
            defaults: FleetDefaults::default(),
            hold_mass_deletions: false,
            credentials_from: Default::default(),
            max_resyncs: clusters,
        };
        let cluster = |i: usize| {
            let name = ClusterName::new(&format!("cluster-{i:05}")).unwrap();
            let region = ["eu", "us", "ap"][i % 3];
            let object = object(json!({
                "apiVersion": "parallax.io/v1alpha1", "kind": "MemberCluster", "metadata": {
                    "name": name.as_str(), "uid": format!("3f0c5a0e-0000-4000-8000-{i:012}"), "resourceVersion": "1",
                    "labels": {(labels::REGION): region, (labels::ZONE): format!("zone-{}", i % 30)},
                },
                "spec": {"accepted": true, "clusterUID": name.as_str()},
            }));
            (name, Arc::new(object))
        };
        Self {
            fleet: Fleet::new(config),
            agents: BTreeMap::new(),
            clusters: (0..clusters).map(cluster).collect(),
            inputs: VecDeque::new(),
            version: 1,
            mono: Duration::from_secs(1_000),
        }
    }

    /// Stores so many agents of three replicas that nobody has looked at yet.
    pub fn store_agents(&mut self, count: usize) {
        for i in 0..count {
            let key = AgentKey::new("team-writers", &format!("reviewer-{i:05}"));
            let object = object(json!({
                "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent", "metadata": {
                    "namespace": key.namespace(), "name": key.name(), "generation": 1, "resourceVersion": "1",
                    "uid": format!("7e1d4f52-0000-4000-8000-{i:012}"), "finalizers": [labels::FINALIZER],
                },
                "spec": {
                    "type": "claude", "replicas": 3, "capabilities": ["code_review", "security_analysis"],
                    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
                    "credentials": {"secretRef": {"name": "claude-api-key", "key": "CLAUDE_API_KEY"}},
                    "healthCheck": {"initialDelaySeconds": 10, "periodSeconds": 30},
                    "nodeSelector": {"workload-type": "ai-agents"},
                },
            }));
            self.agents.insert(key, Arc::new(object));
        }
    }

    /// The hub starts: it reads what is stored, every member connects, and ten minutes pass.
    pub fn start(&mut self) {
        self.inputs.extend(self.agents.values().cloned().map(Input::AgentSeen));
        self.inputs.push_back(Input::AgentsListed);
        self.inputs.extend(self.clusters.values().cloned().map(Input::ClusterSeen));
        self.inputs.push_back(Input::ClustersListed);
        self.inputs.push_back(Input::TombstonesLoaded(Vec::new()));
        self.inputs.push_back(Input::RevisionsLoaded(Vec::new()));
        for (cluster, number) in self.clusters.keys().zip(1..) {
            let hello = Hello {
                cluster_uid: cluster.as_str().to_owned(),
                boot_id: "1".to_owned(),
                hub_uid: None,
                max_epoch_seen: 0,
                member_version: "0.1.0".to_owned(),
                certificate_serial: "01".to_owned(),
                certificate_not_after: Timestamp::from_second(1_800_000_000).unwrap(),
            };
            let session = SessionId { cluster: cluster.clone(), number };
            self.inputs.push_back(Input::Hello { session, hello });
        }
        self.settle();
        let end = self.mono + Duration::from_mins(10);
        while let Some(at) = self.fleet.next_deadline().filter(|at| *at <= end) {
            self.mono = at;
            self.settle();
        }
        self.mono = end;
    }

    /// An administrator changes a cluster.
    pub fn edit_cluster(&mut self, number: usize, edit: impl FnOnce(&mut MemberCluster)) {
        let version = self.next_version();
        let stored = self.clusters.values_mut().nth(number).unwrap();
        let object = Arc::make_mut(stored);
        edit(object);
        object.metadata.resource_version = Some(version);
        let seen = Input::ClusterSeen(stored.clone());
        self.inputs.push_back(seen);
        self.settle();
    }

    /// How many agents say that all of them is ready.
    #[must_use]
    pub fn running(&self) -> usize {
        let ready = |agent: &&Arc<ParallaxAgent>| {
            agent.status.as_ref().and_then(|status| status.replica_summary.as_deref()) == Some("3/3")
        };
        self.agents.values().filter(ready).count()
    }

    fn settle(&mut self) {
        loop {
            let input = match self.inputs.pop_front() {
                Some(input) => input,
                None if self.fleet.next_deadline().is_some_and(|at| at <= self.mono) => Input::Tick,
                None => return,
            };
            let wall = Timestamp::from_second(1_700_000_000).unwrap() + self.mono;
            self.fleet.handle(input, Now { mono: self.mono, wall });
            while let Some(effect) = self.fleet.poll_effect() {
                self.carry_out(effect);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Admit { session, orders, .. } => {
                for order in orders {
                    self.run(&session, order);
                }
                for event in [SessionEvent::Synced, SessionEvent::ReportsComplete] {
                    self.inputs.push_back(Input::Session { session: session.clone(), event });
                }
            }
            Effect::Upsert { session, order } => self.run(&session, order),
            Effect::WriteAgentStatus { key, uid, status, .. } => {
                let version = self.next_version();
                let stored = self.agents.get_mut(&key).unwrap();
                let object = Arc::make_mut(stored);
                object.status = Some(*status);
                object.metadata.resource_version = Some(version.clone());
                self.inputs.push_back(Input::AgentSeen(stored.clone()));
                self.written(Write::AgentStatus(key, uid), version);
            }
            Effect::WriteClusterStatus { cluster, status, .. } => {
                let version = self.next_version();
                let stored = self.clusters.get_mut(&cluster).unwrap();
                let object = Arc::make_mut(stored);
                object.status = Some(*status);
                object.metadata.resource_version = Some(version.clone());
                self.inputs.push_back(Input::ClusterSeen(stored.clone()));
                self.written(Write::ClusterStatus(cluster), version);
            }
            Effect::WriteRevision { key, id, .. } => {
                let version = self.next_version();
                self.written(Write::Revision(key, id), version);
            }
            Effect::Event { .. } | Effect::Usage { .. } => {}
            other => panic!("nothing here should lead to {other:?}"),
        }
    }

    fn run(&mut self, session: &SessionId, order: Order) {
        let Order { agent, hash, scale, .. } = order;
        let held = Held { agent: agent.clone(), hash, scale, removing: false };
        let result = OrderResult::well(agent, Some(hash), Outcome::Persisted);
        for event in [SessionEvent::Result(result), SessionEvent::Report(fixtures::report(&held))] {
            self.inputs.push_back(Input::Session { session: session.clone(), event });
        }
    }

    fn written(&mut self, write: Write, version: String) {
        self.inputs.push_back(Input::Written { write, outcome: WriteOutcome::Ok(version) });
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }
}

fn object<K: serde::de::DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}
