//! Who may call an agent: whom its NetworkPolicy lets through to the port that it answers on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use parallax_crds::agent::{IpBlock, Network, NetworkPeer, NetworkPort, NetworkProtocol};
use parallax_crds::labels::CONTROL_PLANE;
use parallax_crds::selector::matches;

use crate::build::PORT;

/// Labels of a pod or a namespace.
pub type Labels = BTreeMap<String, String>;

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub enum Caller<'a> {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: &'a str,
        /// The namespace's labels.
        namespace_labels: &'a Labels,
        /// Its own.
        labels: &'a Labels,
    },
    /// Something else.
    Address(IpAddr),
}

/// Who may call one agent.
#[derive(Debug, Clone, Default)]
pub struct Callers {
    namespace: String,
    control_planes: Vec<String>,
    peers: Vec<NetworkPeer>,
}

impl Callers {
    /// Of an agent of that namespace, with that `network`, where control planes may also be in those namespaces.
    #[must_use]
    pub fn of(namespace: &str, network: Option<&Network>, control_planes: &[String]) -> Self {
        let peers = network.iter().flat_map(|network| &network.ingress);
        Self {
            namespace: namespace.to_owned(),
            control_planes: control_planes.to_vec(),
            peers: peers.filter(|peer| reaches(&peer.ports)).cloned().collect(),
        }
    }

    /// Whether that one may.
    #[must_use]
    pub fn admit(&self, caller: Caller<'_>) -> bool {
        self.is_control_plane(caller) || self.peers.iter().any(|peer| self.is_peer(peer, caller))
    }

    fn is_control_plane(&self, caller: Caller<'_>) -> bool {
        let Caller::Pod { namespace, labels, .. } = caller else { return false };
        let (label, value) = CONTROL_PLANE;
        let there = namespace == self.namespace || self.control_planes.iter().any(|of| of == namespace);
        there && labels.get(label).is_some_and(|of| of == value)
    }

    fn is_peer(&self, peer: &NetworkPeer, caller: Caller<'_>) -> bool {
        let NetworkPeer { pod_selector, namespace_selector, ip_block, ports: _ } = peer;
        match (caller, ip_block) {
            (Caller::Address(address), Some(block)) => is_within(block, address),
            (Caller::Pod { .. }, Some(_)) | (Caller::Address(_), None) => false,
            (Caller::Pod { namespace, namespace_labels, labels }, None) => {
                let there = match namespace_selector {
                    Some(selector) => matches(selector, namespace_labels),
                    None => namespace == self.namespace,
                };
                // One that says neither is refused by the schema, and would be everybody.
                let named = pod_selector.is_some() || namespace_selector.is_some();
                named && there && pod_selector.as_ref().is_none_or(|selector| matches(selector, labels))
            }
        }
    }
}

/// Whether these ports, or all when there are none, have the one that agents answer on.
fn reaches(ports: &[NetworkPort]) -> bool {
    let has = |of: &NetworkPort| {
        let NetworkPort { port, end_port, protocol } = of;
        protocol.unwrap_or(NetworkProtocol::TCP) == NetworkProtocol::TCP
            && (*port..=end_port.unwrap_or(*port)).contains(&PORT.0)
    };
    ports.is_empty() || ports.iter().any(has)
}

fn is_within(block: &IpBlock, address: IpAddr) -> bool {
    let within = |range: &String| range.parse::<IpNet>().is_ok_and(|range| range.contains(&address));
    within(&block.cidr) && !block.except.iter().any(within)
}
