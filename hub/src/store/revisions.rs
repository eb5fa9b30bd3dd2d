//! ControllerRevisions in the agents' namespaces: what `parallax_hub_core::revisions` keeps of each agent. The API server
//! deletes them with their agent.
//!
//! What a hub that starts must know of them is in an annotation, so that it lists metadata alone.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{ListParams, ObjectMeta};
use kube::{Api, Client, Resource};
use parallax_crds::{AgentKey, ParallaxAgent, labels};
use parallax_hub_core::revisions::{About, Listed, Revision, RevisionId};
use serde_json::json;

use super::bounded;
use crate::error::HubError;

/// How many are listed at a time.
const PAGE: u32 = 500;

/// All that are stored, of all agents. One that can't be read is left alone, with a line that names it.
pub async fn load(client: &Client) -> Result<Vec<Listed>, HubError> {
    let api: Api<ControllerRevision> = Api::all(client.clone());
    let mut params = ListParams::default().labels(labels::AGENT).limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = bounded("list ControllerRevisions", api.list_metadata(&params)).await?;
        all.extend(page.items.iter().filter_map(|object| listed(&object.metadata)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// The object of one, to be applied.
pub fn object(
    key: &AgentKey,
    uid: String,
    id: RevisionId,
    about: &About,
    revision: &Revision,
) -> serde_json::Result<ControllerRevision> {
    let owner = OwnerReference {
        api_version: ParallaxAgent::api_version(&()).into_owned(),
        kind: ParallaxAgent::kind(&()).into_owned(),
        name: key.name().to_owned(),
        uid,
        controller: Some(true),
        block_owner_deletion: None,
    };
    let mut spec = serde_json::to_value(&revision.spec)?;
    if let Some(fields) = spec.as_object_mut() {
        // They mean nothing here, and would be read as if they did.
        fields.retain(|field, _| field != "replicas" && field != "suspend");
    }
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Ok(ControllerRevision {
        metadata: ObjectMeta {
            name: Some(id.name(key.name())),
            namespace: Some(key.namespace().to_owned()),
            labels: Some(
                [label(labels::AGENT, key.name()), label(labels::MANAGED_BY, labels::MANAGED_BY_PARALLAX)]
                    .into(),
            ),
            annotations: Some([(labels::REVISION.to_owned(), serde_json::to_string(about)?)].into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        revision: about.number,
        data: Some(RawExtension(json!({"spec": spec}))),
    })
}

/// None for what is no revision of an agent.
fn listed(metadata: &ObjectMeta) -> Option<Listed> {
    let owner = metadata.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))?;
    if owner.kind != ParallaxAgent::kind(&()) {
        return None;
    }
    let name = metadata.name.as_deref()?;
    let agent = AgentKey::new(metadata.namespace.as_deref()?, &owner.name);
    let about = metadata.annotations.as_ref().and_then(|all| all.get(labels::REVISION));
    let about = about.map(|text| serde_json::from_str(text));
    match (RevisionId::named(&owner.name, name), about) {
        (Some(id), Some(Ok(about))) => Some(Listed { agent, uid: owner.uid.clone(), id, about }),
        (id, about) => {
            tracing::error!(%agent, object = %name, ?id, ?about, "a revision can't be read and is left alone; delete the ControllerRevision");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use parallax_crds::ParallaxAgentSpec;
    use parallax_hub_core::FleetDefaults;
    use parallax_hub_core::revisions::{part_of, pods_of};

    use super::*;

    fn stored() -> (Listed, ControllerRevision) {
        let spec: ParallaxAgentSpec =
            serde_json::from_value(json!({"type": "claude", "replicas": 4})).unwrap();
        let (spec, defaults) = (part_of(&spec), Arc::new(FleetDefaults::default()));
        let id = RevisionId::of("uid", &spec, &defaults).unwrap();
        let pods = pods_of(&spec, &defaults).unwrap();
        let about = About { number: 3, generation: 7, pods, defaults: defaults.clone(), refreshed: None };
        let agent = AgentKey::new("team", "writer");
        let revision = Revision { number: 3, generation: 7, spec, defaults };
        let object = object(&agent, "uid".to_owned(), id, &about, &revision).unwrap();
        (Listed { agent, uid: "uid".to_owned(), id, about }, object)
    }

    #[test]
    fn what_is_stored_is_read_back_from_its_metadata() {
        let (expected, object) = stored();
        assert_eq!(listed(&object.metadata), Some(expected));
        assert_eq!(object.revision, 3);
        assert_eq!(object.data.unwrap().0, json!({"spec": {"type": "claude"}}));
    }

    #[test]
    fn what_is_nobodys_or_cannot_be_read_is_left_alone() {
        let (_, object) = stored();
        let mut of_another_kind = object.metadata.clone();
        of_another_kind.owner_references.as_mut().unwrap()[0].kind = "StatefulSet".to_owned();
        let mut without_annotation = object.metadata.clone();
        without_annotation.annotations = None;
        let mut of_another_name = object.metadata.clone();
        of_another_name.name = Some("writer-1".to_owned());
        for metadata in [of_another_kind, without_annotation, of_another_name, ObjectMeta::default()] {
            assert_eq!(listed(&metadata), None, "{metadata:?}");
        }
    }
}
