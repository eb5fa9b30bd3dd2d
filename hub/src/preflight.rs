//! What must be so before the hub starts: a reachable API server, our kinds, our rights. What can't come
//! right by itself ends the process with one line; an API server that is away is waited for.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Client};
use parallax_crds::{MemberCluster, ParallaxAgent};
use parallax_platform::readiness::Check;
use tokio_util::sync::CancellationToken;

use crate::error::HubError;
use crate::store::bounded;

/// Between attempts, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Tries until it works, or until it fails for a reason that waiting does not mend; none when told to stop. Meanwhile
/// `check` says what it waits for.
pub async fn patiently<T, F: Future<Output = Result<T, HubError>>>(
    stop: &CancellationToken,
    check: &Check,
    mut attempt: impl FnMut() -> F,
) -> Result<Option<T>, HubError> {
    let mut pause = PAUSE.0;
    loop {
        let error = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            result = attempt() => match result {
                Ok(value) => {
                    check.ready();
                    return Ok(Some(value));
                }
                Err(error) if !error.is_passing() => return Err(error),
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

/// Whether our kinds are installed and we may list them.
pub async fn check(client: &Client) -> Result<(), HubError> {
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (crd, kind, file) in [
        (crate::writers::AGENT_CRD, "ParallaxAgent", "parallaxagents.yaml"),
        ("memberclusters.parallax.io", "MemberCluster", "memberclusters.yaml"),
    ] {
        let found = bounded(&format!("CustomResourceDefinition {crd}"), kinds.get_metadata_opt(crd)).await?;
        if found.is_none() {
            return Err(HubError::MissingKind { kind, file });
        }
    }
    let one = ListParams::default().limit(1);
    let agents = Api::<ParallaxAgent>::all(client.clone());
    bounded("list ParallaxAgents", agents.list_metadata(&one)).await?;
    let clusters = Api::<MemberCluster>::all(client.clone());
    bounded("list MemberClusters", clusters.list_metadata(&one)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use parallax_platform::{CallError, Readiness};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_named_until_it_is_there() {
        let readiness = Readiness::default();
        let check = readiness.check("start");
        let mut said = Vec::new();
        let attempt = || {
            said.push(readiness.report().text);
            let what = "ConfigMap parallax-hub-state".to_owned();
            let there = said.len() > 2;
            async move {
                if there { Ok(1) } else { Err(HubError::of(&what, CallError::Passing("away".to_owned()))) }
            }
        };
        assert!(matches!(patiently(&CancellationToken::new(), &check, attempt).await, Ok(Some(1))));
        assert!(said[1].starts_with("start: not ready: ConfigMap parallax-hub-state: "), "{said:?}");
        assert_eq!(readiness.report().text, "start: ready\n");
    }
}
