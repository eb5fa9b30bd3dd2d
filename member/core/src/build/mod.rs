//! The objects that should exist for an assignment.

mod autoscaler;
mod companions;
mod container;
mod deployment;
mod disruption_budget;
mod handed_over;
mod kind;
mod labels;
mod metadata;
mod network_policy;
mod pod;
mod pod_monitor;
mod probes;
mod scraping;
mod service;
mod service_export;
mod slices;
mod volumes;
mod workspace;

use std::collections::BTreeMap;

use parallax_crds::ClusterName;
use serde_json::Value;

use crate::credentials::Binding;
use crate::validate::Valid;

pub use deployment::strategy_patch;
pub use handed_over::{handed_over, handed_over_name};
pub use kind::ChildKind;
pub use labels::labels;
pub use slices::{SERVICE_NAME, SLICES_BY, SLICES_BY_MEMBER, slices};

/// On a Deployment: the hash of the template that it was built from. It is not in the pod template, where
/// it would roll pods that don't change.
pub const SPEC_HASH: &str = "parallax.io/spec-hash";

/// On a pod template: a stamp of the API key's value, so that another value is another template.
pub const CREDENTIALS_STAMP: &str = "parallax.io/credentials-stamp";

/// On a claim that stays when its agent goes.
pub const RETAINED: &str = "parallax.io/retained";

/// The port that an agent listens on, and its name.
pub const PORT: (i32, &str) = (8080, "http");

/// The name of the port that an agent serves its metrics on.
const METRICS: &str = "metrics";
/// Where it serves them there.
/// Where agents expose their metrics.
pub const METRICS_PATH: &str = "/metrics";

/// Everything that should exist for one assignment, as bodies of server-side applies.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// A v1 PersistentVolumeClaim.
    pub workspace: Option<Value>,
    /// An apps/v1 Deployment.
    pub deployment: Value,
    /// A networking.k8s.io/v1 NetworkPolicy.
    pub network_policy: Value,
    /// A v1 Service.
    pub service: Value,
    /// An autoscaling/v2 HorizontalPodAutoscaler, while load chooses the number of replicas.
    pub autoscaler: Option<Value>,
    /// A policy/v1 PodDisruptionBudget.
    pub disruption_budget: Option<Value>,
    /// A monitoring.coreos.com/v1 PodMonitor, where the cluster has that kind.
    pub pod_monitor: Option<Value>,
    /// A multicluster.x-k8s.io/v1alpha1 ServiceExport, where the cluster has that kind.
    pub service_export: Option<Value>,
}

impl Desired {
    /// The object of each kind, in the order in which they are made; none where there should be none.
    #[must_use]
    pub fn children(self) -> [(ChildKind, Option<Value>); ChildKind::ALL.len()] {
        let Self {
            workspace,
            deployment,
            network_policy,
            service,
            autoscaler,
            disruption_budget,
            pod_monitor,
            service_export,
        } = self;
        [
            (ChildKind::PersistentVolumeClaim, workspace),
            (ChildKind::Deployment, Some(deployment)),
            (ChildKind::NetworkPolicy, Some(network_policy)),
            (ChildKind::Service, Some(service)),
            (ChildKind::Autoscaler, autoscaler),
            (ChildKind::PodDisruptionBudget, disruption_budget),
            (ChildKind::PodMonitor, pod_monitor),
            (ChildKind::ServiceExport, service_export),
        ]
    }
}

/// Where an agent runs, and what the administrator has decided there.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The name that the fleet has for the cluster.
    pub cluster: &'a ClusterName,
    /// Namespaces whose control-plane pods may reach every agent, besides the agent's own.
    pub control_plane_namespaces: &'a [String],
    /// The namespace of the member and of the activators.
    pub system_namespace: &'a str,
    /// Namespaces whose pods may read every agent's metrics.
    pub scraper_namespaces: &'a [String],
    /// The cluster has PodMonitors, and so somebody who reads them.
    pub pod_monitors: bool,
    /// The cluster has ServiceExports, and so somebody who shares Services between clusters.
    pub service_exports: bool,
}

/// What should exist for a valid assignment at a site, whose pods get their API key so. `live` is the Deployment that
/// there is.
///
/// # Errors
/// When an object has no JSON form; no value of the types can bring that about.
pub fn build(
    assignment: &Valid<'_>,
    site: Site<'_>,
    key: Option<&Binding>,
    live: Option<&Value>,
) -> Result<Desired, serde_json::Error> {
    Ok(Desired {
        workspace: workspace::claim(assignment).map(serde_json::to_value).transpose()?,
        deployment: deployment::deployment(assignment, site, key, live)?,
        network_policy: serde_json::to_value(network_policy::network_policy(assignment, site))?,
        service: serde_json::to_value(service::service(assignment))?,
        autoscaler: autoscaler::autoscaler(assignment).map(serde_json::to_value).transpose()?,
        disruption_budget: disruption_budget::disruption_budget(assignment)
            .map(serde_json::to_value)
            .transpose()?,
        pod_monitor: pod_monitor::pod_monitor(assignment, site)?,
        service_export: service_export::service_export(assignment, site)?,
    })
}

/// A list that is there only when it has something in it.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}

/// A map that is there only when it has something in it.
fn map<V: Clone>(map: &BTreeMap<String, V>) -> Option<BTreeMap<String, V>> {
    if map.is_empty() { None } else { Some(map.clone()) }
}

#[cfg(test)]
mod tests;
