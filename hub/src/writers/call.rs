//! One write: the request, and what its answer means.

use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::{Client, Resource};
use parallax_crds::labels::HUB_MANAGER;
use parallax_hub_core::fleet::WriteOutcome;
use parallax_platform::{CallError, Limit, call};
use serde::Serialize;

/// How long one write may take.
const CALL: Limit = Limit::seconds::<15>();
/// Answers without the object's body: of what was written only the metadata is looked at.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Where a write goes.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// The object.
    Whole,
    /// Its status subresource.
    Status,
}

/// How a patch is to be understood.
#[derive(Debug, Clone, Copy)]
pub enum Dialect {
    /// Steps, with tests as preconditions.
    Json,
    /// What to change; null takes away.
    Merge,
    /// All of the object that is ours, whether it is there or not.
    Apply,
}

/// Sends a patch of one object.
pub async fn patch<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
    part: Part,
    dialect: Dialect,
    patch: &impl Serialize,
) -> Result<ObjectMeta, WriteOutcome> {
    let subresource = match part {
        Part::Whole => "",
        Part::Status => "/status",
    };
    let content = match dialect {
        Dialect::Json => "application/json-patch+json",
        Dialect::Merge => "application/merge-patch+json",
        Dialect::Apply => "application/apply-patch+yaml",
    };
    let force = if matches!(dialect, Dialect::Apply) { "&force=true" } else { "" };
    let url =
        format!("{}/{name}{subresource}?fieldManager={HUB_MANAGER}{force}", K::url_path(&(), namespace));
    let invalid =
        |error: String| WriteOutcome::Invalid(format!("the write can't be put into a request: {error}"));
    let body = serde_json::to_vec(patch).map_err(|error| invalid(error.to_string()))?;
    let request = http::Request::patch(url)
        .header(http::header::CONTENT_TYPE, content)
        .header(http::header::ACCEPT, METADATA_ONLY)
        .body(body)
        .map_err(|error| invalid(error.to_string()))?;
    in_time(client.request::<PartialObjectMeta<K>>(request)).await.map(|object| object.metadata)
}

/// Reads one object's metadata from the API server, not from a cache.
pub async fn read<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
) -> Result<ObjectMeta, WriteOutcome> {
    let request = http::Request::get(format!("{}/{name}", K::url_path(&(), namespace)))
        .header(http::header::ACCEPT, METADATA_ONLY)
        .body(Vec::new())
        .map_err(|error| WriteOutcome::Invalid(error.to_string()))?;
    in_time(client.request::<PartialObjectMeta<K>>(request)).await.map(|object| object.metadata)
}

/// Deletes one object; it is no failure that it isn't there.
pub async fn delete<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
) -> WriteOutcome {
    let request = http::Request::delete(format!("{}/{name}", K::url_path(&(), namespace))).body(Vec::new());
    let request = match request {
        Ok(request) => request,
        Err(error) => return WriteOutcome::Invalid(error.to_string()),
    };
    match in_time(client.request_text(request)).await {
        Ok(_) | Err(WriteOutcome::NotFound) => WriteOutcome::Ok(String::new()),
        Err(outcome) => outcome,
    }
}

async fn in_time<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, WriteOutcome> {
    call(CALL, request).await.map_err(outcome)
}

/// What a failed call means for the write.
fn outcome(error: CallError) -> WriteOutcome {
    match error {
        CallError::NotFound(_) => WriteOutcome::NotFound,
        // A test of our JSON patch has failed.
        CallError::Conflict(_) | CallError::AlreadyExists(_) | CallError::Unprocessable(_) => {
            WriteOutcome::Conflict
        }
        CallError::Invalid(message) => WriteOutcome::Invalid(message),
        CallError::Forbidden(_)
        | CallError::Unauthorized(_)
        | CallError::NamespaceTerminating(_)
        | CallError::Passing(_)
        | CallError::Failed(_) => WriteOutcome::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_decided_anew_tried_again_or_given_up_by_what_its_call_met() {
        let text = || "m".to_owned();
        for (error, expected) in [
            (CallError::NotFound(text()), WriteOutcome::NotFound),
            (CallError::Conflict(text()), WriteOutcome::Conflict),
            (CallError::Unprocessable(text()), WriteOutcome::Conflict),
            (CallError::Invalid(text()), WriteOutcome::Invalid(text())),
            (CallError::Forbidden(text()), WriteOutcome::Failed(text())),
            (CallError::NamespaceTerminating(text()), WriteOutcome::Failed(text())),
        ] {
            assert_eq!(outcome(error), expected);
        }
    }
}
