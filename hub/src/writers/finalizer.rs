//! Our finalizer on and off an agent, whatever else happens to the object meanwhile.

use kube::Client;
use kube::api::ObjectMeta;
use parallax_crds::labels::FINALIZER;
use parallax_crds::{AgentKey, ParallaxAgent};
use parallax_hub_core::fleet::WriteOutcome;
use serde_json::Value;

use super::call::{self, Dialect, Part};
use super::patches;

/// How often a patch is made anew from what the object has become.
const ATTEMPTS: usize = 4;

/// Adds it to the object with this UID, unless it is being deleted.
pub async fn add(client: &Client, key: &AgentKey, uid: &str) -> WriteOutcome {
    // A new object has none: the usual case takes one call.
    write(client, key, uid, Vec::new(), patches::add_finalizer, |now| now.deletion_timestamp.is_none()).await
}

/// Takes it from the object with this UID.
pub async fn release(client: &Client, key: &AgentKey, uid: &str) -> WriteOutcome {
    // Ours alone is the usual case, and takes one call.
    write(client, key, uid, vec![FINALIZER.to_owned()], patches::release_finalizer, |_| true).await
}

async fn write(
    client: &Client,
    key: &AgentKey,
    uid: &str,
    mut finalizers: Vec<String>,
    patch: fn(&str, &[String]) -> Option<Value>,
    allowed: fn(&ObjectMeta) -> bool,
) -> WriteOutcome {
    let mut version = String::new();
    for _ in 0..ATTEMPTS {
        let Some(patch) = patch(uid, &finalizers) else {
            return WriteOutcome::Ok(version);
        };
        let written = call::patch::<ParallaxAgent>(
            client,
            Some(key.namespace()),
            key.name(),
            Part::Whole,
            Dialect::Json,
            &patch,
        )
        .await;
        let refused = match written {
            Ok(meta) => return WriteOutcome::Ok(meta.resource_version.unwrap_or_default()),
            // Not as assumed (a deletion in between makes an added finalizer invalid): look.
            Err(WriteOutcome::Conflict) => None,
            Err(WriteOutcome::Invalid(why)) => Some(why),
            Err(other) => return other,
        };
        match call::read::<ParallaxAgent>(client, Some(key.namespace()), key.name()).await {
            Ok(now) if now.uid.as_deref() != Some(uid) || !allowed(&now) => return WriteOutcome::Conflict,
            Ok(now) => {
                // It was as assumed: the object itself is what the API server doesn't take.
                if let Some(why) =
                    refused.filter(|_| *now.finalizers.as_deref().unwrap_or_default() == finalizers)
                {
                    return WriteOutcome::Invalid(why);
                }
                finalizers = now.finalizers.unwrap_or_default();
                version = now.resource_version.unwrap_or_default();
            }
            Err(other) => return other,
        }
    }
    WriteOutcome::Failed("the object's finalizers keep changing".to_owned())
}

#[cfg(test)]
mod tests;
