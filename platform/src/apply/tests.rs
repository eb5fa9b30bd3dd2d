#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Resource as _;
use kube::api::DynamicObject;
use kube::core::{ApiResource, ObjectMeta};
use serde_json::{Value, json};

use super::*;
use crate::testing::ApiServer;

const PATH: &str = "/api/v1/namespaces/a/configmaps/b";

fn config_map() -> ConfigMap {
    let metadata = ObjectMeta { name: Some("b".into()), ..ObjectMeta::default() };
    ConfigMap { metadata, data: Some([("x".to_owned(), "1".to_owned())].into()), ..ConfigMap::default() }
}

#[tokio::test]
async fn a_typed_object_is_applied_with_its_kind_and_our_manager() {
    let server = ApiServer::new();
    let api = Api::namespaced(server.client(), "a");
    let applied: ConfigMap =
        apply(&api, "b", "parallax-test", Conflicts::TakeOver, &config_map()).await.unwrap();
    assert_eq!(applied.data, config_map().data);
    let call = server.call().await;
    assert_eq!((call.verb, &*call.path), ("apply", PATH));
    assert!(
        call.query.contains("force=true") && call.query.contains("fieldManager=parallax-test"),
        "{call:?}"
    );
    assert_eq!((&call.body["apiVersion"], &call.body["kind"]), (&json!("v1"), &json!("ConfigMap")));
}

#[tokio::test]
async fn a_status_is_applied_without_force() {
    let server = ApiServer::new();
    server.put(PATH, json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    let resource = ApiResource::erase::<ConfigMap>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(server.client(), "a", &resource);
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "status": {"x": 1}});
    apply_status(&api, "b", "parallax-test", Conflicts::Refuse, &object).await.unwrap();
    let call = server.call().await;
    assert_eq!((call.verb, &call.path), ("apply", &format!("{PATH}/status")));
    assert!(!call.query.contains("force=true"), "{call:?}");
    assert_eq!(server.get(PATH).unwrap()["status"]["x"], 1);
}

#[tokio::test]
async fn what_no_log_may_show_is_answered_as_text() {
    let server = ApiServer::new();
    let path = ConfigMap::url_path(&(), Some("a"));
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": 7});
    let applied =
        apply_unlogged(&server.client(), path, "b", "parallax-test", Conflicts::TakeOver, &object).await;
    let text: Value = serde_json::from_str(&applied.unwrap()).unwrap();
    assert_eq!(text["data"], 7, "no ConfigMap, and yet no error");
    let call = server.call().await;
    assert_eq!((call.verb, &*call.path, call.query.contains("force=true")), ("apply", PATH, true));
}

#[tokio::test]
async fn a_field_of_another_manager_is_a_conflict_unless_it_is_taken() {
    let server = ApiServer::new();
    server.put(PATH, json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "theirs"}}));
    let api: Api<ConfigMap> = Api::namespaced(server.client(), "a");
    let refused = apply(&api, "b", "m", Conflicts::Refuse, &config_map()).await;
    assert!(matches!(refused, Err(CallError::Conflict(_))), "{refused:?}");
    let taken = apply(&api, "b", "m", Conflicts::TakeOver, &config_map()).await.unwrap();
    assert_eq!(taken.data, config_map().data);
}
