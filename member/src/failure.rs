//! What an API server's refusal means for the work that met it.

use std::time::Duration;

use parallax_platform::explain;

/// How long a request may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The object, or the namespace that it was to be made in, does not exist.
    #[error("{0}")]
    NotFound(String),
    /// Another writer was faster, or the object is another than expected.
    #[error("{0}")]
    Conflict(String),
    /// The API server's validation refused the object.
    #[error("{0}")]
    Invalid(String),
    /// Quota, an admission policy or missing rights.
    #[error("{0}")]
    Forbidden(String),
    /// The namespace is being deleted.
    #[error("{0}")]
    NamespaceTerminating(String),
    /// The API server can't do it now, or can't be reached.
    #[error("the API server did not answer: {0}")]
    Unavailable(String),
}

impl Failure {
    /// Whether the same request would meet the same answer, until somebody changes something.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Forbidden(_))
    }

    /// A CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "NotFound",
            Self::Conflict(_) => "Conflict",
            Self::Invalid(_) => "Invalid",
            Self::Forbidden(_) => "Forbidden",
            Self::NamespaceTerminating(_) => "NamespaceTerminating",
            Self::Unavailable(_) => "ApiUnavailable",
        }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::Unavailable(explain(&error));
        };
        let terminating =
            status.details.iter().flat_map(|d| &d.causes).any(|c| c.reason == "NamespaceTerminating");
        let (code, message) = (status.code, status.message);
        match code {
            _ if terminating => Self::NamespaceTerminating(message),
            404 => Self::NotFound(message),
            409 => Self::Conflict(message),
            400 | 413 | 422 => Self::Invalid(message),
            403 => Self::Forbidden(message),
            _ => Self::Unavailable(message),
        }
    }
}

/// A request with a time-out.
pub async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(Failure::Unavailable(format!("nothing came within {} s", TIMEOUT.as_secs()))),
    }
}
