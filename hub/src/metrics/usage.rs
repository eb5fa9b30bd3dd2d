//! What agents use, by cluster: as many series as there are clusters.

use parallax_crds::ClusterName;
use parallax_hub_core::fleet::ClusterUsage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabel {
    cluster: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokensLabel {
    cluster: String,
    r#type: &'static str,
}

/// What agents use. Cheap to clone.
#[derive(Clone)]
pub struct Usage {
    cpu: Family<ClusterLabel, Gauge<f64, std::sync::atomic::AtomicU64>>,
    memory: Family<ClusterLabel, Gauge>,
    busy: Family<ClusterLabel, Gauge>,
    requests: Family<ClusterLabel, Counter>,
    tokens: Family<TokensLabel, Counter>,
}

impl Usage {
    /// Registered in the process's metrics.
    pub fn register(process: &parallax_platform::Metrics) -> Self {
        let cpu = Family::default();
        process.register("parallax_agents_cpu_cores", "Cores that a cluster's agents use", cpu.clone());
        Self {
            cpu,
            memory: process
                .gauges("parallax_agents_memory_bytes", "Bytes of memory that a cluster's agents use"),
            busy: process.gauges(
                "parallax_agents_busy",
                "A cluster's replicas that say of themselves that they are at work",
            ),
            requests: process
                .counters("parallax_agents_requests", "Requests that a cluster's agents have answered"),
            tokens: process.counters(
                "parallax_agents_tokens",
                "Tokens that models have read (input) and written (output) for a cluster's agents",
            ),
        }
    }

    /// A cluster's member has told.
    pub fn show(&self, cluster: &ClusterName, usage: &ClusterUsage) {
        let ClusterUsage {
            cpu_millicores,
            memory_bytes,
            busy_replicas,
            requests,
            input_tokens,
            output_tokens,
        } = *usage;
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let label = ClusterLabel { cluster: cluster.to_string() };
        // Exact up to 2⁵³ thousandths of a core.
        #[allow(clippy::cast_precision_loss)]
        self.cpu.get_or_create(&label).set(cpu_millicores as f64 / 1000.0);
        self.memory.get_or_create(&label).set(gauge(memory_bytes));
        self.busy.get_or_create(&label).set(gauge(busy_replicas));
        self.requests.get_or_create(&label).inc_by(requests);
        for (r#type, tokens) in [("input", input_tokens), ("output", output_tokens)] {
            let label = TokensLabel { cluster: cluster.to_string(), r#type };
            self.tokens.get_or_create(&label).inc_by(tokens);
        }
    }

    /// Nobody tells for the cluster any more. What was counted stays.
    pub fn unknown(&self, cluster: &ClusterName) {
        let label = ClusterLabel { cluster: cluster.to_string() };
        self.cpu.remove(&label);
        self.memory.remove(&label);
        self.busy.remove(&label);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn gauges_end_with_the_session_and_counters_stay() {
        let process = parallax_platform::Metrics::new("parallax-hub", "0");
        let metrics = Usage::register(&process);
        let cluster = ClusterName::new("eu-1").unwrap();
        let usage =
            ClusterUsage { cpu_millicores: 1_500, requests: 3, output_tokens: 9, ..ClusterUsage::default() };
        metrics.show(&cluster, &usage);
        metrics.show(&cluster, &usage);
        let text = process.render();
        for line in [
            r#"parallax_agents_cpu_cores{cluster="eu-1"} 1.5"#,
            r#"parallax_agents_requests_total{cluster="eu-1"} 6"#,
            r#"parallax_agents_tokens_total{cluster="eu-1",type="output"} 18"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        metrics.unknown(&cluster);
        let text = process.render();
        assert!(!text.contains("parallax_agents_cpu_cores{"), "{text}");
        assert!(text.contains(r#"parallax_agents_requests_total{cluster="eu-1"} 6"#), "{text}");
    }
}
