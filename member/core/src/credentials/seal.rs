//! What stands for a value where the value itself may not be: it tells whether two are the same, and nobody without
//! this cluster's key can try values against it.

use std::fmt;
use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of the key.
const KEY_BYTES: usize = 32;
/// Bytes of a stamp; it is written as twice as many hexadecimal digits.
const STAMP_BYTES: usize = 16;

/// Makes stamps with this cluster's key.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

impl Seal {
    /// With that key; none unless it has 32 bytes.
    #[must_use]
    pub fn new(key: &[u8]) -> Option<Self> {
        let mac = Hmac::new_from_slice(key).ok().filter(|_| key.len() == KEY_BYTES)?;
        Some(Self(mac))
    }

    /// The stamp of a value at its place: the same value at another place has another.
    pub(super) fn stamp(&self, place: [&str; 3], value: &[u8]) -> String {
        let mut mac = self.0.clone();
        for part in place.map(str::as_bytes).into_iter().chain([value]) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut text = String::with_capacity(2 * STAMP_BYTES);
        for byte in &mac.finalize().into_bytes()[..STAMP_BYTES] {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::new(&[byte; KEY_BYTES]).unwrap()
    }

    #[test]
    fn a_stamp_changes_with_the_value_its_place_and_the_clusters_key() {
        let stamp = seal(1).stamp(["team", "keys", "KEY"], b"sk-1");
        assert_eq!(stamp, seal(1).stamp(["team", "keys", "KEY"], b"sk-1"));
        assert_eq!(stamp.len(), 2 * STAMP_BYTES);
        for other in [
            seal(1).stamp(["team", "keys", "KEY"], b"sk-2"),
            seal(2).stamp(["team", "keys", "KEY"], b"sk-1"),
            seal(1).stamp(["other", "keys", "KEY"], b"sk-1"),
            seal(1).stamp(["team", "keysK", "EY"], b"sk-1"),
        ] {
            assert_ne!(other, stamp);
        }
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        assert!(Seal::new(&[1; KEY_BYTES - 1]).is_none());
        assert!(Seal::new(&[1; KEY_BYTES + 1]).is_none());
    }
}
