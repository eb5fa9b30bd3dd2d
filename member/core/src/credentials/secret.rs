//! What is kept of a Secret.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use parallax_crds::link::ApiKey;
use serde::Deserialize;

use super::seal::Seal;

/// The type of the Secrets in which Helm keeps its releases: large, many, and nobody's API key. They are not watched.
pub const HELM_RELEASE: &str = "helm.sh/release.v1";

/// Of the keys that agents refer to, whether they have a value and which. The values themselves are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretFacts {
    /// It is one of Helm's releases.
    pub(super) helm_release: bool,
    keys: BTreeMap<String, Content>,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The Secret doesn't have it.
    Nothing,
    /// It has no character in it.
    Empty,
    /// A value with this stamp.
    Stamped(String),
}

/// A Secret that isn't one. The text is not quoted: it may be the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API server's answer is no Secret")]
pub struct Unreadable;

/// A Secret as an API server writes it. It has no `Debug` form.
#[derive(Deserialize)]
struct Written {
    metadata: Metadata,
    #[serde(rename = "type")]
    type_: Option<String>,
    // Base64, of which an API server writes one form for each value.
    data: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    namespace: String,
    name: String,
    resource_version: String,
}

impl SecretFacts {
    /// The resourceVersion of a Secret's JSON, and what is kept of the Secret.
    ///
    /// # Errors
    /// When the text is no Secret.
    pub fn read<'a>(
        text: &str,
        keys: impl IntoIterator<Item = &'a str>,
        seal: &Seal,
    ) -> Result<(String, Self), Unreadable> {
        // What serde says of an error may quote a part of the text.
        let Written { metadata, type_, data } = serde_json::from_str(text).map_err(|_| Unreadable)?;
        let Metadata { namespace, name, resource_version } = metadata;
        let data = data.unwrap_or_default();
        let content = |key: &str| match data.get(key) {
            None => Content::Nothing,
            Some(value) if value.is_empty() => Content::Empty,
            Some(value) => Content::Stamped(seal.stamp([&namespace, &name, key], value.as_bytes())),
        };
        let keys = keys.into_iter().map(|key| (key.to_owned(), content(key))).collect();
        Ok((resource_version, Self { helm_release: type_.as_deref() == Some(HELM_RELEASE), keys }))
    }

    /// It was looked for that key.
    #[must_use]
    pub fn tells_of(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Whether the key has that value, in the Secret of that name.
    #[must_use]
    pub fn holds(&self, (namespace, name): (&str, &str), key: &str, value: &ApiKey, seal: &Seal) -> bool {
        let text = serde_json::to_value(ByteString(value.value().to_vec())).unwrap_or_default();
        let stamp = text.as_str().map(|text| seal.stamp([namespace, name, key], text.as_bytes()));
        stamp.is_some_and(|stamp| *self.content(key) == Content::Stamped(stamp))
    }

    pub(super) fn content(&self, key: &str) -> &Content {
        self.keys.get(key).unwrap_or(&Content::Nothing)
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A Secret of that data, as text.
    pub(crate) fn written(type_: &str, data: &serde_json::Value) -> String {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "type": type_, "data": data,
            "metadata": {"namespace": "team", "name": "keys", "resourceVersion": "7", "uid": "u"},
        })
        .to_string()
    }

    pub(crate) fn read(text: &str, keys: &[&str]) -> (String, SecretFacts) {
        SecretFacts::read(text, keys.iter().copied(), &Seal::new(&[7; 32]).unwrap()).unwrap()
    }

    #[test]
    fn only_what_is_referred_to_is_kept_and_no_value() {
        let text =
            written("Opaque", &serde_json::json!({"KEY": "c2VjcmV0", "OTHER": "aGlkZGVu", "EMPTY": ""}));
        let (version, facts) = read(&text, &["KEY", "EMPTY", "NONE"]);
        assert_eq!(version, "7");
        assert!(matches!(facts.content("KEY"), Content::Stamped(_)));
        assert_eq!((facts.content("EMPTY"), facts.content("NONE")), (&Content::Empty, &Content::Nothing));
        assert!(facts.tells_of("NONE") && !facts.tells_of("OTHER"));
        let shown = format!("{facts:?}");
        assert!(
            !shown.contains("c2VjcmV0") && !shown.contains("secret") && !shown.contains("aGlkZGVu"),
            "{shown}"
        );
    }

    #[test]
    fn it_is_known_whether_it_has_a_value_already() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let (_, facts) = read(&written("Opaque", &serde_json::json!({"KEY": "c2VjcmV0"})), &["KEY"]);
        let holds = |key: &str, value: &'static str| {
            facts.holds(("team", "keys"), key, &ApiKey::new(value.into()).unwrap(), &seal)
        };
        assert!(holds("KEY", "secret"));
        assert!(!holds("KEY", "another") && !holds("OTHER", "secret"));
    }

    #[test]
    fn a_secret_without_data_has_no_key() {
        let (_, facts) = read(&written("Opaque", &serde_json::Value::Null), &["KEY"]);
        assert_eq!(facts.content("KEY"), &Content::Nothing);
    }

    #[test]
    fn what_is_no_secret_is_not_quoted() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let error = SecretFacts::read(r#"{"data": {"KEY": "c2VjcmV0""#, ["KEY"], &seal).unwrap_err();
        assert_eq!(error.to_string(), "the API server's answer is no Secret");
    }
}
