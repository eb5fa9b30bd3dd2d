//! What the agent counts.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters, and the registry that prints them.
pub struct Metrics {
    registry: Registry,
    /// Requests to the agent itself; not those for health and metrics.
    pub requests: Counter,
    /// WebSockets and event streams that are open.
    pub streams: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let (requests, streams) = (Counter::default(), Gauge::default());
        let mut registry = Registry::default();
        registry.register("agent_requests", "Requests to the agent", requests.clone());
        registry.register("agent_streams", "WebSockets and event streams that are open", streams.clone());
        Self { registry, requests, streams }
    }
}

impl Metrics {
    /// In OpenMetrics' text format.
    ///
    /// # Errors
    /// Only those of writing to a string.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
