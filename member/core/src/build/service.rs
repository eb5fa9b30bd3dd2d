//! The Service of an agent.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::metadata;
use super::{ChildKind, PORT, labels};
use crate::validate::Valid;

/// A cluster-internal Service of the agent's name, so that other pods reach it by DNS. Where it leads to the activators,
/// it selects nothing, and its slices are the member's: see [`super::slices`].
pub(super) fn service(assignment: &Valid<'_>) -> Service {
    let (port, name) = PORT;
    Service {
        metadata: metadata(ChildKind::Service, assignment),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: (!assignment.led).then(|| labels::selector(&assignment.agent)),
            ports: Some(vec![ServicePort {
                name: Some(name.into()),
                port,
                protocol: Some("TCP".into()),
                target_port: Some(IntOrString::String(name.into())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
