//! What the hub would decide: its own state machine, begun with what the fleet's objects say, as a hub that starts begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_crds::{AgentKey, ClusterName, MemberCluster, ParallaxAgent};
use parallax_hub_core::FleetDefaults;
use parallax_hub_core::fleet::{Config, Fleet, Input, Now};
use parallax_hub_core::placement::Report;

use crate::error::CliError;
use crate::hub::Hub;
use crate::output::table;

/// The fleet's objects at one time.
#[derive(Debug, Clone)]
pub struct Picture {
    agents: BTreeMap<AgentKey, Arc<ParallaxAgent>>,
    clusters: BTreeMap<String, Arc<MemberCluster>>,
    taken: Timestamp,
}

/// What a hub decides on a picture.
pub struct Decided {
    fleet: Fleet,
    taken: Timestamp,
}

/// The shares of one agent.
type Shares = BTreeMap<ClusterName, i32>;

impl Picture {
    /// As the hub's API server has it now.
    pub async fn of(hub: &Hub) -> Result<Self, CliError> {
        let (clusters, agents) = (hub.all_clusters().await?, hub.all_agents().await?);
        Ok(Self::new(agents, clusters, Timestamp::now()))
    }

    fn new(agents: Vec<ParallaxAgent>, clusters: Vec<MemberCluster>, taken: Timestamp) -> Self {
        let picture = Self { agents: BTreeMap::new(), clusters: BTreeMap::new(), taken };
        let picture = clusters.into_iter().fold(picture, Self::and_cluster);
        agents.into_iter().fold(picture, Self::and_agent)
    }

    /// The same with one agent otherwise.
    #[must_use]
    pub fn with_agent(&self, agent: ParallaxAgent) -> Self {
        self.clone().and_agent(agent)
    }

    /// The same with one cluster otherwise.
    #[must_use]
    pub fn with_cluster(&self, cluster: MemberCluster) -> Self {
        self.clone().and_cluster(cluster)
    }

    fn and_agent(mut self, agent: ParallaxAgent) -> Self {
        self.agents.insert(AgentKey::of(&agent.metadata), Arc::new(agent));
        self
    }

    fn and_cluster(mut self, cluster: MemberCluster) -> Self {
        self.clusters.insert(cluster.metadata.name.clone().unwrap_or_default(), Arc::new(cluster));
        self
    }

    /// What a hub that starts now decides.
    #[must_use]
    pub fn decided(&self) -> Decided {
        let config = Config {
            hub_uid: String::new(),
            epoch: 1,
            defaults: FleetDefaults::default(),
            hold_mass_deletions: false,
            credentials_from: BTreeSet::new(),
            max_resyncs: 1,
        };
        let mut fleet = Fleet::new(config);
        let now = Now { mono: Duration::ZERO, wall: self.taken };
        let clusters = self.clusters.values().cloned().map(Input::ClusterSeen);
        let agents = self.agents.values().cloned().map(Input::AgentSeen);
        let stored = [Input::TombstonesLoaded(Vec::new()), Input::RevisionsLoaded(Vec::new())];
        let lists = [Input::ClustersListed, Input::AgentsListed].into_iter().chain(stored);
        for input in clusters.chain(agents).chain(lists) {
            fleet.handle(input, now);
        }
        // It decides on so many agents at a time, and asks to be called again until it has decided on all.
        while fleet.next_deadline() == Some(Duration::ZERO) {
            while fleet.poll_effect().is_some() {}
            fleet.handle(Input::Tick, now);
        }
        Decided { fleet, taken: self.taken }
    }

    /// What another picture would move, for people.
    #[must_use]
    pub fn difference(&self, other: &Self) -> String {
        let (before, after) = (self.decided(), other.decided());
        let rows: Vec<_> = self.agents.keys().filter_map(|key| row(key, &before, &after)).collect();
        if rows.is_empty() {
            return "nothing would move".to_owned();
        }
        table(["NAMESPACE", "AGENT", "NOW", "THEN", "PLACED"], rows)
    }
}

impl Decided {
    /// Why an agent runs where it runs; none: it isn't in the picture.
    #[must_use]
    pub fn report(&self, key: &AgentKey) -> Option<Report> {
        self.fleet.explain(key, self.taken)
    }

