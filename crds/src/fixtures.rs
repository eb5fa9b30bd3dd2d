//! Values for tests, each in its plainest form. A test changes what it is about: `Order { scale, ..order(agent) }`.
#![allow(clippy::unwrap_used)]

use crate::link::{AgentReport, Held, Order, Scale};
use crate::{AgentKey, AgentRef, ClusterName, Incarnation, Phase, SpecHash};

/// The agent `NAMESPACE/NAME` in this incarnation.
///
/// # Panics
/// When `name` is of another form.
#[must_use]
pub fn agent(name: &str, incarnation: &str) -> AgentRef {
    let (namespace, name) = name.split_once('/').unwrap();
    AgentRef { key: AgentKey::new(namespace, name), incarnation: Incarnation::new(incarnation) }
}

/// A cluster.
///
/// # Panics
/// When that can't be its name.
#[must_use]
pub fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

/// One hash for each number.
#[must_use]
pub fn hash(n: u8) -> SpecHash {
    SpecHash::from_bytes(&[n; 16]).unwrap()
}

/// An order for one replica, with the hash 1 and a template that is none.
#[must_use]
pub fn order(agent: AgentRef) -> Order {
    Order { agent, hash: hash(1), scale: Scale::fixed(1), template: "x".into(), traceparent: None }
}

/// What a member holds that has persisted the order.
#[must_use]
pub fn held(order: &Order) -> Held {
    Held { agent: order.agent.clone(), hash: order.hash, scale: order.scale, removing: false }
}

/// What a member says of it when all its replicas are ready, and they stay so while it is removed.
#[must_use]
pub fn report(held: &Held) -> AgentReport {
    let replicas = held.scale.replicas;
    AgentReport {
        agent: held.agent.clone(),
        hash: Some(held.hash),
        phase: if held.removing { Phase::Terminating } else { Phase::Running },
        desired: replicas,
        chosen: None,
        replicas,
        ready: replicas,
        serving: replicas,
        synced: true,
        reason: String::new(),
        message: String::new(),
        credentials: None,
        endpoint: None,
        last_activity: None,
        traceparent: None,
    }
}
