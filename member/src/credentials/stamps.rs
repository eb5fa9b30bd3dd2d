//! This cluster's key for stamps, kept in a Secret of the member's own namespace and made when it is first needed.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_member_core::credentials::{Missing, Seal};
use parallax_platform::{Conflicts, apply};
use tokio::sync::OnceCell;

use crate::failure::within;

/// The Secret's name.
const NAME: &str = "parallax-member-stamps";
/// The entry in it.
const ENTRY: &str = "key";

/// See the module.
pub(super) struct Stamps {
    api: Api<Secret>,
    seal: OnceCell<Seal>,
}

impl Stamps {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), seal: OnceCell::new() }
    }

    /// What makes stamps. The first answer stays: with another key, every pod would be replaced.
    pub(super) async fn seal(&self) -> Result<&Seal, Missing> {
        self.seal.get_or_try_init(|| self.load_or_make()).await
    }

    async fn load_or_make(&self) -> Result<Seal, Missing> {
        let unreadable = |reason, why| Missing::Unreadable { what: format!("Secret {NAME}"), reason, why };
        let found = within(self.api.get_opt(NAME)).await;
        let found = found.map_err(|failure| unreadable(failure.reason(), failure.to_string()))?;
        if let Some(secret) = found {
            let key = secret.data.unwrap_or_default().remove(ENTRY).unwrap_or_default();
            let damaged = "it is damaged; delete it, and agents with credentials are rolled once";
            return Seal::new(&key.0).ok_or_else(|| unreadable("StampsDamaged", damaged.to_owned()));
        }
        let key: [u8; 32] = rand::random();
        let mut secret = Secret { type_: Some("Opaque".into()), ..Secret::default() };
        secret.metadata.name = Some(NAME.into());
        secret.data = Some([(ENTRY.to_owned(), ByteString(key.to_vec()))].into());
        apply(&self.api, NAME, MEMBER_MANAGER, Conflicts::TakeOver, &secret)
            .await
            .map_err(|failure| unreadable(failure.reason(), failure.to_string()))?;
        Seal::new(&key).ok_or_else(|| unreadable("StampsDamaged", String::new()))
    }
}
