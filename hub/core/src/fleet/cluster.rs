//! What the fleet knows of one member cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use parallax_crds::cluster::{CertificateInfo, NodeCounts, TaintEffect};
use parallax_crds::conditions::{CONNECTED, find, truth};
use parallax_crds::{AgentKey, MemberCluster, labels};

use super::cluster_facts::{Said, in_force, stored_taints};
use super::input::{Hello, SessionId};
use super::keys::Asked;
use super::refusals::Refusal;
use super::stored::Stored;
use crate::placement::Taint;

/// A cluster whose MemberCluster exists.
#[derive(Debug)]
pub(super) struct Cluster {
    pub stored: Stored<MemberCluster>,
    pub uid: String,
    /// `spec.clusterUID`, or what was just written there.
    pub pinned: Option<String>,
    pub session: Option<Session>,
    /// It has told what it holds since this process began.
    pub told: bool,
    /// When the last session was lost; none before the first.
    pub lost: Option<Duration>,
    /// For how long it had been lost before that, by the word of an earlier process.
    pub lost_before: Duration,
    /// Why the last session ended.
    pub cause: Option<String>,
    /// Its loss has lasted long enough to be shown.
    pub unreachable: bool,
    /// Why the last Hello was refused.
    pub refusal: Option<(Refusal, String)>,
    /// The taints that are in force.
    pub taints: Vec<Taint>,
    /// What it says of itself, by its last word.
    pub said: Said,
    pub nodes: Option<NodeCounts>,
    pub kubernetes_version: Option<String>,
    pub member_version: Option<String>,
    pub certificate: Option<CertificateInfo>,
    /// When its end is looked at.
    pub certificate_timer: Option<Duration>,
    /// When a second cluster with this identity is spoken of no longer.
    pub copy_timer: Option<Duration>,
}

/// An admitted session.
#[derive(Debug)]
pub(super) struct Session {
    pub id: SessionId,
    pub cluster_uid: String,
    /// The member's process.
    pub boot_id: Arc<str>,
    pub synced: bool,
    pub reports_complete: bool,
    /// The API keys that it has asked for.
    pub keys: BTreeMap<AgentKey, Asked>,
}

/// A Hello that is still to be answered.
#[derive(Debug)]
pub(super) struct Joining {
    pub session: SessionId,
    pub hello: Hello,
    /// An old session of the same cluster was told to close; after this it isn't waited for.
    pub takeover: Option<Duration>,
    /// `spec.clusterUID` could not be written; after this it is tried again.
    pub pin_again: Option<Duration>,
}

impl Cluster {
    pub fn new(object: Arc<MemberCluster>, uid: String, now: Timestamp) -> Self {
        let status = object.status.as_ref();
        let taints = in_force(&object.spec.taints, &stored_taints(status), now);
        Self {
            pinned: object.spec.cluster_uid.clone(),
            session: None,
            told: false,
            lost: None,
            lost_before: Duration::ZERO,
            cause: None,
            unreachable: false,
            refusal: None,
            taints,
            said: Said::stored(status),
            nodes: status.and_then(|s| s.nodes),
            kubernetes_version: status.and_then(|s| s.kubernetes_version.clone()),
            member_version: status.and_then(|s| s.member_version.clone()),
            certificate: status.and_then(|s| s.certificate.clone()),
            certificate_timer: None,
            copy_timer: None,
            stored: Stored::new(object),
            uid,
        }
    }

    /// An administrator wants it in the fleet, and it isn't being detached.
    pub fn is_accepted(&self) -> bool {
        self.stored.object.spec.accepted && self.stored.object.metadata.deletion_timestamp.is_none()
    }

    pub fn is_suspended(&self) -> bool {
        self.stored.object.spec.suspended
    }

    /// What the stored status says of its connection.
    pub fn was_connected(&self) -> bool {
        self.connection().and_then(truth) == Some(true)
    }

    /// The stored condition `Connected`.
    pub fn connection(&self) -> Option<&Condition> {
        find(self.stored.status().map(|s| s.conditions.as_slice()).unwrap_or_default(), CONNECTED)
    }

    /// For how long its session has been lost; none: it hasn't.
    pub fn lost_for(&self, now: Duration) -> Option<Duration> {
        let lost = self.lost.filter(|_| self.session.is_none())?;
        Some(now.saturating_sub(lost) + self.lost_before)
    }

    /// Its administrator wants what doesn't tolerate it gone from there.
    pub fn is_drained(&self) -> bool {
        self.taints.iter().any(|taint| taint.effect == TaintEffect::NoExecute)
    }

    pub fn approval(&self) -> Option<&String> {
        self.stored.object.metadata.annotations.as_ref()?.get(labels::PRUNE_APPROVE)
    }

    pub fn certificate_ends(&self) -> Option<Timestamp> {
        self.certificate.as_ref().map(|c| c.not_after.0)
    }
}
