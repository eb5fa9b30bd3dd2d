//! One hub and three members over a simulated network: real drivers and real HTTP/2 streams, with partitions, cut
//! and held links, and restarts of either side. Once faults stop, every member holds what the hub wants, the hub knows of
//! every removal, and has the latest report of every agent.
//!
//! A seed that fails is printed; `PARALLAX_SIMULATION_SEED=n` plays it alone, `PARALLAX_SIMULATION_SEEDS=n` plays more.

#![allow(clippy::unwrap_used)]

mod hub;
mod member;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use hub::HubStore;
use member::MemberStore;
use parallax_crds::link::{Order, Scale};
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, Incarnation, fixtures};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use turmoil::Sim;

const MEMBERS: [&str; 3] = ["member-1", "member-2", "member-3"];
/// Faults and changes happen during this time.
const STORM: Duration = Duration::from_secs(90);
/// Afterwards, all must be well within this: a half-open stream is noticed after 45 s, a dial may hang 20 s.
const CALM: Duration = Duration::from_secs(240);

/// An order, without what the simulation doesn't vary.
pub fn order(agent: AgentRef, hash: u8, replicas: i32) -> Order {
    let (hash, scale) = (fixtures::hash(hash), Scale::fixed(replicas));
    Order { hash, scale, template: vec![b'x'; 600].into(), ..fixtures::order(agent) }
}

/// Changes what one member is to hold.
fn change(random: &mut SmallRng, hub: &Mutex<HubStore>) {
    let cluster = MEMBERS[random.random_range(0..MEMBERS.len())];
    let key = AgentKey::new("demo", &format!("agent-{}", random.random_range(0..8)));
    let mut hub = hub.lock();
    hub.made += 1;
    let fresh = Incarnation::new(&format!("uid-{}", hub.made));
    let old = hub.cluster(cluster).wanted.get(&key).map(|order| order.agent.clone());
    let (hash, replicas) = (random.random_range(0..200), random.random_range(0..5));
    match (random.random_range(0..10), old) {
        (0..6, old) => {
            let agent = old.unwrap_or(AgentRef { key, incarnation: fresh });
            hub.want(cluster, order(agent, hash, replicas));
        }
        (6..8, Some(old)) => hub.delete(cluster, &old),
        (_, old) => {
            if let Some(old) = &old {
                hub.delete(cluster, old);
            }
            hub.want(cluster, order(AgentRef { key, incarnation: fresh }, hash, replicas));
        }
    }
}

/// Makes one fault; what it breaks is mended by `mend`.
fn fault(random: &mut SmallRng, sim: &mut Sim<'_>) {
    let member = MEMBERS[random.random_range(0..MEMBERS.len())];
    match random.random_range(0..7) {
        0 => sim.partition("hub", member),
        1 => sim.partition_oneway("hub", member),
        2 => sim.partition_oneway(member, "hub"),
        3 => sim.hold("hub", member),
        4 => sim.bounce("hub"),
        5 => sim.bounce(member),
        _ => mend(sim),
    }
}

fn mend(sim: &Sim<'_>) {
    for member in MEMBERS {
        sim.release("hub", member);
        sim.repair("hub", member);
    }
}

fn play(seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(STORM + CALM + Duration::from_secs(60))
        .tick_duration(Duration::from_millis(20))
        .max_message_latency(Duration::from_millis(80))
        .tcp_capacity(100_000)
        .build();
    let hub = Arc::new(Mutex::new(HubStore::default()));
    sim.host("hub", {
        let hub = hub.clone();
        move || hub::serve(hub.clone())
    });
    let mut stores: BTreeMap<&str, Arc<Mutex<MemberStore>>> = BTreeMap::new();
    for (n, name) in MEMBERS.into_iter().enumerate() {
        let store = Arc::new(Mutex::new(MemberStore::default()));
        stores.insert(name, store.clone());
        sim.host(name, move || member::run(n, seed, store.clone()));
    }
    let (mut next_change, mut next_fault) = (Duration::ZERO, Duration::from_secs(3));
    while sim.elapsed() < STORM {
        let now = sim.elapsed();
        if now >= next_change {
            change(&mut random, &hub);
            next_change = now + Duration::from_millis(random.random_range(1..800));
        }
        if now >= next_fault {
            fault(&mut random, &mut sim);
            next_fault = now + Duration::from_millis(random.random_range(100..12_000));
        }
        sim.step().unwrap();
    }
    mend(&sim);
    loop {
        let differences: Vec<String> =
            stores.iter().filter_map(|(name, store)| hub.lock().difference(name, &store.lock())).collect();
        if differences.is_empty() {
            break;
        }
        assert!(sim.elapsed() < STORM + CALM, "the ends still differ: {differences:?}");
        for _ in 0..10 {
            sim.step().unwrap();
        }
    }
    let (may_go, clusters) = (&hub.lock().may_go, stores.values());
    for store in clusters {
        let removed = &store.lock().removed;
        assert!(removed.is_subset(may_go), "removed without an order: {removed:?}");
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn a_hub_and_three_members_agree_after_any_storm() {
    let seeds = match number("PARALLAX_SIMULATION_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("PARALLAX_SIMULATION_SEEDS").unwrap_or(200),
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(seed))) {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("seed {seed} fails: {text}");
        }
    }
}
