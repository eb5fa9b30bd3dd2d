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
mod tests {
    use http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// An API server that refuses every patch for a cause, and whose object has these finalizers.
    fn refusing(finalizers: &'static [&'static str], deleted: bool) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let (code, answer) = if request.method() == Method::GET {
                let mut metadata = json!({"name": "a", "uid": "u", "finalizers": finalizers});
                if deleted {
                    metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                }
                (
                    200,
                    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata}),
                )
            } else {
                let details = json!({"causes": [{"reason": "x", "message": "y", "field": "spec"}]});
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422,
                    "reason": "Invalid", "message": "spec: too long", "details": details});
                (422, status)
            };
            let body = Body::from(answer.to_string().into_bytes());
            Ok::<_, tower::BoxError>(Response::builder().status(code).body(body)?)
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn an_object_that_can_not_be_stored_is_invalid_and_one_that_changed_is_not() {
        let key = AgentKey::new("team", "a");
        let invalid = WriteOutcome::Invalid("spec: too long".to_owned());
        assert_eq!(add(&refusing(&[], false), &key, "u").await, invalid);
        assert_eq!(release(&refusing(&[FINALIZER], false), &key, "u").await, invalid);
        assert_eq!(add(&refusing(&[], true), &key, "u").await, WriteOutcome::Conflict);
        assert_eq!(add(&refusing(&["other/one"], false), &key, "u").await, invalid);
    }
}
