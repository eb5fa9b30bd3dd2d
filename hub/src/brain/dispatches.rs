//! Orders and removals on their way: the stage `assignment.dispatch` lasts from the decision until the
//! member has acknowledged it.

use std::collections::HashMap;
use std::time::Instant;

use parallax_crds::{AgentKey, ClusterName};
use parallax_platform::{Stage, Stages};
use tracing::Span;

/// What is under way, by cluster and agent: at most one each, the latest.
#[derive(Default)]
pub struct Dispatches {
    under_way: HashMap<ClusterName, HashMap<AgentKey, (Instant, Span)>>,
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
        let span = Stage::AssignmentDispatch.span();
        span.record("agent", tracing::field::display(agent)).record("cluster", cluster.as_str());
        if let Some(traceparent) = traceparent {
            span.record("traceparent", traceparent);
        }
        self.under_way.entry(cluster.clone()).or_default().insert(agent.clone(), (decided, span));
    }

    /// The member has said what became of it.
    pub fn acknowledged(&mut self, cluster: &ClusterName, agent: &AgentKey, stages: &Stages) {
        let Some((decided, _span)) = self.under_way.get_mut(cluster).and_then(|agents| agents.remove(agent))
        else {
            return;
        };
        stages.observe(Stage::AssignmentDispatch, decided.elapsed());
    }

    /// The session has ended: what was under way comes with the next one's resync.
    pub fn lost(&mut self, cluster: &ClusterName) {
        self.under_way.remove(cluster);
    }
}
