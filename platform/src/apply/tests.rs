#![allow(clippy::unwrap_used)]

use http::{Request, Response, header};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{ApiResource, DynamicObject};
use kube::client::Body;
use kube::core::ObjectMeta;
use serde_json::{Value, json};
use tower::BoxError;

use super::*;

/// A client whose API server answers with what it is sent, or with `refusal`.
fn client(refusal: Option<Value>) -> (Client, tokio::sync::mpsc::UnboundedReceiver<(String, String, Value)>) {
    let (seen, requests) = tokio::sync::mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (seen, refusal) = (seen.clone(), refusal.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body: Value = serde_json::from_slice(&body.collect_bytes().await?).unwrap();
            let kind = parts.headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
            seen.send((parts.uri.to_string(), kind, body.clone())).unwrap();
            let code = refusal
                .as_ref()
                .map_or(200, |status| u16::try_from(status["code"].as_u64().unwrap()).unwrap());
            let answer = serde_json::to_vec(&refusal.unwrap_or(body)).unwrap();
            Ok::<_, BoxError>(Response::builder().status(code).body(Body::from(answer)).unwrap())
        }
    });
    (Client::new(service, "default"), requests)
}

fn config_map() -> ConfigMap {
    let metadata =
        ObjectMeta { namespace: Some("a".into()), name: Some("b".into()), ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}

#[tokio::test]
async fn a_typed_object_is_applied_with_its_kind_and_our_manager() {
    let (client, mut requests) = client(None);
    let api = Api::namespaced(client, "a");
    let applied = apply(&api, "parallax-test", Conflicts::TakeOver, &config_map()).await.unwrap();
    assert_eq!(applied, config_map());
    let (uri, kind, body) = requests.recv().await.unwrap();
    assert!(uri.starts_with("/api/v1/namespaces/a/configmaps/b?"), "{uri}");
    assert!(uri.contains("force=true") && uri.contains("fieldManager=parallax-test"), "{uri}");
    assert!(kind.starts_with("application/apply-patch"), "{kind}");
    assert_eq!((&body["apiVersion"], &body["kind"]), (&json!("v1"), &json!("ConfigMap")));
}

#[tokio::test]
async fn a_dynamic_status_is_applied_without_force() {
    let (client, mut requests) = client(None);
    let resource = ApiResource::erase::<ConfigMap>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client, "a", &resource);
    let object = DynamicObject::new("b", &resource).within("a").data(json!({"status": {"x": 1}}));
    apply_status_of(&api, &object).await;
    let (uri, _, body) = requests.recv().await.unwrap();
    assert!(uri.starts_with("/api/v1/namespaces/a/configmaps/b/status?"), "{uri}");
    assert!(!uri.contains("force=true"), "{uri}");
    assert_eq!(body["status"]["x"], 1);
}

async fn apply_status_of(api: &Api<DynamicObject>, object: &DynamicObject) {
    apply_status(api, "parallax-test", Conflicts::Refuse, object).await.unwrap();
}

#[tokio::test]
async fn a_conflict_is_told_from_other_refusals() {
    for (code, reason, conflict) in [(409, "Conflict", true), (403, "Forbidden", false)] {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": "no"});
        let (client, _requests) = client(Some(status));
        let error =
            apply(&Api::namespaced(client, "a"), "m", Conflicts::Refuse, &config_map()).await.unwrap_err();
        assert_eq!(error.is_conflict(), conflict);
        assert_eq!(error.status().unwrap().reason, reason);
        assert_eq!(error.to_string(), format!("applying a/b: no (HTTP {code})"));
    }
}

#[tokio::test]
async fn an_object_without_a_name_is_refused() {
    let (client, _requests) = client(None);
    let error = apply(&Api::namespaced(client, "a"), "m", Conflicts::Refuse, &ConfigMap::default()).await;
    assert!(matches!(error, Err(ApplyError::Nameless)));
}

#[tokio::test(start_paused = true)]
async fn an_apply_without_an_answer_ends() {
    let never =
        tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, BoxError>>());
    let api = Api::namespaced(Client::new(never, "default"), "a");
    let error = apply(&api, "m", Conflicts::TakeOver, &config_map()).await.unwrap_err();
    assert!(matches!(error, ApplyError::TimedOut { .. }) && error.to_string().contains("a/b"), "{error}");
}
