//! How many agents are in which phase, as the API server has it.

use std::collections::HashMap;

use parallax_crds::agent::Phase;
use parallax_crds::{AgentKey, ParallaxAgent};
use parallax_hub_core::fleet::Input;

use crate::metrics::Metrics;

/// Every agent's phase.
#[derive(Default)]
pub struct Phases {
    agents: HashMap<AgentKey, Phase>,
}

impl Phases {
    /// Follows the watch.
    pub fn note(&mut self, input: &Input, metrics: &Metrics) {
        let (before, after) = match input {
            Input::AgentSeen(agent) => {
                let phase = phase(agent);
                (self.agents.insert(AgentKey::of(&agent.metadata), phase), Some(phase))
            }
            Input::AgentGone { key, .. } => (self.agents.remove(key), None),
            _ => return,
        };
        if before == after {
            return;
        }
        for (phase, difference) in [(before, -1), (after, 1)] {
            if let Some(phase) = phase {
                metrics.agents(phase.into(), difference);
            }
        }
    }
}

/// An agent without a status is one that nothing is known of yet.
fn phase(agent: &ParallaxAgent) -> Phase {
    agent.status.as_ref().and_then(|status| status.phase).unwrap_or(Phase::Pending)
}
