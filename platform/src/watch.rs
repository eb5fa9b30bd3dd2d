//! Whether a watch is well: its check in `/readyz`, a line when it is interrupted and one when it goes on.
//!
//! A watcher tells of its errors and of changes, but not that it was taken up again while nothing changes. The API
//! server's answers say so, and [`WatchHealth::client`] listens for them.

use std::sync::Arc;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use kube::runtime::watcher;
use parking_lot::Mutex;

use crate::explain_watch;
use crate::readiness::Check;

/// What a watch waits for before its first list is complete.
const FIRST_LIST: &str = "its first list is not complete";

/// How one watch fares. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WatchHealth {
    kind: &'static str,
    check: Check,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The first list was complete: what is watched is known.
    complete: bool,
    interrupted: bool,
}

impl WatchHealth {
    /// Of a watch of `kind` that begins, not ready yet.
    #[must_use]
    pub fn begin(kind: &'static str, check: Check) -> Self {
        check.not_ready(FIRST_LIST);
        Self { kind, check, state: Arc::default() }
    }

    /// The client that the watch is to use: its answers tell that an interruption is over.
    #[must_use]
    pub fn client(&self, client: &Client) -> Client {
        let (health, inner) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (health, inner) = (health.clone(), inner.clone());
            async move {
                let answer: Response<Body> = inner.send(request).await?;
                if answer.status().is_success() {
                    health.answered();
                }
                Ok::<_, kube::Error>(answer)
            }
        });
        Client::new(service, client.default_namespace())
    }

    /// The watcher gave an error; it backs off and goes on by itself.
    pub fn interrupted(&self, error: &watcher::Error) {
        let error = explain_watch(error);
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.interrupted, true) {
            tracing::warn!(
                kind = self.kind,
                error,
                "the watch is interrupted; what is known stays in force, and it is tried again"
            );
        }
        self.check.not_ready(error);
    }

    /// Every object of a list has been given.
    pub fn listed(&self) {
        self.state.lock().complete = true;
        self.check.ready();
    }

    fn answered(&self) {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.interrupted) {
            return;
        }
        tracing::info!(kind = self.kind, "the watch goes on");
        if state.complete {
            self.check.ready();
        } else {
            self.check.not_ready(FIRST_LIST);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::VecDeque;
    use std::pin::pin;

    use futures::StreamExt as _;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::runtime::WatchStreamExt as _;
    use kube::runtime::watcher::{Event, watcher};
    use serde_json::json;
    use tower::BoxError;

    use super::*;
    use crate::Readiness;

    /// An API server with no object, whose calls are answered as scripted, and then never.
    fn scripted(codes: impl IntoIterator<Item = u16>) -> Client {
        let codes = Arc::new(Mutex::new(codes.into_iter().collect::<VecDeque<_>>()));
        let service = tower::service_fn(move |request: Request<Body>| {
            let code = codes.lock().pop_front();
            async move {
                let Some(code) = code else { return std::future::pending().await };
                let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
                let answer = match code {
                    200 if watch => String::new(),
                    200 => json!({"apiVersion": "v1", "kind": "ConfigMapList",
                        "metadata": {"resourceVersion": "1"}, "items": []})
                    .to_string(),
                    _ => json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                        "reason": "x", "message": "the server is going down"})
                    .to_string(),
                };
                Ok::<_, BoxError>(Response::builder().status(code).body(Body::from(answer.into_bytes()))?)
            }
        });
        Client::new(service, "default")
    }

    /// Follows a watch until `/readyz` has said each of these, in this order and nothing between.
    async fn says(codes: &[u16], expected: &[&str]) {
        let readiness = Readiness::default();
        let health = WatchHealth::begin("ConfigMap", readiness.check("watch of ConfigMaps"));
        let api: Api<ConfigMap> = Api::all(health.client(&scripted(codes.iter().copied())));
        let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
        let mut said = vec![readiness.report().text];
        for _ in 0..100 {
            // The answer of a watch that is taken up is no event: look now and then.
            let event = tokio::time::timeout(std::time::Duration::from_secs(1), events.next()).await;
            match event {
                Ok(Some(Ok(Event::InitDone))) => health.listed(),
                Ok(Some(Err(error))) => health.interrupted(&error),
                _ => {}
            }
            let now = readiness.report().text;
            if said.last() != Some(&now) {
                said.push(now);
            }
        }
        let expected: Vec<_> = expected.iter().map(|line| format!("watch of ConfigMaps: {line}\n")).collect();
        assert_eq!(said, expected);
    }

    const DOWN: &str = "not ready: the server is going down (HTTP 503)";

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_ready_with_its_first_list_and_not_while_it_is_interrupted() {
        let first = format!("not ready: {FIRST_LIST}");
        // The list, an empty watch that ends, two refusals, and a watch that tells nothing.
        says(&[200, 200, 503, 503, 200], &[&first, "ready", DOWN, "ready"]).await;
    }

    #[test]
    fn an_answer_is_no_list() {
        let readiness = Readiness::default();
        let health = WatchHealth::begin("ConfigMap", readiness.check("watch"));
        health.interrupted(&watcher::Error::NoResourceVersion);
        assert!(!readiness.report().text.contains(FIRST_LIST));
        health.answered();
        assert_eq!(readiness.report().text, format!("watch: not ready: {FIRST_LIST}\n"));
    }
}
