//! The pods of an agent. They satisfy the Pod Security Standard "restricted".

use k8s_openapi::api::core::v1::{
    LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile,
    TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use parallax_crds::ClusterName;
use parallax_crds::agent::{AgentRuntime, PodIds};

use super::{CREDENTIALS_STAMP, companions, container, labels, map, some, volumes};
use crate::credentials::Binding;
use crate::validate::Valid;

/// Agents finish long tasks.
const GRACE_SECONDS: i64 = 120;

/// The group of a workspace's files where the user names none: an agent isn't root, and could write nothing in most.
const WORKSPACE_GROUP: i64 = 10_000;

/// What the pods of a valid assignment are made from.
pub(super) fn template(
    assignment: &Valid<'_>,
    cluster: &ClusterName,
    key: Option<&Binding>,
) -> Result<PodTemplateSpec, serde_json::Error> {
    let runtime = &assignment.template.runtime;
    let mut labels = runtime.pod_labels.clone();
    labels.extend(labels::labels(&assignment.agent, &runtime.agent_type));
    let mut annotations = runtime.pod_annotations.clone();
    let stamp = key.and_then(|key| key.stamp.clone());
    annotations.extend(stamp.map(|stamp| (CREDENTIALS_STAMP.to_owned(), stamp)));
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: map(&annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(assignment, cluster, key)?),
    })
}

fn pod(
    assignment: &Valid<'_>,
    cluster: &ClusterName,
    key: Option<&Binding>,
) -> Result<PodSpec, serde_json::Error> {
    let runtime = &assignment.template.runtime;
    let secrets = runtime.image_pull_secrets.iter().map(|s| LocalObjectReference { name: s.name.clone() });
    Ok(PodSpec {
        init_containers: some(companions::companions(runtime)),
        containers: vec![container::agents_own(assignment, cluster, key)?],
        image_pull_secrets: some(secrets.collect()),
        node_selector: map(&runtime.node_selector),
        tolerations: some(runtime.tolerations.clone()),
        affinity: runtime.affinity.clone(),
        topology_spread_constraints: some(spread(assignment)),
        runtime_class_name: runtime.runtime_class_name.clone(),
        priority_class_name: runtime.priority_class_name.clone(),
        service_account_name: runtime.service_account_name.clone(),
        // The default account's token would be of no use to an agent, and of some to whoever talks it round.
        automount_service_account_token: Some(runtime.service_account_name.is_some()),
        termination_grace_period_seconds: Some(
            runtime.termination_grace_period_seconds.unwrap_or(GRACE_SECONDS),
        ),
        security_context: Some(security_context(runtime)),
        volumes: Some(volumes::volumes(assignment)),
        ..PodSpec::default()
    })
}

/// The constraints; where one doesn't say which pods it spreads, the agent's own (Kubernetes would take none).
fn spread(assignment: &Valid<'_>) -> Vec<TopologySpreadConstraint> {
    let own = || LabelSelector {
        match_labels: Some(labels::selector(&assignment.agent)),
        ..LabelSelector::default()
    };
    let constraints = assignment.template.runtime.topology_spread_constraints.iter().cloned();
    constraints
        .map(|constraint| TopologySpreadConstraint {
            label_selector: Some(constraint.label_selector.unwrap_or_else(own)),
            ..constraint
        })
        .collect()
}

fn security_context(runtime: &AgentRuntime) -> PodSecurityContext {
    let PodIds { run_as_user, run_as_group, fs_group } =
        runtime.pod_security_context.clone().unwrap_or_default();
    let kept = runtime.workspace.is_some();
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user,
        run_as_group,
        fs_group: fs_group.or(kept.then_some(WORKSPACE_GROUP)),
        // The other way is to look at every file at each start.
        fs_group_change_policy: kept.then(|| "OnRootMismatch".into()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}
