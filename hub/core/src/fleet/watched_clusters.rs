//! What the hub's API server says of MemberClusters.

use std::sync::Arc;

use parallax_crds::cluster::CertificateInfo;
use parallax_crds::{ClusterName, MemberCluster, MemberClusterStatus};

use super::cluster::Cluster;
use super::freeze::is_said_lost;
use super::refusals::Closing;
use super::settling::replace;
use super::{Effect, Fleet, Now, StatusOf, Subject, Timer};
use crate::tombstones::Tombstone;
use crate::writes::Urgency;

impl Fleet {
    pub(super) fn cluster_seen(&mut self, object: Arc<MemberCluster>, now: Now) {
        let meta = &object.metadata;
        let (Some(name), Some(uid)) =
            (meta.name.as_deref().and_then(|n| ClusterName::new(n).ok()), meta.uid.clone())
        else {
            return;
        };
        match self.clusters.get(&name).map(|c| c.uid == uid) {
            Some(true) => self.cluster_changed(&name, object, now),
            other => {
                if other.is_some() {
                    // Deleted and made again between two looks.
                    self.cluster_gone(&name, now);
                }
                self.clusters.insert(name.clone(), Cluster::new(object, uid, now.wall));
                self.await_certificate(&name, now);
                self.clusters_changed();
                self.touch_cluster(&name, now);
            }
        }
        self.hellos.insert(name.clone());
        self.look_for_approval(&name, now);
    }

    fn cluster_changed(&mut self, name: &ClusterName, object: Arc<MemberCluster>, now: Now) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        let was_suspended = cluster.is_suspended();
        let Some(change) = cluster.stored.seen(object) else { return };
        let object = &change.object;
        let seen = &cluster.stored.object;
        let edited = seen.spec != object.spec
            || seen.metadata.labels != object.metadata.labels
            || seen.metadata.deletion_timestamp != object.metadata.deletion_timestamp;
        let said_lost = is_said_lost(seen) != is_said_lost(object);
        if change.foreign && certificate(seen.status.as_ref()) != certificate(change.status()) {
            // An enrollment, or an administrator's reset: ours is what an earlier session said.
            cluster.certificate = certificate(seen.status.as_ref()).cloned();
        }
        cluster.pinned.clone_from(&seen.spec.cluster_uid);
        if edited && cluster.session.is_none() {
            cluster.refusal = None;
        }
        cluster.note_taints(now.wall);
        let resumed = was_suspended && !cluster.is_suspended();
        let accepted = cluster.is_accepted();
        let stranger = cluster
            .session
            .as_ref()
            .is_some_and(|s| cluster.pinned.as_ref().is_some_and(|pin| *pin != s.cluster_uid));
        if !accepted || stranger {
            let why = if stranger { Closing::ClusterUidMismatch } else { Closing::NotAccepted };
            self.end_session(name, why, now);
        }
        self.look_at_cluster(name);
        if resumed {
            self.resume(name, now);
        }
        if said_lost || !accepted {
            self.look_at_freeze(now);
            self.await_failover(name, now);
        }
        if edited || change.foreign {
            self.await_certificate(name, now);
            self.touch_cluster(name, now);
        }
    }

    /// The MemberCluster was deleted: the cluster is detached. Its workloads stay, nothing is owed to it any longer, and
    /// its agents are placed as for a cluster that is gone.
    pub(super) fn cluster_gone(&mut self, name: &ClusterName, now: Now) {
        self.end_session(name, Closing::Detached, now);
        self.await_copy(name, None);
        let Some(mut cluster) = self.clusters.remove(name) else { return };
        replace(&mut self.timers, &mut cluster.certificate_timer, None, || Timer::Certificate(name.clone()));
        self.look_at_freeze(now);
        self.hellos.insert(name.clone());
        self.guards.remove(name);
        self.asked.remove(name);
        self.statuses.forget(&StatusOf::Cluster(name.clone()));
        for agent in self.tombstones.of(name).cloned().collect::<Vec<_>>() {
            self.tombstones.lift(&Tombstone { cluster: name.clone(), agent });
        }
        for key in self.standings.withdrawing(name).cloned().collect::<Vec<_>>() {
            if let Some(agent) = self.agents.get_mut(&key) {
                agent.decision.withdrawing.remove(name);
                agent.rows.remove(name);
            }
            self.standings.end(name, &key);
            self.touch(&key);
        }
        for key in self.standings.deleting(name).cloned().collect::<Vec<_>>() {
            self.no_longer_waits(&key, name, now);
        }
        // Those with a share keep it until they are placed anew: the cluster may be made again before.
        self.clusters_changed();
    }

    fn end_session(&mut self, name: &ClusterName, why: Closing, now: Now) {
        if let Some(session) = self.clusters.get(name).and_then(|c| c.session.as_ref()) {
            self.effects.push_back(Effect::Close { session: session.id.clone(), why });
            self.lose_session(name, now);
        }
    }

    /// Suspended no longer: what was held back is sent.
    fn resume(&mut self, name: &ClusterName, now: Now) {
        for key in self.standings.assigned(name).cloned().collect::<Vec<_>>() {
            self.dispatch(&key, name, now);
        }
        for key in self.standings.passed(name).cloned().collect::<Vec<_>>() {
            self.remove_by_decision(name, &key);
        }
        self.is_within_reach(name);
    }

    /// The cluster's conditions may have changed: written at once if so.
    pub(super) fn touch_cluster(&mut self, name: &ClusterName, now: Now) {
        if self.clusters.contains_key(name) {
            self.statuses.want(StatusOf::Cluster(name.clone()), Urgency::Now, now.mono);
        }
    }

    /// The number of its agents, or of those that are ready, may have changed: more of that is likely to follow.
    pub(super) fn count_cluster(&mut self, name: &ClusterName, now: Now) {
        if self.clusters.contains_key(name) {
            self.statuses.want(StatusOf::Cluster(name.clone()), Urgency::Soon, now.mono);
        }
    }

    pub(super) fn cluster_event(&mut self, name: &ClusterName, warning: bool, reason: &str, message: String) {
        let Some(cluster) = self.clusters.get(name) else { return };
        let subject = Subject::Cluster { name: name.clone(), uid: cluster.uid.clone() };
        self.effects.push_back(Effect::Event { subject, warning, reason: reason.to_owned(), message });
    }
}

fn certificate(status: Option<&MemberClusterStatus>) -> Option<&CertificateInfo> {
    status?.certificate.as_ref()
}
