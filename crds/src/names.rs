//! Names as types, so that one kind of string is never taken for another.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// A name that is not a DNS-1123 label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} {value:?} is not valid: use 1 to 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"
)]
pub struct InvalidName {
    what: &'static str,
    value: String,
}

/// Whether `s` is a DNS-1123 label: 1 to 63 of `[a-z0-9-]`, alphanumeric at both ends.
#[must_use]
pub fn is_dns_label(s: &str) -> bool {
    let b = s.as_bytes();
    let alnum = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&b.len())
        && b.iter().all(|c| alnum(c) || *c == b'-')
        && b.first().is_some_and(alnum)
        && b.last().is_some_and(alnum)
}

/// The name of a MemberCluster. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(Arc<str>);

impl ClusterName {
    /// A cluster's name from text.
    ///
    /// # Errors
    /// When `name` is not a DNS-1123 label (it is a part of a SPIFFE id and of object names).
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        if is_dns_label(name) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidName { what: "cluster name", value: name.to_owned() })
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClusterName {
    type Error = InvalidName;
    fn try_from(value: String) -> Result<Self, InvalidName> {
        Self::new(&value)
    }
}

impl From<ClusterName> for String {
    fn from(value: ClusterName) -> Self {
        value.0.as_ref().to_owned()
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Namespace and name of a ParallaxAgent; the same on the hub and in every member. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentKey {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl AgentKey {
    /// A key from a namespace and a name, which an API server has validated.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object of that name, which an API server has given.
    #[must_use]
    pub fn of(object: &ObjectMeta) -> Self {
        Self::new(object.namespace.as_deref().unwrap_or_default(), object.name.as_deref().unwrap_or_default())
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An agent's identity over its whole life: its UID, unless a restore carried over the old one. A
/// recreated agent of the same name has another incarnation, and never adopts the old one's pods.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(Arc<str>);

impl Incarnation {
    /// An incarnation from the text of a UID.
    #[must_use]
    pub fn new(uid: &str) -> Self {
        Self(uid.into())
    }

    /// The UID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One incarnation of one agent: what orders, tombstones and inventories speak of.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AgentRef {
    /// Where it is.
    pub key: AgentKey,
    /// Which of that name.
    pub incarnation: Incarnation,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cluster_has_the_name_of_a_dns_label() {
        for good in ["a", "1", "eu-1", "a--b", &"a".repeat(63)] {
            assert_eq!(ClusterName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "a b", "ä", "a/b", "a\n", &"a".repeat(64)] {
            let error = ClusterName::new(bad).unwrap_err().to_string();
            assert!(error.starts_with("cluster name ") && error.contains("1 to 63"), "{error}");
        }
    }

    #[test]
    fn a_cluster_name_is_checked_when_it_is_read_too() {
        assert!(serde_json::from_str::<ClusterName>("\"eu-1\"").is_ok());
        assert!(serde_json::from_str::<ClusterName>("\"eu/1\"").is_err());
    }

    #[test]
    fn an_agents_key_reads_as_namespace_and_name() {
        assert_eq!(AgentKey::new("default", "reviewer").to_string(), "default/reviewer");
    }

    proptest! {
        #[test]
        fn a_label_is_what_the_pattern_of_the_kinds_says(s in "[-a-zA-Z0-9.]{0,66}") {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let expected = (1..=63).contains(&s.len())
                && s.chars().all(inner)
                && !s.starts_with('-')
                && !s.ends_with('-');
            prop_assert_eq!(is_dns_label(&s), expected);
        }
    }
}
