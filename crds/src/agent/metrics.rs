//! What an agent tells of itself in numbers.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where a metrics server of an agent listens unless it says so.
const PORT: i32 = 9090;

/// The agent's own metrics, in the format of Prometheus, at `/metrics`. While a gauge `parallax_agent_busy` of them is
/// above 0, an idle agent is not put to sleep.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("!has(self.port) || self.port != 8080")
        .message("port: 8080 is where the agent serves, and scrapers are not let in there: choose another")
        .field_path(".port")
)]
pub struct Metrics {
    /// Whether the agent serves any.
    pub enabled: bool,
    /// Where it serves them; absent: 9090.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

impl Metrics {
    /// The port of the metrics; none when they are not enabled.
    #[must_use]
    pub fn served_on(&self) -> Option<i32> {
        self.enabled.then_some(self.port.unwrap_or(PORT))
    }
}
