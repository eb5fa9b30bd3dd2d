//! Where an agent is reached.

use parallax_crds::AgentKey;

use crate::build::PORT;

/// The domain of a Service's name, for pods of its cluster: their resolver knows what the cluster's own ends with.
const CLUSTER: &str = "svc";
/// The same for all clusters that share exported Services, which is the same everywhere:
/// <https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster/1645-multi-cluster-services-api#dns>
const CLUSTER_SET: &str = "svc.clusterset.local";

/// The host and port of the agent's Service: for its own cluster, or for all that share it once it is exported.
#[must_use]
pub fn endpoint(agent: &AgentKey, exported: bool) -> String {
    let domain = if exported { CLUSTER_SET } else { CLUSTER };
    format!("{}.{}.{domain}:{}", agent.name(), agent.namespace(), PORT.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exported_agent_is_reached_by_the_name_that_all_clusters_know() {
        let agent = AgentKey::new("team", "writer");
        assert_eq!(endpoint(&agent, false), "writer.team.svc:8080");
        assert_eq!(endpoint(&agent, true), "writer.team.svc.clusterset.local:8080");
    }
}
