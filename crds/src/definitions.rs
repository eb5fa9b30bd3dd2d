//! The CustomResourceDefinitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use kube::core::Resource;
use serde_json::Value;

use crate::{AgentAssignment, MemberCluster, ParallaxAgent};

/// The label that marks everything Parallax installs.
const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "parallax");

/// One definition, with the name of its file under `crds/yaml/`.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The file's name, `<plural>.yaml`.
    pub file: String,
    /// The definition as JSON, ready for server-side apply.
    pub body: Value,
}

impl Definition {
    /// The definition as YAML, with a first line that says where it is from.
    ///
    /// # Errors
    /// When the body has no YAML form, which would be a defect of the types.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        let body = serde_saphyr::to_string(&self.body)?;
        Ok(format!("# Generated from the types in crds/src by crdgen; edit those.\n{body}"))
    }
}

/// All three definitions: what a hub needs, and what a member needs.
///
/// # Errors
/// When a definition has no JSON form, which would be a defect of the types.
pub fn all() -> Result<Vec<Definition>, serde_json::Error> {
    [
        definition::<ParallaxAgent>(&ParallaxAgent::crd()),
        definition::<MemberCluster>(&MemberCluster::crd()),
        definition::<AgentAssignment>(&AgentAssignment::crd()),
    ]
    .into_iter()
    .collect()
}

fn definition<K: Resource<DynamicType = ()>>(
    crd: &CustomResourceDefinition,
) -> Result<Definition, serde_json::Error> {
    let mut crd = crd.clone();
    crd.metadata.labels = Some([(PART_OF.0.to_owned(), PART_OF.1.to_owned())].into());
    let mut body = serde_json::to_value(&crd)?;
    prune(&mut body);
    Ok(Definition { file: format!("{}.yaml", K::plural(&())), body })
}

/// The one field that may be null, since server-side apply makes null of it when its only setting is taken away. For
/// Kubernetes' own kinds that is an empty directory, too.
const NULLABLE: &str = "emptyDir";

/// Drops `nullable` nearly everywhere, so that the API server prunes an explicit null as it does for Kubernetes' own kinds
/// and no rule has to think of it, and writes whole numbers as such.
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in map {
                if let Some(field) = field.as_object_mut().filter(|_| name != NULLABLE) {
                    field.remove("nullable");
                }
                prune(field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().and_then(|f| format!("{f}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        _ => {}
    }
}
