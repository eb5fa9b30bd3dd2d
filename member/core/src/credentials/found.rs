//! Whether the key is there, and what to do when it isn't.

use parallax_crds::link::{CredentialsReport, Withheld};

use super::secret::{Content, HELM_RELEASE, SecretFacts};

/// What hubs say of keys that they don't hand over.
const HUBS: [&str; 6] =
    ["SecretMissing", "KeyMissing", "KeyEmpty", "KeyTooLarge", "Forbidden", "SourceHubNotAllowed"];

/// The key is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The Secret that has it.
    pub secret: String,
    /// What changes with the value.
    pub stamp: String,
}

/// Why a key can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// There is no such Secret.
    #[error("Secret {namespace}/{name} does not exist in this cluster; create it, with the key {key}")]
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key that it should have.
        key: String,
    },
    /// The Secret doesn't have the key.
    #[error("Secret {namespace}/{name} has no key {key}; add it, or name another key")]
    Key {
        /// The Secret's namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
        /// The key.
        key: String,
    },
    /// The key has no value.
    #[error("the key {key} of Secret {namespace}/{name} is empty; give it a value")]
    Value {
        /// The Secret's namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
        /// The key.
        key: String,
    },
    /// The Secret is one of those that are not watched.
    #[error(
        "Secret {namespace}/{name} has the type {HELM_RELEASE}, which is not watched; name another Secret"
    )]
    HelmRelease {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// There is no such ExternalSecret, though the cluster has the kind.
    #[error("ExternalSecret {namespace}/{name} does not exist in this cluster; create it")]
    ExternalSecret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The ExternalSecret has not made its Secret, or can't renew it.
    #[error(
        "ExternalSecret {namespace}/{name} is not Ready ({why}); see: kubectl describe externalsecret {name} -n {namespace}"
    )]
    NotReady {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its own word.
        why: String,
    },
    /// The hub is to hand it over, and has not yet.
    #[error("the hub has not handed over the key yet; when it is connected, its log says why")]
    NotHandedOver,
    /// The hub is to hand it over, and doesn't.
    #[error("{}", .0.message)]
    Withheld(Withheld),
    /// What the hub hands over has no place.
    #[error("{what} exists and is not Parallax's; delete or rename it")]
    NameConflict {
        /// The object.
        what: String,
    },
    /// The member may not read or write what holds it.
    #[error(
        "the member has no right to {what}; bind the ClusterRole {role} to its service account in {namespace}: {why}"
    )]
    Forbidden {
        /// The object.
        what: String,
        /// Its namespace.
        namespace: String,
        /// What would be right to bind.
        role: &'static str,
        /// What the API server says.
        why: String,
    },
    /// It can't be looked for now.
    #[error("{what} can't be read: {why}; it is tried again")]
    Unreadable {
        /// The object.
        what: String,
        /// A CamelCase word.
        reason: &'static str,
        /// What the API server says.
        why: String,
    },
}

impl Missing {
    /// A CamelCase word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "SecretMissing",
            Self::Key { .. } => "KeyMissing",
            Self::Value { .. } => "KeyEmpty",
            Self::HelmRelease { .. } => "SecretUnsuitable",
            Self::ExternalSecret { .. } => "ExternalSecretMissing",
            Self::NotReady { .. } => "ExternalSecretNotReady",
            Self::NotHandedOver => "NotHandedOver",
            Self::Withheld(why) => HUBS.into_iter().find(|word| *word == why.reason).unwrap_or("Withheld"),
            Self::NameConflict { .. } => "NameConflict",
            Self::Forbidden { .. } => "Forbidden",
            Self::Unreadable { reason, .. } => reason,
        }
    }
}

/// Looks for a key in what is known of a Secret; none: there is no such Secret.
///
/// # Errors
/// When it isn't there.
pub fn in_secret(
    (namespace, name): (&str, &str),
    key: &str,
    secret: Option<&SecretFacts>,
) -> Result<Found, Missing> {
    let (namespace, name, key) = (namespace.to_owned(), name.to_owned(), key.to_owned());
    let Some(secret) = secret else { return Err(Missing::Secret { namespace, name, key }) };
    match secret.content(&key) {
        _ if secret.helm_release => Err(Missing::HelmRelease { namespace, name }),
        Content::Nothing => Err(Missing::Key { namespace, name, key }),
        Content::Empty => Err(Missing::Value { namespace, name, key }),
        Content::Stamped(stamp) => Ok(Found { secret: name, stamp: stamp.clone() }),
    }
}

/// What is told of it.
pub(crate) fn told(found: &Result<Found, Missing>) -> CredentialsReport {
    match found {
        Ok(_) => CredentialsReport { ready: true, reason: "Found".to_owned(), message: String::new() },
        Err(missing) => CredentialsReport {
            ready: false,
            reason: missing.reason().to_owned(),
            message: missing.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::secret::tests::{read, written};
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let (_, facts) = read(&written("Opaque", &json!({"EMPTY": ""})), &["KEY", "EMPTY"]);
        let (_, release) = read(&written(HELM_RELEASE, &json!({"KEY": "eA=="})), &["KEY"]);
        for (secret, key, reason, message) in [
            (
                None,
                "KEY",
                "SecretMissing",
                "Secret team/keys does not exist in this cluster; create it, with the key KEY",
            ),
            (
                Some(&facts),
                "KEY",
                "KeyMissing",
                "Secret team/keys has no key KEY; add it, or name another key",
            ),
            (
                Some(&facts),
                "EMPTY",
                "KeyEmpty",
                "the key EMPTY of Secret team/keys is empty; give it a value",
            ),
            (
                Some(&release),
                "KEY",
                "SecretUnsuitable",
                "Secret team/keys has the type helm.sh/release.v1, which is not watched; name another Secret",
            ),
        ] {
            let missing = in_secret(("team", "keys"), key, secret).unwrap_err();
            assert_eq!((missing.reason(), missing.to_string().as_str()), (reason, message));
        }
    }

    #[test]
    fn a_value_is_found_by_its_stamp() {
        let stamp = |value: &str| {
            let (_, facts) = read(&written("Opaque", &json!({"KEY": value})), &["KEY"]);
            in_secret(("team", "keys"), "KEY", Some(&facts)).unwrap()
        };
        assert_eq!(stamp("eA==").secret, "keys");
        assert_eq!(stamp("eA=="), stamp("eA=="));
        assert_ne!(stamp("eA=="), stamp("eQ=="));
    }
}
