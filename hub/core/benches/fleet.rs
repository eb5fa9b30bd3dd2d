//! How long a hub takes from its start until every agent is placed, ordered and shown as running, and what one cluster's
//! change costs then.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "fleet/driver.rs"]
mod driver;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use driver::Driver;

const AGENTS: usize = 10_000;
const CLUSTERS: usize = 100;

fn stored() -> Driver {
    let mut driver = Driver::new(CLUSTERS);
    driver.store_agents(AGENTS);
    driver
}

fn a_cold_start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("{AGENTS} agents in {CLUSTERS} clusters"));
    group.sample_size(10);
    let start = |mut driver: Driver| {
        driver.start();
        assert_eq!(driver.running(), AGENTS);
        driver
    };
    group.bench_function("from cold until all are running", |bench| {
        bench.iter_batched(stored, start, BatchSize::PerIteration);
    });
    let mut driver = start(stored());
    let mut wave = 0;
    group.bench_function("a label that concerns nobody", |bench| {
        bench.iter(|| {
            wave += 1;
            driver.edit_cluster(7, |cluster| {
                let labels = cluster.metadata.labels.get_or_insert_default();
                labels.insert("wave".to_owned(), black_box(wave).to_string());
            });
        });
    });
    group.finish();
}

criterion_group!(benches, a_cold_start);
criterion_main!(benches);
