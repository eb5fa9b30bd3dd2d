//! The stages of a change: one tracing span and one histogram each, under the same names.

use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use tracing::Span;
use tracing::field::Empty;

use crate::metrics::{Histograms, Metrics};

const AGENT_PLACE: &str = "agent.place";
const ASSIGNMENT_DISPATCH: &str = "assignment.dispatch";
const ASSIGNMENT_PERSIST: &str = "assignment.persist";
const ASSIGNMENT_APPLY: &str = "assignment.apply";
const PODS_READY: &str = "pods.ready";
const STATUS_RETURN: &str = "status.return";
const AGENT_AGGREGATE: &str = "agent.aggregate";
const STATUS_WRITE: &str = "status.write";

/// A stage of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The hub decides where an agent runs.
    AgentPlace,
    /// The hub hands an assignment to a cluster's session, until the cluster has acknowledged it.
    AssignmentDispatch,
    /// The member writes an assignment into its API server.
    AssignmentPersist,
    /// The member applies the objects of an assignment.
    AssignmentApply,
    /// From applied to all pods ready.
    PodsReady,
    /// A status on its way from a member to the hub.
    StatusReturn,
    /// The hub makes one status of many.
    AgentAggregate,
    /// The hub writes the status.
    StatusWrite,
}

impl Stage {
    /// The name of its span and the label of its histogram.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AgentPlace => AGENT_PLACE,
            Self::AssignmentDispatch => ASSIGNMENT_DISPATCH,
            Self::AssignmentPersist => ASSIGNMENT_PERSIST,
            Self::AssignmentApply => ASSIGNMENT_APPLY,
            Self::PodsReady => PODS_READY,
            Self::StatusReturn => STATUS_RETURN,
            Self::AgentAggregate => AGENT_AGGREGATE,
            Self::StatusWrite => STATUS_WRITE,
        }
    }

    /// Its span, with the fields `agent`, `cluster` and `traceparent` to be recorded.
    #[must_use]
    pub fn span(self) -> Span {
        macro_rules! span {
            ($name:expr) => {
                tracing::info_span!($name, agent = Empty, cluster = Empty, traceparent = Empty)
            };
        }
        // A span's name is part of its call site, hence one for each.
        match self {
            Self::AgentPlace => span!(AGENT_PLACE),
            Self::AssignmentDispatch => span!(ASSIGNMENT_DISPATCH),
            Self::AssignmentPersist => span!(ASSIGNMENT_PERSIST),
            Self::AssignmentApply => span!(ASSIGNMENT_APPLY),
            Self::PodsReady => span!(PODS_READY),
            Self::StatusReturn => span!(STATUS_RETURN),
            Self::AgentAggregate => span!(AGENT_AGGREGATE),
            Self::StatusWrite => span!(STATUS_WRITE),
        }
    }
}

impl EncodeLabelValue for Stage {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.name().encode(encoder)
    }
}

/// The label of `parallax_stage_duration_seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageLabel {
    stage: Stage,
}

/// How long stages take: `parallax_stage_duration_seconds{stage}`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stages(Histograms<StageLabel>);

impl Stages {
    /// Stages that `metrics` shows. Once per process.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        Self(metrics.histograms("parallax_stage_duration_seconds", "How long the stages of a change took"))
    }

    /// Records a stage that took this long.
    pub fn observe(&self, stage: Stage, took: Duration) {
        self.0.get_or_create(&StageLabel { stage }).observe(took.as_secs_f64());
    }

    /// Begins a stage: its span opens now, and its duration is recorded when the guard is dropped.
    #[must_use]
    pub fn begin(&self, stage: Stage) -> StageGuard {
        StageGuard { stages: self.clone(), stage, span: stage.span(), begun: Instant::now() }
    }
}

/// A stage that has begun. Instrument its futures with [`StageGuard::span`].
#[derive(Debug)]
pub struct StageGuard {
    stages: Stages,
    stage: Stage,
    span: Span,
    begun: Instant,
}

impl StageGuard {
    /// The stage's span.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }
}

impl Drop for StageGuard {
    fn drop(&mut self) {
        self.stages.observe(self.stage, self.begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_recorded_when_its_guard_is_dropped() {
        let metrics = Metrics::new("test", "0");
        let stages = Stages::register(&metrics);
        drop(stages.begin(Stage::AgentPlace));
        stages.observe(Stage::PodsReady, Duration::from_secs(2));
        let text = metrics.render();
        assert!(text.contains(r#"parallax_stage_duration_seconds_count{stage="agent.place"} 1"#), "{text}");
        assert!(text.contains(r#"parallax_stage_duration_seconds_sum{stage="pods.ready"} 2.0"#), "{text}");
    }

    #[test]
    fn a_span_is_named_as_its_stage() {
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            for stage in [Stage::AgentPlace, Stage::AssignmentApply, Stage::StatusWrite] {
                assert_eq!(stage.span().metadata().map(tracing::Metadata::name), Some(stage.name()));
            }
        });
    }
}
