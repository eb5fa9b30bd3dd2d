//! What all nodes have together, and what of it no pod has requested.

use std::collections::HashMap;

use parallax_crds::Amounts;
use parallax_crds::amounts::EXTENDED;
use parallax_crds::link::{ClusterReport, Resources};

use super::labels;
use super::node::NodeFacts;

/// The nodes of a cluster and what pods keep of them. What a listing doesn't have is gone when it is complete.
#[derive(Debug, Default)]
pub struct Capacity {
    nodes: HashMap<Box<str>, (u32, NodeFacts)>,
    node_listing: u32,
    /// By UID.
    pods: HashMap<Box<str>, Pod>,
    pod_listing: u32,
    /// By node, whether it is known or not.
    requested: HashMap<Box<str>, Amounts>,
    /// All pods are known.
    pods_known: bool,
}

#[derive(Debug)]
struct Pod {
    listing: u32,
    node: Box<str>,
    amounts: Amounts,
}

impl Capacity {
    /// A node, as it is now: whether that is news.
    pub fn put_node(&mut self, name: &str, facts: NodeFacts) -> bool {
        let news = self.nodes.get(name).is_none_or(|(_, known)| *known != facts);
        self.nodes.insert(name.into(), (self.node_listing, facts));
        news
    }

    /// A node is gone.
    pub fn remove_node(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// A listing of nodes begins.
    pub fn list_nodes(&mut self) {
        self.node_listing += 1;
    }

    /// It is complete.
    pub fn sweep_nodes(&mut self) {
        let listing = self.node_listing;
        self.nodes.retain(|_, (seen, _)| *seen == listing);
    }

    /// A pod on that node keeps so much of it: whether that is news.
    pub fn put_pod(&mut self, uid: &str, node: &str, amounts: Amounts) -> bool {
        let listing = self.pod_listing;
        if let Some(pod) = self.pods.get_mut(uid)
            && *pod.node == *node
            && pod.amounts == amounts
        {
            pod.listing = listing;
            return false;
        }
        self.remove_pod(uid);
        self.requested.entry(node.into()).or_default().add(&amounts);
        self.pods.insert(uid.into(), Pod { listing, node: node.into(), amounts });
        true
    }

    /// A pod keeps nothing any more: whether that is news.
    pub fn remove_pod(&mut self, uid: &str) -> bool {
        let Some(pod) = self.pods.remove(uid) else { return false };
        if let Some(requested) = self.requested.get_mut(&pod.node) {
            *requested = requested.less(&pod.amounts);
            if requested.pods == 0 {
                self.requested.remove(&pod.node);
            }
        }
        true
    }

    /// A listing of pods begins.
    pub fn list_pods(&mut self) {
        self.pod_listing += 1;
    }

    /// It is complete: what is free is known.
    pub fn sweep_pods(&mut self) {
        let listing = self.pod_listing;
        let gone = self.pods.iter().filter(|(_, pod)| pod.listing != listing);
        for uid in gone.map(|(uid, _)| uid.clone()).collect::<Vec<_>>() {
            self.remove_pod(&uid);
        }
        self.pods_known = true;
    }

    /// The pods may not be seen any longer: whether what is free was known.
    pub fn forget_pods(&mut self) -> bool {
        self.pods.clear();
        self.requested.clear();
        std::mem::take(&mut self.pods_known)
    }

    /// Puts all of it into what the hub is told.
    pub fn tell(&self, report: &mut ClusterReport) {
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let nodes = || self.nodes.values().map(|(_, facts)| facts);
        report.nodes_total = count(self.nodes.len());
        report.nodes_ready = count(nodes().filter(|node| node.ready).count());
        report.labels = labels::common(nodes());
        let (mut capacity, mut allocatable) = (Amounts::default(), Amounts::default());
        for node in nodes() {
            capacity.add(&node.capacity);
            allocatable.add(&node.allocatable);
        }
        let free = self.pods_known.then(|| self.free());
        let told = [Some(capacity), Some(allocatable), free].map(|amounts| amounts.map(bounded));
        let [Some(capacity), Some(allocatable), free] = told else { return };
        report.resources = Some(Resources { capacity, allocatable, free });
    }

    /// On each node that takes pods, what is left, at least nothing: one that has too much doesn't take from the others.
    fn free(&self) -> Amounts {
        let mut free = Amounts::default();
        for (name, (_, node)) in &self.nodes {
            // What no node has at all is another thing than what is used up.
            let none = node.allocatable.times(0);
            match self.requested.get(name) {
                _ if !node.takes_pods => free.add(&none),
                Some(requested) => free.add(&node.allocatable.less(requested)),
                None => free.add(&node.allocatable),
            }
        }
        free
    }
}

/// As many extended resources as can be told, by name.
fn bounded(mut amounts: Amounts) -> Amounts {
    while amounts.extended.len() > EXTENDED {
        amounts.extended.pop_last();
    }
    amounts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const GPU: &str = "nvidia.com/gpu";

    fn amounts(cpu: i64, pods: i64, gpus: Option<i64>) -> Amounts {
        Amounts {
            cpu,
            memory: cpu << 20,
            pods,
            extended: gpus.map(|n| (GPU.to_owned(), n)).into_iter().collect(),
        }
    }

    fn node(cpu: i64, gpus: Option<i64>, takes_pods: bool) -> NodeFacts {
        let capacity = amounts(cpu + 200, 110, gpus);
        NodeFacts {
            ready: true,
            takes_pods,
            allocatable: amounts(cpu, 110, gpus),
            capacity,
            labels: BTreeMap::new(),
        }
    }

    fn told(capacity: &Capacity) -> Resources {
        let mut report = ClusterReport::default();
        capacity.tell(&mut report);
        report.resources.unwrap()
    }

    fn known() -> Capacity {
        let mut capacity = Capacity::default();
        capacity.list_pods();
        capacity.sweep_pods();
        capacity
    }

    #[test]
    fn free_is_what_pods_leave_of_nodes_that_take_them() {
        let mut capacity = known();
        capacity.put_node("a", node(4000, Some(2), true));
        capacity.put_node("cordoned", node(8000, None, false));
        assert!(capacity.put_pod("1", "a", amounts(1000, 1, Some(1))));
        assert!(!capacity.put_pod("1", "a", amounts(1000, 1, Some(1))), "no news");
        capacity.put_pod("2", "cordoned", amounts(1000, 1, None));
        capacity.put_pod("3", "unknown", amounts(1000, 1, None));
        let Resources { capacity: all, allocatable, free } = told(&capacity);
        assert_eq!((all.cpu, allocatable.cpu), (12_400, 12_000));
        assert_eq!(free, Some(amounts(3000, 109, Some(1))));
        assert!(capacity.remove_pod("1") && !capacity.remove_pod("1"));
        assert_eq!(told(&capacity).free, Some(amounts(4000, 110, Some(2))));
    }

    #[test]
    fn a_node_that_has_too_much_takes_nothing_from_the_others() {
        let mut capacity = known();
        capacity.put_node("a", node(1000, None, true));
        capacity.put_node("b", node(1000, None, true));
        capacity.put_pod("1", "a", amounts(5000, 1, None));
        assert_eq!(told(&capacity).free.unwrap().cpu, 1000);
    }

    #[test]
    fn a_resource_of_nodes_that_take_nothing_is_there_and_not_free() {
        let mut capacity = known();
        capacity.put_node("a", node(1000, Some(4), false));
        assert_eq!(told(&capacity).free.unwrap().extended, [(GPU.to_owned(), 0)].into());
    }

    #[test]
    fn nothing_is_free_as_long_as_pods_are_not_known() {
        let mut capacity = Capacity::default();
        capacity.put_node("a", node(1000, None, true));
        assert_eq!(told(&capacity).free, None);
        capacity.list_pods();
        capacity.put_pod("1", "a", amounts(100, 1, None));
        assert_eq!(told(&capacity).free, None, "the list is not complete");
        capacity.sweep_pods();
        assert_eq!(told(&capacity).free.unwrap().cpu, 900);
        assert!(capacity.forget_pods() && !capacity.forget_pods());
        assert_eq!(told(&capacity).free, None);
    }

    #[test]
    fn a_listing_ends_what_it_does_not_have() {
        let mut capacity = known();
        capacity.put_node("a", node(1000, None, true));
        capacity.put_node("b", node(1000, None, true));
        capacity.put_pod("1", "a", amounts(100, 1, None));
        capacity.put_pod("2", "a", amounts(100, 1, None));
        capacity.list_nodes();
        capacity.list_pods();
        capacity.put_node("a", node(1000, None, true));
        assert!(!capacity.put_pod("2", "a", amounts(100, 1, None)));
        capacity.sweep_nodes();
        capacity.sweep_pods();
        assert_eq!(told(&capacity).free.unwrap().cpu, 900);
    }

    #[test]
    fn no_more_is_told_than_can_be() {
        let mut capacity = known();
        let mut large = node(1000, None, true);
        large.allocatable.extended = (0..100).map(|n| (format!("example.com/r{n}"), 1)).collect();
        capacity.put_node("a", large);
        assert_eq!(told(&capacity).free.unwrap().extended.len(), EXTENDED);
    }

    proptest! {
        /// Whatever comes in whatever order, what is free is what one would count by hand.
        #[test]
        fn the_sums_are_those_of_what_is_there(
            steps in prop::collection::vec((0..5_u8, 0..6_u8, 0..3_u8, 0..50_i64, prop::option::of(0..3_i64)), 0..60),
        ) {
            let mut capacity = known();
            let mut nodes: BTreeMap<String, NodeFacts> = BTreeMap::new();
            let mut pods: BTreeMap<String, (String, Amounts)> = BTreeMap::new();
            for (what, uid, name, cpu, gpus) in steps {
                let (uid, name) = (uid.to_string(), name.to_string());
                match what {
                    0 => {
                        let facts = node(cpu, gpus, cpu % 4 != 0);
                        capacity.put_node(&name, facts.clone());
                        nodes.insert(name, facts);
                    }
                    1 => {
                        capacity.remove_node(&name);
                        nodes.remove(&name);
                    }
                    2 => {
                        capacity.remove_pod(&uid);
                        pods.remove(&uid);
                    }
                    _ => {
                        let requests = amounts(cpu, 1, gpus);
                        capacity.put_pod(&uid, &name, requests.clone());
                        pods.insert(uid, (name, requests));
                    }
                }
            }
            let mut free = Amounts::default();
            for (name, facts) in &nodes {
                let mut left = facts.allocatable.clone();
                for (_, requests) in pods.values().filter(|(node, _)| node == name) {
                    left = left.less(requests);
                }
                free.add(&if facts.takes_pods { left } else { facts.allocatable.times(0) });
            }
            prop_assert_eq!(told(&capacity).free, Some(free));
        }
    }
}
