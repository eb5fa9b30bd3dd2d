//! What a NetworkPolicy admits, worked out as Kubernetes defines it: a connection from or to a pod that a policy
//! selects is admitted when a rule of its direction has both the peer and the port; a direction that the policy
//! doesn't name is open.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub type Labels = BTreeMap<String, String>;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub enum End {
    Pod { namespace: String, namespace_labels: Labels, labels: Labels },
    Address(IpAddr),
}

/// Whether the selected pods may be reached by `from` on this port.
pub fn admits_from(policy: &NetworkPolicy, from: &End, port: i32, protocol: &str) -> bool {
    let spec = spec(policy);
    let rules = spec.ingress.iter().flatten().map(|rule| (rule.from.as_ref(), rule.ports.as_ref()));
    !has_direction(spec, "Ingress") || any(policy, rules, from, port, protocol)
}

/// Whether the selected pods may reach `to` on this port.
pub fn admits_to(policy: &NetworkPolicy, to: &End, port: i32, protocol: &str) -> bool {
    let spec = spec(policy);
    let rules = spec.egress.iter().flatten().map(|rule| (rule.to.as_ref(), rule.ports.as_ref()));
    !has_direction(spec, "Egress") || any(policy, rules, to, port, protocol)
}

/// Whether a pod with these labels is one that the policy is about.
pub fn selects(policy: &NetworkPolicy, labels: &Labels) -> bool {
    spec(policy).pod_selector.as_ref().is_none_or(|selector| matches(selector, labels))
}

fn spec(policy: &NetworkPolicy) -> &NetworkPolicySpec {
    policy.spec.as_ref().expect("a policy has a spec")
}

fn has_direction(spec: &NetworkPolicySpec, direction: &str) -> bool {
    spec.policy_types.as_ref().expect("we say the directions").iter().any(|of| of == direction)
}

fn any<'a>(
    policy: &NetworkPolicy,
    mut rules: impl Iterator<Item = (Option<&'a Vec<NetworkPolicyPeer>>, Option<&'a Vec<NetworkPolicyPort>>)>,
    end: &End,
    port: i32,
    protocol: &str,
) -> bool {
    let own = policy.metadata.namespace.as_deref().expect("a policy is in a namespace");
    rules.any(|(peers, ports)| {
        peers.is_none_or(|peers| peers.is_empty() || peers.iter().any(|peer| is_peer(peer, own, end)))
            && ports.is_none_or(|ports| ports.is_empty() || ports.iter().any(|p| is_port(p, port, protocol)))
    })
}

fn is_peer(peer: &NetworkPolicyPeer, own: &str, end: &End) -> bool {
    match (end, &peer.ip_block) {
        (End::Address(address), Some(block)) => is_in_block(block, *address),
        (End::Pod { .. }, Some(_)) | (End::Address(_), None) => false,
        (End::Pod { namespace, namespace_labels, labels }, None) => {
            let there = match &peer.namespace_selector {
                Some(selector) => matches(selector, namespace_labels),
                None => namespace == own,
            };
            there && peer.pod_selector.as_ref().is_none_or(|selector| matches(selector, labels))
        }
    }
}

fn is_in_block(block: &IPBlock, address: IpAddr) -> bool {
    is_in(&block.cidr, address) && !block.except.iter().flatten().any(|range| is_in(range, address))
}

fn is_in(range: &str, address: IpAddr) -> bool {
    let (base, bits) = range.split_once('/').expect("a range has a length");
    let (base, bits): (IpAddr, u32) = (base.parse().expect("an address"), bits.parse().expect("a length"));
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    base.is_ipv4() == address.is_ipv4()
        && (bits == 0 || (number(base) ^ number(address)) >> (128 - bits) == 0)
}

fn is_port(of: &NetworkPolicyPort, port: i32, protocol: &str) -> bool {
    let Some(IntOrString::Int(first)) = of.port else { panic!("our ports are numbers") };
    of.protocol.as_deref().unwrap_or("TCP") == protocol
        && (first..=of.end_port.unwrap_or(first)).contains(&port)
}

fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|of| {
            let value = labels.get(&of.key);
            let among = value.is_some_and(|value| of.values.iter().flatten().any(|v| v == value));
            match of.operator.as_str() {
                "In" => among,
                "NotIn" => !among,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                other => panic!("{other} is no operator"),
            }
        })
}
