//! What a hub's session tells its caller.

use std::fmt;
use std::time::Duration;

use parallax_crds::copies::CopyWish;
use parallax_crds::link::{AgentReport, AgentUsage, ClusterReport, Held, KeyWish, MemberEvent, OrderResult};

/// What the hub grants a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSessionConfig {
    /// The hub's own id, which survives its restarts.
    pub hub_uid: String,
    /// The leader's epoch; every order carries it.
    pub epoch: u64,
    /// A name for the session, for logs of both ends.
    pub session: String,
    /// Each end says something at least this often.
    pub heartbeat: Duration,
    /// The member is given up after this much silence.
    pub silence: Duration,
    /// When the member's certificate ends, in unix seconds; the member is told.
    pub not_after_unix: i64,
    /// How long from admission until then; the session ends by Bye.
    pub lifetime: Duration,
}

/// What a member says of itself first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloFacts {
    /// Of the protocol.
    pub versions: Vec<u32>,
    /// The optional parts of the protocol that it has.
    pub features: Vec<String>,
    /// The UID of its kube-system namespace.
    pub cluster_uid: String,
    /// Of its process.
    pub boot_id: String,
    /// Whom it last obeyed.
    pub hub_uid: Option<String>,
    /// The highest epoch of that hub that it has seen.
    pub max_epoch_seen: u64,
    /// Assignments that it holds.
    pub count: u64,
    /// Its own version.
    pub member_version: String,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The stream ended without a word.
    Lost,
    /// Nothing was heard for too long.
    Silent,
    /// The member said Bye.
    MemberLeft {
        /// Its reason.
        reason: String,
    },
    /// The hub said Bye, or the certificate ended.
    Bye {
        /// Our reason.
        reason: String,
    },
    /// The hub asked it to come back later.
    Retry {
        /// Our reason.
        reason: String,
    },
    /// The hub refused it: by the caller's decision, or because it speaks no version of the protocol that we do.
    Refused {
        /// A CamelCase word.
        reason: String,
        /// What to do.
        message: String,
    },
    /// It broke the protocol.
    Protocol {
        /// How.
        message: String,
    },
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("the connection was lost"),
            Self::Silent => f.write_str("the member was silent for too long"),
            Self::MemberLeft { reason } => write!(f, "the member said good-bye: {reason}"),
            Self::Bye { reason } => write!(f, "the hub said good-bye: {reason}"),
            Self::Retry { reason } => write!(f, "the member was asked to come back later: {reason}"),
            Self::Refused { reason, message } => write!(f, "refused ({reason}): {message}"),
            Self::Protocol { message } => write!(f, "the member broke the protocol: {message}"),
        }
    }
}

/// What happened in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubEvent {
    /// The member introduced itself. To be answered by `admit`, `retry` or `refuse`.
    Hello(HelloFacts),
    /// What the member holds and nobody wants there. The caller calls `remove` for what it knows; the rest stays.
    Unclaimed(Vec<Held>),
    /// All that was wanted at the resync has been sent and acknowledged.
    Synced,
    /// What became of an order or a removal. A removal whose agent was replaced by another incarnation is `Gone` too.
    Result(OrderResult),
    /// The state of an agent there.
    Report(AgentReport),
    /// A full set of reports has been sent: what the member has not reported on, it has nothing to say about.
    ReportsComplete,
    /// What the cluster says of itself.
    Cluster(ClusterReport),
    /// What the member wants users to know, and how many more it had to drop.
    Events(Vec<MemberEvent>, u64),
    /// What agents use there, of those whose usage has changed.
    Usage(Vec<AgentUsage>),
    /// The member asks for API keys: each to be answered by `answer_key`, now and whenever the answer changes.
    KeyWishes(Vec<KeyWish>),
    /// The member asks what is in objects: each to be answered by `answer_copy`, now and whenever the answer changes.
    CopyWishes(Vec<CopyWish>),
    /// The last event.
    Closed(CloseReason),
}
