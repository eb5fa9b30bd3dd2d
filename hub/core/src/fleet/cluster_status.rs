//! The status of a MemberCluster: written on transitions and material changes, never for a heartbeat.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use parallax_crds::cluster::AgentCounts;
use parallax_crds::conditions::{
    ACCEPTED, CERTIFICATE_VALID, CONNECTED, HEALTHY, PRUNE_BLOCKED, Wanted, find, merge, truth,
};
use parallax_crds::{Amounts, ClusterName, MemberClusterStatus};

use super::agent_status::status_refused;
use super::cluster::Cluster;
use super::freeze::FROZEN;
use super::refusals::Refusal;
use super::{Effect, Fleet, GRACE, Now, StatusOf, Subject, WriteOutcome};

impl Fleet {
    /// The cluster's turn in the queue of writes.
    pub(super) fn write_cluster_status(&mut self, name: &ClusterName, now: Now) {
        let status = self.cluster_status(name, now);
        let (Some(cluster), Some(status)) = (self.clusters.get_mut(name), status) else {
            return self.statuses.done(&StatusOf::Cluster(name.clone()), now.mono);
        };
        if cluster.stored.status() == Some(&status) {
            return self.statuses.done(&StatusOf::Cluster(name.clone()), now.mono);
        }
        let blocked = |conditions: &[Condition]| {
            let found = find(conditions, PRUNE_BLOCKED).filter(|c| truth(c) == Some(true));
            found.map(|c| (c.reason.clone(), c.message.clone()))
        };
        let held_before = cluster.stored.status().and_then(|s| blocked(&s.conditions));
        let held = blocked(&status.conditions);
        cluster.stored.begin(Box::new(status.clone()));
        let uid = cluster.uid.clone();
        self.effects.push_back(Effect::WriteClusterStatus {
            cluster: name.clone(),
            uid,
            status: Box::new(status),
        });
        if let Some((_, message)) = held.filter(|held| held_before.as_ref() != Some(held)) {
            self.cluster_event(name, true, PRUNE_BLOCKED, message);
        }
    }

    pub(super) fn cluster_status_written(&mut self, name: ClusterName, outcome: &WriteOutcome, now: Now) {
        if let Some(cluster) = self.clusters.get_mut(&name) {
            let refused = cluster.stored.written(outcome);
            let subject = Subject::Cluster { name: name.clone(), uid: cluster.uid.clone() };
            self.effects.extend(refused.map(|why| status_refused(subject, why)));
        }
        self.statuses.answered(&StatusOf::Cluster(name), outcome, now.mono);
    }

    fn cluster_status(&self, name: &ClusterName, now: Now) -> Option<MemberClusterStatus> {
        let cluster = self.clusters.get(name)?;
        let blocked = self.guards.get(name).and_then(crate::prune::PruneGuard::blocked);
        let mut wanted = vec![accepted(cluster), self.connected(name, cluster), healthy(cluster)];
        wanted.extend(certificate(cluster, now));
        wanted.push(match &blocked {
            Some(blocked) => condition(PRUNE_BLOCKED, Some(true), blocked.reason(), blocked.message()),
            None => condition(PRUNE_BLOCKED, Some(false), "NothingHeld", "no removal is held".to_owned()),
        });
        let stored = cluster.stored.status().map(|s| s.conditions.as_slice()).unwrap_or_default();
        // Before the member is back after the hub's start, the stored word on what only it knows stands.
        let awaited = cluster.session.is_none() && cluster.lost.is_none() && self.is_starting();
        let generation = cluster.stored.object.metadata.generation.unwrap_or(0);
        let conditions = merge(stored, &wanted, generation, &Time(now.wall))
            .into_iter()
            .map(|new| match find(stored, &new.type_) {
                Some(old) if awaited && new.type_ != ACCEPTED => old.clone(),
                _ => new,
            })
            .collect();
        let agents = self.agent_counts(name);
        Some(MemberClusterStatus {
            conditions,
            observed_generation: Some(generation),
            nodes: cluster.nodes,
            node_summary: cluster.nodes.map(|n| format!("{}/{}", n.ready, n.total)),
            capacity: shown(&cluster.said.capacity),
            allocatable: shown(&cluster.said.allocatable),
            free: cluster.shown_free(),
            labels: cluster.said.labels.clone(),
            scores: cluster.said.scores.clone(),
            taints: cluster.seen_taints(),
            agents: Some(agents),
            agent_summary: Some(format!("{}/{}", agents.ready, agents.assigned)),
            kubernetes_version: cluster.kubernetes_version.clone(),
            member_version: cluster.member_version.clone(),
            certificate: cluster.certificate.clone(),
        })
    }

