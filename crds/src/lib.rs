//! The three kinds of Parallax and the names that both sides of the link share.
//!
//! * [`ParallaxAgent`]: the user's wish, on the hub.
//! * [`MemberCluster`]: a cluster of the fleet as its administrator sees it, on the hub.
//! * [`AgentAssignment`]: the hub's order to one cluster, in that cluster.
//!
//! The YAML under `crds/yaml/` and the pages under `docs/reference/fields/` are generated from these types
//! (`cargo run -p parallax-crds --bin crdgen`).

pub mod activation;
pub mod agent;
pub mod amounts;
pub mod assignment;
pub mod budget;
pub mod cluster;
pub mod conditions;
pub mod copies;
pub mod definitions;
#[cfg(feature = "fixtures")]
pub mod fixtures;
pub mod hash;
pub mod labels;
pub mod link;
pub mod names;
pub mod quantity;
pub mod reference;
mod schema;
pub mod selector;
pub mod trace;

pub use agent::{ParallaxAgent, ParallaxAgentSpec, ParallaxAgentStatus, Phase};
pub use amounts::Amounts;
pub use assignment::{AgentAssignment, AgentAssignmentSpec, AgentAssignmentStatus, AgentTemplate};
pub use cluster::{MemberCluster, MemberClusterSpec, MemberClusterStatus};
pub use hash::SpecHash;
pub use names::{AgentKey, AgentRef, ClusterName, Incarnation};
