//! Who is who in a fleet: SPIFFE ids, the fleet's CA, the certificates that it issues, the keys and
//! join tokens of members.
//!
//! A name comes only from a certificate that the fleet's CA signed, and the CA writes into it only
//! what the hub decided: of a member's signing request nothing is taken but the public key.

mod ca;
mod certificate;
mod entropy;
mod error;
mod fingerprint;
mod hub;
mod member;
mod spiffe;
mod token;

pub use ca::{CaPem, FleetCa, Issued};
pub use certificate::Leaf;
pub use error::IdentityError;
pub use fingerprint::CaFingerprint;
pub use hub::HubIdentity;
pub use member::{MemberIdentity, MemberKey};
pub use spiffe::{Role, SpiffeId, TrustDomain};
pub use token::JoinToken;

/// Lower-case hexadecimal, two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
