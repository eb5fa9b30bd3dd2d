//! One call of the Kubernetes API: bounded in time, and what its failure means for whoever made it.

use std::time::Duration;

use kube::core::Status;

use crate::api_calls::ANSWER_TIMEOUT;
use crate::explain;

/// How long a call may take, its answer's body included. Always less than what the client allows for the
/// beginning of an answer, so that a call that hangs ends in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(Duration);

impl Limit {
    /// So many seconds; a limit that the client would cut short doesn't compile.
    #[must_use]
    pub const fn seconds<const SECONDS: u64>() -> Self {
        const { assert!(SECONDS > 0 && SECONDS < ANSWER_TIMEOUT.as_secs()) }
        Self(Duration::from_secs(SECONDS))
    }
}

/// A call that failed. Refusals hold the API server's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The object, the namespace that it was to be made in, or its kind, does not exist.
    #[error("{0}")]
    NotFound(String),
    /// An object of that name was made before.
    #[error("{0}")]
    AlreadyExists(String),
    /// Another writer was faster or owns a field, or the object is another than expected.
    #[error("{0}")]
    Conflict(String),
    /// The API server can't store what it was given.
    #[error("{0}")]
    Invalid(String),
    /// It can't carry the request out, and names no field: a test of a JSON patch failed, or an admission webhook says
    /// no with this code.
    #[error("{0}")]
    Unprocessable(String),
    /// Quota, an admission policy or missing rights.
    #[error("{0}")]
    Forbidden(String),
    /// The API server doesn't know who asks.
    #[error("{0}")]
    Unauthorized(String),
    /// The namespace is being deleted.
    #[error("{0}")]
    NamespaceTerminating(String),
    /// The API server is away, busy or starting: the same call may well succeed later. A write may have been carried
    /// out nevertheless.
    #[error("the API server is not available: {0}")]
    Passing(String),
    /// Anything else: an answer that can't be read, a request that can't be made.
    #[error("the call failed: {0}")]
    Failed(String),
}

impl CallError {
    /// Whether it may come right by itself.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Passing(_))
    }

    /// Whether the same call would meet the same answer, until somebody changes something.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Unprocessable(_) | Self::Forbidden(_))
    }

    /// A CamelCase word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "NotFound",
            Self::AlreadyExists(_) => "AlreadyExists",
            Self::Conflict(_) => "Conflict",
            Self::Invalid(_) | Self::Unprocessable(_) => "Invalid",
            Self::Forbidden(_) => "Forbidden",
            Self::Unauthorized(_) => "Unauthorized",
            Self::NamespaceTerminating(_) => "NamespaceTerminating",
            Self::Passing(_) | Self::Failed(_) => "ApiUnavailable",
        }
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => refusal(*status),
            kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {
                Self::Passing(explain(&error))
            }
            // The same request can't be made another time either.
            kube::Error::BuildRequest(_) => Self::Invalid(explain(&error)),
            _ => Self::Failed(explain(&error)),
        }
    }
}

/// What the API server's answer means.
fn refusal(status: Status) -> CallError {
    let causes = status.details.as_ref().map_or(&[][..], |details| &details.causes);
    let terminating = causes.iter().any(|cause| cause.reason == "NamespaceTerminating");
    let fieldless = causes.is_empty();
    let (code, exists) = (status.code, status.reason == "AlreadyExists");
    let explained = explain(&kube::Error::Api(status.clone().boxed()));
    let words = if status.message.is_empty() { explained.clone() } else { status.message };
    match code {
        _ if terminating => CallError::NamespaceTerminating(words),
        404 => CallError::NotFound(words),
        409 if exists => CallError::AlreadyExists(words),
        409 => CallError::Conflict(words),
        422 if fieldless => CallError::Unprocessable(words),
        400 | 413 | 422 => CallError::Invalid(words),
        401 => CallError::Unauthorized(words),
        403 => CallError::Forbidden(words),
        429 | 500.. => CallError::Passing(explained),
        _ => CallError::Failed(explained),
    }
}

/// A call of the Kubernetes API that takes at most as long as `limit`.
///
/// # Errors
/// When the API server refuses it, can't be reached, or gives no whole answer in time.
pub async fn call<T>(
    Limit(limit): Limit,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(CallError::from),
        Err(_) => Err(CallError::Passing(format!("no answer came within {} s", limit.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn answer(code: u16, reason: &str, causes: &[&str]) -> CallError {
        let cause = |reason: &&str| StatusCause {
            reason: (*reason).to_owned(),
            message: String::new(),
            field: String::new(),
        };
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: causes.iter().map(cause).collect(),
            retry_after_seconds: 0,
        };
        let status = Status::failure("no", reason).with_code(code).with_details(details);
        kube::Error::Api(status.boxed()).into()
    }

    #[test]
    fn a_refusal_is_told_by_its_code_and_reason() {
        let no = || "no".to_owned();
        for (code, reason, causes, expected) in [
            (404, "NotFound", &[][..], CallError::NotFound(no())),
            (409, "AlreadyExists", &[], CallError::AlreadyExists(no())),
            (409, "Conflict", &[], CallError::Conflict(no())),
            (409, "Conflict", &["FieldManagerConflict"], CallError::Conflict(no())),
            (400, "BadRequest", &[], CallError::Invalid(no())),
            (413, "RequestEntityTooLarge", &[], CallError::Invalid(no())),
            (401, "Unauthorized", &[], CallError::Unauthorized(no())),
            (403, "Forbidden", &[], CallError::Forbidden(no())),
            (403, "Forbidden", &["NamespaceTerminating"], CallError::NamespaceTerminating(no())),
            (410, "Expired", &[], CallError::Failed("no (HTTP 410)".to_owned())),
        ] {
            assert_eq!(answer(code, reason, causes), expected);
        }
    }

    #[test]
    fn a_failed_test_is_told_from_a_refused_field() {
        assert_eq!(answer(422, "Invalid", &[]), CallError::Unprocessable("no".to_owned()));
        assert_eq!(answer(422, "Invalid", &["FieldValueInvalid"]), CallError::Invalid("no".to_owned()));
    }

    #[test]
    fn what_may_pass_later_is_worth_another_try() {
        for code in [429, 500, 503, 504] {
            assert_eq!(answer(code, "x", &[]), CallError::Passing(format!("no (HTTP {code})")));
        }
        let away = CallError::from(kube::Error::Service("connection refused".into()));
        assert_eq!(away, CallError::Passing("connection refused".to_owned()));
        for lasting in [answer(403, "Forbidden", &[]), answer(404, "NotFound", &[])] {
            assert!(!lasting.is_passing(), "{lasting}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends_and_says_after_how_long() {
        let error = call(Limit::seconds::<10>(), std::future::pending::<kube::Result<()>>()).await;
        assert_eq!(error, Err(CallError::Passing("no answer came within 10 s".to_owned())));
    }
}
