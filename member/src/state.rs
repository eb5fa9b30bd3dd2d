//! Whom the member obeyed last, kept in a ConfigMap of its own namespace: a hub of an older epoch is refused.

use std::collections::BTreeMap;

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
        let what = "read the ConfigMap parallax-member-state";
        let found = found.map_err(|why| MemberError::Api { what, why })?;
        read(&found.and_then(|c| c.data).unwrap_or_default())
    }

    /// Keeps it. Only after this may an order of that epoch be carried out.
    pub async fn save(&self, hub_uid: &str, epoch: u64) -> Result<(), String> {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(NAME.into());
        object.data = Some(
            [("hubUid".to_owned(), hub_uid.to_owned()), ("maxEpoch".to_owned(), epoch.to_string())].into(),
        );
        apply(&self.api, NAME, MEMBER_MANAGER, Conflicts::TakeOver, &object)
            .await
            .map(drop)
            .map_err(|failure| format!("the ConfigMap {NAME} was not written: {failure}"))
    }
}

fn read(data: &BTreeMap<String, String>) -> Result<Obeyed, MemberError> {
    let hub_uid = data.get("hubUid").filter(|uid| !uid.is_empty()).cloned();
    let max_epoch = match data.get("maxEpoch") {
        // Taken for 0, it would let a hub be obeyed that has been superseded.
        Some(epoch) => epoch.parse().map_err(|_| MemberError::State(NAME))?,
        None => 0,
    };
    Ok(Obeyed { hub_uid, max_epoch })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn data(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn whoever_was_obeyed_is_remembered() {
        assert_eq!(read(&data(&[])).unwrap(), Obeyed::default());
        let obeyed = read(&data(&[("hubUid", "hub"), ("maxEpoch", "7")])).unwrap();
        assert_eq!(obeyed, Obeyed { hub_uid: Some("hub".to_owned()), max_epoch: 7 });
    }

    #[test]
    fn an_epoch_that_is_no_number_is_not_taken_for_none() {
        let error = read(&data(&[("hubUid", "hub"), ("maxEpoch", "7e")])).unwrap_err();
        assert!(error.to_string().contains("parallax-member-state"), "{error}");
    }
}
