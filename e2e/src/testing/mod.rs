//! What end-to-end tests are written with: a shared warm fleet, a namespace each, and waiting with a dump on time-out.

mod dump;
mod namespace;
mod page;
mod real_node;
mod shared;

pub use dump::dump;
pub use namespace::TestNamespace;
pub use page::{Shell, Step, shows, steps};
pub use real_node::{SKIPPED, can_run_a_real_node};
pub use shared::{own_fleet, shared_fleet};
