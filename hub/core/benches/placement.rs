//! How long placement takes: one agent over a large fleet, and a fleet's agents when the hub starts.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use parallax_crds::agent::Placement;
use parallax_crds::cluster::TaintEffect;
use parallax_crds::{Amounts, ClusterName, Incarnation, labels};
use parallax_hub_core::placement::{ClusterFacts, Namespaces, Request, Taint, place};
use serde_json::json;

fn fleet(size: usize) -> Vec<ClusterFacts> {
    let cluster = |i: usize| {
        let label = |key: &str, value: String| (key.to_owned(), value);
        let amount = |i: usize| i64::try_from(i).unwrap();
        let taint = Taint {
            key: "gpu".to_owned(),
            value: "only".to_owned(),
            effect: TaintEffect::NoSchedule,
            since: Timestamp::UNIX_EPOCH,
        };
        ClusterFacts {
            name: ClusterName::new(&format!("cluster-{i:05}")).unwrap(),
            labels: BTreeMap::from([
                label(labels::REGION, ["eu", "us", "ap"][i % 3].to_owned()),
                label(labels::ZONE, format!("zone-{}", i % 30)),
                label("tier", ["gold", "silver"][i % 2].to_owned()),
            ]),
            accepted: true,
            suspended: false,
            connected: true,
            taints: if i.is_multiple_of(7) { vec![taint] } else { Vec::new() },
            namespaces: Namespaces::default(),
            room: None,
            free: Some(Amounts {
                cpu: 1_000 * amount(i % 64),
                memory: 1 << 40,
                pods: 500,
                ..Amounts::default()
            }),
            scores: BTreeMap::from([("cost".to_owned(), i32::try_from(i % 100).unwrap())]),
        }
    };
    (0..size).map(cluster).collect()
}

fn placement(json: serde_json::Value) -> Placement {
    serde_json::from_value(json).unwrap()
}

/// Everything that is asked of each cluster.
fn hints() -> Placement {
    placement(json!({
        "regions": ["eu", "us"],
        "clusterSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "silver"]}]},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "preferred": [{"weight": 50, "clusterSelector": {"matchLabels": {"tier": "gold"}}}],
        "scores": [{"name": "cost", "weight": -5}],
        "division": {"mode": "Capacity"},
    }))
}

/// What each rule alone allows and all together don't: a region has ten zones.
fn impossible() -> Placement {
    placement(json!({
        "spread": [
            {"by": "region", "maxGroups": 1},
            {"by": "zone", "minGroups": 11, "maxSkew": 1},
            {"by": "cluster", "minGroups": 20, "maxSkew": 3},
        ],
    }))
}

fn placed(
    incarnation: &Incarnation,
    replicas: i32,
    placement: Option<&Placement>,
    fleet: &[ClusterFacts],
) -> usize {
    let requests = Amounts { cpu: 500, memory: 1 << 29, pods: 1, ..Amounts::default() };
    let request = Request {
        incarnation,
        namespace: "default",
        replicas,
        requests: &requests,
        otherwise: &BTreeMap::new(),
        placement,
        rebalance: false,
    };
    place(&request, black_box(fleet), None, Timestamp::UNIX_EPOCH).targets.len()
}

fn one_agent(criterion: &mut Criterion) {
    let (fleet, incarnation) = (fleet(10_000), Incarnation::new("uid"));
    let mut group = criterion.benchmark_group("one agent over 10,000 clusters");
    for (name, replicas, placement) in [
        ("divided over all", 5_000, None),
        ("with hints", 100, Some(hints())),
        ("replicated", 2, Some(placement(json!({"strategy": "Replicate"})))),
        ("spread over regions", 100, Some(placement(json!({"spread": [{"by": "region", "maxSkew": 1}]})))),
        ("a spread that can't be had", 5_000, Some(impossible())),
    ] {
        group.bench_function(name, |bench| {
            bench.iter(|| placed(&incarnation, replicas, placement.as_ref(), &fleet));
        });
    }
    group.finish();
}

fn a_cold_start(criterion: &mut Criterion) {
    let (fleet, hints) = (fleet(100), hints());
    let agents: Vec<Incarnation> = (0..10_000).map(|i| Incarnation::new(&format!("uid-{i}"))).collect();
    let mut group = criterion.benchmark_group("10,000 agents over 100 clusters");
    group.sample_size(10);
    for (name, placement) in [("divided over all", None), ("with hints", Some(&hints))] {
        group.bench_function(name, |bench| {
            bench.iter(|| agents.iter().map(|agent| placed(agent, 5, placement, &fleet)).sum::<usize>());
        });
    }
    group.finish();
}

criterion_group!(benches, one_agent, a_cold_start);
criterion_main!(benches);
