//! One write: the request, and what its answer means.

use std::time::Duration;

use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::{Client, Resource};
use parallax_crds::labels::HUB_MANAGER;
use parallax_hub_core::fleet::WriteOutcome;
use parallax_platform::explain;
use serde::Serialize;

/// How long one write may take.
const CALL: Duration = Duration::from_secs(15);
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
    };
    let url = format!("{}/{name}{subresource}?fieldManager={HUB_MANAGER}", K::url_path(&(), namespace));
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

async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, WriteOutcome> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map_err(|error| judge(&error)),
        Err(_) => Err(WriteOutcome::Failed(format!("no answer within {} s", CALL.as_secs()))),
    }
}

/// What an error means for the write.
fn judge(error: &kube::Error) -> WriteOutcome {
    let kube::Error::Api(status) = error else {
        return WriteOutcome::Failed(explain(error));
    };
    match status.code {
        404 => WriteOutcome::NotFound,
        409 => WriteOutcome::Conflict,
        // A JSON patch whose test fails is answered with 422 and no causes; what the schema refuses has some.
        422 if status.details.as_ref().is_none_or(|details| details.causes.is_empty()) => {
            WriteOutcome::Conflict
        }
        400 | 413 | 422 => WriteOutcome::Invalid(status.message.clone()),
        code => WriteOutcome::Failed(format!("{} ({code})", status.message)),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn api(code: u16, causes: usize) -> WriteOutcome {
        let cause = StatusCause { reason: String::new(), message: String::new(), field: String::new() };
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![cause; causes],
            retry_after_seconds: 0,
        };
        judge(&kube::Error::Api(Status::failure("m", "r").with_code(code).with_details(details).boxed()))
    }

    #[test]
    fn a_failed_test_is_a_conflict_and_a_refused_field_is_not() {
        assert_eq!(api(422, 0), WriteOutcome::Conflict);
        assert_eq!(api(422, 1), WriteOutcome::Invalid("m".into()));
    }

    #[test]
    fn what_may_pass_later_is_worth_another_try() {
        for code in [403, 429, 500, 503, 504] {
            assert_eq!(api(code, 0), WriteOutcome::Failed(format!("m ({code})")));
        }
    }
}
