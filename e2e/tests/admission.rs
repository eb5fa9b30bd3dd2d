//! What a real API server makes of the shipped kinds and rights: their examples are accepted and refused as they
//! should, kubectl's columns are right, and hub and member may do what they must and no more.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use kube::Client;
use kube::api::DynamicObject;
use parallax_crds::ParallaxAgent;
use parallax_e2e::manifests;
use parallax_e2e::testing::shared_fleet;
use parallax_e2e::waiting::{OnTimeout, until};
use parallax_e2e::{Fleet, FleetOptions};
use serde_json::{Value, json};

const HUB: &str = "system:serviceaccount:parallax-system:parallax-hub";
const MEMBER: &str = "system:serviceaccount:parallax-system:parallax-member";
const ACTIVATOR: &str = "system:serviceaccount:parallax-system:parallax-activator";
const ADMINISTRATOR: &str = "";

#[tokio::test(flavor = "multi_thread")]
async fn every_accepted_example_is_accepted() {
    let (_, client) = prepared().await;
    let mut wrong = Vec::new();
    for (name, text) in examples("accepted") {
        if let Err(message) = dry_run(&client, &text).await {
            wrong.push(format!("{name}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "refused:\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rejected_example_is_rejected_with_its_message() {
    let (_, client) = prepared().await;
    let mut wrong = Vec::new();
    for (name, text) in examples("rejected") {
        let expected = text.lines().next().unwrap().strip_prefix("# ").unwrap();
        match dry_run(&client, &text).await {
            Ok(()) => wrong.push(format!("{name}: accepted")),
            Err(message) if message.contains(expected) => {}
            Err(message) => wrong.push(format!("{name}: expected {expected:?}, got {message}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rejected_change_is_rejected_with_its_message() {
    let (_, client) = prepared().await;
    let mut wrong = Vec::new();
    for (name, text) in examples("rejected-changes") {
        let expected = text.lines().next().unwrap().strip_prefix("# ").unwrap();
        let (mut before, mut after) = text.split_once("\n---\n").map(|(a, b)| (parse(a), parse(b))).unwrap();
        let object = format!("change-{}", name.trim_end_matches(".yaml"));
        before["metadata"]["name"] = object.clone().into();
        after["metadata"]["name"] = object.clone().into();
        let agents = "/apis/parallax.io/v1alpha1/namespaces/default/parallaxagents";
        let path = format!("{agents}/{object}?fieldManager=test&force=true");
        let apply = async |body: &Value| {
            send(&client, ADMINISTRATOR, "PATCH", &path, "application/apply-patch+yaml", body).await
        };
        apply(&before).await.unwrap();
        match apply(&after).await {
            Ok(_) => wrong.push(format!("{name}: accepted")),
            Err(message) if message.contains(expected) => {}
            Err(message) => wrong.push(format!("{name}: expected {expected:?}, got {message}")),
        }
        let path = format!("{agents}/{object}");
        send(&client, ADMINISTRATOR, "DELETE", &path, "application/json", &json!({})).await.unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The API server makes `emptyDir: null` of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_dir_loses_its_only_setting_by_the_next_apply() {
    let (_, client) = prepared().await;
    let path = "/apis/parallax.io/v1alpha1/namespaces/default/parallaxagents/unlimited?fieldManager=test";
    let send_volume = async |volume: Value| {
        let agent = json!({
            "apiVersion": "parallax.io/v1alpha1", "kind": "ParallaxAgent", "metadata": {"name": "unlimited"},
            "spec": {"type": "claude", "volumes": [volume]},
        });
        send(&client, ADMINISTRATOR, "PATCH", path, "application/apply-patch+yaml", &agent).await
    };
    let apply = async |empty_dir: Value| {
        let answer = send_volume(json!({"name": "scratch", "emptyDir": empty_dir})).await;
        let agent: ParallaxAgent = serde_json::from_value(answer.unwrap()).unwrap();
        agent.spec.runtime.volumes[0].empty_dir.clone().unwrap()
    };
    let limit = apply(json!({"sizeLimit": "1Gi"})).await.size_limit;
    assert_eq!(limit.map(|limit| limit.0).as_deref(), Some("1Gi"));
    for _ in 0..2 {
        assert_eq!(apply(json!({})).await, EmptyDirVolumeSource::default());
    }
    let refusal = send_volume(json!({"name": "another"})).await.unwrap_err();
    assert!(refusal.contains("spec.volumes[0].configMap: Required value"), "{refusal}");
}

/// Merged field by field, each of these would become null, which the schema refuses.
#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_an_ordered_template_may_lose_its_last_field() {
    let (_, client) = prepared().await;
    let path = "/apis/parallax.io/v1alpha1/namespaces/default/agentassignments/shrinking?fieldManager=test";
    let mut assignment =
        parse(&examples("accepted").into_iter().find(|(name, _)| name == "assignment.yaml").unwrap().1);
    assignment["metadata"]["name"] = "shrinking".into();
    assignment["spec"]["agent"]["name"] = "shrinking".into();
    for template in [
        json!({
            "type": "claude", "image": "example.org/agent:1", "healthCheck": {"periodSeconds": 5},
            "resources": {"requests": {"cpu": "1"}}, "podSecurityContext": {"runAsUser": 1000},
            "affinity": {"nodeAffinity": {}}, "network": {"export": true},
            "sidecars": [{"name": "proxy", "image": "example.org/proxy:1", "resources": {"limits": {"cpu": "1"}}}],
        }),
        json!({
            "type": "claude", "image": "example.org/agent:1", "healthCheck": {}, "resources": {},
            "podSecurityContext": {}, "affinity": {}, "network": {},
            "sidecars": [{"name": "proxy", "image": "example.org/proxy:1", "resources": {}}],
        }),
    ] {
        assignment["spec"]["template"] = template.clone();
        let answer =
            send(&client, ADMINISTRATOR, "PATCH", path, "application/apply-patch+yaml", &assignment).await;
        assert_eq!(answer.unwrap()["spec"]["template"], template);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_get_shows_exactly_the_promised_columns() {
    let (_, client) = prepared().await;
    assert_eq!(columns(&client, "parallaxagents", false).await, ["Name", "TYPE", "PHASE", "REPLICAS", "AGE"]);
    assert_eq!(
        columns(&client, "parallaxagents", true).await,
        ["Name", "TYPE", "PHASE", "REPLICAS", "CLUSTERS", "READY", "REASON", "AGE"]
    );
    assert_eq!(
        columns(&client, "memberclusters", false).await,
        ["Name", "ACCEPTED", "SUSPENDED", "CONNECTED", "NODES", "AGENTS", "VERSION", "AGE"]
    );
}

/// `create` with resourceNames holds for server-side apply, where the API server knows the name: that is how the
/// hub and the member make their own objects.
#[tokio::test(flavor = "multi_thread")]
async fn hub_and_member_may_make_their_own_objects_and_no_others() {
    let (_, client) = prepared().await;
    for (account, kind, plural, name, allowed) in [
        (HUB, "ConfigMap", "configmaps", "parallax-hub-state", true),
        (HUB, "ConfigMap", "configmaps", "parallax-tombstones-15", true),
        (HUB, "Secret", "secrets", "parallax-fleet-ca", true),
        (HUB, "Secret", "secrets", "parallax-join-tokens", true),
        (HUB, "ConfigMap", "configmaps", "parallax-tombstones-16", false),
        (HUB, "Secret", "secrets", "parallax-member-identity", false),
        (MEMBER, "Secret", "secrets", "parallax-member-identity", true),
        (MEMBER, "Secret", "secrets", "parallax-member-stamps", true),
        (MEMBER, "ConfigMap", "configmaps", "parallax-member-state", true),
        (MEMBER, "Secret", "secrets", "parallax-fleet-ca", false),
        (MEMBER, "ConfigMap", "configmaps", "parallax-hub-state", false),
    ] {
        let body = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        let path = format!("/api/v1/namespaces/parallax-system/{plural}/{name}?fieldManager=test&dryRun=All");
        let answer = send(&client, account, "PATCH", &path, "application/apply-patch+yaml", &body).await;
        assert_eq!(answer.is_ok(), allowed, "{account} makes {kind} {name}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_hub_nor_member_reaches_into_what_is_not_its_own() {
    let (_, client) = prepared().await;
    for (account, method, path) in [
        (HUB, "GET", "/api/v1/pods"),
        (HUB, "GET", "/api/v1/secrets"),
        (HUB, "GET", "/api/v1/namespaces/parallax-system/secrets"),
        (HUB, "GET", "/apis/apps/v1/deployments"),
        (HUB, "GET", "/apis/parallax.io/v1alpha1/agentassignments"),
        (HUB, "DELETE", "/apis/parallax.io/v1alpha1/namespaces/default/parallaxagents/any"),
        (HUB, "GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
        (HUB, "GET", "/api/v1/namespaces/default/secrets"),
        (MEMBER, "GET", "/api/v1/secrets"),
        (MEMBER, "GET", "/api/v1/namespaces/default/secrets"),
        (MEMBER, "GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
        (MEMBER, "GET", "/api/v1/namespaces/parallax-system/secrets"),
        (MEMBER, "GET", "/api/v1/configmaps"),
        (MEMBER, "GET", "/apis/parallax.io/v1alpha1/parallaxagents"),
        (MEMBER, "GET", "/apis/parallax.io/v1alpha1/memberclusters"),
        (MEMBER, "DELETE", "/api/v1/namespaces/default"),
        (MEMBER, "DELETE", "/api/v1/namespaces/default/pods/any"),
        (MEMBER, "DELETE", "/apis/apps/v1/namespaces/default/deployments"),
        (ACTIVATOR, "GET", "/api/v1/secrets"),
        (ACTIVATOR, "GET", "/api/v1/namespaces/parallax-system/configmaps"),
        (ACTIVATOR, "DELETE", "/apis/parallax.io/v1alpha1/namespaces/default/agentassignments/any"),
        (ACTIVATOR, "DELETE", "/api/v1/namespaces/default/pods/any"),
    ] {
        let answer = send(&client, account, method, path, "application/json", &Value::Null).await;
        let refusal = answer.expect_err(path);
        assert!(refusal.contains("is forbidden"), "{account} {method} {path}: {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activator_speaks_for_itself_and_not_for_the_member() {
    let (fleet, client) = prepared().await;
    let mut assignment =
        parse(&examples("accepted").into_iter().find(|(name, _)| name == "assignment.yaml").unwrap().1);
    assignment["metadata"]["name"] = "spoken-for".into();
    assignment["spec"]["agent"]["name"] = "spoken-for".into();
    let path = "/apis/parallax.io/v1alpha1/namespaces/default/agentassignments";
    send(&client, ADMINISTRATOR, "POST", path, "application/json", &assignment).await.unwrap();
    let path = format!("{path}/spoken-for/status");
    let at = "2026-11-23T05:00:00Z";
    let up = json!({"status": {"activation": {"stage": "Up", "serial": 1, "since": at}}});
    send(&client, ADMINISTRATOR, "PATCH", &path, "application/merge-patch+json", &up).await.unwrap();
    let says = async |status: Value| {
        send(&client, ACTIVATOR, "PATCH", &path, "application/merge-patch+json", &json!({ "status": status }))
            .await
    };
    let asleep = json!({"activation": {"stage": "Zero", "serial": 2, "since": at, "slept": 2}});
    // An API server enforces a policy a moment after it took it.
    let refused = async || {
        let dry = format!("{path}?dryRun=All");
        let body = json!({ "status": asleep });
        let answer = send(&client, ACTIVATOR, "PATCH", &dry, "application/merge-patch+json", &body).await;
        Ok(answer.err())
    };
    let refusal =
        until("the policy on activators holds", Duration::from_secs(60), OnTimeout::Dump(fleet), refused)
            .await
            .unwrap();
    assert!(refusal.contains("an activator writes status.activators only"), "{refusal}");
    for status in [
        json!({"phase": "Failed"}),
        json!({"replicas": 7}),
        json!({"conditions": [{
            "type": "Ready", "status": "True", "reason": "Any", "message": "", "lastTransitionTime": at,
        }]}),
    ] {
        assert!(says(status.clone()).await.is_err(), "{status}");
    }
    let word = json!({"port": 4000, "wanted": true, "since": at});
    says(json!({"activators": {"10.0.0.7": word}})).await.unwrap();
    let refusal = says(json!({"activators": {"not an address": word}})).await.unwrap_err();
    assert!(refusal.contains("keys are IP addresses"), "{refusal}");
}

/// Clusters may ask for a right to an owner's finalizers before its name goes into an owner reference that blocks
/// the owner's deletion.
#[tokio::test(flavor = "multi_thread")]
async fn the_member_may_let_an_assignment_wait_for_its_children() {
    let (_, client) = prepared().await;
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": MEMBER,
            "resourceAttributes": {
                "group": "parallax.io",
                "resource": "agentassignments",
                "subresource": "finalizers",
                "verb": "update",
                "namespace": "default",
            },
        },
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = send(&client, ADMINISTRATOR, "POST", path, "application/json", &review).await.unwrap();
    assert_eq!(answer["status"]["allowed"], true);
}

/// A control plane with everything installed that the repository ships, for a hub and a member in one cluster.
async fn prepared() -> (&'static Fleet, Client) {
    let fleet = shared_fleet(FleetOptions::new(env!("CARGO_BIN_EXE_fleet")).of_one().control_planes_only());
    let client = fleet.client("hub").await.unwrap();
    let mut objects: Vec<DynamicObject> = Vec::new();
    for folder in ["crds/yaml", "deploy/hub", "deploy/member"] {
        objects.extend(manifests::read(folder).unwrap());
    }
    manifests::apply(&client, &objects).await.unwrap();
    let namespaces: BTreeSet<String> = examples("accepted")
        .iter()
        .filter_map(|(_, text)| parse(text)["metadata"]["namespace"].as_str().map(str::to_owned))
        .collect();
    for namespace in namespaces {
        let object = manifests::parse(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"
        ));
        manifests::apply(&client, &object.unwrap()).await.unwrap();
    }
    (fleet, client)
}

fn examples(folder: &str) -> Vec<(String, String)> {
    let folder = manifests::repository().join(Path::new("crds/examples")).join(folder);
    let mut found: Vec<(String, String)> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no examples in {}", folder.display());
    found
}

fn parse(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// Creates the example as kubectl does, with strict validation, but for the API server's eyes only.
async fn dry_run(client: &Client, example: &str) -> Result<(), String> {
    let object = parse(example);
    let plural = match object["kind"].as_str().unwrap() {
        "ParallaxAgent" => "parallaxagents",
        "MemberCluster" => "memberclusters",
        "AgentAssignment" => "agentassignments",
        other => panic!("{other} is no kind of ours"),
    };
    let namespace = match plural {
        "memberclusters" => String::new(),
        _ => format!("namespaces/{}/", object["metadata"]["namespace"].as_str().unwrap_or("default")),
    };
    let path = format!("/apis/parallax.io/v1alpha1/{namespace}{plural}?dryRun=All&fieldValidation=Strict");
    send(client, ADMINISTRATOR, "POST", &path, "application/json", &object).await.map(drop)
}

/// The names of the columns that `kubectl get` shows; with the wide ones, if `wide`.
async fn columns(client: &Client, plural: &str, wide: bool) -> Vec<String> {
    let request = http::Request::get(format!("/apis/parallax.io/v1alpha1/{plural}"))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = client.request(request).await.unwrap();
    table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|column| wide || column["priority"] == 0)
        .map(|column| column["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Sends a request as the administrator, or as a service account; the API server's words when it refuses.
async fn send(
    client: &Client,
    account: &str,
    method: &str,
    path: &str,
    content: &str,
    body: &Value,
) -> Result<Value, String> {
    let mut request = http::Request::builder().method(method).uri(path).header("content-type", content);
    if account != ADMINISTRATOR {
        request = request.header("impersonate-user", account);
    }
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
    let request = request.body(body).context("building the request").unwrap();
    match client.request::<Value>(request).await {
        Ok(answer) => Ok(answer),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{method} {path}: {error}"),
    }
}
