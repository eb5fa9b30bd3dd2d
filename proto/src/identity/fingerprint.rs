//! A CA's fingerprint: what a join token carries, so that a member knows the hub before it speaks.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::{IdentityError, hex};

/// SHA-256 of a CA's certificate in DER, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaFingerprint([u8; 32]);

impl CaFingerprint {
    /// The fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(certificate_der: &[u8]) -> Self {
        Self(Sha256::digest(certificate_der).into())
    }
}

impl fmt::Display for CaFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for CaFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CaFingerprint {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Ok(c - b'0'),
            b'a'..=b'f' => Ok(c - b'a' + 10),
            _ => Err(IdentityError::Fingerprint),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(IdentityError::Fingerprint);
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fingerprint_survives_its_text() {
        let fingerprint = CaFingerprint::of(b"certificate");
        assert_eq!(fingerprint.to_string().len(), 64);
        assert_eq!(fingerprint.to_string().parse::<CaFingerprint>().unwrap(), fingerprint);
    }

    #[test]
    fn anything_but_64_lower_case_digits_is_refused() {
        let good = CaFingerprint::of(b"certificate").to_string();
        for bad in [
            "",
            &good[1..],
            &format!("{good}0"),
            &good.to_uppercase().replace(char::is_numeric, "A"),
            &format!("+{}", &good[1..]),
            &format!("é{}", &good[2..]),
        ] {
            assert!(bad.parse::<CaFingerprint>().is_err(), "{bad}");
        }
    }
}
