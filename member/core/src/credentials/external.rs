//! What is read off an ExternalSecret of external-secrets.io.

use serde_json::Value;

/// The Secret that it makes, and whether that is as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalSecretFacts {
    /// The name of its Secret.
    target: String,
    /// Why it isn't Ready, as a CamelCase word; none when it is.
    not_ready: Option<String>,
}

impl ExternalSecretFacts {
    /// The resourceVersion of an ExternalSecret's JSON, and the facts.
    #[must_use]
    pub fn of(object: &Value) -> (String, Self) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let meta = &object["metadata"];
        let target = object["spec"]["target"]["name"].as_str().filter(|name| !name.is_empty());
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let not_ready = match conditions.into_iter().find(|c| c["type"] == "Ready") {
            Some(ready) if ready["status"] == "True" => None,
            Some(ready) => Some(ready["reason"].as_str().unwrap_or("NotReady").to_owned()),
            None => Some("NotReady".to_owned()),
        };
        let target = target.map_or_else(|| text(&meta["name"]), str::to_owned);
        (text(&meta["resourceVersion"]), Self { target, not_ready })
    }

    /// The name of its Secret, when that is as it should be.
    ///
    /// # Errors
    /// Why it isn't Ready, as a CamelCase word.
    pub fn ready_target(self) -> Result<String, String> {
        let Self { target, not_ready } = self;
        not_ready.map_or(Ok(target), Err)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn its_secret_has_its_own_name_unless_it_says_another() {
        let of = |spec: Value| {
            ExternalSecretFacts::of(
                &json!({"metadata": {"name": "vault", "resourceVersion": "3"}, "spec": spec}),
            )
        };
        let (version, facts) = of(json!({}));
        assert_eq!((version.as_str(), facts.target.as_str()), ("3", "vault"));
        assert_eq!(of(json!({"target": {"name": "claude"}})).1.target, "claude");
    }

    #[test]
    fn it_is_ready_only_when_it_says_so() {
        let of = |status: Value| {
            ExternalSecretFacts::of(&json!({"metadata": {"name": "vault"}, "status": status})).1.not_ready
        };
        assert_eq!(of(json!({})).as_deref(), Some("NotReady"));
        let condition = |status: &str| json!({"conditions": [{"type": "Ready", "status": status, "reason": "SecretSyncedError"}]});
        assert_eq!(of(condition("False")).as_deref(), Some("SecretSyncedError"));
        assert_eq!(of(condition("True")), None);
    }
}
