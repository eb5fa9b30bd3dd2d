//! Whether this cluster has a kind that others define, and in which version: a watch of that one definition.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource};
use kube::core::{GroupVersionKind, Object};
use kube::runtime::watcher::{Config, Event};
use parallax_platform::{Interruption, Watch};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long the watch may take to say something.
const FIRST_WORD: Duration = Duration::from_secs(30);

/// A kind that others define.
#[derive(Debug, Clone, Copy)]
pub struct Foreign {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    /// The only version that is of use; none: any.
    version: Option<&'static str>,
}

/// Of <https://external-secrets.io>.
pub const EXTERNAL_SECRETS: Foreign = Foreign {
    group: "external-secrets.io",
    kind: "ExternalSecret",
    plural: "externalsecrets",
    version: None,
};
/// Of the Prometheus operator.
pub const POD_MONITORS: Foreign = Foreign {
    group: "monitoring.coreos.com",
    kind: "PodMonitor",
    plural: "podmonitors",
    version: Some("v1"),
};
/// Of the Multi-Cluster Services API, <https://multicluster.sigs.k8s.io/concepts/multicluster-services-api/>.
pub const SERVICE_EXPORTS: Foreign = Foreign {
    group: "multicluster.x-k8s.io",
    kind: "ServiceExport",
    plural: "serviceexports",
    version: Some("v1alpha1"),
};

/// See the module. Copies are of one watch, which ends with the last.
#[derive(Clone)]
pub struct Definition {
    said: watch::Receiver<Said>,
    _watch: Arc<DropGuard>,
}

/// What the watch has said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Nothing yet.
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
    /// Begins the watch.
    pub fn watch(client: &Client, of: Foreign) -> Self {
        let ended = CancellationToken::new();
        let (say, said) = watch::channel(Said::Nothing);
        let name = of.definition();
        let watch = Watch::new(client, format!("the definition {name}"))
            .config(Config::default().fields(&format!("metadata.name={name}")));
        let resource = ApiResource::erase::<CustomResourceDefinition>(&());
        let events = watch.follow_closely(|client| Api::<Slim>::all_with(client, &resource));
        tokio::spawn(follow(events, of, say, ended.clone()));
        Self { said, _watch: Arc::new(ended.drop_guard()) }
    }

    /// Tells of each change of the answer, until the last copy is dropped.
    pub fn changes(&self) -> watch::Receiver<Said> {
        self.said.clone()
    }

    /// The kind, as far as is known now.
    pub fn resource(&self) -> Option<ApiResource> {
        match &*self.said.borrow() {
            Said::Served(resource) => resource.clone(),
            Said::Nothing | Said::Trouble(_) => None,
        }
    }

    /// The kind, once the watch has said something; none where the cluster doesn't have it.
    ///
    /// # Errors
    /// Why that can't be known, as a sentence.
    pub async fn known(&self) -> Result<Option<ApiResource>, String> {
        let mut said = self.said.clone();
        let first = said.wait_for(|said| *said != Said::Nothing);
        match tokio::time::timeout(FIRST_WORD, first).await {
            Ok(Ok(said)) => match &*said {
                Said::Served(resource) => Ok(resource.clone()),
                Said::Trouble(why) => Err(why.clone()),
                Said::Nothing => Err("nobody has looked yet".to_owned()),
            },
            Ok(Err(_)) => Err("the watch of its definition has ended".to_owned()),
            Err(_) => Err(format!("nothing was heard of its definition within {} s", FIRST_WORD.as_secs())),
        }
    }
}

async fn follow(
    mut events: BoxStream<'static, Result<Event<Slim>, Interruption>>,
    of: Foreign,
    say: watch::Sender<Said>,
    ended: CancellationToken,
) {
    let mut listed = None;
    loop {
        let event = tokio::select! {
            biased;
            () = ended.cancelled() => return,
            event = events.next() => event,
        };
        let now = match event {
            None => return,
            Some(Ok(Event::Init)) => {
                listed = None;
                continue;
            }
            Some(Ok(Event::InitApply(object))) => {
                listed = of.served(&object);
                continue;
            }
            Some(Ok(Event::InitDone)) => Said::Served(listed.take()),
            Some(Ok(Event::Apply(object))) => Said::Served(of.served(&object)),
            Some(Ok(Event::Delete(_))) => Said::Served(None),
            // What was known before is still the best that is known.
            Some(Err(_)) if *say.borrow() != Said::Nothing => continue,
            Some(Err(why)) => Said::Trouble(why.message),
        };
        say.send_if_modified(|said| {
            let changed = *said != now;
            *said = now;
            changed
        });
    }
}

impl Foreign {
    /// The name of its definition.
    fn definition(self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// The kind as its definition says that it is served: in the only version that is of use, or else in the one that is
    /// stored, where that is served, or else in the first that is. A definition that is being deleted takes no objects any more.
    fn served(self, definition: &Slim) -> Option<ApiResource> {
        if definition.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let conditions = definition.status.iter().flat_map(|status| &status.conditions);
        conditions.filter(|c| c.type_ == "Established").find(|c| c.status == "True")?;
        let of_use =
            |version: &&Version| version.served && self.version.is_none_or(|only| version.name == only);
        let versions = || definition.spec.versions.iter().filter(of_use);
        let version = versions().find(|version| version.storage).or_else(|| versions().next())?;
        Some(self.in_version(&version.name))
    }

    /// How it is asked for in the only version that is of use; in `v1`, where any is.
    pub fn resource(self) -> ApiResource {
        self.in_version(self.version.unwrap_or("v1"))
    }

    fn in_version(self, version: &str) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, version, self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
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
            "metadata": {"name": EXTERNAL_SECRETS.definition()},
            "spec": {"group": EXTERNAL_SECRETS.group, "versions": versions},
            "status": {"conditions": [
                {"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": established},
            ]},
        });
        EXTERNAL_SECRETS.served(&serde_json::from_value(definition).unwrap()).map(|kind| kind.api_version)
    }

    #[test]
    fn a_definition_that_is_being_deleted_serves_nothing() {
        let definition = |deleted: Option<&str>| {
            let definition = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": POD_MONITORS.definition(), "deletionTimestamp": deleted},
                "spec": {"versions": [{"name": "v1", "served": true, "storage": true}]},
                "status": {"conditions": [{"type": "Established", "status": "True"}]},
            });
            POD_MONITORS.served(&serde_json::from_value(definition).unwrap())
        };
        assert_eq!(definition(None).unwrap().api_version, "monitoring.coreos.com/v1");
        assert_eq!(definition(Some("2026-11-23T05:00:00Z")), None);
    }

    #[test]
    fn a_version_that_is_of_no_use_is_none() {
        let versions = |names: &[&str]| {
            let versions: Vec<_> = names
                .iter()
                .map(|name| json!({"name": name, "served": true, "storage": *name == names[0]}))
                .collect();
            let definition = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": SERVICE_EXPORTS.definition()},
                "spec": {"versions": versions},
                "status": {"conditions": [{"type": "Established", "status": "True"}]},
            });
            SERVICE_EXPORTS.served(&serde_json::from_value(definition).unwrap()).map(|kind| kind.version)
        };
        assert_eq!(versions(&["v1beta1", "v1alpha1"]).as_deref(), Some("v1alpha1"));
        assert_eq!(versions(&["v1beta1"]), None);
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
