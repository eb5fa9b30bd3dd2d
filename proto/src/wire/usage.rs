//! What agents use.

use parallax_crds::link::{AgentUsage, Traffic};

use super::fields::{Malformed, agent, key_message};
use crate::v1;

pub(crate) fn usage(usage: &v1::Usage) -> Result<AgentUsage, Malformed> {
    Ok(AgentUsage {
        agent: agent(usage.key.as_ref(), &usage.incarnation)?,
        cpu_millicores: usage.cpu_millicores,
        memory_bytes: usage.memory_bytes,
        busy_replicas: usage.busy_replicas,
        requests: usage.requests.map(traffic),
        input_tokens: usage.input_tokens.map(traffic),
        output_tokens: usage.output_tokens.map(traffic),
    })
}

pub(crate) fn usage_message(usage: &AgentUsage) -> v1::Usage {
    v1::Usage {
        key: key_message(&usage.agent.key),
        incarnation: usage.agent.incarnation.as_str().to_owned(),
        cpu_millicores: usage.cpu_millicores,
        memory_bytes: usage.memory_bytes,
        busy_replicas: usage.busy_replicas,
        requests: usage.requests.map(traffic_message),
        input_tokens: usage.input_tokens.map(traffic_message),
        output_tokens: usage.output_tokens.map(traffic_message),
    }
}

fn traffic(v1::Traffic { total, per_minute }: v1::Traffic) -> Traffic {
    Traffic { total, per_minute }
}

fn traffic_message(Traffic { total, per_minute }: Traffic) -> v1::Traffic {
    v1::Traffic { total, per_minute }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::names::AgentRef;
    use parallax_crds::{AgentKey, Incarnation};

    use super::*;

    fn agent() -> AgentRef {
        AgentRef { key: AgentKey::new("team", "writer"), incarnation: Incarnation::new("u-1") }
    }

    #[test]
    fn usage_arrives_as_it_was_sent_and_unknown_is_not_nought() {
        let nought = AgentUsage {
            cpu_millicores: Some(0),
            memory_bytes: Some(0),
            busy_replicas: Some(0),
            requests: Some(Traffic::default()),
            input_tokens: Some(Traffic { total: u64::MAX, per_minute: 7 }),
            output_tokens: Some(Traffic { total: 9, per_minute: 0 }),
            ..AgentUsage::unknown(agent())
        };
        for sent in [AgentUsage::unknown(agent()), nought] {
            assert_eq!(usage(&usage_message(&sent)).unwrap(), sent);
        }
    }

    #[test]
    fn what_names_no_agent_is_refused() {
        let nameless = v1::Usage { key: None, ..usage_message(&AgentUsage::unknown(agent())) };
        assert_eq!(usage(&nameless).unwrap_err().field, "key");
    }
}
