#![allow(clippy::unwrap_used)]

use http::{Request, Response, header};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject};
use kube::client::Body;
use kube::core::ObjectMeta;
use kube::{Client, Resource as _};
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
    let applied: ConfigMap =
        apply(&api, "b", "parallax-test", Conflicts::TakeOver, &config_map()).await.unwrap();
    assert_eq!(applied, config_map());
    let (uri, kind, body) = requests.recv().await.unwrap();
    assert!(uri.starts_with("/api/v1/namespaces/a/configmaps/b?"), "{uri}");
    assert!(uri.contains("force=true") && uri.contains("fieldManager=parallax-test"), "{uri}");
    assert!(kind.starts_with("application/apply-patch"), "{kind}");
    assert_eq!((&body["apiVersion"], &body["kind"]), (&json!("v1"), &json!("ConfigMap")));
}

#[tokio::test]
async fn a_status_is_applied_without_force() {
    let (client, mut requests) = client(None);
    let resource = ApiResource::erase::<ConfigMap>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client, "a", &resource);
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "status": {"x": 1}});
    apply_status(&api, "b", "parallax-test", Conflicts::Refuse, &object).await.unwrap();
    let (uri, _, body) = requests.recv().await.unwrap();
    assert!(uri.starts_with("/api/v1/namespaces/a/configmaps/b/status?"), "{uri}");
    assert!(!uri.contains("force=true"), "{uri}");
    assert_eq!(body["status"]["x"], 1);
}

#[tokio::test]
async fn what_no_log_may_show_is_answered_as_text() {
    let (client, mut requests) = client(None);
    let path = ConfigMap::url_path(&(), Some("a"));
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": 7});
    let text = apply_unlogged(&client, path, "b", "parallax-test", Conflicts::TakeOver, &object).await;
    assert_eq!(text, Ok(object.to_string()), "no ConfigMap, and yet no error");
    let (uri, kind, _) = requests.recv().await.unwrap();
    assert!(uri.starts_with("/api/v1/namespaces/a/configmaps/b?") && uri.contains("force=true"), "{uri}");
    assert!(kind.starts_with("application/apply-patch"), "{kind}");
}

#[tokio::test]
async fn a_field_of_another_manager_is_a_conflict() {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409,
        "reason": "Conflict", "message": "no"});
    let (client, _requests) = client(Some(status));
    let refused: Result<ConfigMap, _> =
        apply(&Api::namespaced(client, "a"), "b", "m", Conflicts::Refuse, &config_map()).await;
    assert_eq!(refused, Err(CallError::Conflict("no".to_owned())));
}
