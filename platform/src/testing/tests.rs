#![allow(clippy::unwrap_used)]

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use super::*;
use crate::{CallError, Conflicts, Limit, apply, call};

const PATH: &str = "/api/v1/namespaces/team/configmaps/a";
const LIMIT: Limit = Limit::seconds::<5>();

fn world() -> (ApiServer, Api<ConfigMap>) {
    let server = ApiServer::new();
    let api = Api::namespaced(server.client(), "team");
    (server, api)
}

fn config(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

async fn applied(
    api: &Api<ConfigMap>,
    manager: &str,
    conflicts: Conflicts,
    data: &Value,
) -> Result<ConfigMap, CallError> {
    apply(api, "a", manager, conflicts, &config(data)).await
}

#[tokio::test]
async fn an_object_is_made_once_and_read_as_it_was_made() {
    let (server, api) = world();
    assert_eq!(call(LIMIT, api.get_opt("a")).await, Ok(None));
    let object: ConfigMap = serde_json::from_value(config(&json!({"x": "1"}))).unwrap();
    let made = call(LIMIT, api.create(&PostParams::default(), &object)).await.unwrap();
    assert_eq!(made.metadata.namespace.as_deref(), Some("team"));
    assert!(made.metadata.uid.is_some() && made.metadata.resource_version.is_some());
    assert_eq!(call(LIMIT, api.get("a")).await, Ok(made));
    let again = call(LIMIT, api.create(&PostParams::default(), &object)).await;
    assert!(matches!(again, Err(CallError::AlreadyExists(_))), "{again:?}");
    let verbs: Vec<_> = server.calls().iter().map(|call| call.verb).collect();
    assert_eq!(verbs, ["get", "create", "get", "create"]);
}

#[tokio::test]
async fn a_field_is_the_managers_who_applied_it_last() {
    let (_, api) = world();
    applied(&api, "one", Conflicts::Refuse, &json!({"x": "1", "y": "1"})).await.unwrap();
    let same = applied(&api, "two", Conflicts::Refuse, &json!({"x": "1"})).await;
    assert!(same.is_ok(), "what both want is no conflict: {same:?}");
    let other = applied(&api, "two", Conflicts::Refuse, &json!({"x": "2"})).await;
    assert!(matches!(other, Err(CallError::Conflict(_))), "{other:?}");
    let taken = applied(&api, "two", Conflicts::TakeOver, &json!({"x": "2"})).await.unwrap();
    let data = |object: ConfigMap| json!(object.data.unwrap_or_default());
    assert_eq!(data(taken), json!({"x": "2", "y": "1"}));
    // Of what the first one no longer applies, only its own goes.
    let left = applied(&api, "one", Conflicts::Refuse, &json!({"z": "1"})).await.unwrap();
    assert_eq!(data(left), json!({"x": "2", "z": "1"}));
}

#[tokio::test]
async fn what_somebody_edits_is_theirs() {
    let (server, api) = world();
    applied(&api, "one", Conflicts::Refuse, &json!({"x": "1", "y": "1"})).await.unwrap();
    server.edit(PATH, |object| object["data"]["x"] = json!("edited"));
    let back = applied(&api, "one", Conflicts::Refuse, &json!({"x": "1", "y": "1"})).await;
    assert!(matches!(back, Err(CallError::Conflict(_))), "{back:?}");
    assert!(applied(&api, "one", Conflicts::Refuse, &json!({"y": "2"})).await.is_ok());
}

#[tokio::test]
async fn what_changes_nothing_makes_no_version() {
    let (_, api) = world();
    let [first, second] = [
        applied(&api, "one", Conflicts::Refuse, &json!({"x": "1"})).await.unwrap(),
        applied(&api, "one", Conflicts::Refuse, &json!({"x": "1"})).await.unwrap(),
    ];
    assert_eq!(first, second);
}

#[tokio::test]
async fn an_object_that_is_another_by_now_is_neither_written_nor_deleted() {
    let (server, api) = world();
    let made = applied(&api, "one", Conflicts::Refuse, &json!({"x": "1"})).await.unwrap();
    let old = made.metadata.resource_version.unwrap();
    server.edit(PATH, |object| object["data"]["x"] = json!("2"));
    let patch = json!({"metadata": {"resourceVersion": old}, "data": {"x": "3"}});
    let patched = call(LIMIT, api.patch("a", &PatchParams::default(), &Patch::Merge(&patch))).await;
    assert!(matches!(patched, Err(CallError::Conflict(_))), "{patched:?}");
    let mut other = config(&json!({"x": "3"}));
    other["metadata"]["uid"] = json!("another");
    let applied: Result<ConfigMap, _> = apply(&api, "a", "one", Conflicts::TakeOver, &other).await;
    assert!(matches!(applied, Err(CallError::Conflict(_))), "{applied:?}");
    for preconditions in [
        Preconditions { uid: Some("another".to_owned()), resource_version: None },
        Preconditions { uid: None, resource_version: Some(old) },
    ] {
        let params = DeleteParams::default().preconditions(preconditions);
        let deleted = call(LIMIT, api.delete("a", &params)).await;
        assert!(matches!(deleted, Err(CallError::Conflict(_))), "{deleted:?}");
    }
    assert_eq!(server.get(PATH).unwrap()["data"]["x"], "2");
}

#[tokio::test]
async fn a_merge_patch_takes_away_what_is_null_and_a_status_has_a_path_of_its_own() {
    let server = ApiServer::new();
    let path = "/api/v1/namespaces/team/services/a";
    server.put(
        path,
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"selector": {"a": "b"}, "type": "X"}}),
    );
    let api: Api<Service> = Api::namespaced(server.client(), "team");
    let patch = json!({"spec": {"selector": null}, "status": {"conditions": []}});
    call(LIMIT, api.patch("a", &PatchParams::default(), &Patch::Merge(&patch))).await.unwrap();
    let object = server.get(path).unwrap();
    assert_eq!((&object["spec"], &object["status"]), (&json!({"type": "X"}), &Value::Null));
    call(LIMIT, api.patch_status("a", &PatchParams::default(), &Patch::Merge(&patch))).await.unwrap();
    let object = server.get(path).unwrap();
    assert_eq!((&object["spec"], &object["status"]), (&json!({"type": "X"}), &json!({"conditions": []})));
}

