//! What the member counts beyond what every process does. No label names an agent, an object or an error's text.

use parallax_crds::link::Outcome;
use parallax_platform::Stages;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OrderOutcome {
    outcome: &'static str,
}

/// The member's metrics. Copies count together.
#[derive(Clone)]
pub struct Metrics {
    /// How long the stages of a change took.
    pub stages: Stages,
    /// How long an agent's turn took.
    pub turns: Histogram,
    /// Turns that are to be tried again.
    pub retries: Counter,
    /// Agents that wait for a turn.
    pub waiting: Gauge,
    /// 1 while a session with the hub is up.
    pub connected: Gauge,
    /// The epoch of the hub that is obeyed.
    pub epoch: Gauge,
    /// When the member's certificate ends, in unix seconds.
    pub certificate_ends: Gauge,
    orders: Family<OrderOutcome, Counter>,
}

impl Metrics {
    /// Metrics that the process shows.
    pub fn new(process: &parallax_platform::Metrics) -> Self {
        Self {
            stages: Stages::register(process),
            turns: process.histogram("parallax_member_turn_seconds", "How long an agent's turn took"),
            retries: process.counter("parallax_member_turn_retries", "Turns that are to be tried again"),
            waiting: process.gauge("parallax_member_agents_waiting", "Agents that wait for a turn"),
            connected: process
                .gauge("parallax_member_session_connected", "1 while a session with the hub is up"),
            epoch: process.gauge("parallax_member_hub_epoch", "The epoch of the hub that is obeyed"),
            certificate_ends: process.gauge(
                "parallax_member_certificate_expiry_seconds",
                "When the member's certificate ends, since the epoch; 0 before the first session",
            ),
            orders: process.counters("parallax_member_orders", "Orders of the hub by what became of them"),
        }
    }

    /// Counts an order by what became of it.
    pub fn order(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Persisted => "persisted",
            Outcome::Removing => "removing",
            Outcome::Gone => "gone",
            Outcome::Rejected => "rejected",
            Outcome::Waiting => "waiting",
        };
        self.orders.get_or_create(&OrderOutcome { outcome }).inc();
    }
}
