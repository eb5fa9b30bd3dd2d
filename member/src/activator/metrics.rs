//! What the activator counts beyond what every process does. No label names an agent.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// How a request ended for the activator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A pod's answer was passed on.
    Passed,
    /// As many requests waited as may.
    Overflow,
    /// No pod was ready in time.
    TimedOut,
    /// The pod ended the connection before it answered.
    Broken,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

/// The activator's metrics. Copies count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    passed: Counter,
    ended: Family<Ended, Counter>,
    /// Requests that wait for a pod.
    pub held: Gauge,
    /// How long requests waited that were let in then.
    pub hold_seconds: Histogram,
    /// Connections of clients.
    pub connections: Gauge,
    /// Connections that were closed since their source is not one that the agent admits.
    pub turned_away: Counter,
    /// Agents that are listened for.
    pub agents: Gauge,
}

impl Metrics {
    /// Metrics that the process shows.
    pub fn new(process: &parallax_platform::Metrics) -> Self {
        let ended: Family<Ended, Counter> =
            process.counters("parallax_activator_requests", "Requests by how they ended");
        Self {
            passed: ended.get_or_create_owned(&Ended { outcome: "passed" }),
            ended,
            held: process.gauge("parallax_activator_held_requests", "Requests that wait for a pod"),
            hold_seconds: process.histogram(
                "parallax_activator_hold_seconds",
                "How long requests waited that were let in then",
            ),
            connections: process.gauge("parallax_activator_connections", "Connections of clients"),
            turned_away: process.counter(
                "parallax_activator_turned_away",
                "Connections that were closed since their source is not one that the agent admits",
            ),
            agents: process.gauge("parallax_activator_agents", "Agents that are listened for"),
        }
    }

    /// Counts a request by how it ended.
    pub fn requests(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Passed => {
                self.passed.inc();
                return;
            }
            Outcome::Overflow => "overflow",
            Outcome::TimedOut => "timed_out",
            Outcome::Broken => "broken",
        };
        self.ended.get_or_create(&Ended { outcome }).inc();
    }
}
