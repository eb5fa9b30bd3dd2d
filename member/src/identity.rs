//! The member's identity, kept in a Secret of its own namespace.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_platform::{Conflicts, apply};
use parallax_proto::identity::MemberIdentity;

use crate::error::MemberError;
use crate::failure::within;

/// The Secret's name.
const NAME: &str = "parallax-member-identity";

/// Where the identity is kept.
pub struct IdentityStore {
    api: Api<Secret>,
}

impl IdentityStore {
    /// Kept in that namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace) }
    }

    /// The identity; none before the cluster is enrolled.
    pub async fn load(&self) -> Result<Option<MemberIdentity>, MemberError> {
        let found = within(self.api.get_opt(NAME)).await;
        let what = "read the Secret parallax-member-identity";
        let secret = found.map_err(|why| MemberError::Api { what, why })?;
        let Some(data) = secret.and_then(|s| s.data) else { return Ok(None) };
        let text =
            |key: &str| data.get(key).map(|v| String::from_utf8_lossy(&v.0).into_owned()).unwrap_or_default();
        let identity = MemberIdentity::from_pem(&text("tls.crt"), &text("tls.key"), &text("ca.crt"));
        identity.map(Some).map_err(|e| MemberError::Identity(NAME.to_owned(), e))
    }

    /// Keeps an identity.
    pub async fn save(&self, identity: &MemberIdentity) -> Result<(), String> {
        let mut secret = Secret { type_: Some("Opaque".into()), ..Secret::default() };
        secret.metadata.name = Some(NAME.into());
        let entry = |key: &str, value: String| (key.to_owned(), ByteString(value.into_bytes()));
        secret.data = Some(
            [
                entry("tls.crt", identity.certificate_pem()),
                entry("tls.key", identity.key_pem()),
                entry("ca.crt", identity.ca_pem()),
                entry("cluster", identity.cluster().to_string()),
            ]
            .into(),
        );
        apply(&self.api, NAME, MEMBER_MANAGER, Conflicts::TakeOver, &secret)
            .await
            .map(drop)
            .map_err(|failure| format!("the Secret {NAME} was not written: {failure}"))
    }
}
