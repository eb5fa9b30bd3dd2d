//! What can be asked of the fleet without changing anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use parallax_crds::{AgentKey, ClusterName};

use super::Fleet;
use crate::placement::{Report, explain};

impl Fleet {
    /// Why an agent runs where it runs, cluster by cluster, worked out anew at each call; none: there is no such agent.
    #[must_use]
    pub fn explain(&self, key: &AgentKey, now: Timestamp) -> Option<Report> {
        let agent = self.agents.get(key)?;
        let otherwise = agent.requests_otherwise(&self.facts);
        Some(explain(&agent.request(key, &otherwise), &self.facts, Some(&agent.decision.targets), now))
    }

    /// Where an agent's replicas are to be in the end; nothing of one that there isn't, or that isn't placed.
    #[must_use]
    pub fn targets(&self, key: &AgentKey) -> Option<&BTreeMap<ClusterName, i32>> {
        self.agents.get(key).map(|agent| &agent.decision.targets)
    }
}
