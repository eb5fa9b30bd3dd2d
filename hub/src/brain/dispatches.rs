//! Orders and removals on their way: the stage `assignment.dispatch` lasts from the decision until the
//! member has acknowledged it.

use std::collections::HashMap;
use std::time::Instant;

use parallax_crds::{AgentKey, ClusterName};
use parallax_platform::{Begun, Stage, Stages};

/// What is under way, by cluster and agent: at most one each, the latest.
#[derive(Default)]
pub struct Dispatches {
    under_way: HashMap<ClusterName, HashMap<AgentKey, Begun>>,
}

impl Dispatches {
    /// An order or a removal was decided on.
    pub fn begin(
        &mut self,
        cluster: &ClusterName,
        agent: &AgentKey,
        traceparent: Option<&str>,
        decided: Instant,
    ) {
        let mut stage = Begun::at(Stage::AssignmentDispatch, decided);
        stage.span().record("agent", tracing::field::display(agent)).record("cluster", cluster.as_str());
        stage.traceparent(traceparent);
        self.under_way.entry(cluster.clone()).or_default().insert(agent.clone(), stage);
    }

    /// The member has said what became of it.
    pub fn acknowledged(&mut self, cluster: &ClusterName, agent: &AgentKey, stages: &Stages) {
        if let Some(stage) = self.under_way.get_mut(cluster).and_then(|agents| agents.remove(agent)) {
            stage.end(stages);
        }
    }

    /// The agent is neither ordered nor to be removed any more: nobody acknowledges that.
    pub fn forgotten(&mut self, cluster: &ClusterName, agent: &AgentKey) {
        if let Some(agents) = self.under_way.get_mut(cluster) {
            agents.remove(agent);
        }
    }

    /// The session has ended: what was under way comes with the next one's resync.
    pub fn lost(&mut self, cluster: &ClusterName) {
        self.under_way.remove(cluster);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use parallax_platform::Metrics;

    use super::*;

    #[test]
    fn what_was_forgotten_is_no_dispatch_when_a_late_word_of_it_comes() {
        let metrics = Metrics::new("hub", "1");
        let stages = Stages::register(&metrics);
        let (cluster, agent) = (ClusterName::new("a").unwrap(), AgentKey::new("team", "x"));
        let mut dispatches = Dispatches::default();
        let count = || {
            let text = metrics.render();
            let line = text
                .lines()
                .find(|l| l.contains("duration_seconds_count") && l.contains("assignment.dispatch"));
            line.and_then(|l| l.rsplit(' ').next()).unwrap_or("0").to_owned()
        };
        dispatches.begin(&cluster, &agent, None, Instant::now());
        dispatches.forgotten(&cluster, &agent);
        assert!(dispatches.under_way[&cluster].is_empty());
        dispatches.acknowledged(&cluster, &agent, &stages);
        assert_eq!(count(), "0");
        dispatches.begin(&cluster, &agent, None, Instant::now());
        dispatches.acknowledged(&cluster, &agent, &stages);
        assert_eq!(count(), "1");
    }
}
