//! W3C trace context, derived instead of made up: any process, after any restart, on any side of a partition, joins
//! the same trace of a change without asking anybody.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::names::Incarnation;

/// A position in a trace, as `traceparent` carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: [u8; 16],
    span: [u8; 8],
    sampled: bool,
}

/// Text that is not a W3C traceparent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a W3C traceparent: use 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, with ids that aren't zero"
)]
pub struct InvalidTraceparent(String);

impl TraceContext {
    /// The root of the change that made `generation` of an agent. The same everywhere.
    #[must_use]
    pub fn root(incarnation: &Incarnation, generation: i64) -> Self {
        let seed = Sha256::new()
            .chain_update("parallax trace\0")
            .chain_update(incarnation.as_str())
            .chain_update([0])
            .chain_update(generation.to_be_bytes())
            .finalize();
        let mut context = Self { trace: [0; 16], span: [0; 8], sampled: true };
        context.trace.copy_from_slice(&seed[..16]);
        context.span.copy_from_slice(&seed[16..24]);
        context.nonzero()
    }

    /// Ids of zero are invalid by the W3C's rules.
    fn nonzero(mut self) -> Self {
        if self.trace == [0; 16] {
            self.trace[15] = 1;
        }
        if self.span == [0; 8] {
            self.span[7] = 1;
        }
        self
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|b| write!(f, "{b:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.sampled))
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    /// Versions above 00 may carry more after the flags, and are read as far as they are known.
    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        let parse = || {
            let mut parts = text.split('-');
            let version: [u8; 1] = bytes(parts.next()?)?;
            let trace: [u8; 16] = bytes(parts.next()?)?;
            let span: [u8; 8] = bytes(parts.next()?)?;
            let [flags]: [u8; 1] = bytes(parts.next()?)?;
            let more = parts.next().is_some();
            let valid = version != [0xff] && (version != [0] || !more) && trace != [0; 16] && span != [0; 8];
            valid.then_some(Self { trace, span, sampled: flags & 1 == 1 })
        };
        parse().ok_or_else(|| InvalidTraceparent(text.chars().take(80).collect()))
    }
}

/// Exactly `N` bytes of lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = digit(digits[2 * i])? << 4 | digit(digits[2 * i + 1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_change_has_one_trace_and_another_generation_has_another() {
        let agent = Incarnation::new("6f1c");
        let root = TraceContext::root(&agent, 3);
        assert_eq!(root, TraceContext::root(&agent, 3));
        assert_ne!(root, TraceContext::root(&agent, 4));
        assert_ne!(root, TraceContext::root(&Incarnation::new("6f1d"), 3));
        // Hubs and members of other versions derive it too.
        assert_eq!(root.to_string(), "00-9db979c602d8dc8fab6d254769e63b42-9df2bef8d5f1a7bd-01");
    }

    #[test]
    fn what_the_w3c_forbids_is_refused() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(good.parse::<TraceContext>().unwrap().to_string(), good);
        let newer = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x";
        assert_eq!(
            newer.parse::<TraceContext>().unwrap().to_string(),
            good,
            "continued as what is known of it"
        );
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-éaf7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert!(bad.parse::<TraceContext>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_and_context_are_the_same(uid in ".{0,40}", generation: i64) {
            let context = TraceContext::root(&Incarnation::new(&uid), generation);
            prop_assert_eq!(context.to_string().parse::<TraceContext>().unwrap(), context);
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = text.parse::<TraceContext>();
        }
    }
}
