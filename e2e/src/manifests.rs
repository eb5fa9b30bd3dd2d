//! The repository's manifests, read from its checkout and applied by server-side apply.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, TypeMeta};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::runtime::conditions;
use kube::runtime::wait::await_condition;

/// The field manager of everything that the tool applies.
pub const MANAGER: &str = "fleet";

/// How long the API server may take to serve a kind that was just installed.
const ESTABLISHED_LIMIT: Duration = Duration::from_secs(30);

/// The repository that this tool was built from.
pub fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// Every object of the YAML files right under a directory of the repository, in the order in which they can be
/// applied: kinds, then namespaces, then the rest by file name.
///
/// # Errors
/// The directory is missing, or a file of it is not YAML of Kubernetes objects.
pub fn read(directory: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let path = repository().join(directory);
    let entries = std::fs::read_dir(&path).with_context(|| {
        format!("reading {}: the fleet tool works in a checkout of its repository", path.display())
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        objects.extend(parse(&text).with_context(|| format!("in {}", file.display()))?);
    }
    objects.sort_by_key(rank);
    Ok(objects)
}

/// The objects of a text of YAML documents.
///
/// # Errors
/// It is not YAML, or a document is no Kubernetes object.
pub fn parse(text: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).context("not YAML")?;
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(|document| {
            let object: DynamicObject = serde_json::from_value(document).context("no Kubernetes object")?;
            if object.types.is_none() || object.metadata.name.is_none() {
                bail!("an object without apiVersion, kind or metadata.name");
            }
            Ok(object)
        })
        .collect()
}

fn rank(object: &DynamicObject) -> u8 {
    match object.types.as_ref().map(|types| types.kind.as_str()) {
        Some("CustomResourceDefinition") => 0,
        Some("Namespace") => 1,
        _ => 2,
    }
}

/// Applies objects in their order, and waits after the kinds until they are served.
///
/// # Errors
/// The API server refuses one; the message names it.
pub async fn apply(client: &kube::Client, objects: &[DynamicObject]) -> anyhow::Result<()> {
    let (kinds, rest) = objects.split_at(objects.partition_point(|object| rank(object) == 0));
    for object in kinds {
        apply_one(client, object).await?;
    }
    for object in kinds {
        let name = object.metadata.name.clone().unwrap_or_default();
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        let established = await_condition(api, &name, conditions::is_crd_established());
        tokio::time::timeout(ESTABLISHED_LIMIT, established)
            .await
            .with_context(|| {
                format!("the API server does not serve {name} after {} s", ESTABLISHED_LIMIT.as_secs())
            })?
            .with_context(|| format!("waiting until the API server serves {name}"))?;
    }
    for object in rest {
        apply_one(client, object).await?;
    }
    Ok(())
}

/// Applies one object under the tool's name.
///
/// # Errors
/// The API server does not know its kind, or refuses it.
pub async fn apply_one(client: &kube::Client, object: &DynamicObject) -> anyhow::Result<DynamicObject> {
    let types = object.types.clone().unwrap_or_default();
    let name = object.metadata.name.clone().unwrap_or_default();
    let (resource, scope) = resolve(client, &types).await?;
    let api: Api<DynamicObject> = match (scope, object.metadata.namespace.as_deref()) {
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
        (Scope::Namespaced, namespace) => {
            Api::namespaced_with(client.clone(), namespace.unwrap_or("default"), &resource)
        }
    };
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object))
        .await
        .with_context(|| format!("applying {} {name}", types.kind))
}

async fn resolve(client: &kube::Client, types: &TypeMeta) -> anyhow::Result<(ApiResource, Scope)> {
    let kind =
        GroupVersionKind::try_from(types).with_context(|| format!("the apiVersion {}", types.api_version))?;
    let (resource, capabilities) = discovery::pinned_kind(client, &kind)
        .await
        .with_context(|| format!("looking up {} {}", types.api_version, types.kind))?;
    Ok((resource, capabilities.scope))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn several_documents_and_empty_ones_are_read() {
        let text = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n";
        let names: Vec<_> =
            parse(text).unwrap().into_iter().filter_map(|object| object.metadata.name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_document_without_a_name_is_refused() {
        assert!(parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n").is_err());
    }
}
