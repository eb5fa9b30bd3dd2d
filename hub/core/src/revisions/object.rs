//! A revision as a ControllerRevision beside its agent: the spec is its data, the rest is in an annotation, so that lists of
//! metadata tell it.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use parallax_crds::{AgentKey, ParallaxAgentSpec, labels};
use serde_json::{Value, json};

use super::{About, Listed, Revision, RevisionId};

/// The kind of what owns one.
const AGENT: &str = "ParallaxAgent";

/// An object of an agent's that isn't as the hub writes them.
#[derive(Debug, thiserror::Error)]
#[error(
    "ControllerRevision {namespace}/{name} can't be read ({problem}); delete it, and the hub goes on without that revision"
)]
pub struct Unreadable {
    namespace: String,
    name: String,
    problem: String,
}

/// The object of one, to be applied. `owner` is the agent.
///
/// # Errors
/// When it has no JSON form.
pub fn object(
    namespace: &str,
    owner: OwnerReference,
    id: RevisionId,
    about: &About,
    revision: &Revision,
) -> serde_json::Result<ControllerRevision> {
    let mut spec = serde_json::to_value(&revision.spec)?;
    if let Some(fields) = spec.as_object_mut() {
        // They mean nothing here, and would be read as if they did.
        fields.retain(|field, _| field != "replicas" && field != "suspend");
    }
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let labels = [label(labels::AGENT, &owner.name), label(labels::MANAGED_BY, labels::MANAGED_BY_PARALLAX)];
    Ok(ControllerRevision {
        metadata: ObjectMeta {
            name: Some(id.name(&owner.name)),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.into()),
            annotations: Some([(labels::REVISION.to_owned(), serde_json::to_string(about)?)].into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        revision: about.number,
        data: Some(RawExtension(json!({"spec": spec}))),
    })
}

/// What an object's metadata say; none of what is no revision of an agent.
///
/// # Errors
/// [`Unreadable`] when they don't say it as the hub does.
pub fn listed(metadata: &ObjectMeta) -> Result<Option<Listed>, Unreadable> {
    let owners = metadata.owner_references.iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.controller == Some(true) && owner.kind == AGENT);
    let (Some(owner), Some(namespace), Some(name)) = (owner, &metadata.namespace, &metadata.name) else {
        return Ok(None);
    };
    let unreadable = |problem: String| unreadable(metadata, problem);
    let id = RevisionId::named(&owner.name, name)
        .ok_or_else(|| unreadable("its name is not the agent's with ten digits".to_owned()))?;
    let about = metadata.annotations.as_ref().and_then(|all| all.get(labels::REVISION));
    let about = about.ok_or_else(|| unreadable(format!("it lacks the annotation {}", labels::REVISION)))?;
    let about: About = serde_json::from_str(about).map_err(|error| unreadable(error.to_string()))?;
    let agent = AgentKey::new(namespace, &owner.name);
    Ok(Some(Listed { agent, uid: owner.uid.clone(), id, about }))
}

/// The spec that an object keeps, as it was written.
///
/// # Errors
/// [`Unreadable`] when it keeps none.
pub fn data(object: &ControllerRevision) -> Result<&Value, Unreadable> {
    let spec = object.data.as_ref().and_then(|data| data.0.get("spec"));
    spec.ok_or_else(|| unreadable(&object.metadata, "it has no data.spec".to_owned()))
}

/// The revision that an object keeps.
///
/// # Errors
/// [`Unreadable`] when its data is no spec.
pub fn whole(object: &ControllerRevision, about: &About) -> Result<Revision, Unreadable> {
    let spec: ParallaxAgentSpec = serde_json::from_value(data(object)?.clone())
        .map_err(|error| unreadable(&object.metadata, error.to_string()))?;
    let About { number, generation, pods: _, defaults, refreshed: _ } = about;
    Ok(Revision { number: *number, generation: *generation, spec, defaults: Arc::clone(defaults) })
}

fn unreadable(metadata: &ObjectMeta, problem: String) -> Unreadable {
    let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
    Unreadable { namespace: namespace.unwrap_or_default(), name: name.unwrap_or_default(), problem }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::revisions::{FleetDefaults, part_of, pods_of};

    fn stored() -> (Listed, Revision, ControllerRevision) {
        let spec: ParallaxAgentSpec =
            serde_json::from_value(json!({"type": "claude", "replicas": 4})).unwrap();
        let (spec, defaults) = (part_of(&spec), Arc::new(FleetDefaults::default()));
        let id = RevisionId::of("uid", &spec, &defaults).unwrap();
        let pods = pods_of(&spec, &defaults).unwrap();
        let about = About { number: 3, generation: 7, pods, defaults: defaults.clone(), refreshed: None };
        let revision = Revision { number: 3, generation: 7, spec, defaults };
        let owner = OwnerReference {
            api_version: "parallax.io/v1alpha1".to_owned(),
            kind: AGENT.to_owned(),
            name: "writer".to_owned(),
            uid: "uid".to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        };
        let object = object("team", owner, id, &about, &revision).unwrap();
        (
            Listed { agent: AgentKey::new("team", "writer"), uid: "uid".to_owned(), id, about },
            revision,
            object,
        )
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let (expected, revision, object) = stored();
        assert_eq!(listed(&object.metadata).unwrap().as_ref(), Some(&expected));
        assert_eq!(object.revision, 3);
        assert_eq!(*data(&object).unwrap(), json!({"type": "claude"}));
        assert_eq!(whole(&object, &expected.about).unwrap(), revision);
    }

    #[test]
    fn what_is_nobodys_is_none_of_ours() {
        let (_, _, object) = stored();
        let mut other = object.metadata;
        other.owner_references.as_mut().unwrap()[0].kind = "StatefulSet".to_owned();
        assert_eq!(listed(&other).unwrap(), None);
        assert_eq!(listed(&ObjectMeta::default()).unwrap(), None);
    }

    #[test]
    fn what_is_not_as_it_was_written_is_named() {
        let (Listed { about, .. }, _, object) = stored();
        let mut without_annotation = object.metadata.clone();
        without_annotation.annotations = None;
        let mut of_another_name = object.metadata.clone();
        of_another_name.name = Some("writer-1".to_owned());
        for metadata in [without_annotation, of_another_name] {
            let error = listed(&metadata).unwrap_err().to_string();
            assert!(error.contains(&format!("team/{}", metadata.name.unwrap())), "{error}");
        }
        let empty = ControllerRevision { data: None, ..object };
        assert!(whole(&empty, &about).unwrap_err().to_string().contains("data.spec"));
    }
}
