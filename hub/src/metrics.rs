//! What the hub counts. No label holds a name of an object, but for those of clusters in [`usage`].

mod usage;

use std::sync::Arc;

use parallax_crds::ClusterName;
use parallax_platform::Stages;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use self::usage::Usage;
use crate::sessions::Registry;

/// A write, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabel {
    kind: &'static str,
    outcome: &'static str,
}

/// How the hub answers a member's Hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Answer {
    /// The member is let in.
    Admit,
    /// It is to come again.
    Retry,
    /// It isn't let in before somebody does something.
    Refuse,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabel {
    answer: &'static str,
}

/// A phase.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

/// Every metric of the hub's own. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// How long the steps of a change take.
    pub stages: Stages,
    sessions: Gauge,
    resyncs: Counter,
    answers: Family<AnswerLabel, Counter>,
    writes: Family<WriteLabel, Counter>,
    writing: Gauge,
    agents: Family<PhaseLabel, Gauge>,
    epoch: Gauge,
    /// What agents use.
    pub usage: Usage,
}

impl Metrics {
    /// The metrics, registered in the process's.
    pub fn register(process: &parallax_platform::Metrics, sessions: &Arc<Registry>) -> Self {
        let (waiting, dropping) = (Arc::clone(sessions), Arc::clone(sessions));
        process.reads_gauge(
            "parallax_hub_outbox_entries",
            "Orders and removals that wait to be sent, over all sessions",
            move || waiting.outbox_depth() as u64,
        );
        process.reads_counter(
            "parallax_hub_dropped_reports",
            "Reports of members that came too late, or about agents that they were never given",
            move || dropping.dropped_reports(),
        );
        Self {
            stages: Stages::register(process),
            sessions: process.gauge("parallax_hub_sessions", "Members that are connected"),
            resyncs: process
                .counter("parallax_hub_resyncs", "Times that a member came to hold all that it was ordered"),
            answers: process.counters("parallax_hub_hellos", "Answers to members that connected"),
            writes: process
                .counters("parallax_hub_writes", "Writes that the fleet asked for, by kind and outcome"),
            writing: process
                .gauge("parallax_hub_writes_in_flight", "Writes that are under way or wait for their turn"),
            agents: process.gauges("parallax_agents", "ParallaxAgents by phase"),
            epoch: process.gauge("parallax_hub_epoch", "The epoch that orders are given under"),
            usage: Usage::register(process),
        }
    }

    /// A session began.
    pub fn session_began(&self) {
        self.sessions.inc();
    }

    /// A cluster's session ended.
    pub fn session_ended(&self, cluster: &ClusterName) {
        self.sessions.dec();
        self.usage.unknown(cluster);
    }

    /// A member holds what it was ordered.
    pub fn resynced(&self) {
        self.resyncs.inc();
    }

    /// A Hello was answered.
    pub fn answered(&self, answer: Answer) {
        self.answers.get_or_create(&AnswerLabel { answer: answer.into() }).inc();
    }

    /// A write was asked for.
    pub fn write_began(&self) {
        self.writing.inc();
    }

    /// A write is over.
    pub fn write_ended(&self, kind: &'static str, outcome: &'static str) {
        self.writing.dec();
        self.writes.get_or_create(&WriteLabel { kind, outcome }).inc();
    }

    /// So many agents more (or, when negative, fewer) are in a phase.
    pub fn agents(&self, phase: &'static str, difference: i64) {
        self.agents.get_or_create(&PhaseLabel { phase }).inc_by(difference);
    }

    /// Orders are given under this epoch.
    pub fn epoch(&self, epoch: u64) {
        self.epoch.set(i64::try_from(epoch).unwrap_or(i64::MAX));
    }
}
