//! What kubectl shows and takes.

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::json;

use crate::world::{World, agent_condition};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_scales_waits_describes_and_deletes() -> Result<()> {
    let world = World::calm("kubectl").await?;
    world.apply("code-reviewer", json!({"type": "claude", "replicas": 2})).await?;
    let waited =
        stdout(&world, &["wait", "--for=condition=Ready", "--timeout=120s", "parallaxagent/code-reviewer"])
            .await?;
    assert!(waited.contains("condition met"), "{waited}");

    let table = stdout(&world, &["get", "parallaxagents"]).await?;
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "TYPE", "PHASE", "REPLICAS", "AGE"], "{table}");
    assert_eq!(lines[1][..4], ["code-reviewer", "claude", "Running", "2/2"], "{table}");
    let wide = stdout(&world, &["get", "pa", "-o", "wide"]).await?;
    for column in ["CLUSTERS", "READY", "REASON"] {
        assert!(wide.lines().next().is_some_and(|header| header.contains(column)), "{wide}");
    }

    stdout(&world, &["scale", "parallaxagent", "code-reviewer", "--replicas=5"]).await?;
    world.running("code-reviewer", "5/5").await?;

    // An Event is written once a minute at most, and the last one names every cluster that said the same.
    world
        .eventually("there are Events of the hub and of both members", || async {
            let described = stdout(&world, &["describe", "parallaxagent", "code-reviewer"]).await?;
            let events = described.split_once("Events:").map(|(_, events)| events).unwrap_or_default();
            Ok(["Placed", "member-1", "member-2"].iter().all(|word| events.contains(word)))
        })
        .await?;

    stdout(&world, &["delete", "parallaxagent", "code-reviewer", "--timeout=120s"]).await?;
    world.gone_from_member(0, "code-reviewer").await?;
    world.gone_from_member(1, "code-reviewer").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_the_clusters_with_their_columns() -> Result<()> {
    let world = World::calm("clusters").await?;
    world.connected("member-1").await?;
    world
        .cluster_until("member-1", "its nodes are known", |c| {
            c.status.as_ref().is_some_and(|s| s.node_summary.is_some())
        })
        .await?;
    let table = stdout(&world, &["get", "memberclusters"]).await?;
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["NAME", "ACCEPTED", "SUSPENDED", "CONNECTED", "NODES", "AGENTS", "VERSION", "AGE"],
        "{table}"
    );
    assert_eq!(lines[1][..4], ["member-1", "True", "false", "True"], "{table}");
    assert!(lines[1][6].starts_with("v1."), "{table}");
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_a_member_does_not_make_is_waited_for() -> Result<()> {
    let world = World::alone("no-namespace").await?;
    let namespaces: Api<Namespace> = Api::all(world.members[0].clone());
    // These members make namespaces; one that is being deleted can't be made, and is waited for in the same way.
    world.apply("early", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    world.running("early", "1/1").await?;
    namespaces.delete(&world.namespace, &kube::api::DeleteParams::default()).await?;
    world
        .eventually("the namespace is back, and the agent with it", || async {
            let there = namespaces.get_opt(&world.namespace).await?;
            Ok(there.is_some_and(|n| n.metadata.deletion_timestamp.is_none())
                && world.deployments(0).get_opt("early").await?.is_some())
        })
        .await?;
    world.running("early", "1/1").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_in_a_member_is_not_taken_over() -> Result<()> {
    let world = World::calm("conflict").await?;
    // The first agent makes the namespace there.
    world.apply("first", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    world.running("first", "1/1").await?;
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken"},
        "spec": {"ports": [{"port": 1234}], "selector": {"app": "somebody-elses"}},
    });
    let services = world.services(0);
    services.create(&kube::api::PostParams::default(), &serde_json::from_value(foreign)?).await?;
    world.apply("taken", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    let agent = world
        .agent_until("taken", "the conflict is shown", |agent| {
            agent_condition(agent, "Synced")
                .is_some_and(|(status, reason, _)| status == "False" && reason == "NameConflict")
        })
        .await?;
    let (.., message) = agent_condition(&agent, "Synced").unwrap();
    assert!(message.contains("Service") && message.contains("taken"), "{message}");
    let service = services.get("taken").await?;
    assert_eq!(service.spec.and_then(|s| s.ports).unwrap()[0].port, 1234, "it was taken over");

    services.delete("taken", &kube::api::DeleteParams::default()).await?;
    world.running("taken", "1/1").await?;
    world.finish().await
}

/// What kubectl prints, when it succeeds.
async fn stdout(world: &World, args: &[&str]) -> Result<String> {
    let output = world.kubectl(args).await?;
    anyhow::ensure!(output.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
