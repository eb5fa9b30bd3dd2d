//! The PodDisruptionBudget of an agent.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::metadata;
use super::{ChildKind, labels};
use crate::validate::Valid;

/// Whoever drains nodes takes one pod of the agent after the other. A budget for a single replica would only hold
/// the drain up, or do nothing: there is none.
pub(super) fn disruption_budget(assignment: &Valid<'_>) -> Option<PodDisruptionBudget> {
    let most = assignment.autoscaled().map_or(assignment.replicas, |autoscaled| autoscaled.bounds.max);
    (most > 1).then(|| PodDisruptionBudget {
        metadata: metadata(ChildKind::PodDisruptionBudget, assignment),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selector(&assignment.agent)),
                ..LabelSelector::default()
            }),
            // A pod that is broken anyway keeps no node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
