//! The PodMonitor of an agent, by which the Prometheus operator finds the metrics of its pods. Its types are no part of
//! Kubernetes: see <https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PodMonitor>.

use serde_json::{Value, json};

use super::metadata::metadata;
use super::{ChildKind, METRICS, METRICS_PATH, Site, labels};
use crate::validate::Valid;

/// With metrics, where the cluster has PodMonitors.
pub(super) fn pod_monitor(
    assignment: &Valid<'_>,
    site: Site<'_>,
) -> Result<Option<Value>, serde_json::Error> {
    if !site.pod_monitors || assignment.template.runtime.metrics_port().is_none() {
        return Ok(None);
    }
    let mut object = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "spec": {
            "selector": { "matchLabels": labels::selector(&assignment.agent) },
            "podMetricsEndpoints": [{ "port": METRICS, "path": METRICS_PATH }],
        },
    });
    object["metadata"] = serde_json::to_value(metadata(ChildKind::PodMonitor, assignment))?;
    Ok(Some(object))
}
