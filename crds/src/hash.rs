//! The hash of a resolved spec: what decides whether anything changed for a cluster.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The first 16 bytes of SHA-256 over the canonical JSON (sorted keys, no white space) of a resolved
/// spec; as text, 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpecHash([u8; 16]);

/// Text or bytes that are not a [`SpecHash`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a spec hash: 16 bytes, or 32 hexadecimal digits, are expected")]
pub struct InvalidHash;

impl SpecHash {
    /// The hash of any value that serialises to JSON. `serde_json::Value` keeps its maps sorted, so
    /// equal values have equal hashes whatever the order in which their fields were written.
    ///
    /// # Errors
    /// When the value has no JSON form (a map with keys that are not strings).
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        let canonical = serde_json::to_vec(&serde_json::to_value(value)?)?;
        let digest = Sha256::digest(&canonical);
        let mut out = [0; 16];
        out.copy_from_slice(&digest[..16]);
        Ok(Self(out))
    }

    /// The raw bytes, as they travel on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From the raw bytes of the wire.
    ///
    /// # Errors
    /// When there are not exactly 16 of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidHash> {
        bytes.try_into().map(Self).map_err(|_| InvalidHash)
    }
}

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SpecHash {
    type Err = InvalidHash;
    fn from_str(s: &str) -> Result<Self, InvalidHash> {
        if s.len() != 32 || !s.is_ascii() {
            return Err(InvalidHash);
        }
        let mut out = [0; 16];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&s[2 * i..2 * i + 2], 16).map_err(|_| InvalidHash)?;
        }
        Ok(Self(out))
    }
}
