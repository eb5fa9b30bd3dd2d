//! The labels on every object and pod of an agent.

use std::collections::BTreeMap;

use parallax_crds::AgentRef;
use parallax_crds::labels::{
    AGENT, APP_INSTANCE, APP_NAME, APP_NAME_AGENT, INCARNATION, MANAGED_BY, MANAGED_BY_PARALLAX, TYPE,
};

/// The labels of an agent's objects and pods.
#[must_use]
pub fn labels(agent: &AgentRef, agent_type: &str) -> BTreeMap<String, String> {
    let mut all = selector(agent);
    all.insert(MANAGED_BY.into(), MANAGED_BY_PARALLAX.into());
    all.insert(APP_NAME.into(), APP_NAME_AGENT.into());
    all.insert(APP_INSTANCE.into(), agent.key.name().into());
    all.insert(TYPE.into(), agent_type.into());
    all
}

/// The labels that pods are selected by: with the incarnation, so that a recreated agent never adopts the
/// old one's pods.
pub(super) fn selector(agent: &AgentRef) -> BTreeMap<String, String> {
    BTreeMap::from([
        (AGENT.into(), agent.key.name().into()),
        (INCARNATION.into(), agent.incarnation.as_str().into()),
    ])
}
