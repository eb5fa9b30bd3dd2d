//! The annotations by which scrapers find pods where nothing else tells them of these.

use std::collections::BTreeMap;

use parallax_crds::agent::AgentRuntime;
use serde_json::Value;

use super::{METRICS_PATH, Site};
use crate::diff::difference;

/// What the pods say of their metrics, as custom has it. What the user writes under the same keys comes before it.
pub(super) fn annotations(runtime: &AgentRuntime) -> BTreeMap<String, String> {
    let about = |port: i32| {
        [("scrape", "true".to_owned()), ("port", port.to_string()), ("path", METRICS_PATH.to_owned())]
            .map(|(key, value)| (format!("prometheus.io/{key}"), value))
    };
    runtime.metrics_port().into_iter().flat_map(about).collect()
}

/// Whether the pods of a template say where their metrics are: not where a PodMonitor does. What pods say that run
/// already is left as it is until something else replaces them: that kind may come or go at any time, and agents may be
/// at long tasks.
pub(super) fn is_said(
    template: &Value,
    live: Option<&Value>,
    site: Site<'_>,
    runtime: &AgentRuntime,
) -> bool {
    let running = live.map(|live| &live["spec"]["template"]);
    match running.filter(|running| difference(template, running).is_none()) {
        Some(running) => {
            let said = &running["metadata"]["annotations"];
            annotations(runtime).keys().all(|key| !said[key].is_null())
        }
        None => !site.pod_monitors,
    }
}
