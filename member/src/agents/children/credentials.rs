//! How an agent's pods get its API key.

use parallax_member_core::build::handed_over_name;
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
        let kept = handed_over_name(agent.name());
        let live = self.index.lock().child(agent, ChildKind::Deployment);
        let live = live.filter(|live| live.incarnation() == Some(&valid.agent.incarnation));
        let had_kept = live.as_ref().is_some_and(|live| Binding::is_of(&live.json(), &kept));
        let Some(credentials) = &runtime.credentials else {
            self.keys.forget(agent);
            if let Some(slot) = self.index.lock().slot_mut(agent) {
                slot.credentials = None;
            }
            let then = if had_kept { self.discard(valid).await } else { Then::Nothing };
            return Key { binding: None, held: None, then };
        };
        let from_hub = credentials.from_hub().is_some();
        let found = self.keys.find(valid, credentials).await;
        let mut then = found.as_ref().err().map_or(Then::Nothing, and_then);
        let same_order = live
            .as_ref()
            .and_then(|live| live.deployment.as_ref())
            .is_some_and(|facts| facts.hash == Some(valid.hash));
        let variables = credentials.variables(&runtime.agent_type);
        let bound = live.and_then(|live| {
            let json = live.json();
            variables.iter().find_map(|variable| Binding::of(&json, variable))
        });
        let named = credentials.reference().map_or("", |reference| &reference.name);
        let unfound = if from_hub { &kept } else { named };
        let (bound, told) = bind(credentials, found, unfound, bound, same_order, valid.replicas);
        if let Some(slot) = self.index.lock().slot_mut(agent) {
            slot.credentials = Some(told);
        }
        // Pods that wait for another key's sake still have this one.
        if had_kept && !from_hub && bound.is_ok() {
            then = then.max(self.discard(valid).await);
        }
        match bound {
            Ok(binding) => Key { binding, held: None, then },
            Err(held) => Key { binding: None, held: Some(held), then },
        }
    }

    /// Lets go of a key of the hub's that is not needed any more.
    async fn discard(&self, valid: &Valid<'_>) -> Then {
        let Err(missing) = self.keys.discard(valid).await else { return Then::Nothing };
        tracing::warn!(agent = %valid.agent.key, "a Secret that is not needed any more stays for now: {missing}");
        and_then(&missing)
    }
}

/// Whether to look again without a cause.
fn and_then(missing: &Missing) -> Then {
    match missing {
        Missing::Forbidden { .. } => Then::Late,
        Missing::Unreadable { .. } => Then::Retry,
        // Watches and the hub tell of these.
        Missing::Secret { .. }
        | Missing::Key { .. }
        | Missing::Value { .. }
        | Missing::HelmRelease { .. }
        | Missing::ExternalSecret { .. }
        | Missing::NotReady { .. }
        | Missing::NotHandedOver
        | Missing::Withheld(_)
        | Missing::NameConflict { .. } => Then::Nothing,
    }
}
