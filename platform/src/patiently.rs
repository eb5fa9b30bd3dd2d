//! A start that waits for an API server that is away.

use std::fmt::Display;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::readiness::Check;

/// Between attempts, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Tries until it works, or until it fails for a reason that waiting does not mend; none when told to stop. Meanwhile
/// `check` says what is waited for; it is for the caller to make it ready.
///
/// # Errors
/// The first that is not passing.
pub async fn patiently<T, E: Display, F: Future<Output = Result<T, E>>>(
    stop: &CancellationToken,
    check: &Check,
    is_passing: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<Option<T>, E> {
    let mut pause = PAUSE.0;
    loop {
        let error = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            result = attempt() => match result {
                Ok(value) => return Ok(Some(value)),
                Err(error) if !is_passing(&error) => return Err(error),
                Err(error) => error,
            },
        };
        check.not_ready(error.to_string());
        tracing::warn!(%error, retry_in_s = pause.as_secs(), "the API server is not there yet; trying again");
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
        pause = PAUSE.1.min(pause * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallError, Readiness};

    /// Attempts that fail in these ways, and then succeed; how it ended and what `/readyz` said at each.
    async fn attempts(fail: Vec<CallError>) -> (Result<Option<()>, CallError>, Vec<String>) {
        let readiness = Readiness::default();
        let check = readiness.check("start");
        let (mut failures, mut said) = (fail.into_iter(), Vec::new());
        let attempt = || {
            said.push(readiness.report().text);
            let failure = failures.next();
            async move { failure.map_or(Ok(()), Err) }
        };
        let stop = CancellationToken::new();
        (patiently(&stop, &check, CallError::is_passing, attempt).await, said)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_named_until_it_is_there() {
        let away = || CallError::Passing("connection refused".to_owned());
        let (ended, said) = attempts(vec![away(), away()]).await;
        assert_eq!(ended, Ok(Some(())));
        let waiting = format!("start: not ready: {}\n", away());
        assert_eq!(said, ["start: not ready: starting\n", &*waiting, &*waiting]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_mend_ends_at_once() {
        let forbidden = CallError::Forbidden("no".to_owned());
        let (ended, said) = attempts(vec![forbidden.clone()]).await;
        assert_eq!((ended, said.len()), (Err(forbidden), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_told_to_stop_waits_no_longer() {
        let check = Readiness::default().check("start");
        let stop = CancellationToken::new();
        let attempt = || {
            stop.cancel();
            async { Err::<(), _>(CallError::Passing("away".to_owned())) }
        };
        assert_eq!(patiently(&stop, &check, CallError::is_passing, attempt).await, Ok(None));
    }
}
