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
#[error("not a spec hash: use 16 bytes, or 32 lower-case hexadecimal digits")]
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
        // One text for one hash; and `from_str_radix` would take a sign.
        if s.len() != 32 || !s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidHash);
        }
        let mut out = [0; 16];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&s[2 * i..2 * i + 2], 16).map_err(|_| InvalidHash)?;
        }
        Ok(Self(out))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::AgentTemplate;
    use crate::agent::AgentRuntime;

    #[test]
    fn the_order_of_fields_does_not_matter() {
        let one: serde_json::Value = serde_json::from_str(r#"{"a": 1, "b": {"c": 2, "d": 3}}"#).unwrap();
        let other: serde_json::Value = serde_json::from_str(r#"{"b": {"d": 3, "c": 2}, "a": 1}"#).unwrap();
        assert_eq!(SpecHash::of(&one).unwrap(), SpecHash::of(&other).unwrap());
    }

    #[test]
    fn every_value_matters() {
        let hashes = [json!({}), json!({"a": 1}), json!({"a": "1"}), json!({"a": [1]}), json!({"b": 1})];
        for (i, one) in hashes.iter().enumerate() {
            for other in &hashes[i + 1..] {
                assert_ne!(SpecHash::of(one).unwrap(), SpecHash::of(other).unwrap());
            }
        }
    }

    /// Members and hubs of different versions compare these: a change of it rolls every pod of every fleet.
    #[test]
    fn the_hash_of_a_template_stays_what_it_is() {
        let template = AgentTemplate {
            runtime: AgentRuntime {
                agent_type: "claude".to_owned(),
                capabilities: vec!["code_review".to_owned()],
                ..AgentRuntime::default()
            },
            image: "ghcr.io/parallax/agent-claude:0.1.0".to_owned(),
            ..AgentTemplate::default()
        };
        assert_eq!(SpecHash::of(&template).unwrap().to_string(), "dde846be99c529772156a2864a2b3975");
    }

    proptest! {
        #[test]
        fn text_and_bytes_come_back(bytes in any::<[u8; 16]>()) {
            let hash = SpecHash::from_bytes(&bytes).unwrap();
            prop_assert_eq!(hash.to_string().parse::<SpecHash>().unwrap(), hash);
            prop_assert_eq!(hash.as_bytes(), &bytes);
        }

        #[test]
        fn other_text_is_refused(text in "\\PC{0,40}") {
            let hexadecimal = text.len() == 32 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
            prop_assert_eq!(text.parse::<SpecHash>().is_ok(), hexadecimal);
        }
    }

    #[test]
    fn bytes_of_another_length_are_refused() {
        assert_eq!(SpecHash::from_bytes(&[0; 15]), Err(InvalidHash));
        assert_eq!(SpecHash::from_bytes(&[0; 17]), Err(InvalidHash));
    }

    #[test]
    fn a_sign_is_not_a_digit() {
        assert_eq!("+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1".parse::<SpecHash>(), Err(InvalidHash));
    }
}
