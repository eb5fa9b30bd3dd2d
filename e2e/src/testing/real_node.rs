//! Skipping what needs a real node, where the machine can't run one.

use std::io::Write as _;

use crate::real_node;

/// How the line begins by which a test says that it is skipped, and why. `fleet test` counts them.
pub const SKIPPED: &str = "skipped: ";

/// Whether this machine can run a real node. Where it can't, it says so on standard output, past the test harness that
/// hides what a test that passes prints: the test is to return at once.
pub fn can_run_a_real_node() -> bool {
    let Err(reason) = real_node::check(&[&std::env::temp_dir()]) else { return true };
    let thread = std::thread::current();
    let line = format!("{SKIPPED}{}: {reason:#}\n", thread.name().unwrap_or("a test"));
    // In one piece: other tests print too.
    std::io::stdout().write_all(line.as_bytes()).ok();
    false
}
