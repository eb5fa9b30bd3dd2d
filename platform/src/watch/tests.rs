#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::BoxError;

use super::health::FIRST_LIST;
use super::*;

/// An API server with these objects, whose calls are answered as scripted, and then never.
fn scripted(items: &Value, codes: impl IntoIterator<Item = u16>) -> Client {
    let codes = Arc::new(Mutex::new(codes.into_iter().collect::<VecDeque<_>>()));
    let items = items.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (code, items) = (codes.lock().pop_front(), items.clone());
        async move {
            let Some(code) = code else { return std::future::pending().await };
            // Long enough for whoever looks now and then.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let answer = match code {
                200 if watch => String::new(),
                200 => json!({"apiVersion": "v1", "kind": "ConfigMapList",
                    "metadata": {"resourceVersion": "1"}, "items": items})
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
    let client = scripted(&json!([]), codes.iter().copied());
    let watch = Watch::new(&client, "ConfigMaps").shown_in(&readiness);
    let mut events = watch.follow(Api::<ConfigMap>::all);
    let mut said = vec![readiness.report().text];
    for _ in 0..100 {
        // The answer of a watch that is taken up is no event: look now and then.
        let _ = tokio::time::timeout(Duration::from_secs(1), events.next()).await;
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

#[tokio::test(start_paused = true)]
async fn a_watch_is_not_ready_before_its_list_has_been_dealt_with() {
    let readiness = Readiness::default();
    let watch = Watch::new(&scripted(&json!([]), [200]), "ConfigMaps").shown_in(&readiness);
    let mut events = watch.follow(Api::<ConfigMap>::all);
    while !matches!(events.next().await, Some(Event::InitDone)) {}
    assert!(!readiness.report().ready);
    let _ = tokio::time::timeout(Duration::from_secs(1), events.next()).await;
    assert!(readiness.report().ready);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_not_shown_holds_nobody_up() {
    let readiness = Readiness::default();
    readiness.check("start").ready();
    let watch = Watch::new(&scripted(&json!([]), [403]), "Secrets of team");
    let mut events = watch.follow_closely(Api::<ConfigMap>::all);
    assert!(matches!(events.next().await, Some(Ok(Event::Init))));
    let why = events.next().await.unwrap().unwrap_err();
    assert_eq!(why.message, "the server is going down (HTTP 403)");
    assert!(why.forbidden);
    assert!(readiness.report().ready);
}

/// What a watch makes of one object.
async fn listed(object: Value, watch: impl FnOnce(Watch) -> Watch) -> ConfigMap {
    let watch = watch(Watch::new(&scripted(&json!([object]), [200]), "ConfigMaps"));
    let mut events = watch.follow(Api::<ConfigMap>::all);
    loop {
        if let Event::InitApply(object) = events.next().await.unwrap() {
            return object;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reads_is_not_handed_on() {
    let object = json!({"metadata": {
        "name": "a", "annotations": {LAST_APPLIED: "{}", "other": "x"},
        "managedFields": [{"manager": "kubectl", "operation": "Apply"}],
    }});
    let lean = listed(object.clone(), |watch| watch).await.metadata;
    assert_eq!(lean.managed_fields, None);
    assert_eq!(lean.annotations.unwrap().into_keys().collect::<Vec<_>>(), ["other"]);
    let whole = listed(object, Watch::with_managed_fields).await.metadata;
    assert!(whole.managed_fields.is_some_and(|fields| fields.len() == 1));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_stalls_no_other() {
    let objects =
        json!([{"metadata": {"name": "bad"}, "data": 7}, {"metadata": {"name": "good"}, "data": {}}]);
    let watch = Watch::new(&scripted(&objects, [200]), "ConfigMaps");
    let mut events = watch.follow(Api::<DeserializeGuard<ConfigMap>>::all);
    let mut seen = Vec::new();
    loop {
        match events.next().await.unwrap() {
            Event::InitApply(object) => {
                seen.push(readable(object).map(|o| o.metadata.name).map_err(|meta| meta.name));
            }
            Event::InitDone => break,
            _ => {}
        }
    }
    assert_eq!(seen, [Err(Some("bad".to_owned())), Ok(Some("good".to_owned()))]);
}
