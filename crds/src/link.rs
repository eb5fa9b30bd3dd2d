//! What a hub orders and what a member reports, as plain values: the cores decide on them, the link
//! carries them.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::Amounts;
use crate::activation::WakeUp;
use crate::agent::{Bounds, KeyReference, Phase};
use crate::hash::SpecHash;
use crate::names::AgentRef;

/// How many replicas a cluster is ordered to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scale {
    /// So many; where there are bounds, that is where the count starts.
    pub replicas: i32,
    /// Between these the cluster's autoscaler chooses; none: nobody does.
    pub bounds: Option<Bounds>,
    /// Where they may sleep: the wake-up that was asked for last.
    pub wake: Option<WakeUp>,
}

impl Scale {
    /// So many replicas, whatever the load.
    #[must_use]
    pub fn fixed(replicas: i32) -> Self {
        Self { replicas, bounds: None, wake: None }
    }

    /// Replicas that are wanted, where the cluster is said to have chosen `chosen`: 0 is an agent that sleeps.
    #[must_use]
    pub fn with(&self, chosen: Option<i32>) -> i32 {
        match (chosen, self.bounds) {
            (Some(0), _) => 0,
            (Some(chosen), Some(bounds)) => bounds.clamp(chosen),
            _ => self.replicas,
        }
    }
}

/// An order to run an agent in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which agent.
    pub agent: AgentRef,
    /// The hash of the template.
    pub hash: SpecHash,
    /// How many replicas.
    pub scale: Scale,
    /// An `AgentTemplate` as JSON, shared by every cluster that it goes to.
    pub template: Bytes,
    /// W3C traceparent of the change.
    pub traceparent: Option<String>,
}

/// One assignment that a member holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which agent.
    pub agent: AgentRef,
    /// The hash of the template that it has persisted.
    pub hash: SpecHash,
    /// The replicas that it has persisted.
    pub scale: Scale,
    /// A removal has begun.
    pub removing: bool,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is in the member's API server.
    Persisted,
    /// The deletion is in the member's API server; pods still end.
    Removing,
    /// Nothing of the agent is left in the member.
    Gone,
    /// Refused: only a new spec can mend it. The last good version stays.
    Rejected,
    /// Kept by the member, tried again when what it waits for changes.
    Waiting,
}

/// The result of one order or removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderResult {
    /// Which agent.
    pub agent: AgentRef,
    /// The hash that was ordered; none for removals.
    pub hash: Option<SpecHash>,
    /// What became of it.
    pub outcome: Outcome,
    /// A CamelCase word; empty when all is well.
    pub reason: String,
    /// A sentence that says what to do; empty when all is well.
    pub message: String,
}

impl OrderResult {
    /// A result that needs no words.
    #[must_use]
    pub fn well(agent: AgentRef, hash: Option<SpecHash>, outcome: Outcome) -> Self {
        Self { agent, hash, outcome, reason: String::new(), message: String::new() }
    }
}

/// The truth about one agent in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentReport {
    /// Which agent.
    pub agent: AgentRef,
    /// The hash of what runs; none while nothing does.
    pub hash: Option<SpecHash>,
    /// The phase there.
    pub phase: Phase,
    /// Replicas of the order that it runs.
    pub desired: i32,
    /// What the cluster's autoscaler has made of them; none: there is none, or it has yet to begin.
    pub chosen: Option<i32>,
    /// Pods that exist.
    pub replicas: i32,
    /// Of these, ready and of `hash`.
    pub ready: i32,
    /// All that are ready, of whatever hash: at least `ready`, and more while an update replaces pods.
    pub serving: i32,
    /// The order is applied to every object.
    pub synced: bool,
    /// A CamelCase word for why it isn't Running; empty when it is.
    pub reason: String,
    /// The first line of the worst pod's message; may be empty.
    pub message: String,
    /// Whether the agent's API key is there; none when the order names none.
    pub credentials: Option<CredentialsReport>,
    /// Where it is reached, a host and a port; none: it isn't yet, or the member is too old to tell.
    pub endpoint: Option<String>,
    /// When it was last known to be called or at work, in seconds since the Unix epoch; none: that isn't known there.
    pub last_activity: Option<i64>,
    /// W3C traceparent of the change that is reported on.
    pub traceparent: Option<String>,
}

