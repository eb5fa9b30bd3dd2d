//! The stages of a change: one tracing span and one histogram each, under the same names. What is counted of a stage
//! names the trace of the change, as an exemplar.

use std::time::{Instant, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use tracing::Span;
use tracing::field::Empty;

use crate::metrics::{ExemplarHistograms, Metrics};

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
    fn span(self) -> Span {
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

/// The label of an exemplar: the trace of the change that a stage was a part of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TraceLabel {
    trace_id: String,
}

impl TraceLabel {
    /// The trace that a W3C traceparent names; none for what is no traceparent.
    fn of(traceparent: &str) -> Option<Self> {
        let id = traceparent.split('-').nth(1)?;
        let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_id.then(|| Self { trace_id: id.to_owned() })
    }
}

/// How long stages take: `parallax_stage_duration_seconds{stage}`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stages(ExemplarHistograms<StageLabel, TraceLabel>);

impl Stages {
    /// Stages that `metrics` shows. Once per process.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let help = "How long the stages of a change took";
        Self(metrics.exemplar_histograms("parallax_stage_duration_seconds", help))
    }

    /// Begins a stage: its span opens now, and its duration is recorded when the guard is dropped.
    #[must_use]
    pub fn begin(&self, stage: Stage) -> StageGuard {
        StageGuard { stages: self.clone(), begun: Begun::at(stage, Instant::now()) }
    }
}

/// A stage that has begun, and is recorded only if it ends as it should.
#[derive(Debug)]
pub struct Begun {
    stage: Stage,
    span: Span,
    begun: Instant,
    trace: Option<TraceLabel>,
}

impl Begun {
    /// It began then; its span opens now.
    #[must_use]
    pub fn at(stage: Stage, begun: Instant) -> Self {
        Self { stage, span: stage.span(), begun, trace: None }
    }

    /// The stage's span.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The W3C traceparent of the change that it is a part of, when that is known.
    pub fn traceparent(&mut self, traceparent: Option<&str>) {
        if let Some(traceparent) = traceparent {
            self.span.record("traceparent", traceparent);
            self.trace = TraceLabel::of(traceparent);
        }
    }

    /// It ends now, and is recorded.
    pub fn end(self, stages: &Stages) {
        self.record(stages);
    }

    fn record(&self, stages: &Stages) {
        let took = self.begun.elapsed().as_secs_f64();
        let histogram = stages.0.get_or_create(&StageLabel { stage: self.stage });
        histogram.observe(took, self.trace.clone(), Some(SystemTime::now()));
    }
}

/// A stage that ends when this is dropped. Instrument its futures with [`StageGuard::span`].
#[derive(Debug)]
pub struct StageGuard {
    stages: Stages,
    begun: Begun,
}

impl StageGuard {
    /// The stage's span.
    #[must_use]
    pub fn span(&self) -> &Span {
        self.begun.span()
    }

    /// As [`Begun::traceparent`].
    pub fn traceparent(&mut self, traceparent: Option<&str>) {
        self.begun.traceparent(traceparent);
    }
}

impl Drop for StageGuard {
    fn drop(&mut self) {
        self.begun.record(&self.stages);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_stage_is_recorded_when_its_guard_is_dropped_or_it_is_ended() {
        let metrics = Metrics::new("test", "0");
        let stages = Stages::register(&metrics);
        drop(stages.begin(Stage::AgentPlace));
        let earlier = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        drop(Begun::at(Stage::StatusReturn, earlier));
        Begun::at(Stage::PodsReady, earlier).end(&stages);
        let text = metrics.render();
        let count = |stage| format!(r#"parallax_stage_duration_seconds_count{{stage="{stage}"}} 1"#);
        assert!(text.contains(&count("agent.place")) && text.contains(&count("pods.ready")), "{text}");
        assert!(text.contains(r#"_bucket{le="1.0",stage="pods.ready"} 0"#), "it took at least 2 s: {text}");
        assert!(!text.contains("status.return"), "{text}");
    }

    #[test]
    fn what_is_counted_names_the_trace_as_open_metrics_has_it() {
        let metrics = Metrics::new("test", "0");
        let stages = Stages::register(&metrics);
        let mut stage = stages.begin(Stage::AgentPlace);
        stage.traceparent(Some(TRACEPARENT));
        drop(stage);
        let mut other = stages.begin(Stage::StatusWrite);
        other.traceparent(Some("whatever a user has written"));
        drop(other);
        let text = metrics.render();
        let (exemplars, plain): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains(" # "));
        // Of all samples, only those of buckets and counters may have one; here it is the one bucket.
        assert_eq!(exemplars.len(), 1, "{text}");
        let (sample, exemplar) = exemplars[0].split_once(" # ").unwrap();
        assert!(sample.starts_with("parallax_stage_duration_seconds_bucket{le="), "{sample}");
        assert!(sample.ends_with(r#",stage="agent.place"} 1"#), "{sample}");
        let rest = exemplar.strip_prefix(r#"{trace_id="0af7651916cd43dd8448eb211c80319c"} "#).unwrap();
        let numbers: Vec<f64> = rest.split(' ').map(|number| number.parse().unwrap()).collect();
        assert!(numbers.len() == 2 && numbers[0] < 60.0 && numbers[1] > 1e9, "value and time: {rest}");
        assert_eq!(plain.last(), Some(&"# EOF"));
    }

    #[test]
    fn only_a_trace_id_becomes_a_label() {
        assert!(TraceLabel::of(TRACEPARENT).is_some());
        for other in ["", "00", "00-0af7", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"] {
            assert_eq!(TraceLabel::of(other), None, "{other}");
        }
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
