//! Who may connect to an agent: the pods that its NetworkPolicy admits, and what the administrator names.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use parallax_crds::AgentKey;

/// Pods with this label may call the agents of their own namespace, and of all from a control-plane namespace.
const CALLER: (&str, &str) = ("app", "parallax-control-plane");

/// What the administrator says of callers.
#[derive(Debug, Clone, Default)]
pub struct Callers {
    /// Namespaces whose pods labelled `app=parallax-control-plane` may call every agent.
    pub control_planes: Vec<String>,
    /// Addresses that may call every agent.
    pub networks: Vec<IpNet>,
}

/// The pods of the cluster by their addresses, as far as that decides who may connect.
#[derive(Debug, Default)]
pub struct Sources(HashMap<IpAddr, Source>);

#[derive(Debug)]
struct Source {
    pod: Box<str>,
    namespace: Box<str>,
    caller: bool,
}

impl Sources {
    /// The pod of that UID has this address.
    pub fn put(
        &mut self,
        address: IpAddr,
        pod: &str,
        namespace: &str,
        labels: Option<&BTreeMap<String, String>>,
    ) {
        let caller = labels.is_some_and(|labels| labels.get(CALLER.0).is_some_and(|value| value == CALLER.1));
        self.0.insert(address, Source { pod: pod.into(), namespace: namespace.into(), caller });
    }

    /// The pod of that UID is gone; its address may be another's by now.
    pub fn remove(&mut self, address: IpAddr, pod: &str) {
        if self.0.get(&address).is_some_and(|source| *source.pod == *pod) {
            self.0.remove(&address);
        }
    }

    /// Whether a connection from that address is admitted to the agent.
    pub fn admit(&self, address: IpAddr, agent: &AgentKey, callers: &Callers) -> bool {
        let address = address.to_canonical();
        if callers.networks.iter().any(|network| network.contains(&address)) {
            return true;
        }
        self.0.get(&address).is_some_and(|source| {
            let own = *source.namespace == *agent.namespace();
            source.caller && (own || callers.control_planes.iter().any(|name| **name == *source.namespace))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn sources() -> Sources {
        let mut sources = Sources::default();
        let caller = BTreeMap::from([("app".to_owned(), "parallax-control-plane".to_owned())]);
        sources.put(ip("10.0.0.1"), "u1", "team", Some(&caller));
        sources.put(ip("10.0.0.2"), "u2", "team", None);
        sources.put(ip("10.0.0.3"), "u3", "other", Some(&caller));
        sources.put(ip("10.0.0.4"), "u4", "control", Some(&caller));
        sources
    }

    #[test]
    fn the_callers_are_those_that_the_network_policy_admits() {
        let callers = Callers { control_planes: vec!["control".to_owned()], networks: vec![] };
        let agent = AgentKey::new("team", "writer");
        let admitted = |address: &str| sources().admit(ip(address), &agent, &callers);
        assert!(admitted("10.0.0.1") && admitted("::ffff:10.0.0.1"));
        assert!(!admitted("10.0.0.2"), "it has no label");
        assert!(!admitted("10.0.0.3"), "it is of another namespace");
        assert!(admitted("10.0.0.4"));
        assert!(!admitted("10.9.9.9"), "it is no pod");
    }

    #[test]
    fn a_network_of_the_administrator_is_admitted() {
        let callers = Callers { networks: vec!["192.0.2.0/24".parse().unwrap()], ..Callers::default() };
        let agent = AgentKey::new("team", "writer");
        assert!(Sources::default().admit(ip("192.0.2.7"), &agent, &callers));
        assert!(!Sources::default().admit(ip("192.0.3.7"), &agent, &callers));
    }

    #[test]
    fn an_address_that_another_pod_has_by_now_stays_its() {
        let mut sources = sources();
        sources.remove(ip("10.0.0.1"), "older");
        let admitted =
            |s: &Sources| s.admit(ip("10.0.0.1"), &AgentKey::new("team", "writer"), &Callers::default());
        assert!(admitted(&sources));
        sources.remove(ip("10.0.0.1"), "u1");
        assert!(!admitted(&sources));
    }
}
