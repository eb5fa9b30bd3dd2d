//! The member's requests, each bounded in time.

use parallax_platform::{CallError, Limit, call};

/// How long a request may take.
const LIMIT: Limit = Limit::seconds::<20>();

/// A request that failed.
pub type Failure = CallError;

/// A request with a time-out.
pub async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    call(LIMIT, request).await
}
