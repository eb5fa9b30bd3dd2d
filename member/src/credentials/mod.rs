//! The API keys that agents need, as far as this cluster has them.
//!
//! A watch of metadata, per namespace that has agents with credentials, tells that a Secret changed; only Secrets that an
//! agent names are then read, each value for as long as it takes to make a stamp of it.

mod from_hub;
mod looks;
mod stamps;
mod watches;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use kube::Client;
use parallax_crds::AgentKey;
use parallax_crds::agent::Credentials;
use parallax_member_core::Valid;
use parallax_member_core::credentials::{
    ExternalSecretFacts, Found, Missing, References, SecretFacts, in_secret,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use self::from_hub::Said;
use self::stamps::Stamps;
use crate::agents::Uplink;
use crate::definition::{self, Definition, EXTERNAL_SECRETS};
use crate::queue::Queue;

/// What would let the member read what agents name.
const ROLE: &str = "parallax-member-credentials";

/// See the module.
pub struct Keys {
    client: Client,
    queue: Arc<Queue>,
    uplink: Uplink,
    stamps: Stamps,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    secrets: References<SecretFacts>,
    externals: References<ExternalSecretFacts>,
    /// Dropping a guard ends its watch.
    watched: HashMap<(Kind, Box<str>), DropGuard>,
    /// Whether the cluster has ExternalSecrets; none while no agent names one.
    definition: Option<Definition>,
    /// What the hub has said of keys that it was asked for.
    said: HashMap<AgentKey, Said>,
}

/// A kind that is watched by namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Secret,
    ExternalSecret,
}

impl Keys {
    /// Nothing is needed yet. Agents whose key may have changed are put in the queue.
    pub fn new(client: Client, own_namespace: &str, queue: Arc<Queue>, uplink: Uplink) -> Arc<Self> {
        let stamps = Stamps::new(client.clone(), own_namespace);
        Arc::new(Self { client, queue, uplink, stamps, state: Mutex::default() })
    }

    /// Looks for the key that an agent needs; from now on, what happens to it puts the agent in the queue.
    ///
    /// # Errors
    /// When it isn't there, or can't be looked for.
    pub async fn find(
        self: &Arc<Self>,
        order: &Valid<'_>,
        credentials: &Credentials,
    ) -> Result<Found, Missing> {
        if let Some(reference) = credentials.from_hub() {
            return self.from_hub(order, reference).await;
        }
        let agent = &order.agent.key;
        self.ask_no_more(agent);
        let Credentials { secret_ref, external_secret_ref, source: _, env_name: _, rotation: _ } =
            credentials;
        let external = external_secret_ref.as_ref();
        self.refer_to_external(agent, external.map(|reference| reference.name.as_str()));
        let (secret, key) = match (secret_ref, external) {
            (Some(reference), _) => (reference.name.clone(), &reference.key),
            (None, Some(reference)) => match self.target(agent, &reference.name).await {
                Ok(target) => (target, &reference.key),
                Err(missing) => {
                    self.refer_to_secret(agent, None);
                    return Err(missing);
                }
            },
            // The schema and the member refuse it.
            (None, None) => {
                let what = "a Secret without a name".to_owned();
                return Err(Missing::Unreadable { what, reason: "InvalidCredentials", why: String::new() });
            }
        };
        self.refer_to_secret(agent, Some((&secret, key)));
        let facts = self.secret(agent.namespace(), &secret, key, ROLE).await?;
        in_secret((agent.namespace(), &secret), key, facts.as_ref())
    }

    /// The agent needs no key, or is no more.
    pub fn forget(self: &Arc<Self>, agent: &AgentKey) {
        self.refer_to_external(agent, None);
        self.refer_to_secret(agent, None);
        self.ask_no_more(agent);
    }

    /// The agent needs nothing from the hub.
    fn ask_no_more(&self, agent: &AgentKey) {
        self.state.lock().said.remove(agent);
        self.uplink.link.lock().forget_key(agent);
    }

    fn refer_to_secret(self: &Arc<Self>, agent: &AgentKey, to: Option<(&str, &str)>) {
        let mut state = self.state.lock();
        state.secrets.refer(agent, to);
        let needed = state.secrets.in_use(agent.namespace());
        self.tend(&mut state, Kind::Secret, agent.namespace(), needed);
    }

    fn refer_to_external(self: &Arc<Self>, agent: &AgentKey, to: Option<&str>) {
        let mut state = self.state.lock();
        state.externals.refer(agent, to.map(|name| (name, "")));
        if state.externals.is_empty() {
            state.definition = None;
        } else if state.definition.is_none() {
            let definition = Definition::watch(&self.client, EXTERNAL_SECRETS);
            tokio::spawn(follow(definition.changes(), Arc::downgrade(self)));
            state.definition = Some(definition);
        }
        let installed = state.definition.as_ref().is_some_and(|d| d.resource().is_some());
        let needed = installed && state.externals.in_use(agent.namespace());
        self.tend(&mut state, Kind::ExternalSecret, agent.namespace(), needed);
    }

    /// Begins or ends the watch of a namespace.
    fn tend(self: &Arc<Self>, state: &mut State, kind: Kind, namespace: &str, needed: bool) {
        let place = (kind, namespace.into());
        if !needed {
            state.watched.remove(&place);
        } else if !state.watched.contains_key(&place)
            && let Some(guard) = self.watch(state, kind, namespace)
        {
            state.watched.insert(place, guard);
        }
    }

    /// ExternalSecrets have come, gone, or come in another version: what is known of them is of before.
    fn definition_changed(&self) {
        let agents = {
            let mut state = self.state.lock();
            state.watched.retain(|(kind, _), _| *kind != Kind::ExternalSecret);
            state.externals.forget_all()
        };
        self.wake(&agents);
    }

    fn wake(&self, agents: &[AgentKey]) {
        agents.iter().for_each(|agent| self.queue.add(agent));
    }
}

/// Has all agents that name an ExternalSecret looked at again whenever the answer is another.
async fn follow(mut changes: watch::Receiver<definition::Said>, keys: Weak<Keys>) {
    while changes.changed().await.is_ok() {
        let Some(keys) = keys.upgrade() else { return };
        keys.definition_changed();
    }
}
