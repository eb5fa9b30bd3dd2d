//! Members that come: who is admitted, with what, and who isn't.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::cluster::CertificateInfo;
use parallax_crds::{AgentKey, ClusterName};

use super::agent::Life;
use super::cluster::{Joining, Session};
use super::concern::Concern;
use super::refusals::{Closing, Refusal};
use super::{Effect, Fleet, Hello, Now, SessionId, Timer, WriteOutcome};

/// How far ahead of the hub's clock an epoch may be to be adopted.
const EPOCH_AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// How long an old session may take to say that it is closed.
const TAKEOVER: Duration = Duration::from_secs(5);
/// After how long a write of `spec.clusterUID` is tried again.
const PIN_AGAIN: Duration = Duration::from_secs(2);
/// When a member may come again while too many resync.
const BUSY: Duration = Duration::from_secs(2);
/// How long a second cluster with an identity is shown after the last attempt. One that is refused comes again within a minute.
const COPY_QUIET: Duration = Duration::from_mins(5);

impl Fleet {
    pub(super) fn hello(&mut self, session: SessionId, hello: Hello, now: Now) {
        let cluster = session.cluster.clone();
        let joining = Joining { session, hello, takeover: None, pin_again: None };
        if let Some(older) = self.joining.insert(cluster.clone(), joining) {
            // The member gave that stream up, or it would not have begun another.
            self.effects.push_back(Effect::Close { session: older.session, why: Closing::Superseded });
        }
        self.consider(&cluster, now);
    }

    /// Answers a Hello if everything that it depends on is known; otherwise it stays, and is looked at again.
    pub(super) fn consider(&mut self, name: &ClusterName, now: Now) {
        if !self.is_ready() || !self.replan.is_empty() {
            self.hellos.insert(name.clone());
            return;
        }
        let Some(joining) = self.joining.get_mut(name) else { return };
        let hello = &joining.hello;
        let Some(cluster) = self.clusters.get_mut(name) else {
            let message = format!(
                "there is no MemberCluster {name}: make it with `parallax-hub token {name}`, or uninstall the member"
            );
            return self.refuse(name, Refusal::NoMemberCluster, message, now);
        };
        if !cluster.is_accepted() {
            let message = format!(
                "MemberCluster {name} is not accepted: set its spec.accepted to true, for example with \
                 `kubectl patch membercluster {name} --type=merge -p '{{\"spec\":{{\"accepted\":true}}}}'`"
            );
            return self.refuse(name, Refusal::NotAccepted, message, now);
        }
        let pinned = cluster.pinned.as_deref();
        if let Some(session) = &cluster.session {
            if session.cluster_uid != hello.cluster_uid {
                let message = format!(
                    "a second cluster, with the kube-system UID {}, uses the identity of {name}, whose session is up: \
                     enroll it under a name of its own",
                    hello.cluster_uid
                );
                return self.refuse(name, Refusal::DuplicateIdentity, message, now);
            }
            match joining.takeover {
                None => {
                    joining.takeover = Some(now.mono + TAKEOVER);
                    let old = session.id.clone();
                    self.at(now.mono + TAKEOVER, Timer::Joining(name.clone()));
                    return self.effects.push_back(Effect::Close { session: old, why: Closing::Superseded });
                }
                Some(until) if now.mono < until => return,
                Some(_) => {}
            }
        } else if pinned.is_some_and(|uid| uid != hello.cluster_uid) {
            let message = format!(
                "the cluster's kube-system UID is {}, but MemberCluster {name} was accepted with {}: if the cluster was \
                 rebuilt, accept it again by removing spec.clusterUID",
                hello.cluster_uid,
                pinned.unwrap_or_default()
            );
            return self.refuse(name, Refusal::ClusterUidMismatch, message, now);
        }
        if hello.hub_uid.as_deref() == Some(self.config.hub_uid.as_str())
            && hello.max_epoch_seen > self.config.epoch
        {
            let seen = hello.max_epoch_seen;
            return self.meet_epoch(name, seen, now);
        }
        if pinned.is_none() {
            if joining.pin_again.is_none_or(|at| at <= now.mono) && self.pinning.insert(name.clone()) {
                let pin = Effect::PinCluster {
                    cluster: name.clone(),
                    resource_version: cluster
                        .stored
                        .object
                        .metadata
                        .resource_version
                        .clone()
                        .unwrap_or_default(),
                    cluster_uid: hello.cluster_uid.clone(),
                };
                self.effects.push_back(pin);
            }
            return;
        }
        let unsynced = |c: &super::Cluster| c.session.as_ref().is_some_and(|s| !s.synced);
        if self.clusters.values().filter(|c| unsynced(c)).count() >= self.config.max_resyncs {
            if let Some(joining) = self.joining.remove(name) {
                let retry = Effect::Retry { session: joining.session, after: BUSY, reason: "Busy" };
                self.effects.push_back(retry);
            }
            return;
        }
        self.admit(name, now);
    }

