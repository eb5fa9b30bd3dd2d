//! What the agent counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters, and the registry that prints them.
pub struct Metrics {
    registry: Registry,
    /// Requests to the agent itself; not those for health and metrics.
    pub requests: Counter,
    /// WebSockets and event streams that are open.
    pub streams: Gauge,
    /// What it has begun and not finished.
    pub busy: Gauge,
    tokens: Family<Tokens, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tokens {
    r#type: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let (requests, streams, busy, tokens) =
            (Counter::default(), Gauge::default(), Gauge::default(), Family::default());
        let mut registry = Registry::default();
        let register = registry.sub_registry_with_prefix("parallax_agent");
        register.register("requests", "Requests to the agent", requests.clone());
        register.register("streams", "WebSockets and event streams that are open", streams.clone());
        register.register("busy", "Tasks that it has begun and not finished", busy.clone());
        register.register("tokens", "Tokens that models have read and written for it", tokens.clone());
        Self { registry, requests, streams, busy, tokens }
    }
}

impl Metrics {
    /// A model has read so many tokens, and written so many.
    pub fn tokens(&self, input: u64, output: u64) {
        for (r#type, tokens) in [("input", input), ("output", output)] {
            self.tokens.get_or_create(&Tokens { r#type }).inc_by(tokens);
        }
    }

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
