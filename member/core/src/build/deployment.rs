//! The Deployment of an agent.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::{Value, json};

use super::metadata::metadata;
use super::{ChildKind, SPEC_HASH, Site, labels, pod, scraping};
use crate::credentials::Binding;
use crate::validate::Valid;

/// The Deployment of a valid assignment, as JSON.
pub(super) fn deployment(
    assignment: &Valid<'_>,
    site: Site<'_>,
    key: Option<&Binding>,
    live: Option<&Value>,
) -> Result<Value, serde_json::Error> {
    let runtime = &assignment.template.runtime;
    let mut template = pod::template(assignment, site.cluster, key)?;
    let said = scraping::annotations(runtime);
    if !said.is_empty() && scraping::is_said(&serde_json::to_value(&template)?, live, site, runtime) {
        let annotations = template.metadata.get_or_insert_default().annotations.get_or_insert_default();
        for (name, value) in said {
            annotations.entry(name).or_insert(value);
        }
    }
    let deployment = Deployment {
        metadata: ObjectMeta {
            annotations: Some(BTreeMap::from([(SPEC_HASH.into(), assignment.hash.to_string())])),
            ..metadata(ChildKind::Deployment, assignment)
        },
        spec: Some(DeploymentSpec {
            replicas: assignment.own_replicas(),
            selector: LabelSelector {
                match_labels: Some(labels::selector(&assignment.agent)),
                ..LabelSelector::default()
            },
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    let mut json = serde_json::to_value(deployment)?;
    // The new pod could wait forever on another node for the volume that the old one has.
    let recreate = runtime.workspace.is_some();
    json["spec"]["strategy"] = if recreate {
        json!({"type": "Recreate", "rollingUpdate": null})
    } else {
        json!({"type": "RollingUpdate"})
    };
    Ok(json)
}

/// The merge patch that must come first: applying takes nothing away that the API server has set by itself, and it
/// refuses what it has set for rolling updates beside another strategy.
#[must_use]
pub fn strategy_patch(desired: &Value, live: &Value) -> Option<Value> {
    let wanted = desired.pointer("/spec/strategy").filter(|strategy| strategy["type"] == "Recreate")?;
    let set = live.pointer("/spec/strategy/rollingUpdate").is_some_and(|set| !set.is_null());
    set.then(|| json!({"spec": {"strategy": wanted}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_for_rolling_updates_is_taken_away_by_name() {
        let recreate = json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}});
        let rolling = json!({"spec": {"strategy": {"type": "RollingUpdate"}}});
        let live =
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}});
        assert_eq!(strategy_patch(&recreate, &live), Some(recreate.clone()));
        assert_eq!(strategy_patch(&recreate, &json!({"spec": {"strategy": {"type": "Recreate"}}})), None);
        assert_eq!(strategy_patch(&rolling, &live), None);
    }
}
