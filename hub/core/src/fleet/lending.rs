//! Shares of an agent's maximum that go where its load is.

use std::time::Duration;

use parallax_crds::agent::Strategy;
use parallax_crds::{AgentKey, ClusterName};

use super::agent::{Agent, Life, Persisted};
use super::settling::replace;
use super::{Fleet, Now, Timer};
use crate::lending::{Part, lend};

/// How long after clusters have given up something others may be asked to.
const PAUSE: Duration = Duration::from_secs(60);

impl Fleet {
    /// Looks at the loads of all agents that something has happened to.
    pub(super) fn look_at_loads(&mut self, now: Now) {
        let divided = |key: &&AgentKey| self.agents.get(*key).is_some_and(|agent| agent.shares_its_maximum());
        for key in self.dirty.keys().filter(divided).cloned().collect::<Vec<_>>() {
            self.lend(&key, now);
        }
    }

    fn lend(&mut self, key: &AgentKey, now: Now) {
        if self.replan.contains(key) {
            return;
        }
        let Some(agent) = self.agents.get(key) else { return };
        let bounds = &agent.decision.bounds;
        let parts: Vec<Part> = bounds.keys().filter_map(|name| self.part_of_maximum(agent, name)).collect();
        let may_give_up = agent.gave_up.is_none_or(|at| now.mono >= at + PAUSE);
        let lent = lend(&parts, may_give_up);

        let Some(agent) = self.agents.get_mut(key) else { return };
        if lent.given_up {
            agent.gave_up = Some(now.mono);
        }
        let due = agent.gave_up.filter(|_| lent.waits).map(|at| at + PAUSE);
        replace(&mut self.timers, &mut agent.lending_timer, due, || Timer::Lending(key.clone()));
        if lent.shares == agent.decision.lent {
            return;
        }
        agent.decision.lent = lent.shares;
        agent.divide_bounds();
        // A hub that starts must not take back what is in use: it is written down first.
        agent.decision.issued = false;
        self.touch(key);
    }

    fn part_of_maximum(&self, agent: &Agent, name: &ClusterName) -> Option<Part> {
        let bounds = agent.decision.bounds.get(name)?;
        let lent = agent.decision.lent.get(name).copied().unwrap_or(0);
        let row = agent.rows.get(name);
        let heard = self.clusters.get(name).is_some_and(|cluster| cluster.session.is_some());
        let report = row.filter(|row| row.heard && heard).and_then(|row| row.report.as_ref());
        Some(Part {
            name: name.clone(),
            own: bounds.max - lent,
            lent,
            least: bounds.min,
            chosen: report.and_then(|report| report.chosen),
            in_effect: row.and_then(|row| match row.persisted {
                Persisted::Order(_, scale) => Some(scale.bounds?.max),
                Persisted::Unknown | Persisted::Nothing => None,
            }),
        })
    }
}

impl Agent {
    /// Several clusters' autoscalers choose within parts of one maximum, and nothing else moves.
    fn shares_its_maximum(&self) -> bool {
        let spec = &self.stored.object.spec;
        let replicate = spec.placement.as_ref().is_some_and(|p| p.strategy == Strategy::Replicate);
        let still = self.decision.leaving.is_empty() && !spec.suspend && self.life == Life::Living;
        still && !replicate && self.decision.bounds.len() > 1
    }
}
