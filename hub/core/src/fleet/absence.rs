//! What the end of a session means, and what the silence of a member does: after the grace, its cluster is unreachable.

use std::time::Duration;

use parallax_crds::ClusterName;

use super::freeze::FROZEN;
use super::{Fleet, GRACE, Now, SessionId, Start, Timer};

impl Fleet {
    pub(super) fn session_closed(&mut self, id: &SessionId, cause: &str, now: Now) {
        let name = &id.cluster;
        if self.joining.get(name).is_some_and(|j| j.session == *id) {
            self.joining.remove(name);
        }
        let is_current = |c: &super::Cluster| c.session.as_ref().is_some_and(|s| s.id == *id);
        if self.clusters.get(name).is_some_and(is_current) {
            self.lose_session(name, now);
            self.fell_silent(name, now);
            if let Some(cluster) = self.clusters.get_mut(name) {
                cluster.cause = Some(cause.to_owned());
            }
            // Somebody may have waited for that.
            self.hellos.insert(name.clone());
        }
    }

    /// The cluster's word is not fresh from now on; what was demanded of it is owed.
    pub(super) fn lose_session(&mut self, name: &ClusterName, now: Now) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        let Some(session) = cluster.session.take() else { return };
        (cluster.lost, cluster.lost_before) = (Some(now.mono), Duration::ZERO);
        self.drop_wishes(name, &session.keys);
        self.drop_copies(name);
        self.at(now.mono + GRACE, Timer::Unreachable(name.clone()));
        if let Some(facts) = self.facts_of(name) {
            // Nothing moves for it; new shares go elsewhere.
            facts.connected = false;
        }
        let (assigned, withdrawing) = (self.standings.assigned(name), self.standings.withdrawing(name));
        for key in assigned.chain(withdrawing).chain(self.standings.deleting(name)) {
            if let Some(row) = self.agents.get_mut(key).and_then(|a| a.rows.get_mut(name)) {
                row.session_lost();
            }
        }
        for key in self.standings.deleting(name).cloned().collect::<Vec<_>>() {
            if !self.is_held(&key, name) {
                self.demand(&key, name, now);
            }
        }
        self.touch_agents_of(name);
        self.await_failover(name, now);
    }

    /// A session was lost long enough ago.
    pub(super) fn unreachable(&mut self, name: &ClusterName, now: Now) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        let over = cluster.lost.is_some_and(|lost| lost + GRACE <= now.mono);
        if cluster.session.is_some() || cluster.unreachable || !over {
            return;
        }
        cluster.unreachable = true;
        let cause = cluster.cause.as_deref().map(|c| format!(" ({c})")).unwrap_or_default();
        let message = format!(
            "{name} has not been connected for {} s{cause}; its agents run on there",
            GRACE.as_secs()
        );
        self.cluster_event(name, true, "ClusterUnreachable", message);
        if let Some(notice) = self.freeze_notice(name) {
            self.cluster_event(name, true, FROZEN, notice);
        }
        self.touch_agents_of(name);
        self.touch_cluster(name, now);
    }

    /// Members have had the time to come back: whoever isn't there is unreachable.
    pub(super) fn start_is_over(&mut self, now: Now) {
        self.start = Start::Over;
        let absent: Vec<_> = self
            .clusters
            .iter()
            .filter(|(_, c)| c.session.is_none() && c.lost.is_none())
            .map(|(n, _)| n.clone())
            .collect();
        self.remember_freeze(&absent, now);
        for name in absent {
            if let Some(cluster) = self.clusters.get_mut(&name) {
                let known = cluster.was_connected();
                cluster.lost = Some(now.mono.saturating_sub(GRACE));
                cluster.lost_before = cluster.shown_as_lost_for(now.wall);
                if known {
                    self.unreachable(&name, now);
                } else {
                    cluster.unreachable = true;
                    self.touch_agents_of(&name);
                    self.touch_cluster(&name, now);
                }
            }
            self.await_failover(&name, now);
        }
        self.absence_is_known();
        self.look_at_unrecorded();
    }
}
