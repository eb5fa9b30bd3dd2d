//! What a member's link wants done.

use parallax_crds::ClusterName;
use parallax_crds::copies::CopyAnswer;
use parallax_crds::link::{KeyAnswer, Order};
use parallax_crds::names::AgentRef;

/// What a member knows when its process starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberLinkConfig {
    /// The UID of the cluster's kube-system namespace.
    pub cluster_uid: String,
    /// Made up by each process.
    pub boot_id: String,
    /// The member's version.
    pub member_version: String,
    /// Whom it last obeyed, as persisted.
    pub hub_uid: Option<String>,
    /// The highest epoch of that hub, as persisted.
    pub max_epoch: u64,
    /// Of the jitter.
    pub seed: u64,
}

/// Orders that belong together only by having arrived together: each agent's are carried out on their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// To be given back with each result. Unique in the life of the link.
    pub nonce: u64,
    /// The orders' epoch.
    pub epoch: u64,
    /// Whose orders these are.
    pub hub_uid: String,
    /// What to run.
    pub orders: Vec<Order>,
    /// What to remove, with the W3C traceparent of the change.
    pub removals: Vec<(AgentRef, Option<String>)>,
}

/// A session has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcomed {
    /// Which hub.
    pub hub_uid: String,
    /// Its epoch.
    pub epoch: u64,
    /// The session's name, for logs of both ends.
    pub session: String,
    /// The name that the fleet has for this cluster.
    pub cluster: ClusterName,
    /// When the certificate ends, in unix seconds.
    pub not_after_unix: i64,
    /// Whom the member obeyed before, when that was another hub.
    pub previous_hub: Option<String>,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberAction {
    /// Connect to the hub; answer by `on_connected` or `on_disconnected`.
    Dial,
    /// Persist this; answer by `on_epoch_persisted` (or `on_disconnected` when it can't be).
    PersistEpoch {
        /// Which hub.
        hub_uid: String,
        /// Its epoch.
        epoch: u64,
    },
    /// Carry out these orders; answer each by `on_result`.
    Carry(Batch),
    /// The hub's answer to a wish for a key.
    Key(KeyAnswer),
    /// What the hub says of an object that was asked for.
    Copy(CopyAnswer),
    /// Close the transport. What arrives from it later is to be dropped.
    Close,
    /// A session has begun.
    Connected(Welcomed),
    /// The hub refused this member, or was refused by it. It is tried again slowly.
    Refused {
        /// A CamelCase word.
        reason: String,
        /// What to do.
        message: String,
    },
    /// A session, or the attempt at one, has ended; it is tried again soon.
    Lost {
        /// Why.
        cause: String,
    },
}
