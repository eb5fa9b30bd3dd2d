//! What end-to-end tests are written with: a shared warm fleet, a namespace each, and waiting with a dump on time-out.

mod dump;
mod eventually;
mod namespace;
mod shared;

pub use dump::dump;
pub use eventually::{eventually, holds_for};
pub use namespace::TestNamespace;
pub use shared::{own_fleet, shared_fleet};