#[tokio::test]
async fn a_deletion_waits_for_finalizers_and_for_those_that_go_first() {
    let (server, api) = world();
    server.put(PATH, config(&json!({})));
    let deleted = call(LIMIT, api.delete("a", &DeleteParams::foreground())).await.unwrap();
    assert!(deleted.left().is_some_and(|object| object.metadata.deletion_timestamp.is_some()));
    server.edit(PATH, |object| object["metadata"]["finalizers"] = json!([]));
    assert_eq!(server.get(PATH), None);
    server.put(PATH, config(&json!({})));
    assert!(call(LIMIT, api.delete("a", &DeleteParams::background())).await.unwrap().is_right());
    assert_eq!(server.get(PATH), None);
}

#[tokio::test]
async fn calls_are_refused_and_others_get_in_between_as_scripted() {
    let (server, api) = world();
    server.put(PATH, config(&json!({})));
    server.before("get", "configmaps/a", |server| server.remove(PATH));
    server.refuse("list", "configmaps", Refusal::new(403, "Forbidden", "no"));
    assert_eq!(call(LIMIT, api.get_opt("a")).await, Ok(None));
    let params = kube::api::ListParams::default();
    let list = || call(LIMIT, api.list(&params));
    assert_eq!(list().await.map(|list| list.items.len()), Err(CallError::Forbidden("no".to_owned())));
    server.relent();
    server.put(PATH, config(&json!({})));
    server.put("/api/v1/namespaces/other/configmaps/b", config(&json!({})));
    assert_eq!(list().await.map(|list| list.items.len()), Ok(1));
    let everywhere: Api<ConfigMap> = Api::all(server.client());
    assert_eq!(everywhere.list(&params).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn admission_changes_what_is_written() {
    let (server, api) = world();
    server.mutate("configmaps", |object| object["data"]["x"] = json!("kept"));
    let made = applied(&api, "one", Conflicts::Refuse, &json!({"x": "1"})).await.unwrap();
    assert_eq!(made.data.unwrap()["x"], "kept");
}