    fn refuse(&mut self, name: &ClusterName, refusal: Refusal, message: String, now: Now) {
        let Some(joining) = self.joining.remove(name) else { return };
        self.await_copy(name, (refusal == Refusal::DuplicateIdentity).then_some(now.mono + COPY_QUIET));
        if let Some(cluster) = self.clusters.get_mut(name) {
            let shown = Some((refusal, message.clone()));
            if cluster.refusal != shown {
                cluster.refusal = shown;
                self.cluster_event(name, true, refusal.word(), message.clone());
                self.touch_cluster(name, now);
            }
        }
        self.effects.push_back(Effect::Refuse { session: joining.session, refusal, message });
    }

    /// The second cluster has given up: it doesn't stand on the MemberCluster for the rest of the true one's session.
    pub(super) fn copy_is_quiet(&mut self, name: &ClusterName, now: Now) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        cluster.copy_timer = None;
        if cluster.refusal.take_if(|(refusal, _)| *refusal == Refusal::DuplicateIdentity).is_some() {
            self.touch_cluster(name, now);
        }
    }

    /// A member has obeyed a higher epoch of this hub than the stored one: a backup was restored. Within reason the
    /// hub goes above it.
    fn meet_epoch(&mut self, name: &ClusterName, seen: u64, now: Now) {
        let limit = now.wall.saturating_add(EPOCH_AHEAD).map_or(i64::MAX, jiff::Timestamp::as_millisecond);
        if seen > u64::try_from(limit).unwrap_or(0) {
            let message = format!(
                "the member has obeyed epoch {seen} of this hub, more than {} h ahead of the hub's clock: set the \
                 clock right; or, if that epoch was a mistake, delete the ConfigMap parallax-member-state in the member's cluster \
                 and restart the member",
                EPOCH_AHEAD.as_hours()
            );
            return self.refuse(name, Refusal::EpochAhead, message, now);
        }
        if self.raising.is_none() {
            let to = seen + 1;
            self.raising = Some(to);
            self.effects.push_back(Effect::RaiseEpoch { to });
        }
    }

    pub(super) fn epoch_written(&mut self, outcome: &WriteOutcome, now: Now) {
        let Some(to) = self.raising.take() else { return };
        if matches!(outcome, WriteOutcome::Ok(_)) {
            self.tell_of_rollback(to);
            self.config.epoch = self.config.epoch.max(to);
            self.hellos.extend(self.joining.keys().cloned());
        } else {
            // Looked at again with the pause that an unanswered Hello has anyway.
            let waiting: Vec<_> = self.joining.keys().cloned().collect();
            for name in waiting {
                self.at(now.mono + PIN_AGAIN, Timer::Joining(name));
            }
        }
    }

    /// On the cluster whose member knew better than the hub's own record.
    fn tell_of_rollback(&mut self, to: u64) {
        let knew =
            self.joining.iter().find(|(_, joining)| joining.hello.max_epoch_seen.checked_add(1) == Some(to));
        let Some(name) = knew.map(|(name, _)| name.clone()) else { return };
        let message = format!(
            "its member has obeyed epoch {} of this hub, whose record had {}: a backup of the hub was restored, or a second \
             hub runs on the record. The hub goes on with {to}; what it doesn't know stays where it is",
            to - 1,
            self.config.epoch
        );
        self.cluster_event(&name, true, "HubRolledBack", message);
    }

    pub(super) fn cluster_pinned(
        &mut self,
        name: &ClusterName,
        cluster_uid: String,
        outcome: &WriteOutcome,
        now: Now,
    ) {
        self.pinning.remove(name);
        if let WriteOutcome::Invalid(why) = outcome {
            let message = format!(
                "the API server refuses to store the cluster's kube-system UID in the spec.clusterUID of MemberCluster \
                 {name}: {why}; apply the CRDs of the hub's version"
            );
            return self.refuse(name, Refusal::ClusterUidRefused, message, now);
        }
        let WriteOutcome::Ok(stored) = outcome else {
            if let Some(joining) = self.joining.get_mut(name) {
                joining.pin_again = Some(now.mono + PIN_AGAIN);
                self.at(now.mono + PIN_AGAIN, Timer::Joining(name.clone()));
            }
            return;
        };
        // A newer object may have been seen meanwhile, or another of that name; it says what is stored.
        if let Some(cluster) = self.clusters.get_mut(name).filter(|c| !c.stored.is_newer_than(stored)) {
            cluster.stored.has_become(stored);
            cluster.pinned = Some(cluster_uid);
        }
        self.hellos.insert(name.clone());
    }

    fn admit(&mut self, name: &ClusterName, now: Now) {
        let Some(Joining { session: id, hello, .. }) = self.joining.remove(name) else { return };
        if self.is_connected(name) {
            self.lose_session(name, now);
        }
        let lost = self.clusters.get(name).and_then(|cluster| cluster.lost_for(now.mono));
        if let Some(cluster) = self.clusters.get_mut(name) {
            cluster.lost = None;
        }
        self.reconsider(name, now);
        self.take_back(name, lost, now);
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        let was_reachable = !cluster.unreachable;
        cluster.session = Some(Session {
            id: id.clone(),
            cluster_uid: hello.cluster_uid,
            boot_id: hello.boot_id.into(),
            synced: false,
            reports_complete: false,
            keys: BTreeMap::new(),
        });
        cluster.unreachable = false;
        cluster.refusal = None;
        cluster.member_version = Some(hello.member_version);
        cluster.certificate = Some(CertificateInfo {
            serial: hello.certificate_serial,
            not_after: Time(hello.certificate_not_after),
        });
        self.await_certificate(name, now);
        self.guards.entry(name.clone()).or_default().relearn();

        let orders = self.orders_for(name, now);
        let removals = self.removals_for(name);
        removals.iter().for_each(|agent| self.removal_sent(name, agent));
        self.effects.push_back(Effect::Admit { session: id, epoch: self.config.epoch, orders, removals });
        self.deletions_now_ordered(name);
        self.is_within_reach(name);
        self.look_at_freeze(now);
        self.await_failover(name, now);
        if !was_reachable {
            self.cluster_event(name, false, "ClusterConnected", format!("{name} is connected again"));
        }
        self.look_at_cluster(name);
        self.place_anew(name, Concern::Open);
        self.touch_cluster(name, now);
    }

    /// Agents that are to leave the cluster may have a place there again, now that its member is back: that is decided
    /// before it is told what to remove, or a copy that is wanted would be removed and made anew.
    fn reconsider(&mut self, name: &ClusterName, now: Now) {
        let open = |key: &&AgentKey| self.agents.get(*key).is_some_and(|agent| agent.decision.open);
        let open: Vec<_> = self.standings.withdrawing(name).filter(open).cloned().collect();
        if let Some(facts) = self.facts_of(name).filter(|_| !open.is_empty()) {
            facts.connected = true;
        }
        for key in &open {
            self.decide(key, now);
        }
    }

    /// Everything that the cluster is to run.
    fn orders_for(&mut self, name: &ClusterName, now: Now) -> Vec<parallax_crds::link::Order> {
        if self.clusters.get(name).is_none_or(super::Cluster::is_suspended) {
            return Vec::new();
        }
        let assigned: Vec<AgentKey> = self.standings.assigned(name).cloned().collect();
        let mut orders = Vec::with_capacity(assigned.len());
        for key in assigned {
            // An order for what is to go at once would only make it begin an update.
            if self.goes_now(&key, name, now) {
                continue;
            }
            let Some(agent) = self.agents.get_mut(&key).filter(|a| a.is_orderable()) else { continue };
            let Some(order) = agent.order(&key, name) else { continue };
            let row = agent.rows.entry(name.clone()).or_default();
            row.sent = Some((order.hash, order.scale));
            row.given = Some(order.hash);
            row.admitted = true;
            row.unanswered = 1;
            row.touched = true;
            orders.push(order);
            self.meant_to_be_there(&key, name, now);
        }
        orders
    }

    /// Everything that the cluster is known to have to remove: tombstones, deletions, and what the guard let go. A
    /// tombstone of an older incarnation goes beside the new one's order: the session answers it as soon as the member
    /// holds the new one, even if it did so before and its word was lost.
    fn removals_for(&self, name: &ClusterName) -> Vec<parallax_crds::AgentRef> {
        let suspended = self.clusters.get(name).is_none_or(super::Cluster::is_suspended);
        let mut removals: std::collections::BTreeSet<_> = self.tombstones.of(name).cloned().collect();
        let demanded = self.standings.deleting(name).filter(|key| !self.is_held(key, name));
        let issued = |key: &&AgentKey| self.agents.get(*key).is_some_and(|agent| agent.decision.issued);
        let passed = self.standings.passed(name).filter(|_| !suspended).filter(issued);
        for key in demanded.chain(passed) {
            if let Some(agent) = self.agents.get(key) {
                removals.insert(agent.reference(key));
            }
        }
        removals.into_iter().collect()
    }

    pub(super) fn is_held(&self, key: &AgentKey, name: &ClusterName) -> bool {
        let life = self.agents.get(key).map(|a| &a.life);
        matches!(life, Some(Life::Deleting { waits, .. }) if waits.get(name) == Some(&super::agent::Wait::Held))
    }
}
