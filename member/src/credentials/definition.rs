//! Whether this cluster has ExternalSecrets, and in which version: a watch of that one definition.

use std::pin::pin;
use std::sync::{Arc, Weak};

use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource};
use kube::core::{GroupVersionKind, Object};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use parallax_platform::explain_watch;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Keys, Kind};
use crate::failure::TIMEOUT;

const GROUP: &str = "external-secrets.io";
const NAME: &str = "externalsecrets.external-secrets.io";

/// See the module. Copies are of one watch, which ends with the last.
#[derive(Clone)]
pub(super) struct Definition {
    said: watch::Receiver<Said>,
    _watch: Arc<DropGuard>,
}

/// What the watch has said.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Nothing,
    /// What could not be done.
    Trouble(String),
    /// The kind as it is served; none: it isn't.
    Served(Option<ApiResource>),
}

/// As much of a definition as is read.
type Slim = Object<Spec, Status>;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Spec {
    versions: Vec<Version>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Version {
    name: String,
    served: bool,
    storage: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<parallax_member_core::live::PodCondition>,
}

impl Definition {
    /// Begins the watch; when the answer changes, all agents that name an ExternalSecret are looked at again.
    pub(super) fn watch(keys: &Arc<Keys>) -> Self {
        let ended = CancellationToken::new();
        let (say, said) = watch::channel(Said::Nothing);
        let resource = ApiResource::erase::<CustomResourceDefinition>(&());
        let api = Api::<Slim>::all_with(keys.client.clone(), &resource);
        tokio::spawn(follow(api, say, Arc::downgrade(keys), ended.clone()));
        Self { said, _watch: Arc::new(ended.drop_guard()) }
    }

    /// The kind, as far as is known now.
    pub(super) fn resource(&self) -> Option<ApiResource> {
        match &*self.said.borrow() {
            Said::Served(resource) => resource.clone(),
            Said::Nothing | Said::Trouble(_) => None,
        }
    }

    /// The kind, once the watch has said something; none where the cluster doesn't have it.
    ///
    /// # Errors
    /// Why that can't be known, as a sentence.
    pub(super) async fn known(&self) -> Result<Option<ApiResource>, String> {
        let mut said = self.said.clone();
        let first = said.wait_for(|said| *said != Said::Nothing);
        match tokio::time::timeout(TIMEOUT, first).await {
            Ok(Ok(said)) => match &*said {
                Said::Served(resource) => Ok(resource.clone()),
                Said::Trouble(why) => Err(why.clone()),
                Said::Nothing => Err("nobody has looked yet".to_owned()),
            },
            Ok(Err(_)) => Err("the watch of its definition has ended".to_owned()),
            Err(_) => Err(format!("nothing was heard of its definition within {} s", TIMEOUT.as_secs())),
        }
    }
}

async fn follow(api: Api<Slim>, say: watch::Sender<Said>, keys: Weak<Keys>, ended: CancellationToken) {
    let config = Config::default().fields(&format!("metadata.name={NAME}"));
    let mut events = pin!(watcher(api, config).default_backoff());
    let (mut listed, mut troubled) = (None, false);
    loop {
        let event = tokio::select! {
            biased;
            () = ended.cancelled() => return,
            event = events.next() => event,
        };
        troubled &= !matches!(event, Some(Ok(ref event)) if !matches!(event, Event::Init));
        let now = match event {
            None => return,
            Some(Ok(Event::Init)) => {
                listed = None;
                continue;
            }
            Some(Ok(Event::InitApply(object))) => {
                listed = served(&object);
                continue;
            }
            Some(Ok(Event::InitDone)) => Said::Served(listed.take()),
            Some(Ok(Event::Apply(object))) => Said::Served(served(&object)),
            Some(Ok(Event::Delete(_))) => Said::Served(None),
            Some(Err(error)) => {
                let why = explain_watch(&error);
                if !std::mem::replace(&mut troubled, true) {
                    tracing::warn!("watching the definition {NAME}: {why}; trying again");
                }
                // What was known before is still the best that is known.
                if *say.borrow() != Said::Nothing {
                    continue;
                }
                Said::Trouble(why)
            }
        };
        let changed = say.send_if_modified(|said| {
            let changed = *said != now;
            *said = now;
            changed
        });
        if changed {
            let Some(keys) = keys.upgrade() else { return };
            keys.definition_changed();
        }
    }
}

/// The kind as a definition says that it is served: in the version that is stored, where that is served, or else in the
/// first that is.
fn served(definition: &Slim) -> Option<ApiResource> {
    let conditions = definition.status.iter().flat_map(|status| &status.conditions);
    conditions.filter(|c| c.type_ == "Established").find(|c| c.status == "True")?;
    let versions = || definition.spec.versions.iter().filter(|version| version.served);
    let version = versions().find(|version| version.storage).or_else(|| versions().next())?;
    let kind = GroupVersionKind::gvk(GROUP, &version.name, "ExternalSecret");
    Some(ApiResource::from_gvk_with_plural(&kind, "externalsecrets"))
}

impl Keys {
    /// ExternalSecrets have come, gone, or come in another version: what is known of them is of before.
    fn definition_changed(&self) {
        let agents = {
            let mut state = self.state.lock();
            state.watched.retain(|(kind, _), _| *kind != Kind::ExternalSecret);
            state.externals.forget_all()
        };
        self.wake(&agents);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn version_of(versions: &Value, established: &str) -> Option<String> {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": NAME},
            "spec": {"group": GROUP, "versions": versions},
            "status": {"conditions": [
                {"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": established},
            ]},
        });
        served(&serde_json::from_value(definition).unwrap()).map(|resource| resource.api_version)
    }

    #[test]
    fn the_stored_version_is_used_unless_it_is_not_served() {
        let version = |name: &str, served: bool, storage: bool| json!({"name": name, "served": served, "storage": storage, "schema": {"openAPIV3Schema": {}}});
        let both = json!([version("v1beta1", true, false), version("v1", true, true)]);
        assert_eq!(version_of(&both, "True").as_deref(), Some("external-secrets.io/v1"));
        let older = json!([version("v1beta1", true, false), version("v1", false, true)]);
        assert_eq!(version_of(&older, "True").as_deref(), Some("external-secrets.io/v1beta1"));
        assert_eq!(version_of(&json!([version("v1", false, true)]), "True"), None);
        assert_eq!(version_of(&both, "False"), None);
    }
}
