//! How an agent's pods get its API key.

use parallax_member_core::credentials::{Binding, Held, Missing, bind};
use parallax_member_core::{ChildKind, Valid};

use crate::agents::Agents;
use crate::agents::persist::Then;

/// What is known of an agent's key.
pub(super) struct Key {
    /// How its pods get it; none when it needs none, or when none may start.
    pub(super) binding: Option<Binding>,
    /// Why none may start now.
    pub(super) held: Option<Held>,
    /// Whether to look again without a cause.
    pub(super) then: Then,
}

impl Agents {
    /// Looks for the key that the agent needs, and keeps what is to be told of it.
    pub(super) async fn key(&self, valid: &Valid<'_>) -> Key {
        let agent = &valid.agent.key;
        let runtime = &valid.template.runtime;
        let Some(credentials) = &runtime.credentials else {
            self.keys.forget(agent);
            if let Some(slot) = self.index.lock().slot_mut(agent) {
                slot.credentials = None;
            }
            return Key { binding: None, held: None, then: Then::Nothing };
        };
        let found = self.keys.find(agent, credentials).await;
        let then = match &found {
            Err(Missing::Forbidden { .. }) => Then::Late,
            Err(Missing::Unreadable { .. }) => Then::Retry,
            Ok(_) | Err(_) => Then::Nothing,
        };
        let live = self.index.lock().child(agent, ChildKind::Deployment);
        let live = live.filter(|live| live.incarnation() == Some(&valid.agent.incarnation));
        let same_order = live
            .as_ref()
            .and_then(|live| live.deployment.as_ref())
            .is_some_and(|facts| facts.hash == Some(valid.hash));
        let variables = credentials.variables(&runtime.agent_type);
        let bound = live.and_then(|live| {
            let json = live.json();
            variables.iter().find_map(|variable| Binding::of(&json, variable))
        });
        let (bound, told) = bind(credentials, found, bound, same_order, valid.replicas);
        if let Some(slot) = self.index.lock().slot_mut(agent) {
            slot.credentials = Some(told);
        }
        match bound {
            Ok(binding) => Key { binding, held: None, then },
            Err(held) => Key { binding: None, held: Some(held), then },
        }
    }
}
