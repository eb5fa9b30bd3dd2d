//! The ServiceExport of an agent, by which its Service becomes one of all clusters of a set. Its type is no part of
//! Kubernetes: see <https://multicluster.sigs.k8s.io/concepts/multicluster-services-api/>.

use serde_json::{Value, json};

use super::metadata::metadata;
use super::{ChildKind, Site};
use crate::validate::Valid;

/// Where it is asked for and the cluster has the kind. It has the Service's name, which is all that it says.
pub(super) fn service_export(
    assignment: &Valid<'_>,
    site: Site<'_>,
) -> Result<Option<Value>, serde_json::Error> {
    if !site.service_exports || !assignment.template.runtime.is_exported() {
        return Ok(None);
    }
    let mut object = json!({ "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport" });
    object["metadata"] = serde_json::to_value(metadata(ChildKind::ServiceExport, assignment))?;
    Ok(Some(object))
}
