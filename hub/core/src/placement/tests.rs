#![allow(clippy::unwrap_used)]

mod everything;
mod examples;
mod hints;
mod page;
mod properties;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use parallax_crds::agent::{ClusterWeight, Division, DivisionMode, Placement, Strategy};
use parallax_crds::{ClusterName, Incarnation, labels};

use super::explanation::Verdict;
use super::filter::{Exclusion, Standing};
use super::*;

fn name(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

/// An accepted, connected cluster without labels.
fn cluster(called: &str) -> ClusterFacts {
    ClusterFacts::open(name(called))
}

fn clusters(n: usize) -> Vec<ClusterFacts> {
    (0..n).map(|i| cluster(&format!("c-{i:05}"))).collect()
}

impl ClusterFacts {
    fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    fn region(self, region: &str) -> Self {
        self.labelled(labels::REGION, region)
    }

    fn unaccepted(mut self) -> Self {
        self.accepted = false;
        self
    }

    fn suspended(mut self) -> Self {
        self.suspended = true;
        self
    }

    fn disconnected(mut self) -> Self {
        self.connected = false;
        self
    }
}

fn selector(key: &str, value: &str) -> LabelSelector {
    let labels = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}

fn weighted(weights: &[(&str, i32)]) -> Placement {
    let weights = weights
        .iter()
        .map(|(tier, weight)| ClusterWeight { cluster_selector: selector("tier", tier), weight: *weight })
        .collect();
    let division = Division { mode: DivisionMode::Weighted, weights, ..Division::default() };
    Placement { division: Some(division), ..Placement::default() }
}

fn replicated() -> Placement {
    Placement { strategy: Strategy::Replicate, ..Placement::default() }
}

type Shares = BTreeMap<ClusterName, i32>;

fn shares(of: &[(&str, i32)]) -> Shares {
    of.iter().map(|(cluster, share)| (name(cluster), *share)).collect()
}

fn sum(shares: &Shares) -> i32 {
    shares.values().sum()
}

/// How many replicas are in another place in `new`: the larger of what was added and what was taken.
fn moves(old: &Shares, new: &Shares) -> i32 {
    let share = |of: &Shares, cluster: &ClusterName| of.get(cluster).copied().unwrap_or(0);
    let names: std::collections::BTreeSet<&ClusterName> = old.keys().chain(new.keys()).collect();
    let changes: Vec<i32> = names.into_iter().map(|c| share(new, c) - share(old, c)).collect();
    let added = changes.iter().filter(|c| **c > 0).sum::<i32>();
    let taken = -changes.iter().filter(|c| **c < 0).sum::<i32>();
    added.max(taken)
}

static EVERYWHERE_THE_SAME: BTreeMap<ClusterName, Amounts> = BTreeMap::new();

fn request<'a>(
    incarnation: &'a Incarnation,
    replicas: i32,
    placement: Option<&'a Placement>,
    requests: &'a Amounts,
) -> Request<'a> {
    let otherwise = &EVERYWHERE_THE_SAME;
    Request { incarnation, namespace: "default", replicas, requests, otherwise, placement, rebalance: false }
}

/// Places the agent whose incarnation is `uid`.
fn place_as(
    uid: &str,
    replicas: i32,
    placement: Option<&Placement>,
    fleet: &[ClusterFacts],
    current: Option<&Shares>,
) -> Placed {
    let (incarnation, requests) = (Incarnation::new(uid), Amounts::default());
    place(&request(&incarnation, replicas, placement, &requests), fleet, current, Timestamp::UNIX_EPOCH)
}

fn placed(
    replicas: i32,
    placement: Option<&Placement>,
    fleet: &[ClusterFacts],
    current: Option<&Shares>,
) -> Placed {
    place_as("4c1f8a52-30a4-4b0f-9d1e-6a7a4c0e6d11", replicas, placement, fleet, current)
}
