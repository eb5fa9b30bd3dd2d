#![allow(clippy::unwrap_used)]

use parallax_platform::testing::{ApiServer, Refusal};
use serde_json::json;

use super::*;

const PATH: &str = "/apis/parallax.io/v1alpha1/namespaces/team/parallaxagents/a";

/// An API server whose agent has the UID `u` and these finalizers.
fn server(finalizers: &[&str]) -> ApiServer {
    let server = ApiServer::new();
    let mut metadata = json!({"uid": "u"});
    if !finalizers.is_empty() {
        metadata["finalizers"] = json!(finalizers);
    }
    server.put(
        PATH,
        json!({"apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent", "metadata": metadata}),
    );
    server
}

/// How the finalizer was added, or released, and by which calls.
async fn written(server: &ApiServer, adds: bool) -> (WriteOutcome, Vec<&'static str>) {
    let (client, key) = (server.client(), AgentKey::new("team", "a"));
    let outcome = if adds { add(&client, &key, "u").await } else { release(&client, &key, "u").await };
    (outcome, server.calls().iter().map(|call| call.verb).collect())
}

fn finalizers(server: &ApiServer) -> Vec<String> {
    let object = server.get(PATH).unwrap();
    serde_json::from_value(object["metadata"]["finalizers"].clone()).unwrap_or_default()
}

fn version(server: &ApiServer) -> String {
    server.get(PATH).unwrap()["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

fn add_other(server: &ApiServer) {
    server.edit(PATH, |agent| agent["metadata"]["finalizers"] = json!(["other/one"]));
}

fn delete(server: &ApiServer) {
    server.edit(PATH, |agent| agent["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
}

#[tokio::test]
async fn the_usual_case_takes_one_call() {
    let new = server(&[]);
    assert_eq!(written(&new, true).await, (WriteOutcome::Ok(version(&new)), vec!["patch"]));
    assert_eq!(finalizers(&new), [FINALIZER]);
    assert_eq!(written(&new, false).await, (WriteOutcome::Ok(version(&new)), vec!["patch"]));
    assert!(finalizers(&new).is_empty());
}

#[tokio::test]
async fn a_finalizer_of_another_s_that_came_in_between_stays() {
    let server = server(&[]);
    server.before("patch", "parallaxagents", add_other);
    let (outcome, calls) = written(&server, true).await;
    assert_eq!((outcome, calls), (WriteOutcome::Ok(version(&server)), vec!["patch", "get", "patch"]));
    assert_eq!(finalizers(&server), ["other/one", FINALIZER]);
    let (outcome, _) = written(&server, false).await;
    assert_eq!(outcome, WriteOutcome::Ok(version(&server)));
    assert_eq!(finalizers(&server), ["other/one"]);
}

#[tokio::test]
async fn what_is_there_or_gone_already_is_not_written_again() {
    let with = server(&["other/one", FINALIZER]);
    assert_eq!(written(&with, true).await, (WriteOutcome::Ok(version(&with)), vec!["patch", "get"]));
    let without = server(&["other/one"]);
    assert_eq!(written(&without, false).await, (WriteOutcome::Ok(version(&without)), vec!["patch", "get"]));
}

#[tokio::test]
async fn an_agent_whose_deletion_has_begun_gets_no_finalizer_and_loses_it() {
    let server = server(&[FINALIZER, "other/one"]);
    delete(&server);
    assert!(matches!(written(&server, false).await.0, WriteOutcome::Ok(_)));
    assert_eq!(finalizers(&server), ["other/one"]);
    assert_eq!(written(&server, true).await.0, WriteOutcome::Conflict);
    assert_eq!(finalizers(&server), ["other/one"]);
}

#[tokio::test]
async fn a_namesake_is_not_touched() {
    let server = server(&["other/one"]);
    server.edit(PATH, |agent| agent["metadata"]["uid"] = json!("another"));
    for adds in [true, false] {
        assert_eq!(written(&server, adds).await.0, WriteOutcome::Conflict);
    }
    assert_eq!(finalizers(&server), ["other/one"]);
    server.remove(PATH);
    assert_eq!(written(&server, true).await.0, WriteOutcome::NotFound);
}

#[tokio::test]
async fn an_object_that_keeps_changing_is_given_up_for_now() {
    let server = server(&[]);
    for n in 0..ATTEMPTS {
        // What was seen is never so any more.
        server.before("patch", "parallaxagents", move |server| {
            let others = if n % 2 == 0 { json!(["other/one"]) } else { json!(null) };
            server.edit(PATH, |agent| agent["metadata"]["finalizers"] = others);
        });
    }
    let (outcome, calls) = written(&server, true).await;
    assert!(matches!(outcome, WriteOutcome::Failed(_)), "{outcome:?}");
    assert_eq!(calls.len(), 2 * ATTEMPTS);
}

#[tokio::test]
async fn an_object_that_can_not_be_stored_is_invalid_and_one_that_changed_is_not() {
    let refusal = Refusal::new(422, "Invalid", "spec: too long").because("FieldValueInvalid");
    let invalid = WriteOutcome::Invalid("spec: too long".to_owned());
    for (finalizers, adds) in [(&[][..], true), (&[FINALIZER], false), (&["other/one"], true)] {
        let server = server(finalizers);
        server.refuse("patch", "parallaxagents", refusal.clone());
        assert_eq!(written(&server, adds).await.0, invalid, "{finalizers:?}");
    }
    let server = server(&["other/one"]);
    delete(&server);
    server.refuse("patch", "parallaxagents", refusal);
    assert_eq!(written(&server, true).await.0, WriteOutcome::Conflict);
}
