//! Who the agent is, from the variables that the member gives every agent.

use serde::Serialize;

/// What an agent is told of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    agent: String,
    #[serde(rename = "type")]
    agent_type: String,
    role: String,
    cluster: String,
    uid: String,
    pod: String,
}

impl Identity {
    /// As the environment says; a variable that is not set reads as empty.
    pub fn of_environment() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        Self {
            agent: variable("AGENT_NAME"),
            agent_type: variable("AGENT_TYPE"),
            role: variable("AGENT_ROLE"),
            cluster: variable("PARALLAX_CLUSTER"),
            uid: variable("PARALLAX_AGENT_UID"),
            // The kubelet names the container's host after the pod.
            pod: variable("HOSTNAME"),
        }
    }
}
