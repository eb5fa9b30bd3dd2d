//! Who connects: the pods of the cluster by their addresses, as far as that decides who may.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use parallax_member_core::callers::{Caller, Callers, Labels};

use crate::store::Listed;

/// What the administrator says of callers.
#[derive(Debug, Clone, Default)]
pub struct Admitted {
    /// Namespaces whose pods labelled `app=parallax-control-plane` may call every agent.
    pub control_planes: Vec<String>,
    /// Addresses that may call every agent.
    pub networks: Vec<IpNet>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Sources {
    pods: HashMap<IpAddr, Source>,
    /// The labels of the namespaces.
    pub namespaces: Listed<Labels>,
}

#[derive(Debug)]
struct Source {
    pod: Box<str>,
    namespace: Box<str>,
    labels: Labels,
}

impl Sources {
    /// The pod of that UID has this address.
    pub fn put(&mut self, address: IpAddr, pod: &str, namespace: &str, labels: Option<&Labels>) {
        let labels = labels.cloned().unwrap_or_default();
        self.pods.insert(address, Source { pod: pod.into(), namespace: namespace.into(), labels });
    }

    /// The pod of that UID is gone; its address may be another's by now.
    pub fn remove(&mut self, address: IpAddr, pod: &str) {
        if self.pods.get(&address).is_some_and(|source| *source.pod == *pod) {
            self.pods.remove(&address);
        }
    }

    /// Whether a connection from that address is one of the agent's callers'.
    pub fn admit(&self, address: IpAddr, callers: &Callers) -> bool {
        let address = address.to_canonical();
        let none = Labels::new();
        callers.admit(match self.pods.get(&address) {
            Some(source) => Caller::Pod {
                namespace: &source.namespace,
                namespace_labels: self.namespaces.get(&source.namespace).unwrap_or(&none),
                labels: &source.labels,
            },
            None => Caller::Address(address),
        })
    }
}

impl Admitted {
    /// Whether an address may call every agent.
    pub fn everywhere(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn labels(key: &str, value: &str) -> Labels {
        [(key.to_owned(), value.to_owned())].into()
    }

    fn sources() -> Sources {
        let mut sources = Sources::default();
        let caller = labels("app", "parallax-control-plane");
        sources.put(ip("10.0.0.1"), "u1", "team", Some(&caller));
        sources.put(ip("10.0.0.2"), "u2", "team", None);
        sources.put(ip("10.0.0.3"), "u3", "other", Some(&caller));
        sources.put(ip("10.0.0.4"), "u4", "control", Some(&caller));
        sources.put(ip("10.0.0.5"), "u5", "search", None);
        sources.namespaces.put("search", labels("team", "search"));
        sources
    }

    fn callers() -> Callers {
        let network = json!({"ingress": [
            {"namespaceSelector": {"matchLabels": {"team": "search"}}},
            {"ipBlock": {"cidr": "192.0.2.0/24"}},
        ]});
        let network = serde_json::from_value(network).unwrap();
        Callers::of("team", Some(&network), &["control".to_owned()])
    }

    #[test]
    fn a_caller_is_known_by_its_pods_and_its_namespaces_labels_or_else_by_its_address() {
        let sources = sources();
        let admitted = |address: &str| sources.admit(ip(address), &callers());
        assert!(admitted("10.0.0.1") && admitted("::ffff:10.0.0.1"));
        assert!(!admitted("10.0.0.2"), "it has no label");
        assert!(!admitted("10.0.0.3"), "it is of another namespace");
        assert!(admitted("10.0.0.4"));
        assert!(admitted("10.0.0.5"), "its namespace is a peer");
        assert!(!admitted("10.9.9.9"), "it is no pod");
        assert!(admitted("192.0.2.9") && admitted("::ffff:192.0.2.9"), "a peer that is no pod");
    }

    #[test]
    fn the_labels_of_a_namespace_are_those_that_it_has_now() {
        let mut sources = sources();
        sources.namespaces.put("search", labels("team", "another"));
        assert!(!sources.admit(ip("10.0.0.5"), &callers()));
        sources.namespaces.put("search", labels("team", "search"));
        sources.namespaces.remove("search");
        assert!(!sources.admit(ip("10.0.0.5"), &callers()));
    }

    #[test]
    fn a_network_of_the_administrator_is_admitted() {
        let admitted = Admitted { networks: vec!["192.0.2.0/24".parse().unwrap()], ..Admitted::default() };
        assert!(admitted.everywhere(ip("192.0.2.7")) && !admitted.everywhere(ip("192.0.3.7")));
    }

    #[test]
    fn an_address_that_another_pod_has_by_now_stays_its() {
        let mut sources = sources();
        sources.remove(ip("10.0.0.1"), "older");
        assert!(sources.admit(ip("10.0.0.1"), &callers()));
        sources.remove(ip("10.0.0.1"), "u1");
        assert!(!sources.admit(ip("10.0.0.1"), &callers()));
    }
}
