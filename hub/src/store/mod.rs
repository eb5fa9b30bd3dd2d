//! The hub's own few objects in its system namespace. Each is created once by whoever comes first, and
//! changed under a precondition afterwards, so that a hub and an administrator's command can race.

pub mod ca;
pub mod join_tokens;
#[cfg(test)]
pub mod one_object;
pub mod state;
pub mod tombstones;

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource};
use parallax_crds::labels::HUB_MANAGER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::HubError;

/// How long one call on a small object may take.
const CALL: Duration = Duration::from_secs(10);
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
    let params = PatchParams::apply(&manager);
    match bounded(name, api.patch(name, &params, &Patch::Apply(object))).await {
        Ok(object) => Ok(Created::Ours(object)),
        Err(HubError::Kube { source, .. }) if is_conflict(&source) => Ok(Created::Theirs),
        Err(HubError::Kube { source, .. }) if matches!(&*source, kube::Error::Api(s) if s.is_not_found()) => {
            Err(HubError::MissingNamespace { namespace: api.namespace().unwrap_or_default().to_owned() })
        }
        Err(error) => Err(error),
    }
}

/// A call on the object `what`, with a time-out and an error that names the object.
pub async fn bounded<T>(
    what: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, HubError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => {
            Err(HubError::Kube { what: what.to_owned(), source: Box::new(source) }.or_missing_right())
        }
        Err(_) => Err(HubError::TimedOut { what: what.to_owned(), seconds: CALL.as_secs() }),
    }
}

/// A patch in the hub's name.
pub fn as_hub() -> PatchParams {
    PatchParams { field_manager: Some(HUB_MANAGER.to_owned()), ..PatchParams::default() }
}

/// Whether the API server refused because the object had changed.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
