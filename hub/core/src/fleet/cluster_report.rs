//! What a cluster says of itself: at once to placement, and sparingly to the status.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::cluster::NodeCounts;
use parallax_crds::link::{ClusterReport, Resources};
use parallax_crds::{Amounts, ClusterName};

use super::cluster::Cluster;
use super::cluster_facts::Said;
use super::{Fleet, Now, StatusOf};
use crate::writes::Urgency;

/// How many parts of what pods may have the status tells what is free in: a change by less than one isn't written.
const PARTS: i64 = 16;

impl Fleet {
    pub(super) fn cluster_report(&mut self, name: &ClusterName, report: ClusterReport, now: Now) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        let before = cluster.told();
        let ClusterReport {
            kubernetes_version,
            member_version,
            nodes_total,
            nodes_ready,
            resources,
            labels,
            scores,
        } = report;
        cluster.nodes = Some(NodeCounts { total: nodes_total, ready: nodes_ready });
        cluster.kubernetes_version = Some(kubernetes_version).filter(|v| !v.is_empty());
        if !member_version.is_empty() {
            cluster.member_version = Some(member_version);
        }
        let (capacity, allocatable, free) = match resources {
            Some(Resources { capacity, allocatable, free }) => (Some(capacity), Some(allocatable), free),
            None => (None, None, None),
        };
        cluster.said = Said { capacity, allocatable, free, labels, scores };
        let rare = cluster.told() != before;
        self.take_into_account(name, now);
        self.look_at_cluster(name);
        if rare {
            self.touch_cluster(name, now);
        } else {
            self.statuses.want(StatusOf::Cluster(name.clone()), Urgency::Leisurely, now.mono);
        }
    }

    /// The cluster has told what is free: replicas that serve there are no longer reserved besides.
    fn take_into_account(&mut self, name: &ClusterName, now: Now) {
        let session = self.clusters.get(name).and_then(|cluster| cluster.session.as_ref());
        let Some(complete) = session.map(|session| session.reports_complete) else { return };
        let agents = &self.agents;
        self.standings.told(name, |key| agents.get(key)?.serving_in(name, complete, now.mono));
    }
}

/// What a cluster tells that doesn't change with every pod: worth a write at once.
type Told = (Option<NodeCounts>, Option<String>, Option<String>, Said);

impl Cluster {
    fn told(&self) -> Told {
        // Whether it is known what is free, not how much that is.
        let free = self.said.free.as_ref().map(|_| Amounts::default());
        let said = Said { free, scores: BTreeMap::new(), ..self.said.clone() };
        (self.nodes, self.kubernetes_version.clone(), self.member_version.clone(), said)
    }

    /// What is free, as it is shown: what is stored, as long as that is about right.
    pub(super) fn shown_free(&self) -> Option<BTreeMap<String, Quantity>> {
        let free = self.said.free.as_ref()?;
        let whole = self.said.allocatable.as_ref().unwrap_or(free);
        let stored = self.stored.status().and_then(|status| status.free.as_ref());
        let right = stored.filter(|stored| free.are_near(&Amounts::of(stored), whole, PARTS));
        Some(right.cloned().unwrap_or_else(|| free.quantities()))
    }
}
