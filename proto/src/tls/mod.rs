//! TLS between a hub and its members: 1.3 only, both sides known by SPIFFE ids instead of DNS names.
//!
//! A member's certificate is optional at the TLS level, because `Enroll` comes without one; every other
//! call asks [`peer_cluster`] who is there, which answers only from the verified leaf. Sessions are never
//! resumed: a resumed one would not meet the verifiers again.

mod connection;
mod dial;
mod error;
mod hub;
mod incoming;
mod peer;
mod signature;
mod verify;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;

pub use connection::HubConnection;
pub use dial::{enroll_channel, session_channel};
pub use error::{DialError, HubCertificateError, Refusal, TlsError};
pub use hub::{HubTls, hub_server};
pub use incoming::{Incoming, Limits};
pub use peer::{PeerIdentity, peer_cluster};

/// HTTP/2 over TLS.
const ALPN_H2: &[u8] = b"h2";
/// How often either side of an idle connection is asked for a sign of life, and how long it may take.
/// Half-open connections are noticed within the sum.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How much may be under way to us on one stream, and on one connection, in bytes: enough for 256 KiB
/// frames at a transatlantic distance, and a bound on what a peer can make us hold.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// Our cryptography: ring, given to every configuration; no process-wide default is needed.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static RING: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&RING)
}

#[cfg(test)]
mod tests;
