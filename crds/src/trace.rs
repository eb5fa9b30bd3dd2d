//! The identity of a change on the wire: every process, after any restart, derives the same trace.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::names::Incarnation;

/// The W3C traceparent of a change: the trace and the root span are derived from the agent's incarnation and the
/// generation, so nobody has to hand them on. Sampled.
#[must_use]
pub fn change_traceparent(incarnation: &Incarnation, generation: i64) -> String {
    // The link's own derivation (`parallax_proto::trace`) hashes the same, so that the spans of both meet.
    let digest = Sha256::new()
        .chain_update("parallax trace\0")
        .chain_update(incarnation.as_str())
        .chain_update([0])
        .chain_update(generation.to_be_bytes())
        .finalize();
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    push_hex(&mut text, &digest[..16]);
    text.push('-');
    push_hex(&mut text, &digest[16..24]);
    text.push_str("-01");
    text
}

/// Whether `text` is a traceparent of version 00: what a user's annotation must be to be continued.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts.as_slice() else {
        return false;
    };
    *version == "00"
        && hex(trace, 32)
        && hex(span, 16)
        && hex(flags, 2)
        && trace.bytes().any(|b| b != b'0')
        && span.bytes().any(|b| b != b'0')
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_generation_of_every_incarnation_has_its_own_valid_trace() {
        let a = Incarnation::new("a");
        let first = change_traceparent(&a, 1);
        assert!(is_traceparent(&first), "{first}");
        assert_eq!(first, change_traceparent(&a, 1));
        assert_ne!(first, change_traceparent(&a, 2));
        assert_ne!(first, change_traceparent(&Incarnation::new("b"), 1));
    }

    #[test]
    fn what_is_not_a_traceparent_is_recognised() {
        for bad in ["", "00", "01-a-b-c", "00-00000000000000000000000000000000-0000000000000001-01"] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
