//! What a hub shows of itself.

use std::fmt;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A hub's certificate, its issuer's, and the key.
pub struct HubIdentity {
    /// The leaf, then the CA's: members that enroll look for the CA's fingerprint in it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
    /// Until when the leaf is valid.
    pub not_after: Timestamp,
    /// The leaf's serial number, as in [`super::Leaf::serial`].
    pub serial: String,
}

impl fmt::Debug for HubIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubIdentity")
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}
