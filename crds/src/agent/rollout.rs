//! How a change of an agent's pods reaches its clusters.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{budget, schema};

/// How a change of what pods are made of reaches clusters. Of a change of replicas, bounds, suspension or placement they
/// hear at once, whatever waits.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(
    validation = Rule::new(budget::rollout().rule())
        .message("rollout: the labels of its waves must not have more than 1024 characters together: shorten them, or give the clusters one label for what they have in common"),
    validation = Rule::new("self.strategy != 'Waves' || has(self.waves)")
        .message("rollout: strategy Waves needs waves: add one, or use AllAtOnce")
        .field_path(".waves"),
    validation = Rule::new("self.strategy == 'Waves' || !has(self.waves)")
        .message("rollout: waves do nothing under strategy AllAtOnce: remove them, or use Waves")
        .field_path(".waves"),
    validation = Rule::new("self.strategy == 'Waves' || self.haltOnFailure")
        .message("rollout: haltOnFailure does nothing under strategy AllAtOnce, where no cluster waits: leave it out, or use Waves")
        .field_path(".haltOnFailure"),
    validation = Rule::new("self.strategy == 'Waves' || !self.paused")
        .message("rollout: paused does nothing under strategy AllAtOnce, where no cluster waits: leave it out, or use Waves")
        .field_path(".paused")
)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// AllAtOnce: all clusters get a change at once. Waves: one wave of clusters after the other.
    #[serde(default)]
    pub strategy: RolloutStrategy,
    /// Under Waves, the clusters in their order. A cluster belongs to the first wave that matches it; those that none
    /// matches are the last wave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub waves: Vec<Wave>,
    /// A cluster where the new pods fail keeps the change from all others, until another one comes or
    /// `kubectl parallax rollout resume`. False: the others get it all the same.
    #[serde(default = "yes")]
    pub halt_on_failure: bool,
    /// For how many seconds nothing ready may change before the agent counts as stuck, and the clusters that a wave waits for
    /// as failed.
    #[serde(default = "progress_deadline")]
    #[schemars(range(min = 1, max = 604_800))]
    pub progress_deadline_seconds: i32,
    /// Under Waves, true: no more clusters get the change until it is false.
    #[serde(default)]
    pub paused: bool,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            strategy: RolloutStrategy::default(),
            waves: Vec::new(),
            halt_on_failure: yes(),
            progress_deadline_seconds: progress_deadline(),
            paused: false,
        }
    }
}

fn yes() -> bool {
    true
}

fn progress_deadline() -> i32 {
    600
}

/// In which order clusters get a change.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RolloutStrategy {
    /// All of them at once.
    #[default]
    AllAtOnce,
    /// One wave after the other.
    Waves,
}

/// Clusters that get a change together.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// Labels of the MemberClusters.
    #[schemars(schema_with = "schema::weight_selector")]
    pub cluster_selector: LabelSelector,
    /// So many of its clusters may be changing at a time; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrency: Option<i32>,
    /// For how many seconds all of its clusters must have been ready before the next wave begins.
    #[serde(default)]
    #[schemars(range(min = 0, max = 604_800))]
    pub pause_seconds: i32,
    /// It begins when somebody approves it: `kubectl parallax rollout approve`.
    #[serde(default)]
    pub approval: bool,
}

/// How far a change is on its way through the waves: the only record of it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The number of the revision that clusters get.
    #[schemars(range(min = 0))]
    pub revision: i64,
    /// The number of the revision that those have which wait: the last one that all of them had.
    #[schemars(range(min = 0))]
    pub from: i64,
    /// The newest generation with the pods of `from`.
    #[schemars(range(min = 0))]
    pub from_generation: i64,
    /// Which wave it is at, from 1.
    #[schemars(range(min = 1, max = 9))]
    pub wave: i32,
    /// Of so many.
    #[schemars(range(min = 1, max = 9))]
    pub waves: i32,
    /// Whether it moves.
    pub state: RolloutState,
    /// When the state, the wave or the clusters that have or may have the revision changed last.
    #[schemars(schema_with = "schema::time")]
    pub since: Time,
    /// Clusters where the revision is ready.
    #[schemars(range(min = 0))]
    pub updated: i32,
    /// Clusters that are to get it.
    #[schemars(range(min = 0))]
    pub total: i32,
    /// What it waits for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// What tells these waves from others: when it changes, the waves are counted anew.
    #[schemars(length(max = 64))]
    pub plan: String,
    /// The clusters that may have the revision, by name; none when it is complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10_000), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub clusters: Vec<String>,
}

/// Whether a rollout moves, and if not, what it waits for.
#[derive(
    JsonSchema,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::IntoStaticStr,
)]
pub enum RolloutState {
    /// Clusters of the wave are changing.
    Progressing,
    /// The wave's clusters are ready, and are looked at for `pauseSeconds`.
    Observing,
    /// The wave begins when it is approved.
    WaitingForApproval,
    /// `spec.rollout.paused` is true.
    Paused,
    /// The change has failed in a cluster.
    Halted,
    /// All clusters have it.
    Complete,
}

impl RolloutState {
    /// It goes on only when somebody does something.
    #[must_use]
    pub fn is_held(self) -> bool {
        matches!(self, Self::WaitingForApproval | Self::Paused | Self::Halted)
    }
}
