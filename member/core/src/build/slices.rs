//! The EndpointSlices of an agent's Service that lead to the activators.

use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::metadata::owner;
use super::{PORT, labels};
use crate::validate::Valid;

/// On a slice: the name of its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// On a slice: who writes it.
pub const SLICES_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The member, as a writer of slices.
pub const SLICES_BY_MEMBER: &str = "parallax-member";

/// Names and bodies of the slices that lead to these activators, one each: all addresses of a slice have one port.
///
/// # Errors
/// When an object has no JSON form; no value of the types can bring that about.
pub fn slices(
    assignment: &Valid<'_>,
    routes: &[(IpAddr, u16)],
) -> Result<Vec<(String, Value)>, serde_json::Error> {
    let slice = |(address, port): &(IpAddr, u16)| {
        let slice = slice(assignment, *address, *port);
        let name = slice.metadata.name.clone().unwrap_or_default();
        Ok((name, serde_json::to_value(slice)?))
    };
    routes.iter().map(slice).collect()
}

fn slice(assignment: &Valid<'_>, address: IpAddr, port: u16) -> EndpointSlice {
    let agent = assignment.agent.key.name();
    let mut labels = labels::labels(&assignment.agent, &assignment.template.runtime.agent_type);
    labels.insert(SERVICE_NAME.into(), agent.into());
    labels.insert(SLICES_BY.into(), SLICES_BY_MEMBER.into());
    let ready = EndpointConditions { ready: Some(true), serving: Some(true), terminating: Some(false) };
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(name(agent, address)),
            namespace: Some(assignment.agent.key.namespace().into()),
            labels: Some(labels),
            owner_references: Some(vec![owner(assignment)]),
            ..ObjectMeta::default()
        },
        address_type: if address.is_ipv4() { "IPv4" } else { "IPv6" }.into(),
        endpoints: vec![Endpoint {
            addresses: vec![address.to_string()],
            conditions: Some(ready),
            ..Endpoint::default()
        }],
        ports: Some(vec![EndpointPort {
            name: Some(PORT.1.into()),
            port: Some(port.into()),
            protocol: Some("TCP".into()),
            ..EndpointPort::default()
        }]),
    }
}

/// The same for the same activator, so that a new port replaces the old one.
fn name(agent: &str, address: IpAddr) -> String {
    let address: String = match address {
        IpAddr::V4(address) => address.octets().map(|octet| octet.to_string()).join("-"),
        IpAddr::V6(address) => address.segments().map(|segment| format!("{segment:x}")).join("-"),
    };
    format!("{agent}-activator-{address}")
}
