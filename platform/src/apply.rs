//! Server-side apply, bounded in time.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::core::Request;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{CallError, Limit, call};

/// How long one apply may take.
const LIMIT: Limit = Limit::seconds::<20>();

/// What to do about fields that another manager owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflicts {
    /// Take them: these objects are ours.
    TakeOver,
    /// Leave everything as it is, and fail with [`CallError::Conflict`].
    Refuse,
}

impl Conflicts {
    fn params(self, manager: &str) -> PatchParams {
        let params = PatchParams::apply(manager);
        if self == Self::TakeOver { params.force() } else { params }
    }
}

/// Applies `object`, typed or as JSON, under `name` and as the field manager `manager`, and returns what became of it.
/// It must hold exactly what we want to own, and say its apiVersion and kind: no status, no managedFields.
///
/// # Errors
/// When the API server refuses it, or there is no answer in time.
pub async fn apply<K>(
    api: &Api<K>,
    name: &str,
    manager: &str,
    conflicts: Conflicts,
    object: &(impl Serialize + Debug),
) -> Result<K, CallError>
where
    K: DeserializeOwned + Clone + Debug,
{
    call(LIMIT, api.patch(name, &conflicts.params(manager), &Patch::Apply(object))).await
}

/// Applies the status of an object, as [`apply`] does the rest: only `status` and what names the object
/// count.
///
/// # Errors
/// As [`apply`].
pub async fn apply_status<K>(
    api: &Api<K>,
    name: &str,
    manager: &str,
    conflicts: Conflicts,
    object: &(impl Serialize + Debug),
) -> Result<K, CallError>
where
    K: DeserializeOwned,
{
    call(LIMIT, api.patch_status(name, &conflicts.params(manager), &Patch::Apply(object))).await
}

/// As [`apply`], of an object that no log may show: its answer comes as text, since the client logs what it can't read
/// as an object. `resource` is the path of its kind in its namespace.
///
/// # Errors
/// As [`apply`].
pub async fn apply_unlogged(
    client: &Client,
    resource: String,
    name: &str,
    manager: &str,
    conflicts: Conflicts,
    object: &(impl Serialize + Debug),
) -> Result<String, CallError> {
    let request = Request::new(resource)
        .patch(name, &conflicts.params(manager), &Patch::Apply(object))
        .map_err(kube::Error::BuildRequest)?;
    call(LIMIT, client.request_text(request)).await
}

#[cfg(test)]
mod tests;
