//! The NetworkPolicy of an agent: who may reach it, and whom it may reach.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use parallax_crds::agent::{NetworkPeer, NetworkPort, NetworkProtocol};
use parallax_crds::labels::CONTROL_PLANE;

use super::metadata::metadata;
use super::{ChildKind, Site, labels};
use crate::validate::Valid;

/// What the pods of the cluster's own parts are labelled with.
const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "parallax");
const COMPONENT: &str = "app.kubernetes.io/component";
/// A namespace's name, as a label on it that nobody can change.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
const DNS_PORT: i32 = 53;

/// Only the control plane, the activators, on the port of the metrics the member and scrapers, and the peers of `network`
/// reach the agent. The agent reaches everybody, unless `network` says whom.
pub(super) fn network_policy(assignment: &Valid<'_>, site: Site<'_>) -> NetworkPolicy {
    let network = assignment.template.runtime.network.as_ref();
    let mut ingress = vec![NetworkPolicyIngressRule {
        // Activators let nobody through but whom the policy admits besides them.
        from: Some([control_plane(site), vec![component(site, "activator")]].concat()),
        ports: None,
    }];
    ingress.extend(
        network
            .iter()
            .flat_map(|n| &n.ingress)
            .map(|of| NetworkPolicyIngressRule { from: Some(vec![peer(of)]), ports: ports(&of.ports) }),
    );
    ingress.extend(scrapers(assignment, site));
    let egress: Vec<_> = network
        .iter()
        .flat_map(|n| &n.egress)
        .map(|of| NetworkPolicyEgressRule { to: Some(vec![peer(of)]), ports: ports(&of.ports) })
        .collect();
    let egress = (!egress.is_empty()).then(|| [vec![dns()], egress].concat());
    let mut types = vec!["Ingress".to_owned()];
    types.extend(egress.is_some().then(|| "Egress".to_owned()));
    NetworkPolicy {
        metadata: metadata(ChildKind::NetworkPolicy, assignment),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(labels::selector(&assignment.agent))),
            policy_types: Some(types),
            ingress: Some(ingress),
            egress,
        }),
    }
}

/// A selector of pods alone means those of the policy's own namespace.
fn control_plane(site: Site<'_>) -> Vec<NetworkPolicyPeer> {
    let (label, value) = CONTROL_PLANE;
    let here = NetworkPolicyPeer {
        pod_selector: Some(selector([(label.to_owned(), value.to_owned())].into())),
        ..NetworkPolicyPeer::default()
    };
    let mut peers = vec![here.clone()];
    if !site.control_plane_namespaces.is_empty() {
        let namespaces = named(site.control_plane_namespaces);
        peers.push(NetworkPolicyPeer { namespace_selector: Some(namespaces), ..here });
    }
    peers
}

/// The pods of one of our own parts in this cluster.
fn component(site: Site<'_>, name: &str) -> NetworkPolicyPeer {
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    NetworkPolicyPeer {
        pod_selector: Some(selector([PART_OF, (COMPONENT, name)].map(own).into())),
        namespace_selector: Some(selector([own((NAMESPACE_NAME, site.system_namespace))].into())),
        ..NetworkPolicyPeer::default()
    }
}

/// The member, which tells what agents use, and all pods of the namespaces of scrapers, on the port of the metrics alone.
fn scrapers(assignment: &Valid<'_>, site: Site<'_>) -> Option<NetworkPolicyIngressRule> {
    let metrics = assignment.template.runtime.metrics_port()?;
    let mut from = vec![component(site, "member")];
    if !site.scraper_namespaces.is_empty() {
        let namespaces = Some(named(site.scraper_namespaces));
        from.push(NetworkPolicyPeer { namespace_selector: namespaces, ..NetworkPolicyPeer::default() });
    }
    let metrics = NetworkPort { port: metrics, end_port: None, protocol: Some(NetworkProtocol::TCP) };
    Some(NetworkPolicyIngressRule { from: Some(from), ports: Some(vec![port(&metrics)]) })
}

/// The namespaces of these names.
fn named(namespaces: &[String]) -> LabelSelector {
    let named = LabelSelectorRequirement {
        key: NAMESPACE_NAME.into(),
        operator: "In".into(),
        values: Some(namespaces.to_vec()),
    };
    LabelSelector { match_expressions: Some(vec![named]), match_labels: None }
}

/// Names are to be looked up wherever the agent may go, and who answers differs: a pod, or an address of the node.
fn dns() -> NetworkPolicyEgressRule {
    let to = |protocol| port(&NetworkPort { port: DNS_PORT, end_port: None, protocol: Some(protocol) });
    NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![to(NetworkProtocol::UDP), to(NetworkProtocol::TCP)]),
    }
}

fn peer(of: &NetworkPeer) -> NetworkPolicyPeer {
    let NetworkPeer { pod_selector, namespace_selector, ip_block, ports: _ } = of;
    NetworkPolicyPeer {
        pod_selector: pod_selector.clone(),
        namespace_selector: namespace_selector.clone(),
        ip_block: ip_block.as_ref().map(|block| IPBlock {
            cidr: block.cidr.clone(),
            except: (!block.except.is_empty()).then(|| block.except.clone()),
        }),
    }
}

fn ports(of: &[NetworkPort]) -> Option<Vec<NetworkPolicyPort>> {
    (!of.is_empty()).then(|| of.iter().map(port).collect())
}

/// With the protocol always, so that it is the same as what the API server makes of it.
fn port(of: &NetworkPort) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(of.port)),
        end_port: of.end_port,
        protocol: Some(<&str>::from(of.protocol.unwrap_or(NetworkProtocol::TCP)).into()),
    }
}

fn selector(labels: std::collections::BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

#[cfg(test)]
mod tests;
