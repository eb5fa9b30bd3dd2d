//! The hub's own few objects in its system namespace, and the revisions beside the agents. Of the former, each is created
//! once by whoever comes first, and changed under a precondition afterwards, so that a hub and an administrator's command
//! can race.

pub mod at_start;
pub mod ca;
pub mod join_tokens;
pub mod revisions;
pub mod state;
pub mod tombstones;

use std::fmt::Debug;

use kube::api::PatchParams;
use kube::{Api, Resource};
use parallax_crds::labels::HUB_MANAGER;
use parallax_platform::{CallError, Conflicts, Limit, apply, call};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::HubError;

/// How long one call on a small object may take.
const CALL: Limit = Limit::seconds::<10>();
/// How often a change is tried again against a newer version of the object.
pub const ATTEMPTS: usize = 8;

/// What a creation met.
#[derive(Debug)]
pub enum Created<K> {
    /// The object is there, with our content.
    Ours(K),
    /// Somebody else was faster; read it.
    Theirs,
}

/// Creates `object` unless it exists with other content. By server-side apply, because `create` can be
/// granted for one name only in that form; under a manager of its own and without force, so that of two
/// who create at once exactly one wins and the other is told so by a conflict.
pub async fn create_once<K>(api: &Api<K>, name: &str, object: &K) -> Result<Created<K>, HubError>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let manager = format!("{}-init-{}", HUB_MANAGER, Uuid::new_v4().simple());
    match apply(api, name, &manager, Conflicts::Refuse, object).await {
        Ok(object) => Ok(Created::Ours(object)),
        Err(CallError::Conflict(_)) => Ok(Created::Theirs),
        Err(CallError::NotFound(_)) => {
            Err(HubError::MissingNamespace { namespace: api.namespace().unwrap_or_default().to_owned() })
        }
        Err(error) => Err(HubError::of(name, error)),
    }
}

/// A call on the object `what`, with a time-out and an error that names the object.
pub async fn bounded<T>(what: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, HubError> {
    call(CALL, request).await.map_err(|error| HubError::of(what, error))
}

/// A patch in the hub's name.
pub fn as_hub() -> PatchParams {
    PatchParams { field_manager: Some(HUB_MANAGER.to_owned()), ..PatchParams::default() }
}
