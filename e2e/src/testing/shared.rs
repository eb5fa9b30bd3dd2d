//! One warm fleet per test program.

use std::sync::OnceLock;

use crate::fleet::{Fleet, FleetOptions};

static SHARED: OnceLock<Fleet> = OnceLock::new();

/// The fleet that this test program's tests share; the first to ask starts it with its options, and the others wait.
/// It ends with the program. Blocks: call it before anything else in a test.
///
/// # Panics
/// When it does not start; the message tells why.
pub fn shared_fleet(options: FleetOptions) -> &'static Fleet {
    SHARED.get_or_init(|| own_fleet(options))
}

/// A fleet of a test's own. Blocks, as [`shared_fleet`] does.
///
/// # Panics
/// When it does not start; the message tells why.
pub fn own_fleet(options: FleetOptions) -> Fleet {
    // A runtime of its own: the caller's may be single-threaded, and must not be blocked in.
    let starting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(Fleet::start(options))
    });
    match starting.join() {
        Ok(Ok(fleet)) => fleet,
        Ok(Err(error)) => panic!("the fleet does not start: {error:#}"),
        Err(_) => panic!("the thread that starts the fleet has panicked"),
    }
}
