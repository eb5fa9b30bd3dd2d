//! How many more replicas of an agent fit into a cluster.

use super::{Amounts, ClusterFacts};

/// How many more replicas a cluster may take, and what it has too little of for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// None: nothing bounds it that is known of.
    pub more: Option<i64>,
    /// What sets the bound.
    pub scarce: Scarce,
}

/// What a cluster has too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// Nothing.
    Nothing,
    /// What `spec.maxReplicas` leaves.
    Room,
    /// Free CPU.
    Cpu,
    /// Free memory.
    Memory,
    /// Pods that its nodes may still have.
    Pods,
    /// The extended resource in this place of the agent's.
    Extended(usize),
}

/// How many more replicas, each of which requests `requests`, the cluster may take.
#[must_use]
pub fn fit(cluster: &ClusterFacts, requests: &Amounts) -> Fit {
    let mut tightest = Fit { more: None, scarce: Scarce::Nothing };
    let mut bound = |more: i64, scarce: Scarce| {
        let more = more.max(0);
        if tightest.more.is_none_or(|before| more < before) {
            tightest = Fit { more: Some(more), scarce };
        }
    };
    if let Some(free) = &cluster.free {
        for (place, (name, request)) in requests.extended.iter().enumerate() {
            if *request > 0 {
                bound(free.extended.get(name).copied().unwrap_or(0) / request, Scarce::Extended(place));
            }
        }
        for (free, request, scarce) in [
            (free.cpu, requests.cpu, Scarce::Cpu),
            (free.memory, requests.memory, Scarce::Memory),
            (free.pods, requests.pods, Scarce::Pods),
        ] {
            if request > 0 {
                bound(free / request, scarce);
            }
        }
    }
    if let Some(room) = cluster.room {
        bound(i64::from(room), Scarce::Room);
    }
    tightest
}

/// What `replicas` of the agent need of what is scarce: "4 CPU", "512Mi memory", "2 nvidia.com/gpu".
#[must_use]
pub fn needed(scarce: Scarce, requests: &Amounts, replicas: i64) -> String {
    let times = |amount: i64| amount.saturating_mul(replicas.max(1));
    match scarce {
        Scarce::Nothing | Scarce::Room => String::new(),
        Scarce::Cpu => format!("{} CPU", cpu(times(requests.cpu))),
        Scarce::Memory => format!("{} memory", bytes(times(requests.memory))),
        Scarce::Pods if times(requests.pods) == 1 => "1 pod".to_owned(),
        Scarce::Pods => format!("{} pods", times(requests.pods)),
        Scarce::Extended(place) => requests
            .extended
            .iter()
            .nth(place)
            .map_or_else(String::new, |(name, amount)| format!("{} {name}", times(*amount))),
    }
}

fn cpu(thousandths: i64) -> String {
    if thousandths % 1_000 == 0 { (thousandths / 1_000).to_string() } else { format!("{thousandths}m") }
}

fn bytes(amount: i64) -> String {
    let units = [("Ti", 1_i64 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    match units.iter().find(|(_, size)| amount >= *size && amount % size == 0) {
        Some((unit, size)) => format!("{}{unit}", amount / size),
        None => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::ClusterName;

    use super::*;

    fn amounts(cpu: i64, memory: i64, pods: i64, gpus: Option<i64>) -> Amounts {
        let extended = gpus.into_iter().map(|n| ("nvidia.com/gpu".to_owned(), n)).collect();
        Amounts { cpu, memory, pods, extended }
    }

    fn having(free: Option<Amounts>, room: Option<i32>) -> ClusterFacts {
        ClusterFacts { free, room, ..ClusterFacts::open(ClusterName::new("a").unwrap()) }
    }

    #[test]
    fn the_scarcest_resource_sets_the_bound() {
        let free = || Some(amounts(9_000, 8 << 30, 100, Some(3)));
        let fits = |requests: &Amounts, room| fit(&having(free(), room), requests);
        let fit_of = |more, scarce| Fit { more: Some(more), scarce };
        assert_eq!(fits(&amounts(2_000, 1 << 30, 1, None), None), fit_of(4, Scarce::Cpu));
        assert_eq!(fits(&amounts(100, 3 << 30, 1, None), None), fit_of(2, Scarce::Memory));
        assert_eq!(fits(&amounts(0, 0, 1, None), None), fit_of(100, Scarce::Pods));
        assert_eq!(fits(&amounts(0, 0, 1, Some(2)), None), fit_of(1, Scarce::Extended(0)));
        assert_eq!(fits(&amounts(0, 0, 1, Some(2)), Some(0)), fit_of(0, Scarce::Room));
        assert_eq!(
            fits(&amounts(0, 0, 1, None), Some(-3)),
            fit_of(0, Scarce::Room),
            "more were promised than allowed"
        );
    }

    #[test]
    fn a_cluster_that_has_not_told_is_not_bounded_and_one_without_the_resource_is() {
        let requests = amounts(100, 0, 1, Some(1));
        assert_eq!(fit(&having(None, None), &requests).more, None);
        let without = having(Some(amounts(9_000, 0, 100, None)), None);
        assert_eq!(fit(&without, &requests), Fit { more: Some(0), scarce: Scarce::Extended(0) });
    }

    #[test]
    fn what_is_needed_is_written_as_kubernetes_writes_it() {
        let requests = amounts(250, 512 << 20, 1, Some(2));
        let needed = |scarce, replicas| needed(scarce, &requests, replicas);
        assert_eq!(needed(Scarce::Cpu, 1), "250m CPU");
        assert_eq!(needed(Scarce::Cpu, 16), "4 CPU");
        assert_eq!(needed(Scarce::Memory, 1), "512Mi memory");
        assert_eq!(needed(Scarce::Memory, 4), "2Gi memory");
        assert_eq!(needed(Scarce::Pods, 1), "1 pod");
        assert_eq!(needed(Scarce::Extended(0), 2), "4 nvidia.com/gpu");
    }
}
