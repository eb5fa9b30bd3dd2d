//! API keys that the hub hands over: asked for over the link, and kept in a Secret beside the agent, so that its pods
//! start without the hub too.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ObjectMeta, Preconditions};
use kube::core::{Request, Resource as _};
use parallax_crds::AgentKey;
use parallax_crds::agent::KeyReference;
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_crds::link::{ApiKey, KeyAnswer, KeyWish, Withheld};
use parallax_member_core::Valid;
use parallax_member_core::build::{handed_over, handed_over_name};
use parallax_member_core::credentials::{Found, Missing, SecretFacts, in_secret};
use parallax_platform::{Conflicts, apply_unlogged};

use super::Keys;
use super::looks::unreadable;
use crate::failure::{Failure, within};

/// What would let the member keep what the hub hands over.
const ROLE: &str = "parallax-member-credentials-from-hub";

/// The hub's last word on an agent's key.
#[derive(Clone)]
pub(super) struct Said {
    wish: KeyWish,
    word: Word,
}

#[derive(Clone)]
enum Word {
    /// Its value, which is to be kept.
    Value(ApiKey),
    /// The value is kept.
    Kept,
    /// There is none.
    Withheld(Withheld),
}

impl Keys {
    /// The hub has answered.
    pub fn answered(&self, answer: KeyAnswer) {
        let KeyAnswer { wish, key } = answer;
        let agent = wish.agent.key.clone();
        let word = key.map_or_else(Word::Withheld, Word::Value);
        self.state.lock().said.insert(agent.clone(), Said { wish, word });
        self.wake(&[agent]);
    }

    /// Looks for the key that the hub is to hand over.
    pub(super) async fn from_hub(
        self: &Arc<Self>,
        order: &Valid<'_>,
        reference: &KeyReference,
    ) -> Result<Found, Missing> {
        let agent = &order.agent.key;
        let (namespace, name) = (agent.namespace(), handed_over_name(agent.name()));
        self.refer_to_external(agent, None);
        self.refer_to_secret(agent, Some((&name, &reference.key)));
        let wish = KeyWish { agent: order.agent.clone(), reference: reference.clone() };
        if self.uplink.link.lock().want_key(wish.clone()) {
            self.uplink.wake.notify_one();
        }
        let facts = self.secret(namespace, &name, &reference.key, ROLE).await?;
        let word = self.state.lock().said.get(agent).filter(|said| said.wish == wish).map(|s| s.word.clone());
        let was_kept = matches!(word, Some(Word::Kept));
        let facts = match word {
            Some(Word::Withheld(why)) => return Err(Missing::Withheld(why)),
            Some(Word::Value(value)) => {
                let seal = self.stamps.seal().await?;
                let facts = if facts
                    .as_ref()
                    .is_some_and(|facts| facts.holds((namespace, &name), &reference.key, &value, seal))
                {
                    facts
                } else {
                    Some(self.keep(order, &reference.key, &value).await?)
                };
                if let Some(said) = self.state.lock().said.get_mut(agent)
                    && matches!(&said.word, Word::Value(newest) if *newest == value)
                {
                    said.word = Word::Kept;
                }
                facts
            }
            Some(Word::Kept) | None => facts,
        };
        in_secret((namespace, &name), &reference.key, facts.as_ref()).map_err(|_| {
            if was_kept {
                // It is lost.
                self.uplink.tell(|link| link.want_key_again(agent));
            }
            Missing::NotHandedOver
        })
    }

    /// Keeps a value in the agent's Secret.
    async fn keep(&self, order: &Valid<'_>, key: &str, value: &ApiKey) -> Result<SecretFacts, Missing> {
        let agent = &order.agent.key;
        let (namespace, name) = (agent.namespace(), handed_over_name(agent.name()));
        let what = || format!("Secret {namespace}/{name}");
        let failed = |failure| unreadable(what(), namespace, ROLE, failure);
        if self.kept(agent).await.map_err(failed)?.is_some_and(|meta| !is_ours(order, &meta)) {
            return Err(Missing::NameConflict { what: what() });
        }
        let secret = handed_over(order, key, value);
        let ticket = self.state.lock().secrets.again(namespace, &name);
        let secrets = Secret::url_path(&(), Some(namespace));
        let text = apply_unlogged(&self.client, secrets, &name, MEMBER_MANAGER, Conflicts::TakeOver, &secret)
            .await
            .map_err(failed)?;
        tracing::info!(agent = %agent, secret = name, "keeping the API key that the hub has handed over");
        let (version, facts) = SecretFacts::read(&text, [key], self.stamps.seal().await?)
            .map_err(|error| failed(Failure::Failed(error.to_string())))?;
        self.state.lock().secrets.learn(namespace, &name, ticket, Some((version, facts.clone())));
        Ok(facts)
    }

    /// Lets go of what was kept for an agent that gets its key from elsewhere.
    pub async fn discard(&self, order: &Valid<'_>) -> Result<(), Missing> {
        let agent = &order.agent.key;
        let (namespace, name) = (agent.namespace(), handed_over_name(agent.name()));
        let what = || format!("Secret {namespace}/{name}");
        let failed = |failure| unreadable(what(), namespace, ROLE, failure);
        let kept = self.kept(agent).await.map_err(failed)?;
        let Some(meta) = kept.filter(|meta| is_ours(order, meta)) else { return Ok(()) };
        let preconditions = Preconditions { uid: meta.uid, resource_version: None };
        let params = DeleteParams::background().preconditions(preconditions);
        let request = Request::new(Secret::url_path(&(), Some(namespace)))
            .delete(&name, &params)
            .map_err(|error| failed(kube::Error::BuildRequest(error).into()))?;
        match within(self.client.request_text(request)).await {
            Ok(_) | Err(Failure::NotFound(_)) => Ok(()),
            Err(failure) => Err(failed(failure)),
        }
    }

    /// The metadata of an agent's Secret, if there is one.
    async fn kept(&self, agent: &AgentKey) -> Result<Option<ObjectMeta>, Failure> {
        let api = Api::<Secret>::namespaced(self.client.clone(), agent.namespace());
        let found = within(api.get_metadata_opt(&handed_over_name(agent.name()))).await?;
        Ok(found.map(|object| object.metadata))
    }
}

/// Whether it is the assignment's: another's is never taken over.
fn is_ours(order: &Valid<'_>, meta: &ObjectMeta) -> bool {
    meta.owner_references.iter().flatten().any(|owner| owner.uid == order.owner_uid)
}
