//! Join tokens: what an administrator carries from the hub to a new member, once.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parallax_crds::names::ClusterName;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::entropy::random;
use super::{CaFingerprint, IdentityError, hex};

const VERSION: &str = "plx1";
const SECRET_BYTES: usize = 32;

/// One line to copy: `plx1.<cluster>.<secret>.<ca fingerprint>`. The secret is 32 random bytes in
/// base64url. [`fmt::Display`] shows the secret, since that is what the line is for; [`fmt::Debug`] doesn't.
#[derive(Clone)]
pub struct JoinToken {
    cluster: ClusterName,
    secret: [u8; SECRET_BYTES],
    ca_fingerprint: CaFingerprint,
}

impl JoinToken {
    /// A new token for a cluster.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate(cluster: ClusterName, ca_fingerprint: CaFingerprint) -> Result<Self, IdentityError> {
        Ok(Self { cluster, secret: random()?, ca_fingerprint })
    }

    /// The cluster that it lets in.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The CA by which the member knows the hub.
    #[must_use]
    pub fn ca_fingerprint(&self) -> CaFingerprint {
        self.ca_fingerprint
    }

    /// What to store instead of the token: a SHA-256 over the cluster's name and the secret, in
    /// hexadecimal. A secret of 256 random bits needs no slow hash.
    #[must_use]
    pub fn hash(&self) -> String {
        let digest = Sha256::new()
            .chain_update(b"parallax join token 1\0")
            .chain_update(self.cluster.as_str())
            .chain_update([0])
            .chain_update(self.secret)
            .finalize();
        hex(&digest)
    }

    /// Whether `stored` is this token's [`Self::hash`]; takes as long for a near miss as for a far one.
    #[must_use]
    pub fn matches(&self, stored: &str) -> bool {
        self.hash().as_bytes().ct_eq(stored.as_bytes()).into()
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = URL_SAFE_NO_PAD.encode(self.secret);
        write!(f, "{VERSION}.{}.{secret}.{}", self.cluster, self.ca_fingerprint)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("cluster", &self.cluster)
            .field("ca_fingerprint", &self.ca_fingerprint)
            .finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = IdentityError;

    /// Reads a token; space around it (a file's last newline) is ignored.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let parts: Vec<&str> = text.trim().splitn(5, '.').collect();
        let [version, cluster, secret, fingerprint] = parts[..] else {
            return Err(IdentityError::Token("not four parts separated by dots"));
        };
        if version != VERSION {
            return Err(IdentityError::Token("it doesn't begin with plx1"));
        }
        let secret = URL_SAFE_NO_PAD
            .decode(secret)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(IdentityError::Token("its secret is not 32 bytes in base64url"))?;
        Ok(Self {
            cluster: ClusterName::new(cluster)
                .map_err(|_| IdentityError::Token("its cluster is not a name"))?,
            secret,
            ca_fingerprint: fingerprint
                .parse()
                .map_err(|_| IdentityError::Token("its fingerprint is not 64 hexadecimal digits"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn token(cluster: &str) -> JoinToken {
        JoinToken::generate(ClusterName::new(cluster).unwrap(), CaFingerprint::of(b"ca")).unwrap()
    }

    #[test]
    fn a_token_survives_its_line() {
        let token = token("member-1");
        let read: JoinToken = format!("  {token}\n").parse().unwrap();
        assert_eq!(read.to_string(), token.to_string());
        assert_eq!(read.cluster().as_str(), "member-1");
        assert_eq!(read.ca_fingerprint(), CaFingerprint::of(b"ca"));
        assert!(read.matches(&token.hash()));
    }

    #[test]
    fn only_its_own_hash_matches() {
        let one = token("member-1");
        assert!(!one.matches(&token("member-1").hash()));
        assert!(!one.matches(""));
        assert!(!one.matches(&one.hash()[1..]));
        assert!(!one.matches(&one.hash().to_uppercase()));
    }

    #[test]
    fn the_hash_is_bound_to_the_cluster() {
        let one = token("member-1");
        let moved: JoinToken = one.to_string().replace(".member-1.", ".member-2.").parse().unwrap();
        assert!(!moved.matches(&one.hash()));
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_secret() {
        let token = token("member-1");
        let line = token.to_string();
        let secret = line.split('.').nth(2).unwrap();
        assert!(!format!("{token:?}").contains(secret));
        assert!(!token.hash().contains(secret));
        let error = line.replace("plx1", "plx2").parse::<JoinToken>().unwrap_err();
        assert!(!error.to_string().contains(secret));
        assert!(!format!("{error:?}").contains(secret));
    }

    #[test]
    fn a_damaged_line_is_refused() {
        let good = token("member-1").to_string();
        for bad in [
            "",
            "plx1",
            "plx1...",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}.x"),
            &format!("{good}0"),
            &good.replace(".member-1.", "."),
            &good.replace(".member-1.", ".Member-1."),
            &good.replace(".member-1.", "..member-1."),
            &good.replace("plx1", "plx2"),
            &good.replace("plx1", "PLX1"),
            &good.replace('.', " "),
        ] {
            assert!(bad.parse::<JoinToken>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in ".{0,200}") {
            let _ = text.parse::<JoinToken>();
        }

        #[test]
        fn a_line_has_one_spelling(text in "plx1\\.[a-z-]{1,4}\\.[A-Za-z0-9_-]{43}\\.[0-9a-f]{64}") {
            if let Ok(token) = text.parse::<JoinToken>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }
}
