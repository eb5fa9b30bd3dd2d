//! What the fleet wants done.

use std::sync::Arc;
use std::time::Duration;

use parallax_crds::copies::CopyWish;
use parallax_crds::link::{KeyWish, Order, Withheld};
use parallax_crds::{AgentKey, AgentRef, ClusterName, MemberClusterStatus, ParallaxAgentStatus};

use super::input::SessionId;
use super::refusals::{Closing, Refusal};
use super::usage::ClusterUsage;
use crate::revisions::{About, Revision, RevisionId};
use crate::tombstones::Tombstone;

/// One thing to do. Effects on one session are to be carried out in the order in which they were polled; those
/// that write are answered by [`super::Input::Written`], exactly once each, and may run beside each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Welcome the member.
    Admit {
        /// The session.
        session: SessionId,
        /// The epoch to order under.
        epoch: u64,
        /// Everything that it is to run.
        orders: Vec<Order>,
        /// Everything that it is known to have to remove.
        removals: Vec<AgentRef>,
    },
    /// Ask the member to come again.
    Retry {
        /// The session.
        session: SessionId,
        /// When.
        after: Duration,
        /// A CamelCase word.
        reason: &'static str,
    },
    /// Refuse the member.
    Refuse {
        /// The session.
        session: SessionId,
        /// Why.
        refusal: Refusal,
        /// A sentence that says what to do.
        message: String,
    },
    /// End an admitted session; the member may connect again.
    Close {
        /// The session.
        session: SessionId,
        /// Why.
        why: Closing,
    },
    /// The order for one agent; the latest wins.
    Upsert {
        /// The session.
        session: SessionId,
        /// The order.
        order: Order,
    },
    /// Remove one agent there.
    Remove {
        /// The session.
        session: SessionId,
        /// Which.
        agent: AgentRef,
        /// W3C traceparent of the change that removes it.
        traceparent: Option<String>,
    },
    /// The agent is neither ordered nor to be removed any longer: the member keeps what it has.
    Forget {
        /// The session.
        session: SessionId,
        /// Which.
        agent: AgentKey,
    },
    /// Hand the key over to the session, now and whenever it changes, until it is withheld or the session ends.
    HandKey {
        /// The session.
        session: SessionId,
        /// What it asked for.
        wish: KeyWish,
    },
    /// Hand the key over no longer.
    WithholdKey {
        /// The session.
        session: SessionId,
        /// What it asked for.
        wish: KeyWish,
        /// What the member is told; nothing when there is nothing that anybody could do.
        why: Option<Withheld>,
    },
    /// Tell the session what is in the object, now and whenever it changes, until that is revoked or the session ends.
    TellCopy {
        /// The session.
        session: SessionId,
        /// What it asked for.
        wish: CopyWish,
    },
    /// Tell it no longer for the sake of that agent.
    TellCopyNoLonger {
        /// The session.
        session: SessionId,
        /// What it asked for.
        wish: CopyWish,
    },
    /// Add `labels::FINALIZER` to the object, if it has this UID. Answered as `Write::AddFinalizer`.
    AddFinalizer {
        /// Which.
        key: AgentKey,
        /// The precondition.
        uid: String,
    },
    /// Take `labels::FINALIZER` from the object, if it has this UID. Answered as `Write::ReleaseFinalizer`.
    ReleaseFinalizer {
        /// Which.
        key: AgentKey,
        /// The precondition.
        uid: String,
    },
    /// Make this the object's whole status, if it has this UID; no resourceVersion precondition (the finalizer is
    /// written beside it). Answered as `Write::AgentStatus`.
    WriteAgentStatus {
        /// Which.
        key: AgentKey,
        /// The precondition.
        uid: String,
        /// The status.
        status: Box<ParallaxAgentStatus>,
        /// W3C traceparent of the change that it is about.
        traceparent: String,
    },
    /// Make this the MemberCluster's whole status, if it has this UID. Answered as `Write::ClusterStatus`.
    WriteClusterStatus {
        /// Which.
        cluster: ClusterName,
        /// The precondition.
        uid: String,
        /// The status.
        status: Box<MemberClusterStatus>,
    },
    /// Set `spec.clusterUID`, if the object has this resourceVersion. Answered as `Write::PinCluster`.
    PinCluster {
        /// Which.
        cluster: ClusterName,
        /// The precondition.
        resource_version: String,
        /// The UID of the member's kube-system namespace.
        cluster_uid: String,
    },
    /// Delete the annotation `labels::PRUNE_APPROVE` if it still has this value: it was used. Answered as
    /// `Write::PruneApproval`.
    ClearPruneApproval {
        /// Which.
        cluster: ClusterName,
        /// The value.
        digest: String,
    },
    /// Make this one of the stored revisions of the agent with this UID, whether or not it is one of them already. Its spec
    /// and what is pinned in it never change; what is said of it does. Answered as `Write::Revision`.
    WriteRevision {
        /// Whose.
        key: AgentKey,
        /// Who owns it.
        uid: String,
        /// Which.
        id: RevisionId,
        /// What is said of it.
        about: Box<About>,
        /// The whole.
        revision: Arc<Revision>,
    },
    /// Make it none of the stored revisions of the agent; `Ok` as well when it isn't one. Answered as `Write::Revision`.
    DropRevision {
        /// Whose.
        key: AgentKey,
        /// Which.
        id: RevisionId,
    },
    /// Read a stored revision of the agent. Answered by `Input::RevisionRead`.
    ReadRevision {
        /// Whose.
        key: AgentKey,
        /// Which.
        id: RevisionId,
    },
    /// Store some tombstones and drop others. Answered as `Write::Tombstones`, `Ok` when all of it is stored.
    WriteTombstones {
        /// To be there.
        store: Vec<Tombstone>,
        /// To be no longer there.
        drop: Vec<Tombstone>,
    },
    /// Store the epoch, with the stored one's resourceVersion as a precondition. Answered as `Write::Epoch`.
    RaiseEpoch {
        /// The new epoch.
        to: u64,
    },
    /// Read the ParallaxAgent CRD from the API server, not from a cache. Answered by `Input::Crd`.
    CheckCrd,
    /// What all agents of a connected cluster use, for metrics.
    Usage {
        /// The cluster.
        cluster: ClusterName,
        /// What its member said, summed up.
        usage: ClusterUsage,
    },
    /// Tell people, on the object that they look at.
    Event {
        /// Whose.
        subject: Subject,
        /// Warning, or Normal.
        warning: bool,
        /// A CamelCase word.
        reason: String,
        /// A sentence.
        message: String,
    },
}

/// The object that an event or a write is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A ParallaxAgent.
    Agent {
        /// Which.
        key: AgentKey,
        /// Its UID.
        uid: String,
    },
    /// A MemberCluster.
    Cluster {
        /// Which.
        name: ClusterName,
        /// Its UID.
        uid: String,
    },
}
