//! What agents use: kept for their status, and summed up by cluster for metrics.

use std::sync::Arc;

use parallax_crds::ClusterName;
use parallax_crds::link::{AgentUsage, Traffic};

use super::agent::{Life, Record};
use super::{Effect, Fleet, Now, StatusOf};
use crate::writes::Urgency;

/// What all agents of one cluster use. What nobody measures counts as nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterUsage {
    /// Thousandths of a core.
    pub cpu_millicores: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Replicas that say of themselves that they are at work.
    pub busy_replicas: u64,
    /// Requests since this was last said.
    pub requests: u64,
    /// Tokens that models read since this was last said.
    pub input_tokens: u64,
    /// Tokens that models wrote since this was last said.
    pub output_tokens: u64,
}

/// How much of what a member has counted for an agent is counted here. Each process of a member begins at zero; of what one
/// has counted before this hub first heard of it, nothing is known to be new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted {
    boot_id: Option<Arc<str>>,
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
}

impl Counted {
    /// Takes the totals of a member's process in: what is new of each.
    fn take(&mut self, boot_id: &Arc<str>, usage: &AgentUsage) -> Self {
        let total = |of: Option<Traffic>| of.map_or(0, |traffic| traffic.total);
        let next = Self {
            boot_id: Some(boot_id.clone()),
            requests: total(usage.requests),
            input_tokens: total(usage.input_tokens),
            output_tokens: total(usage.output_tokens),
        };
        let before = match &self.boot_id {
            None => next.clone(),
            Some(boot) if boot == boot_id => std::mem::take(self),
            Some(_) => Self::default(),
        };
        let new = Self {
            boot_id: None,
            requests: next.requests.saturating_sub(before.requests),
            input_tokens: next.input_tokens.saturating_sub(before.input_tokens),
            output_tokens: next.output_tokens.saturating_sub(before.output_tokens),
        };
        *self = next;
        new
    }
}

impl Fleet {
    /// A member says what agents use. Only those count that are placed there.
    pub(super) fn usage(
        &mut self,
        name: &ClusterName,
        boot_id: &Arc<str>,
        usages: Vec<AgentUsage>,
        now: Now,
    ) {
        let mut sum = ClusterUsage::default();
        for usage in usages {
            let key = usage.agent.key.clone();
            let agent = self.agents.get_mut(&key).filter(|a| a.incarnation == usage.agent.incarnation);
            let Some(agent) = agent else { continue };
            let Some(row) = agent.rows.get_mut(name) else { continue };
            let new = row.counted.get_or_insert_default().take(boot_id, &usage);
            sum.requests = sum.requests.saturating_add(new.requests);
            sum.input_tokens = sum.input_tokens.saturating_add(new.input_tokens);
            sum.output_tokens = sum.output_tokens.saturating_add(new.output_tokens);
            let unknown = usage == AgentUsage::unknown(usage.agent.clone());
            row.usage = Some(Box::new(usage));
            let shown = agent.stored.status().is_some_and(|status| status.usage.is_some());
            if agent.life == Life::Living && agent.record != Record::Lost && (shown || !unknown) {
                let urgency = if shown { Urgency::Leisurely } else { Urgency::Soon };
                self.statuses.want(StatusOf::Agent(key), urgency, now.mono);
            }
        }
        let rows = self
            .standings
            .assigned(name)
            .filter_map(|key| self.agents.get(key)?.rows.get(name)?.usage.as_ref());
        for usage in rows {
            let add = |sum: &mut u64, more: Option<u64>| *sum = sum.saturating_add(more.unwrap_or(0));
            add(&mut sum.cpu_millicores, usage.cpu_millicores);
            add(&mut sum.memory_bytes, usage.memory_bytes);
            add(&mut sum.busy_replicas, usage.busy_replicas.map(u64::from));
        }
        self.effects.push_back(Effect::Usage { cluster: name.clone(), usage: sum });
    }
}
