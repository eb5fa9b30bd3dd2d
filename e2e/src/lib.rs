//! Real fleets on one machine: control planes of real Kubernetes programs, a hub, members.
//!
//! The `fleet` tool and the end-to-end tests are built on this. A test starts [`fleet::Fleet`]s in its own process,
//! mostly through [`testing::shared_fleet`].

pub mod audit;
pub mod bench;
pub mod binaries;
pub mod cargo;
pub mod cli;
pub mod client;
pub mod control_plane;
pub mod demo;
pub mod etcd;
pub mod fleet;
pub mod kubeconfig;
pub mod layout;
pub mod manifests;
pub mod pki;
pub mod ports;
pub mod process;
pub mod product;
pub mod progress;
pub mod real_node;
pub mod testing;
pub mod waiting;

pub use fleet::{Fleet, FleetOptions, Place};
pub use layout::Component;
pub use progress::Progress;
pub use rustix::process::Signal;
