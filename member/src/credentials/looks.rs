//! Looks at one object, when what is known of it doesn't do.

use std::sync::Arc;

use kube::api::{Api, ApiResource, DynamicObject, GetParams};
use kube::core::{Request, Resource as _};
use parallax_crds::AgentKey;
use parallax_member_core::credentials::{ExternalSecretFacts, Missing, SecretFacts, Unreadable as NoSecret};

use super::{Keys, ROLE};
use crate::failure::{Failure, within};

impl Keys {
    /// What is known of a Secret; none: there is none of that name.
    pub(super) async fn secret(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
        role: &'static str,
    ) -> Result<Option<SecretFacts>, Missing> {
        let (ticket, keys) = {
            let state = self.state.lock();
            let ticket = match state.secrets.known(namespace, name) {
                Ok(facts) if facts.as_ref().is_none_or(|facts| facts.tells_of(key)) => return Ok(facts),
                Ok(_) => state.secrets.again(namespace, name),
                Err(ticket) => ticket,
            };
            (ticket, state.secrets.keys(namespace, name))
        };
        let seal = self.stamps.seal().await?;
        let what = || format!("Secret {namespace}/{name}");
        let text = self
            .secret_text(namespace, name)
            .await
            .map_err(|failure| unreadable(what(), namespace, role, failure))?;
        let looked = match text {
            Some(text) => {
                let read = SecretFacts::read(&text, keys.iter().map(|key| &**key), seal);
                let why = |error: NoSecret| Missing::Unreadable {
                    what: what(),
                    reason: "ApiUnavailable",
                    why: error.to_string(),
                };
                Some(read.map_err(why)?)
            }
            None => None,
        };
        let facts = looked.as_ref().map(|(_, facts)| facts.clone());
        self.state.lock().secrets.learn(namespace, name, ticket, looked);
        Ok(facts)
    }

    /// The JSON of a Secret. It is asked for as text, since the client logs what it can't read as an object.
    async fn secret_text(&self, namespace: &str, name: &str) -> Result<Option<String>, Failure> {
        let path = k8s_openapi::api::core::v1::Secret::url_path(&(), Some(namespace));
        let request =
            Request::new(path).get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
        match within(self.client.request_text(request)).await {
            Ok(text) => Ok(Some(text)),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The Secret that an ExternalSecret makes; where that kind isn't installed, the one of its name.
    pub(super) async fn target(self: &Arc<Self>, agent: &AgentKey, name: &str) -> Result<String, Missing> {
        let (namespace, what) =
            (agent.namespace(), || format!("ExternalSecret {}/{name}", agent.namespace()));
        let definition = self.state.lock().definition.clone();
        let resource = match definition {
            Some(definition) => definition.known().await.map_err(|why| Missing::Unreadable {
                what: what(),
                reason: "ApiUnavailable",
                why,
            })?,
            None => None,
        };
        let Some(resource) = resource else { return Ok(name.to_owned()) };
        // The watch of the namespace may have had to wait for this.
        self.refer_to_external(agent, Some(name));
        let facts = self
            .external(namespace, name, &resource)
            .await
            .map_err(|failure| unreadable(what(), namespace, ROLE, failure))?;
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        match facts {
            None => Err(Missing::ExternalSecret { namespace, name }),
            Some(facts) => facts.ready_target().map_err(|why| Missing::NotReady { namespace, name, why }),
        }
    }

    async fn external(
        &self,
        namespace: &str,
        name: &str,
        resource: &ApiResource,
    ) -> Result<Option<ExternalSecretFacts>, Failure> {
        let ticket = match self.state.lock().externals.known(namespace, name) {
            Ok(facts) => return Ok(facts),
            Err(ticket) => ticket,
        };
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, resource);
        let object = within(api.get_opt(name)).await?;
        let looked =
            object.map(|object| ExternalSecretFacts::of(&serde_json::to_value(object).unwrap_or_default()));
        let facts = looked.as_ref().map(|(_, facts)| facts.clone());
        self.state.lock().externals.learn(namespace, name, ticket, looked);
        Ok(facts)
    }
}

/// What a failure means for who waits for the key.
pub(super) fn unreadable(what: String, namespace: &str, role: &'static str, failure: Failure) -> Missing {
    let reason = failure.reason();
    match failure {
        Failure::Forbidden(why) => Missing::Forbidden { what, namespace: namespace.to_owned(), role, why },
        failure => Missing::Unreadable { what, reason, why: failure.to_string() },
    }
}
