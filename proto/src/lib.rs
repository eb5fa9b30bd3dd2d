//! What a hub and its members share: the messages of the wire, the session state machines of both ends,
//! and the drivers that run them over tonic streams.
//!
//! * [`session`]: one sans-IO machine per end; frames and time in, frames and effects out.
//! * [`driver`]: tokio around the machines; nothing is decided there.
//! * [`wire`]: messages to values and back. What arrives malformed is an error, never a panic.

pub mod digest;
pub mod driver;
pub mod identity;
pub mod outbox;
pub mod session;
pub mod tls;
pub mod wire;

/// The messages and services of `parallax.fleet.v1`, generated from `fleet.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("parallax.fleet.v1");
}

/// The protocol versions that this build speaks, best first.
pub const VERSIONS: &[u32] = &[1];

/// The optional parts of the protocol that this build has. A session uses what both ends have.
pub const FEATURES: &[&str] = &[KEYS, USAGE, COPIES];

/// The hub hands over agents' API keys that it is asked for.
pub(crate) const KEYS: &str = "keys";

/// The hub takes in what agents use.
pub(crate) const USAGE: &str = "usage";

/// The hub tells what is in objects of agents' namespaces that it is asked for.
pub(crate) const COPIES: &str = "copies";
