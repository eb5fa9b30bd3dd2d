//! What a cluster says of itself: what its nodes have, what of it is free, and what they and their administrator say.
//!
//! * [`node`] and [`requests`]: what is read off a node, and what a pod keeps of it.
//! * [`capacity`]: the sums.
//! * [`labels`]: what all nodes say alike.
//! * [`scores`]: what the cluster's administrator says.

pub mod capacity;
pub mod labels;
pub mod node;
pub mod requests;
pub mod scores;

pub use capacity::Capacity;
pub use node::{NodeFacts, NodeSpec, NodeStatus};
pub use requests::PodRequests;
