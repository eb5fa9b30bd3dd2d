//! One look at a Secret.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::GetParams;
use kube::core::{Request, Resource as _};
use parallax_crds::agent::KeyReference;
use parallax_crds::link::{ApiKey, Withheld};
use parallax_platform::{CallError, Limit, call};
use parallax_proto::session::limits::KEY_BYTES;
use serde::Deserialize;

/// How long a look may take.
const LIMIT: Limit = Limit::seconds::<20>();

/// What was seen. It has no `Debug` form.
pub enum Read {
    /// Its entries.
    There(BTreeMap<String, ByteString>),
    /// There is no such Secret.
    Missing,
    /// The hub may not look.
    Forbidden,
    /// Nothing was seen, for this reason.
    Later(String),
}

/// Why there is no key.
pub enum Unread {
    /// Somebody has to do something.
    Withheld(Withheld),
    /// It is to be tried again.
    Later(String),
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    data: BTreeMap<String, ByteString>,
}

impl Read {
    /// Looks at a Secret. It is asked for as text, since the client logs what it can't read as an object.
    pub async fn of(client: &Client, namespace: &str, name: &str) -> Self {
        let path = Secret::url_path(&(), Some(namespace));
        let request = match Request::new(path).get(name, &GetParams::default()) {
            Ok(request) => request,
            Err(error) => return Self::Later(error.to_string()),
        };
        match call(LIMIT, client.request_text(request)).await {
            // What serde says of an error may quote a part of the text.
            Ok(text) => serde_json::from_str(&text).map_or_else(
                |_| Self::Later("the API server's answer is no Secret".to_owned()),
                |Written { data }| Self::There(data),
            ),
            Err(CallError::NotFound(_)) => Self::Missing,
            Err(CallError::Forbidden(_)) => Self::Forbidden,
            Err(error) => Self::Later(error.to_string()),
        }
    }

    /// A key of it.
    pub fn key(&self, namespace: &str, reference: &KeyReference) -> Result<ApiKey, Unread> {
        let KeyReference { name, key } = reference;
        let withheld = |reason: &str, message: String| {
            Err(Unread::Withheld(Withheld { reason: reason.to_owned(), message }))
        };
        let data = match self {
            Self::There(data) => data,
            Self::Later(why) => return Err(Unread::Later(why.clone())),
            Self::Missing => {
                let message = format!(
                    "Secret {namespace}/{name} does not exist on the hub; create it, with the key {key}"
                );
                return withheld("SecretMissing", message);
            }
            Self::Forbidden => {
                let message = format!(
                    "the hub may not read Secret {namespace}/{name}; bind the ClusterRole parallax-hub-credentials to its service account in {namespace}"
                );
                return withheld("Forbidden", message);
            }
        };
        match data.get(key).map(|value| (value.0.len(), ApiKey::new(value.0.clone().into()))) {
            None => withheld(
                "KeyMissing",
                format!("Secret {namespace}/{name} on the hub has no key {key}; add it, or name another key"),
            ),
            Some((bytes, _)) if bytes > KEY_BYTES => withheld(
                "KeyTooLarge",
                format!(
                    "the key {key} of Secret {namespace}/{name} on the hub has {bytes} bytes; {KEY_BYTES} are the most that is handed over; make it shorter, or keep it in the cluster (source: Member)"
                ),
            ),
            Some((_, None)) => withheld(
                "KeyEmpty",
                format!("the key {key} of Secret {namespace}/{name} on the hub is empty; give it a value"),
            ),
            Some((_, Some(key))) => Ok(key),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn reason(read: &Read, key: &str) -> String {
        let reference = KeyReference { name: "keys".into(), key: key.into() };
        match read.key("team", &reference) {
            Ok(_) => "given".to_owned(),
            Err(Unread::Withheld(why)) => {
                assert!(why.message.contains("team/keys"), "{}", why.message);
                why.reason
            }
            Err(Unread::Later(_)) => "later".to_owned(),
        }
    }

    #[test]
    fn a_key_is_given_or_it_is_said_what_to_do() {
        let text = |n: usize| ByteString(vec![b'x'; n]);
        let data = [("KEY", 4), ("EMPTY", 0), ("LONG", KEY_BYTES + 1)];
        let there = Read::There(data.map(|(name, n)| (name.to_owned(), text(n))).into());
        assert_eq!(reason(&there, "KEY"), "given");
        assert_eq!(reason(&there, "EMPTY"), "KeyEmpty");
        assert_eq!(reason(&there, "LONG"), "KeyTooLarge");
        assert_eq!(reason(&there, "NONE"), "KeyMissing");
        assert_eq!(reason(&Read::Missing, "KEY"), "SecretMissing");
        assert_eq!(reason(&Read::Forbidden, "KEY"), "Forbidden");
        assert_eq!(reason(&Read::Later("it is slow".into()), "KEY"), "later");
    }
}
