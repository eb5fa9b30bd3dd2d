//! SPIFFE ids, read strictly: one spelling per identity, so that no two texts mean the same name and
//! no text means two.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use parallax_crds::names::{ClusterName, is_dns_label};

use super::IdentityError;

/// The name that all identities of a fleet share: DNS labels separated by dots, at most 255 bytes.
/// Stricter than SPIFFE, which also knows '_'. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// What a fleet has unless its hub is told otherwise.
    pub const DEFAULT: &'static str = "parallax.local";

    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        if text.len() <= 255 && text.split('.').all(is_dns_label) {
            Ok(Self(text.into()))
        } else {
            Err(IdentityError::TrustDomain(text.to_owned()))
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an identity is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// The fleet's hub, whichever replica.
    Hub,
    /// The member in this cluster.
    Member(ClusterName),
}

/// `spiffe://<trust domain>/hub` or `spiffe://<trust domain>/cluster/<name>`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    /// The fleet.
    pub trust_domain: TrustDomain,
    /// Who in it.
    pub role: Role,
}

impl FromStr for SpiffeId {
    type Err = IdentityError;

    /// Reads an id. Nothing is decoded, folded or trimmed: neither a trust domain nor a cluster's name
    /// can hold '%', '/', '?', '#', ':', '@' or upper-case letters, so every such trick is refused.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let refused = || IdentityError::SpiffeId(text.to_owned());
        let (domain, path) =
            text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).ok_or_else(refused)?;
        let trust_domain = domain.parse().map_err(|_| refused())?;
        let role = match path.strip_prefix("cluster/") {
            Some(name) => Role::Member(ClusterName::new(name).map_err(|_| refused())?),
            None if path == "hub" => Role::Hub,
            None => return Err(refused()),
        };
        Ok(Self { trust_domain, role })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = &self.trust_domain;
        match &self.role {
            Role::Hub => write!(f, "spiffe://{domain}/hub"),
            Role::Member(name) => write!(f, "spiffe://{domain}/cluster/{name}"),
        }
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hub_and_member_ids_survive_their_text() {
        for text in
            ["spiffe://parallax.local/hub", "spiffe://a/cluster/b", "spiffe://f-1.example.com/cluster/eu-1"]
        {
            assert_eq!(text.parse::<SpiffeId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for text in [
            "",
            "spiffe://",
            "spiffe:///hub",
            "SPIFFE://parallax.local/hub",
            "spiffe:/parallax.local/hub",
            "https://parallax.local/hub",
            " spiffe://parallax.local/hub",
            "spiffe://parallax.local/hub ",
            "spiffe://parallax.local/hub/",
            "spiffe://parallax.local//hub",
            "spiffe://parallax.local/Hub",
            "spiffe://Parallax.local/hub",
            "spiffe://parallax.local./hub",
            "spiffe://.parallax.local/hub",
            "spiffe://user@parallax.local/hub",
            "spiffe://parallax.local:8443/hub",
            "spiffe://parallax.local/hub?x=1",
            "spiffe://parallax.local/hub#x",
            "spiffe://parallax.local/%68ub",
            "spiffe://parallax%2elocal/hub",
            "spiffe://parallax.local/cluster",
            "spiffe://parallax.local/cluster/",
            "spiffe://parallax.local/cluster/a/b",
            "spiffe://parallax.local/cluster/../hub",
            "spiffe://parallax.local/cluster/%61",
            "spiffe://parallax.local/cluster/a%2Fb",
            "spiffe://parallax.local/cluster/A",
            "spiffe://parallax.local/cluster/-a",
            "spiffe://parallax.local/cluster/a.b",
            "spiffe://parallax.local/cluster/a\0",
            "spiffe://parallax.local/cluster/а", // Cyrillic
            "spiffe://parallax.local/clusters/a",
            "spiffe://parallax.local/x/cluster/a",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text:?}");
        }
        assert!(format!("spiffe://parallax.local/cluster/{}", "a".repeat(64)).parse::<SpiffeId>().is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_back_the_same(text in "(spiffe://)?[a-zA-Z0-9./%_:-]{0,40}") {
            if let Ok(id) = text.parse::<SpiffeId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
