//! The agent's API key, as its user names it: where it is in the member's cluster, never what it is.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Where the agent's API key is, and how the agent gets it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("has(self.secretRef) != has(self.externalSecretRef)")
        .message("exactly one of secretRef and externalSecretRef is needed"),
    validation = Rule::new(
        "!has(self.envName) || (!self.envName.startsWith('AGENT_') && !self.envName.startsWith('PARALLAX_'))"
    )
    .message("envName: AGENT_ and PARALLAX_ begin the names of variables that Parallax sets itself: choose another")
    .field_path(".envName"),
    validation = Rule::new("!has(self.source) || self.source == 'Member' || has(self.secretRef)")
        .message("source: Hub needs secretRef, a Secret of the agent's namespace on the hub")
        .field_path(".source")
)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// A key of a Secret of the agent's namespace, in the member's cluster or, with `source: Hub`, on the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<KeyReference>,
    /// A key of the Secret that an ExternalSecret (external-secrets.io) of the agent's namespace in the member's cluster
    /// makes. Where that kind isn't installed, a key of the Secret of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_secret_ref: Option<KeyReference>,
    /// Where the Secret is; absent: Member. Hub only in namespaces for which the fleet's administrator has allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<CredentialsSource>,
    /// The variable that the key arrives as. Absent: the key's own name where that can name a variable, and the one that
    /// the tool of the type reads, unless `env` has that: `ANTHROPIC_API_KEY` for `claude`, `OPENAI_API_KEY` for `codex`,
    /// `GOOGLE_API_KEY` for `gemini`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = schema::ENV_NAME))]
    pub env_name: Option<String>,
    /// What a changed value does to running pods; absent: Restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// A key of an object of the agent's namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct KeyReference {
    /// The object's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::DNS_SUBDOMAIN))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::CONFIG_KEY))]
    pub key: String,
}

/// Where the Secret is: in the member's cluster (absent, too), or on the hub, which then hands over that one key to the
/// clusters that the agent runs in, where the fleet's administrator allows it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsSource {
    /// The member's cluster has it; its value never leaves that.
    Member,
    /// The hub has it, reads that one key, and hands it over to the clusters that the agent is placed on.
    Hub,
}

/// What a changed value does to running pods: it replaces them as an update does (absent, too), or leaves them alone.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// They are replaced, as in an update.
    Restart,
    /// They keep the value that they started with.
    None,
}

/// The variable from which the tool of a built-in type reads its API key; none where there is no single one.
#[must_use]
pub fn native_variable(agent_type: &str) -> Option<&'static str> {
    match agent_type {
        "claude" => Some("ANTHROPIC_API_KEY"),
        "codex" => Some("OPENAI_API_KEY"),
        "gemini" => Some("GOOGLE_API_KEY"),
        _ => None,
    }
}

impl Credentials {
    /// What is referred to; none when nothing is, which the schema refuses.
    #[must_use]
    pub fn reference(&self) -> Option<&KeyReference> {
        self.secret_ref.as_ref().or(self.external_secret_ref.as_ref())
    }

    /// What the hub is to hand over; none when the key is found in the member's cluster.
    #[must_use]
    pub fn from_hub(&self) -> Option<&KeyReference> {
        self.secret_ref.as_ref().filter(|_| self.source == Some(CredentialsSource::Hub))
    }

    /// The variables that the key arrives as in an agent of that type, the user's choice or else the key's own name
    /// first.
    #[must_use]
    pub fn variables(&self, agent_type: &str) -> Vec<&str> {
        if let Some(name) = &self.env_name {
            return vec![name];
        }
        let own = self.reference().map(|r| r.key.as_str()).filter(|key| names_a_variable(key));
        let native = native_variable(agent_type).filter(|native| own != Some(native));
        own.into_iter().chain(native).collect()
    }
}

/// Whether a key's name is a variable's, and not one of Parallax's own.
fn names_a_variable(key: &str) -> bool {
    let begins = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && !key.starts_with("AGENT_") && !key.starts_with("PARALLAX_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(key: &str, env_name: Option<&str>) -> Credentials {
        Credentials {
            secret_ref: Some(KeyReference { name: "keys".to_owned(), key: key.to_owned() }),
            env_name: env_name.map(str::to_owned),
            ..Credentials::default()
        }
    }

    #[test]
    fn the_key_arrives_under_its_own_name_and_the_one_that_the_tool_reads() {
        assert_eq!(of("CLAUDE_API_KEY", None).variables("claude"), ["CLAUDE_API_KEY", "ANTHROPIC_API_KEY"]);
        assert_eq!(of("api_key", None).variables("codex"), ["api_key", "OPENAI_API_KEY"]);
        assert_eq!(of("GOOGLE_API_KEY", None).variables("gemini"), ["GOOGLE_API_KEY"]);
        assert_eq!(of("KEY", None).variables("aider"), ["KEY"]);
    }

    #[test]
    fn the_hub_hands_a_key_over_only_where_that_is_asked_for() {
        let with = |source| Credentials { source, ..of("KEY", None) };
        assert!(
            with(None).from_hub().is_none() && with(Some(CredentialsSource::Member)).from_hub().is_none()
        );
        assert_eq!(with(Some(CredentialsSource::Hub)).from_hub().unwrap().key, "KEY");
    }

    #[test]
    fn a_name_that_the_user_chose_is_the_only_one() {
        assert_eq!(of("CLAUDE_API_KEY", Some("TOKEN")).variables("claude"), ["TOKEN"]);
    }

    #[test]
    fn a_key_that_names_no_variable_arrives_only_as_what_the_tool_reads() {
        for key in ["1st", ".key", "AGENT_KEY", "PARALLAX_KEY"] {
            assert_eq!(of(key, None).variables("claude"), ["ANTHROPIC_API_KEY"], "{key}");
            assert_eq!(of(key, None).variables("own"), Vec::<&str>::new(), "{key}");
        }
    }
}
