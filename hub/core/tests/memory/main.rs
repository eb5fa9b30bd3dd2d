//! What the hub keeps of each agent beside the agent's own object.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code, reason = "the bench needs more of it")]
#[path = "../../benches/fleet/driver.rs"]
mod driver;

use driver::Driver;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const AGENTS: usize = 500;
/// Bytes.
const MOST: usize = 4 << 10;

/// Each of them runs in three clusters.
#[test]
fn a_placed_agent_costs_the_hub_at_most_four_kibibytes() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut driver = Driver::new(3);
    driver.store_agents(AGENTS);
    driver.start();
    assert_eq!(driver.running(), AGENTS);
    let with = dhat::HeapStats::get().curr_bytes;
    // Everything that is stored is still there.
    driver.fleet = Driver::new(0).fleet;
    let each = (with - dhat::HeapStats::get().curr_bytes) / AGENTS;
    assert!((1..=MOST).contains(&each), "{each} bytes an agent");
}