    /// Of the cluster's agents, ready are those with every replica that they are to have there, by its last word.
    fn agent_counts(&self, name: &ClusterName) -> AgentCounts {
        let is_ready = |key: &&parallax_crds::AgentKey| {
            self.agents
                .get(*key)
                .is_some_and(|agent| agent.ready_in(name).is_some_and(|ready| ready >= agent.wanted_in(name)))
        };
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let assigned = self.standings.assigned(name);
        AgentCounts {
            assigned: count(assigned.clone().count()),
            ready: count(assigned.filter(is_ready).count()),
        }
    }

    fn connected(&self, name: &ClusterName, cluster: &Cluster) -> Wanted {
        let refused = cluster.refusal.as_ref();
        if cluster.session.is_some() {
            return match refused {
                // Shown although all is well with the session: an identity has been copied.
                Some((refusal, message)) => condition(CONNECTED, Some(true), refusal.word(), message.clone()),
                None => session_up(),
            };
        }
        if let Some((refusal, message)) = refused {
            return condition(CONNECTED, Some(false), refusal.word(), message.clone());
        }
        match (cluster.lost, cluster.unreachable) {
            // It may be back in a moment; until then only the agents' rows say so.
            (Some(_), false) => session_up(),
            (Some(_), true) if cluster.certificate.is_some() => {
                let message = format!("no session for {} s; its agents run on there", GRACE.as_secs());
                match self.freeze_notice(name) {
                    Some(notice) => condition(CONNECTED, Some(false), FROZEN, format!("{message}; {notice}")),
                    None => condition(CONNECTED, Some(false), "SessionLost", message),
                }
            }
            _ => {
                let message = "its member has not connected yet".to_owned();
                condition(CONNECTED, Some(false), "NeverConnected", message)
            }
        }
    }
}

impl super::agent::Agent {
    /// Replicas that are wanted in a cluster: as ordered, or as its autoscaler has chosen.
    fn wanted_in(&self, name: &ClusterName) -> i32 {
        let chosen = self.rows.get(name).and_then(|row| row.report.as_ref()).and_then(|report| report.chosen);
        self.scale(name).map_or(0, |scale| scale.with(chosen))
    }

    /// Replicas that are ready in a cluster by its last word; none: it has never said.
    fn ready_in(&self, name: &ClusterName) -> Option<i32> {
        if let Some(report) = self.rows.get(name).and_then(|row| row.report.as_ref()) {
            return Some(report.ready);
        }
        let rows = self.stored.status().map(|s| s.clusters.as_slice()).unwrap_or_default();
        rows.iter().find(|row| row.name == name.as_str()).map(|row| row.ready_replicas)
    }
}

fn shown(amounts: &Option<Amounts>) -> Option<BTreeMap<String, Quantity>> {
    amounts.as_ref().map(Amounts::quantities)
}

fn condition(type_: &'static str, status: Option<bool>, reason: &str, message: String) -> Wanted {
    Wanted { type_, status, reason: reason.to_owned(), message }
}

fn session_up() -> Wanted {
    condition(CONNECTED, Some(true), "SessionUp", "its member has a session".to_owned())
}

fn accepted(cluster: &Cluster) -> Wanted {
    match &cluster.refusal {
        Some((refusal @ Refusal::ClusterUidMismatch, message)) => {
            condition(ACCEPTED, Some(false), refusal.word(), message.clone())
        }
        _ if cluster.stored.object.spec.accepted && cluster.is_suspended() => {
            let message = "spec.suspended is true: it keeps what it has and is sent nothing new".to_owned();
            condition(ACCEPTED, Some(true), "Suspended", message)
        }
        _ if cluster.stored.object.spec.accepted => {
            condition(ACCEPTED, Some(true), "Accepted", "agents may be placed there".to_owned())
        }
        _ => {
            let message = "nothing is sent to the cluster before spec.accepted is true".to_owned();
            condition(ACCEPTED, Some(false), Refusal::NotAccepted.word(), message)
        }
    }
}

fn healthy(cluster: &Cluster) -> Wanted {
    let unknown = |reason: &str, message: &str| condition(HEALTHY, None, reason, message.to_owned());
    if cluster.unreachable {
        return unknown("Unreachable", "its member is away");
    }
    match cluster.nodes {
        None => unknown("NotReported", "its member has not told of its nodes yet"),
        Some(nodes) if nodes.total > 0 && nodes.ready == nodes.total => {
            condition(HEALTHY, Some(true), "NodesReady", "all nodes are ready".to_owned())
        }
        Some(nodes) => {
            let message = format!("{} of {} nodes are ready", nodes.ready, nodes.total);
            condition(HEALTHY, Some(nodes.ready > 0), "NodesNotReady", message)
        }
    }
}

/// None before there was a certificate.
fn certificate(cluster: &Cluster, now: Now) -> Option<Wanted> {
    let ends = cluster.certificate_ends()?;
    Some(if now.wall < ends {
        condition(CERTIFICATE_VALID, Some(true), "Valid", format!("until {ends}"))
    } else {
        let message = format!("it ended at {ends}: enroll the member again with a new join token");
        condition(CERTIFICATE_VALID, Some(false), "Expired", message)
    })
}
