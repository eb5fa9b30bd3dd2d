//! Whom the member obeyed last, kept in a ConfigMap of its own namespace: a hub of an older epoch is refused.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use parallax_crds::labels::MEMBER_MANAGER;
use parallax_platform::{Conflicts, apply};

use crate::error::MemberError;
use crate::failure::within;

/// The ConfigMap's name.
const NAME: &str = "parallax-member-state";

/// Whom the member obeyed last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obeyed {
    /// The hub; none before the first.
    pub hub_uid: Option<String>,
    /// The highest epoch seen of it.
    pub max_epoch: u64,
}

/// Where that is kept.
#[derive(Clone)]
pub struct StateStore {
    api: Api<ConfigMap>,
}

impl StateStore {
    /// Kept in that namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace) }
    }

    /// Whom the member obeyed last.
    pub async fn load(&self) -> Result<Obeyed, MemberError> {
        let found = within(self.api.get_opt(NAME)).await;
        let found = found.map_err(|e| MemberError::Api {
            what: "read the ConfigMap parallax-member-state",
            why: e.to_string(),
        })?;
        let data = found.and_then(|c| c.data).unwrap_or_default();
        let hub_uid = data.get("hubUid").filter(|uid| !uid.is_empty()).cloned();
        let max_epoch = data.get("maxEpoch").and_then(|e| e.parse().ok()).unwrap_or_default();
        Ok(Obeyed { hub_uid, max_epoch })
    }

    /// Keeps it. Only after this may an order of that epoch be carried out.
    pub async fn save(&self, hub_uid: &str, epoch: u64) -> Result<(), String> {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(NAME.into());
        object.data = Some(
            [("hubUid".to_owned(), hub_uid.to_owned()), ("maxEpoch".to_owned(), epoch.to_string())].into(),
        );
        apply(&self.api, MEMBER_MANAGER, Conflicts::TakeOver, &object)
            .await
            .map(drop)
            .map_err(|e| e.to_string())
    }
}
