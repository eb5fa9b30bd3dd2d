//! ConfigMap `parallax-hub-state`: who this hub is, the highest epoch it has used, and which process is it now.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, Patch};
use serde_json::json;
use uuid::Uuid;

use super::{ATTEMPTS, Created, as_hub, bounded, create_once};
use crate::error::HubError;

/// The object's name.
pub const NAME: &str = "parallax-hub-state";

/// The hub's identity and the epoch of this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubState {
    /// Random, made once, kept in backups: what members know the hub by.
    pub uid: String,
    /// Rises with every start.
    pub epoch: u64,
    /// Random, made at every start: the process that began the epoch. Empty in a record that nobody has begun yet.
    pub holder: String,
}

impl HubState {
    /// What the object says.
    ///
    /// # Errors
    /// [`HubError::Malformed`] when it doesn't say who the hub is.
    pub fn of(object: &ConfigMap) -> Result<Self, HubError> {
        parse(object)
    }
}

/// The epoch after `stored`: unix milliseconds, so that it rises even after a restore from an old
/// backup, and never less than one more than before.
pub fn next_epoch(stored: u64, unix_millis: u64) -> u64 {
    unix_millis.max(stored.saturating_add(1))
}

fn parse(object: &ConfigMap) -> Result<HubState, HubError> {
    let field = |key: &str| object.data.as_ref().and_then(|d| d.get(key)).cloned();
    let malformed = |problem: &str| HubError::Malformed {
        what: format!("ConfigMap {NAME}"),
        problem: problem.to_owned(),
        consequence: "to begin as a new hub",
    };
    let uid = field("uid").filter(|uid| !uid.is_empty()).ok_or_else(|| malformed("it has no `uid`"))?;
    let epoch = field("epoch").unwrap_or_default();
    let epoch = epoch.parse().map_err(|_| malformed("its `epoch` is not a number"))?;
    Ok(HubState { uid, epoch, holder: field("holder").unwrap_or_default() })
}

/// Reads the state and stores an epoch above it; makes the object when there is none.
pub async fn begin_epoch(api: &Api<ConfigMap>, unix_millis: u64) -> Result<HubState, HubError> {
    let what = format!("ConfigMap {NAME}");
    let holder = Uuid::new_v4().to_string();
    for _ in 0..ATTEMPTS {
        let Some(object) = bounded(&what, api.get_opt(NAME)).await? else {
            let epoch = next_epoch(0, unix_millis);
            let state = HubState { uid: Uuid::new_v4().to_string(), epoch, holder: holder.clone() };
            match create_once(api, NAME, &object_of(&state)).await? {
                Created::Ours(_) => return Ok(state),
                Created::Theirs => continue,
            }
        };
        let stored = parse(&object)?;
        let epoch = next_epoch(stored.epoch, unix_millis);
        let state = HubState { uid: stored.uid, epoch, holder: holder.clone() };
        match replace(api, &object, &state).await {
            Ok(()) => return Ok(state),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
    Err(HubError::Contended { what })
}

/// Stores `to` instead of the lower epoch that `holder` has stored; false when that is not lower, changed meanwhile, or
/// is another's: then somebody else is the hub.
pub async fn raise_epoch(api: &Api<ConfigMap>, holder: &str, to: u64) -> Result<bool, HubError> {
    let object = bounded(&format!("ConfigMap {NAME}"), api.get(NAME)).await?;
    let stored = parse(&object)?;
    if stored.epoch >= to || stored.holder != holder {
        return Ok(false);
    }
    match replace(api, &object, &HubState { epoch: to, ..stored }).await {
        Ok(()) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Stores the epoch and the holder of `state`, unless the object has changed since it was read.
async fn replace(api: &Api<ConfigMap>, read: &ConfigMap, state: &HubState) -> Result<(), HubError> {
    let patch = json!({
        "metadata": {"resourceVersion": read.metadata.resource_version},
        "data": {"epoch": state.epoch.to_string(), "holder": state.holder},
    });
    bounded(&format!("ConfigMap {NAME}"), api.patch(NAME, &as_hub(), &Patch::Merge(&patch))).await?;
    Ok(())
}

fn object_of(state: &HubState) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        data: Some(
            [
                ("uid".to_owned(), state.uid.clone()),
                ("epoch".to_owned(), state.epoch.to_string()),
                ("holder".to_owned(), state.holder.clone()),
            ]
            .into(),
        ),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use parallax_platform::testing::ApiServer;

    use super::*;

    #[test]
    fn an_epoch_is_the_time_unless_that_would_not_rise() {
        assert_eq!(next_epoch(5, 1_000), 1_000);
        assert_eq!(next_epoch(1_000, 1_000), 1_001);
        assert_eq!(next_epoch(9_000, 1_000), 9_001);
        assert_eq!(next_epoch(u64::MAX, 1_000), u64::MAX);
    }

    #[test]
    fn a_state_reads_back_as_it_was_written() {
        let state = HubState { uid: "u-1".into(), epoch: 42, holder: "p-1".into() };
        assert_eq!(parse(&object_of(&state)).unwrap(), state);
    }

    #[test]
    fn a_state_without_a_uid_is_refused_with_what_to_do() {
        let error = parse(&ConfigMap::default()).unwrap_err().to_string();
        assert!(error.contains("restore it from a backup"), "{error}");
    }

    #[tokio::test]
    async fn hubs_that_start_at_once_are_the_same_hub_with_an_epoch_each() {
        let api: Api<ConfigMap> = Api::namespaced(ApiServer::new().client(), "test");
        let states = futures::future::join_all((0..4).map(|_| begin_epoch(&api, 1_000))).await;
        let states: Vec<HubState> = states.into_iter().map(Result::unwrap).collect();
        assert!(states.iter().all(|state| state.uid == states[0].uid), "{states:?}");
        let epochs: std::collections::BTreeSet<u64> = states.iter().map(|state| state.epoch).collect();
        assert_eq!(epochs.len(), states.len(), "{states:?}");
    }

    #[tokio::test]
    async fn an_epoch_is_raised_but_never_lowered() {
        let api: Api<ConfigMap> = Api::namespaced(ApiServer::new().client(), "test");
        let begun = begin_epoch(&api, 1_000).await.unwrap();
        assert!(raise_epoch(&api, &begun.holder, begun.epoch + 5).await.unwrap());
        assert!(!raise_epoch(&api, &begun.holder, begun.epoch + 5).await.unwrap());
        let next = begin_epoch(&api, 0).await.unwrap();
        assert_eq!(next.epoch, begun.epoch + 6);
        assert!(!raise_epoch(&api, &begun.holder, begun.epoch + 9).await.unwrap(), "it is another's");
    }
}
