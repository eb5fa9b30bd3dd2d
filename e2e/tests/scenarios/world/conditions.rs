//! What conditions say.

use parallax_crds::{MemberCluster, ParallaxAgent};

/// Status and message of a MemberCluster's condition.
pub fn condition(cluster: &MemberCluster, type_: &str) -> Option<(String, String)> {
    let conditions = &cluster.status.as_ref()?.conditions;
    conditions.iter().find(|c| c.type_ == type_).map(|c| (c.status.clone(), c.message.clone()))
}

/// Status, reason and message of a MemberCluster's condition.
pub fn cluster_condition(cluster: &MemberCluster, type_: &str) -> Option<(String, String, String)> {
    let conditions = &cluster.status.as_ref()?.conditions;
    conditions
        .iter()
        .find(|c| c.type_ == type_)
        .map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
}

/// Status, reason and message of an agent's condition.
pub fn agent_condition(agent: &ParallaxAgent, type_: &str) -> Option<(String, String, String)> {
    let conditions = &agent.status.as_ref()?.conditions;
    conditions
        .iter()
        .find(|c| c.type_ == type_)
        .map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
}
