//! What can be asked of a fleet, and done to it.

pub mod cordon;
pub mod drain;
pub mod explain;
pub mod history;
pub mod rebalance;
pub mod refresh;
pub mod rollback;
pub mod rollout;
pub mod suspend;