/// Whether an agent's API key is there. Never what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialsReport {
    /// It is.
    pub ready: bool,
    /// A CamelCase word for that, or for what is missing.
    pub reason: String,
    /// A sentence that says what to do; empty when all is well.
    pub message: String,
}

/// What a member asks the hub for: the key of an agent with `credentials.source: Hub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWish {
    /// Which agent needs it.
    pub agent: AgentRef,
    /// Which key that is, as its order says.
    pub reference: KeyReference,
}

/// What the hub says to a wish; it says it anew whenever that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAnswer {
    /// To which.
    pub wish: KeyWish,
    /// The value, or why there is none.
    pub key: Result<ApiKey, Withheld>,
}

/// An API key's value. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Bytes);

impl ApiKey {
    /// Of that value; none when there is nothing in it.
    #[must_use]
    pub fn new(value: Bytes) -> Option<Self> {
        (!value.is_empty()).then_some(Self(value))
    }

    /// The value itself.
    #[must_use]
    pub fn value(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

/// Why the hub hands a key over to nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// A CamelCase word.
    pub reason: String,
    /// A sentence that says what to do.
    pub message: String,
}

/// What an agent uses in one cluster, over all of its pods there. What nobody measures is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentUsage {
    /// Which agent.
    pub agent: AgentRef,
    /// Thousandths of a core.
    pub cpu_millicores: Option<u64>,
    /// Bytes of memory that are in use.
    pub memory_bytes: Option<u64>,
    /// Pods that say of themselves that they are at work.
    pub busy_replicas: Option<u32>,
    /// Requests that its pods have answered.
    pub requests: Option<Traffic>,
    /// Tokens that were read by models.
    pub input_tokens: Option<Traffic>,
    /// Tokens that were written by models.
    pub output_tokens: Option<Traffic>,
}

impl AgentUsage {
    /// Nothing is known of what the agent uses.
    #[must_use]
    pub fn unknown(agent: AgentRef) -> Self {
        Self {
            agent,
            cpu_millicores: None,
            memory_bytes: None,
            busy_replicas: None,
            requests: None,
            input_tokens: None,
            output_tokens: None,
        }
    }
}

/// Something that is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Since the member's process began.
    pub total: u64,
    /// In the last minute.
    pub per_minute: u64,
}

/// What a cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterReport {
    /// Its Kubernetes version, "v1.36.3".
    pub kubernetes_version: String,
    /// Its member's version.
    pub member_version: String,
    /// All nodes.
    pub nodes_total: i32,
    /// Nodes with `Ready=True`.
    pub nodes_ready: i32,
    /// What its nodes have; none: its member is too old to tell.
    pub resources: Option<Resources>,
    /// Labels that all its nodes have alike, and who runs them.
    pub labels: BTreeMap<String, String>,
    /// The scores that it gives itself, from 0 to 100.
    pub scores: BTreeMap<String, i32>,
}

/// What a cluster's nodes have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// All of it.
    pub capacity: Amounts,
    /// What of it pods may have.
    pub allocatable: Amounts,
    /// What of that no pod has requested, on nodes that take pods; none: its member may not see the pods.
    pub free: Option<Amounts>,
}

impl ClusterReport {
    /// How many parts what is free is thought of in: a change by less than one of them can wait.
    const PARTS: i64 = 16;

    /// Whether so little has changed since `told` that it can wait: a small part of what was free then.
    #[must_use]
    pub fn can_wait(&self, told: &Self) -> bool {
        let free = |report: &Self| report.resources.as_ref().and_then(|resources| resources.free.clone());
        let rest = |report: &Self| {
            let mut rest = report.clone();
            if let Some(resources) = &mut rest.resources {
                resources.free = None;
            }
            rest
        };
        rest(self) == rest(told)
            && match (free(self), free(told)) {
                (Some(now), Some(told)) => now.are_near(&told, &told, Self::PARTS),
                (now, told) => now == told,
            }
    }
}

/// Something that a member wants the agent's user to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberEvent {
    /// Which agent.
    pub agent: AgentRef,
    /// Warning, or Normal.
    pub warning: bool,
    /// A CamelCase word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}
