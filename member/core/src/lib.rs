//! The member's decisions as pure functions: plain values in, plain values out, no I/O and no clock.
//!
//! * [`activation`]: when an agent's pods may all go, and what happens to the requests meanwhile.
//! * [`validate`]: whether an order or an assignment may be carried out here at all.
//! * [`build`]: the objects that should exist for an assignment.
//! * [`callers`]: who may call an agent.
//! * [`cluster`]: what the cluster has, what of it is free, and what it says of itself.
//! * [`credentials`]: where an agent's API key is, and whether it is there.
//! * [`diff`]: whether a live object already is what should exist.
//! * [`exposition`] and [`usage`]: what agents expose, and what they use.
//! * [`live`]: what is read off live Deployments and Pods.
//! * [`namespace`]: which labels a namespace gets that the member makes.
//! * [`needs`]: which ConfigMaps and Secrets an agent's pods can't start without, and which of them are missing.
//! * [`endpoint`]: where an agent is reached.
//! * [`events`]: what an agent's user is told of as it happens.
//! * [`sync`]: how far an order has come into the cluster's objects.
//! * [`report`]: the one truth that is told about an agent, to the hub and in the assignment's status.

pub mod activation;
pub mod build;
pub mod callers;
pub mod cluster;
pub mod credentials;
pub mod diff;
pub mod endpoint;
pub mod events;
pub mod exposition;
pub mod live;
pub mod namespace;
pub mod needs;
pub mod replicas;
pub mod report;
pub mod sync;
pub mod usage;
pub mod validate;

pub use build::{ChildKind, Desired, Site, build, strategy_patch};
pub use diff::{Difference, difference};
pub use report::{Facts, report};
pub use sync::Sync;
pub use validate::{Rejection, Valid};
