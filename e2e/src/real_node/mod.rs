//! A real node: a kubelet that runs real containers, with a network, service addresses, DNS and resource metrics.
//!
//! The node is one set of PID, mount, network, UTS and IPC namespaces on this machine. Killing the process that keeps
//! them ends the kubelet, containerd and every container at once; mounts, links, routes and packet filters live in the
//! namespaces and go with them. What is left then, [`traces::remove`] clears away.
//!
//! The control plane stays outside, where every other cluster's is, and listens on the host's end of the node's link.

mod addons;
mod cgroups;
mod config;
pub mod images;
mod init;
mod network;
mod prerequisites;
mod start;
pub mod traces;

pub use init::init;
pub use network::Network;
pub use prerequisites::check;
pub use start::{RealNode, forget_arranged, is_arranged, keep_network, start, takes_pods};
