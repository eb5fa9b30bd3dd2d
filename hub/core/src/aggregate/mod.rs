//! One honest status from what every cluster says.
//!
//! [`aggregate`] is a pure function of the agent, the decision and each cluster's last word. Its result equals
//! the previous status when nothing changed, whatever the time. [`significance`] says how much a change hurries.

mod conditions;
mod row;
mod significance;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::agent::{ClusterRow, ClusterSummary, Freshness, PlacementDecision, Strategy};
use parallax_crds::link::{AgentReport, OrderResult};
use parallax_crds::{AgentRef, ClusterName, ParallaxAgentSpec, ParallaxAgentStatus, labels};

use crate::phase::{ClusterPhase, PhaseFacts, phase};
use crate::placement::Explanation;
use crate::resolve::ResolveError;

pub use significance::{Significance, significance};

/// The most rows of a status (the CRD's bound on `status.clusters`).
pub const MAX_ROWS: usize = 64;

/// What a status is made of.
#[derive(Debug, Clone, Copy)]
pub struct AggregateInput<'a> {
    /// Which agent.
    pub agent: &'a AgentRef,
    /// `metadata.generation`.
    pub generation: i64,
    /// The object has a deletionTimestamp.
    pub deleting: bool,
    /// Its spec.
    pub spec: &'a ParallaxAgentSpec,
    /// Why the spec can't be sent, if it can't.
    pub unresolved: Option<&'a ResolveError>,
    /// The decision; it becomes the status' own.
    pub decision: Option<&'a PlacementDecision>,
    /// Why it is so; none while it wasn't made anew (the `Placed` condition then stays).
    pub explanation: Option<&'a Explanation>,
    /// Every cluster with a share, or that has yet to let go of the agent; in any order.
    pub clusters: &'a [ClusterInput<'a>],
    /// For how long neither the wish nor anything ready had changed before this.
    pub quiet: Duration,
    /// After how much quiet the agent counts as stuck.
    pub deadline: Duration,
}

/// One cluster, as far as the agent is concerned.
#[derive(Debug, Clone, Copy)]
pub struct ClusterInput<'a> {
    /// The MemberCluster.
    pub name: &'a ClusterName,
    /// Replicas that its order names (0 while suspended); none: the agent is being withdrawn from it.
    pub wanted: Option<i32>,
    /// It has persisted the current order, hash and replicas; none: not known since the hub's start.
    pub persisted: Option<bool>,
    /// The result of the current order, once there is one.
    pub result: Option<&'a OrderResult>,
    /// What it said last.
    pub word: Word<'a>,
    /// How old that is.
    pub freshness: Freshness,
    /// When it was last heard of this agent, for a row that no earlier status shows.
    pub last_reported: Option<Timestamp>,
}

/// A cluster's last word about an agent.
#[derive(Debug, Clone, Copy)]
pub enum Word<'a> {
    /// This hub process hasn't heard from it: what the previous status says of it stands.
    Unheard,
    /// It has reported on everything that it has, and this agent isn't in it.
    Silent,
    /// Its report.
    Report {
        /// What it says.
        report: &'a AgentReport,
        /// The newest generation that resolves, for this cluster, to the hash that it runs; none: no known one.
        generation: Option<i64>,
    },
}

/// A status, and what the caller keeps beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregated {
    /// The whole status.
    pub status: ParallaxAgentStatus,
    /// The wish or something ready has changed since the previous status: the quiet time begins anew.
    pub moved: bool,
    /// After how long the status changes if nothing is heard until then; none: never.
    pub changes_after: Option<Duration>,
}

/// The status of an agent. `previous` is the last status of the same object, computed or read; `now` is used only
/// for what has changed since.
#[must_use]
pub fn aggregate(
    input: &AggregateInput<'_>,
    previous: Option<&ParallaxAgentStatus>,
    now: Timestamp,
) -> Aggregated {
    let _ = (input, previous, now);
    Aggregated {
        status: ParallaxAgentStatus::default(),
        moved: false,
        changes_after: None,
    }
}

/// How long an agent counts as quiet when a hub starts and finds `previous`: all of the deadline where that was
/// over for the same generation already, so that a restart doesn't hide it; nothing otherwise.
#[must_use]
pub fn remembered_quiet(
    previous: Option<&ParallaxAgentStatus>,
    generation: i64,
    deadline: Duration,
) -> Duration {
    let _ = (previous, generation);
    deadline
}