    fn shares(&self, key: &AgentKey) -> Shares {
        self.fleet.targets(key).cloned().unwrap_or_default()
    }
}

/// An agent whose shares differ.
fn row(key: &AgentKey, before: &Decided, after: &Decided) -> Option<[String; 5]> {
    let (old, new) = (before.shares(key), after.shares(key));
    (old != new).then(|| {
        let summary = after.report(key).map(|report| report.summary).unwrap_or_default();
        [key.namespace().to_owned(), key.name().to_owned(), listed(&old), listed(&new), summary]
    })
}

/// "eu-1: 2, us-1: 3".
fn listed(shares: &Shares) -> String {
    if shares.is_empty() {
        return "nowhere".to_owned();
    }
    shares.iter().map(|(cluster, share)| format!("{cluster}: {share}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::cluster::{ClusterTaint, TaintEffect};
    use serde_json::{Value, json};

    use super::*;

    fn cluster(name: &str, connected: &str) -> MemberCluster {
        let connected = json!({
            "type": "Connected", "status": connected, "reason": "Connected", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        serde_json::from_value(json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "MemberCluster",
            "metadata": {"name": name, "uid": name},
            "spec": {"accepted": true},
            "status": {"conditions": [connected]},
        }))
        .unwrap()
    }

    /// An agent whose two replicas are decided to be where `targets` says.
    fn agent(name: &str, targets: &Value) -> ParallaxAgent {
        serde_json::from_value(json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent",
            "metadata": {
                "namespace": "demo", "name": name, "uid": name, "generation": 1,
                "finalizers": [parallax_crds::labels::FINALIZER],
            },
            "spec": {"type": "claude", "replicas": 2},
            "status": {"placement": {"generation": 1, "targets": targets}},
        }))
        .unwrap()
    }

    fn picture() -> Picture {
        let clusters = vec![cluster("eu", "True"), cluster("us", "True"), cluster("away", "False")];
        let agents = vec![
            agent("in-eu", &json!([{"cluster": "eu", "replicas": 2}])),
            agent("in-us", &json!([{"cluster": "us", "replicas": 2}])),
        ];
        Picture::new(agents, clusters, "2026-01-01T01:00:00Z".parse().unwrap())
    }

    fn tainted(name: &str, effect: TaintEffect) -> MemberCluster {
        let mut tainted = cluster(name, "True");
        let key = "example.com/gone".to_owned();
        tainted.spec.taints = vec![ClusterTaint { key, value: String::new(), effect, time_added: None }];
        tainted
    }

    #[test]
    fn a_drain_moves_what_runs_there_and_nothing_else() {
        let then = picture().with_cluster(tainted("eu", TaintEffect::NoExecute));
        let lines = picture().difference(&then);
        let lines: Vec<Vec<&str>> = lines.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NAMESPACE", "AGENT", "NOW", "THEN", "PLACED"]);
        assert_eq!(lines[1][..6], ["demo", "in-eu", "eu:", "2", "us:", "2"]);
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_cordon_moves_nothing() {
        let then = picture().with_cluster(tainted("eu", TaintEffect::NoSchedule));
        assert_eq!(picture().difference(&then), "nothing would move");
    }

    #[test]
    fn an_explanation_speaks_of_every_cluster() {
        let report = picture().decided().report(&AgentKey::new("demo", "in-eu")).unwrap();
        assert_eq!(report.clusters.len(), 3);
        assert_eq!(report.clusters[0].cluster, "eu");
        assert_eq!(report.clusters[2].reason, Some("NotConnected"));
        assert!(picture().decided().report(&AgentKey::new("demo", "nobody")).is_none());
    }

    #[test]
    fn a_picture_of_thousands_is_decided_to_its_end() {
        let agents = (0..1_500).map(|i| agent(&format!("a-{i}"), &json!([]))).collect();
        let decided = Picture::new(agents, vec![cluster("eu", "True")], Timestamp::UNIX_EPOCH).decided();
        let last = decided.shares(&AgentKey::new("demo", "a-1499"));
        assert_eq!(listed(&last), "eu: 2");
    }
}
