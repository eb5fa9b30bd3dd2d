//! The HorizontalPodAutoscaler of an agent.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, CrossVersionObjectReference, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
};

use parallax_crds::agent::AGENT_CONTAINER;

use super::ChildKind;
use super::metadata::metadata;
use crate::validate::Valid;

/// Scales the agent's Deployment by the load of the agent's own container: what stands beside it in the pod has requests
/// of its own, or none, where a share of the whole pod's would be no number.
pub(super) fn autoscaler(assignment: &Valid<'_>) -> Option<HorizontalPodAutoscaler> {
    let autoscaled = assignment.autoscaled()?;
    let name = assignment.agent.key.name();
    let targets = [
        ("cpu", autoscaled.targets.target_cpu_utilization),
        ("memory", autoscaled.targets.target_memory_utilization),
    ];
    Some(HorizontalPodAutoscaler {
        metadata: metadata(ChildKind::Autoscaler, assignment),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".into()),
                kind: "Deployment".into(),
                name: name.into(),
            },
            min_replicas: Some(autoscaled.bounds.floor()),
            max_replicas: autoscaled.bounds.max,
            metrics: Some(targets.into_iter().filter_map(|(of, target)| Some(metric(of, target?))).collect()),
            ..HorizontalPodAutoscalerSpec::default()
        }),
        status: None,
    })
}

fn metric(resource: &str, percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "ContainerResource".into(),
        container_resource: Some(ContainerResourceMetricSource {
            container: AGENT_CONTAINER.into(),
            name: resource.into(),
            target: MetricTarget {
                type_: "Utilization".into(),
                average_utilization: Some(percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}
