//! What the fleet is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parallax_crds::copies::CopyWish;
use parallax_crds::link::{AgentReport, AgentUsage, ClusterReport, Held, KeyWish, MemberEvent, OrderResult};
use parallax_crds::{AgentKey, ClusterName, MemberCluster, ParallaxAgent, ParallaxAgentSpec};

use crate::revisions::{Listed, RevisionId};
use crate::tombstones::Tombstone;

/// When an input arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since an arbitrary origin, monotonic: what deadlines are measured in.
    pub mono: Duration,
    /// By the wall clock: what people read, and what epochs and certificates are compared with.
    pub wall: Timestamp,
}

/// One session: the cluster that the certificate names, and a number that no other session of this process has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// The cluster, from the verified certificate.
    pub cluster: ClusterName,
    /// Counted by the process.
    pub number: u64,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.cluster, self.number)
    }
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// An agent was listed, added or changed.
    AgentSeen(Arc<ParallaxAgent>),
    /// The object is no longer there (the watch said so, or a relist lacked it). By itself that is not a
    /// deletion: only what was seen with a deletionTimestamp and our finalizer is removed from members.
    AgentGone {
        /// Which.
        key: AgentKey,
        /// The object's UID as it was last seen.
        uid: String,
    },
    /// Every agent of the initial list has been given as [`Input::AgentSeen`].
    AgentsListed,
    /// A MemberCluster was listed, added or changed.
    ClusterSeen(Arc<MemberCluster>),
    /// A MemberCluster is no longer there.
    ClusterGone(ClusterName),
    /// Every MemberCluster of the initial list has been given as [`Input::ClusterSeen`].
    ClustersListed,
    /// All stored tombstones, once, at the start.
    TombstonesLoaded(Vec<Tombstone>),
    /// All stored revisions, once, at the start.
    RevisionsLoaded(Vec<Listed>),
    /// A member asks to be admitted; answered by exactly one of `Admit`, `Retry` and `Refuse`, unless the
    /// session closes first.
    Hello {
        /// The session.
        session: SessionId,
        /// What it says of itself.
        hello: Hello,
    },
    /// Something else that a session says.
    Session {
        /// The session.
        session: SessionId,
        /// What.
        event: SessionEvent,
    },
    /// The session has ended, whoever ended it. Given once for every session that said Hello.
    SessionClosed {
        /// The session.
        session: SessionId,
        /// For people.
        cause: String,
    },
    /// A write that an effect asked for is over.
    Written {
        /// Which.
        write: Write,
        /// How it went.
        outcome: WriteOutcome,
    },
    /// The answer to [`super::Effect::ReadRevision`].
    RevisionRead {
        /// Whose.
        key: AgentKey,
        /// Which.
        id: RevisionId,
        /// Its spec, or none if there is no such revision; or why it couldn't be read.
        read: Result<Option<Box<ParallaxAgentSpec>>, String>,
    },
    /// The answer to [`super::Effect::CheckCrd`].
    Crd(CrdState),
    /// Time has passed: due at [`super::Fleet::next_deadline`], harmless at any other time.
    Tick,
}

/// What a member says of itself when it connects, and what its certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The UID of its kube-system namespace.
    pub cluster_uid: String,
    /// The member's process: another after each start.
    pub boot_id: String,
    /// The hub that it obeyed last.
    pub hub_uid: Option<String>,
    /// The highest epoch of that hub that it has obeyed; 0 for none.
    pub max_epoch_seen: u64,
    /// The member's version.
    pub member_version: String,
    /// The serial number of its certificate, hexadecimal.
    pub certificate_serial: String,
    /// The end of its certificate's validity.
    pub certificate_not_after: Timestamp,
}

/// What an admitted session says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// The member holds these, and they are neither ordered nor to be removed.
    Unclaimed(Vec<Held>),
    /// The member holds exactly what it was ordered, as far as it could carry it out.
    Synced,
    /// What became of one order or removal.
    Result(OrderResult),
    /// The truth about one agent there.
    Report(AgentReport),
    /// Everything that the member knew when it connected has been reported.
    ReportsComplete,
    /// What the cluster says of itself.
    Cluster(ClusterReport),
    /// What agents use there, of those whose usage has changed.
    Usage(Vec<AgentUsage>),
    /// The member asks for agents' API keys.
    KeyWishes(Vec<KeyWish>),
    /// The member asks what is in objects of agents' namespaces.
    CopyWishes(Vec<CopyWish>),
    /// Events for agents' users, and how many were dropped before them.
    Events(Vec<MemberEvent>, u64),
}

/// A write that was asked for by an effect; it names the effect that it answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Write {
    /// `AddFinalizer`, of the object with this UID.
    AddFinalizer(AgentKey, String),
    /// `ReleaseFinalizer`, of the object with this UID.
    ReleaseFinalizer(AgentKey, String),
    /// `WriteAgentStatus`, of the object with this UID.
    AgentStatus(AgentKey, String),
    /// `WriteClusterStatus`.
    ClusterStatus(ClusterName),
    /// `PinCluster`, to this UID; there is one of each cluster at a time.
    PinCluster(ClusterName, String),
    /// `ClearPruneApproval`.
    PruneApproval(ClusterName),
    /// `WriteRevision` or `DropRevision` of an agent; there is one of each agent at a time.
    Revision(AgentKey, RevisionId),
    /// `WriteTombstones`; there is one at a time.
    Tombstones,
    /// `RaiseEpoch`; there is one at a time.
    Epoch,
}

impl Write {
    /// What it is of, without saying of which object: `agent_status`, `tombstones`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

/// How a write went.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum WriteOutcome {
    /// It is stored; the object's new resourceVersion ("" for writes that are not of one object).
    Ok(String),
    /// A precondition failed (UID, resourceVersion): what is stored is not what was thought.
    Conflict,
    /// The object is not there.
    NotFound,
    /// The API server will never take it as it is, and why.
    Invalid(String),
    /// Anything else (time-out, 5xx, 429), and what: worth another try.
    Failed(String),
}

impl WriteOutcome {
    /// How it went, without saying why: `ok`, `not_found`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

/// The ParallaxAgent CRD, read live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrdState {
    /// It is there and stays.
    Live,
    /// It is being deleted, or gone: the deletion of agents is nobody's wish.
    Going,
    /// It could not be read; asked again later.
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_name_writes_and_outcomes_without_naming_objects() {
        let key = AgentKey::new("team", "writer");
        assert_eq!(Write::AddFinalizer(key.clone(), "u".to_owned()).name(), "add_finalizer");
        assert_eq!(Write::AgentStatus(key, "u".to_owned()).name(), "agent_status");
        assert_eq!(Write::Epoch.name(), "epoch");
        assert_eq!(WriteOutcome::Failed("why".to_owned()).name(), "failed");
        assert_eq!(WriteOutcome::NotFound.name(), "not_found");
    }
}
