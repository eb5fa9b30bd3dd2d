//! Server-side apply, bounded in time, with errors that name the object.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::explain;

/// How long one apply may take.
pub const APPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// What to do about fields that another manager owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflicts {
    /// Take them: these objects are ours.
    TakeOver,
    /// Leave everything as it is, and fail with [`ApplyError::is_conflict`].
    Refuse,
}

/// An apply that failed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The object has no name, so there is nothing to apply it to.
    #[error("an object without a name can't be applied: set metadata.name")]
    Nameless,
    /// No answer in time; it may have been carried out nevertheless.
    #[error("applying {object} took longer than {APPLY_TIMEOUT:?}; it is tried again")]
    TimedOut {
        /// Namespace and name.
        object: String,
    },
    /// The API server or the way to it.
    #[error("applying {object}: {}", explain(source))]
    Api {
        /// Namespace and name.
        object: String,
        /// What happened.
        source: kube::Error,
    },
}

impl ApplyError {
    /// What the API server answered, if it did.
    #[must_use]
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } => Some(status),
            _ => None,
        }
    }

    /// Whether another manager owns a field (with [`Conflicts::Refuse`]), or the object has changed.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409)
    }
}

/// Applies an object, typed or dynamic, as the field manager `manager`, and returns what became of it.
/// The object must hold exactly what we want to own: no status, no managedFields.
///
/// # Errors
/// When it has no name, the API server refuses it, or there is no answer within 30 s.
pub async fn apply<K>(api: &Api<K>, manager: &str, conflicts: Conflicts, object: &K) -> Result<K, ApplyError>
where
    K: Resource + Serialize + DeserializeOwned + Clone + Debug,
{
    let (name, params) = prepare(object, manager, conflicts)?;
    bounded(object, api.patch(&name, &params, &Patch::Apply(object))).await
}

/// Applies the status of an object, as [`apply`] does the rest: only `status` and what names the object
/// count.
///
/// # Errors
/// As [`apply`].
pub async fn apply_status<K>(
    api: &Api<K>,
    manager: &str,
    conflicts: Conflicts,
    object: &K,
) -> Result<K, ApplyError>
where
    K: Resource + Serialize + DeserializeOwned + Clone + Debug,
{
    let (name, params) = prepare(object, manager, conflicts)?;
    bounded(object, api.patch_status(&name, &params, &Patch::Apply(object))).await
}

fn prepare<K: Resource>(
    object: &K,
    manager: &str,
    conflicts: Conflicts,
) -> Result<(String, PatchParams), ApplyError> {
    let name = object.meta().name.clone().ok_or(ApplyError::Nameless)?;
    let params = PatchParams::apply(manager);
    Ok((name, if conflicts == Conflicts::TakeOver { params.force() } else { params }))
}

async fn bounded<K: Resource>(
    object: &K,
    call: impl Future<Output = kube::Result<K>>,
) -> Result<K, ApplyError> {
    let named = || match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    };
    match tokio::time::timeout(APPLY_TIMEOUT, call).await {
        Ok(Ok(applied)) => Ok(applied),
        Ok(Err(source)) => Err(ApplyError::Api { object: named(), source }),
        Err(_) => Err(ApplyError::TimedOut { object: named() }),
    }
}

#[cfg(test)]
mod tests;
