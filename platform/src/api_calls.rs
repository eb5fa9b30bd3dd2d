//! Every call of the Kubernetes API, bounded in time and counted by what it does.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Method, Request, Response, header};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tower::{BoxError, Layer, Service};

use crate::Metrics;
use crate::metrics::Histograms;

/// How long an API server may take to begin its answer. A watch's answer begins at once, too.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The labels of `parallax_api_calls_total`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    verb: &'static str,
    resource: String,
    code: u16,
}

/// The label of `parallax_api_call_duration_seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verb {
    verb: &'static str,
}

#[derive(Debug, Clone)]
struct Counts {
    calls: Family<Call, Counter>,
    durations: Histograms<Verb>,
}

/// A layer for the kube client: an answer must begin within 30 s; a call without one ends in an error
/// that says so.
#[derive(Debug, Clone)]
pub struct ApiCallLayer {
    counts: Option<Counts>,
}

impl ApiCallLayer {
    /// Bounds calls only.
    #[must_use]
    pub fn new() -> Self {
        Self { counts: None }
    }

    /// Also counts calls as `parallax_api_calls_total{verb,resource,code}` (code 0: no answer) and the
    /// time until their answer begins as `parallax_api_call_duration_seconds{verb}`.
    #[must_use]
    pub fn observed(metrics: &Metrics) -> Self {
        let calls = metrics.counters(
            "parallax_api_calls",
            "Calls of the Kubernetes API by verb, resource and HTTP status (0: no answer)",
        );
        let durations = metrics.histograms(
            "parallax_api_call_duration_seconds",
            "Time until the answer of a call of the Kubernetes API begins",
        );
        Self { counts: Some(Counts { calls, durations }) }
    }
}

impl Default for ApiCallLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ApiCallLayer {
    type Service = ApiCalls<S>;

    fn layer(&self, inner: S) -> ApiCalls<S> {
        ApiCalls { inner, counts: self.counts.clone() }
    }
}

/// The service that [`ApiCallLayer`] makes.
#[derive(Debug, Clone)]
pub struct ApiCalls<S> {
    inner: S,
    counts: Option<Counts>,
}

/// An API server that didn't begin its answer.
#[derive(Debug)]
struct NoAnswer {
    verb: &'static str,
    resource: String,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, resource } = self;
        write!(
            f,
            "the API server didn't answer {verb} {resource} within {ANSWER_TIMEOUT:?}; is it overloaded or cut off?"
        )
    }
}

impl std::error::Error for NoAnswer {}

impl<S, B, R> Service<Request<B>> for ApiCalls<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, resource) = describe(&request);
        let counts = self.counts.clone();
        let begun = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err(NoAnswer { verb, resource: resource.clone() }.into()),
            };
            if let Some(Counts { calls, durations }) = counts {
                let code = answer.as_ref().map_or(0, |response| response.status().as_u16());
                calls.get_or_create(&Call { verb, resource, code }).inc();
                durations.get_or_create(&Verb { verb }).observe(begun.elapsed().as_secs_f64());
            }
            answer
        })
    }
}

/// The verb as Kubernetes' own audit log calls it (and `apply` for server-side apply), and the resource
/// as `resource.group/subresource`, without names.
pub(crate) fn describe<B>(request: &Request<B>) -> (&'static str, String) {
    let mut path = request.uri().path().split('/').filter(|part| !part.is_empty());
    let group = match path.next() {
        Some("api") => {
            path.next();
            None
        }
        Some("apis") => {
            let group = path.next();
            path.next();
            group
        }
        _ => return (verb(request, false), "other".to_owned()),
    };
    let rest: Vec<&str> = path.collect();
    let (resource, named, subresource) = match rest[..] {
        [] => return (verb(request, false), "discovery".to_owned()),
        // A namespace itself, or its own subresources.
        ["namespaces", _] => ("namespaces", true, None),
        ["namespaces", _, sub @ ("status" | "finalize")] => ("namespaces", true, Some(sub)),
        ["namespaces", _, resource] | [resource] => (resource, false, None),
        ["namespaces", _, resource, _] | [resource, _] => (resource, true, None),
        ["namespaces", _, resource, _, sub, ..] | [resource, _, sub, ..] => (resource, true, Some(sub)),
    };
    let mut text = resource.to_owned();
    if let Some(group) = group {
        text.push('.');
        text.push_str(group);
    }
    if let Some(sub) = subresource {
        text.push('/');
        text.push_str(sub);
    }
    (verb(request, named), text)
}

fn verb<B>(request: &Request<B>, named: bool) -> &'static str {
    let watches =
        || request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    let applies = || {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.is_some_and(|kind| kind.starts_with("application/apply-patch"))
    };
    match *request.method() {
        Method::GET if watches() => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH if applies() => "apply",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn described(method: Method, uri: &str) -> String {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let (verb, resource) = describe(&request);
        format!("{verb} {resource}")
    }

    #[test]
    fn a_call_is_described_without_any_object_name() {
        let cases = [
            (Method::GET, "/version", "list other"),
            (Method::GET, "/api", "list discovery"),
            (Method::GET, "/apis/apps/v1", "list discovery"),
            (Method::GET, "/api/v1/pods?watch=true&limit=5", "watch pods"),
            (Method::GET, "/api/v1/namespaces?&labelSelector=a", "list namespaces"),
            (Method::GET, "/api/v1/namespaces/kube-system", "get namespaces"),
            (Method::PUT, "/api/v1/namespaces/a/finalize", "update namespaces/finalize"),
            (Method::GET, "/api/v1/namespaces/a/pods", "list pods"),
            (Method::GET, "/api/v1/namespaces/a/pods/b/log", "get pods/log"),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events?", "create events.events.k8s.io"),
            (Method::DELETE, "/apis/apps/v1/namespaces/a/deployments/b", "delete deployments.apps"),
            (Method::DELETE, "/apis/apps/v1/namespaces/a/deployments", "deletecollection deployments.apps"),
            (
                Method::PATCH,
                "/apis/parallax.io/v1alpha1/namespaces/a/parallaxagents/b/status",
                "patch parallaxagents.parallax.io/status",
            ),
        ];
        for (method, uri, expected) in cases {
            assert_eq!(described(method, uri), expected, "{uri}");
        }
    }

    #[test]
    fn a_server_side_apply_is_told_from_other_patches() {
        let request = Request::builder()
            .method(Method::PATCH)
            .uri("/api/v1/namespaces/a/configmaps/b")
            .header(header::CONTENT_TYPE, "application/apply-patch+yaml")
            .body(())
            .unwrap();
        assert_eq!(describe(&request), ("apply", "configmaps".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_never_answered_ends_and_is_counted() {
        let metrics = Metrics::new("test", "0");
        let never =
            tower::service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, BoxError>>());
        let mut service = ApiCallLayer::observed(&metrics).layer(never);
        let request = Request::builder().uri("/api/v1/pods").body(()).unwrap();
        let error = service.call(request).await.unwrap_err();
        assert!(error.to_string().contains("didn't answer list pods within 30s"), "{error}");
        let text = metrics.render();
        assert!(
            text.contains(r#"parallax_api_calls_total{verb="list",resource="pods",code="0"} 1"#),
            "{text}"
        );
    }
}
