//! What a hub says.

use std::time::Duration;

use parallax_crds::ClusterName;
use parallax_crds::link::Order;
use parallax_crds::names::AgentRef;

use super::fields::{
    Malformed, agent, bounds_message, hash, hash_message, key_message, malformed, scale, sent, text,
    trace_message, traceparent, wake_message,
};
use crate::session::Welcomed;
use crate::v1;

pub(crate) fn upsert(upsert: v1::Upsert) -> Result<Order, Malformed> {
    if upsert.template.is_empty() {
        return malformed("upsert.template", "is missing");
    }
    Ok(Order {
        agent: agent(upsert.key.as_ref(), &upsert.incarnation)?,
        hash: hash(&upsert.hash)?,
        scale: scale("upsert.replicas", upsert.replicas, upsert.bounds, upsert.wake)?,
        template: upsert.template,
        traceparent: traceparent(upsert.trace)?,
    })
}

pub(crate) fn upsert_message(order: &Order) -> v1::Upsert {
    v1::Upsert {
        key: key_message(&order.agent.key),
        incarnation: order.agent.incarnation.as_str().to_owned(),
        hash: hash_message(order.hash),
        replicas: sent(order.scale).replicas,
        bounds: bounds_message(order.scale),
        wake: wake_message(order.scale),
        template: order.template.clone(),
        trace: trace_message(order.traceparent.as_deref()),
    }
}

pub(crate) fn removal(removal: v1::Removal) -> Result<(AgentRef, Option<String>), Malformed> {
    Ok((agent(removal.key.as_ref(), &removal.incarnation)?, traceparent(removal.trace)?))
}

pub(crate) fn removal_message(agent: &AgentRef, traceparent: Option<&str>) -> v1::Removal {
    v1::Removal {
        key: key_message(&agent.key),
        incarnation: agent.incarnation.as_str().to_owned(),
        trace: trace_message(traceparent),
    }
}

/// What a Welcome says, and how often each end has to say something.
pub(crate) fn welcome(welcome: v1::Welcome) -> Result<(Welcomed, Duration), Malformed> {
    if welcome.hub_uid.is_empty() {
        return malformed("welcome.hub_uid", "is missing");
    }
    let heartbeat = Duration::from_millis(welcome.heartbeat_ms.into());
    if !(Duration::from_millis(100)..=Duration::from_secs(40)).contains(&heartbeat) {
        return malformed("welcome.heartbeat_ms", "is not between 100 and 40000");
    }
    let cluster = ClusterName::new(&welcome.cluster)
        .map_err(|_| Malformed { field: "welcome.cluster", problem: "is not a DNS-1123 label" })?;
    let welcomed = Welcomed {
        hub_uid: text("welcome.hub_uid", welcome.hub_uid, 128)?,
        epoch: welcome.epoch,
        session: text("welcome.session", welcome.session, 128)?,
        cluster,
        not_after_unix: welcome.not_after,
        previous_hub: None,
    };
    Ok((welcomed, heartbeat))
}
