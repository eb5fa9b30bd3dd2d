//! An administrator takes a cluster's acceptance back, suspends it, and changes their mind.

use anyhow::Result;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::world::{World, agent_condition, uid};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_accepted_again_gets_its_copies_back_and_lets_go_of_what_has_moved() -> Result<()> {
    let world = World::alone("unaccepted").await?;
    world.apply("moves", json!({"type": "claude", "replicas": 2})).await?;
    world.apply("copies", json!({"type": "claude", "placement": {"strategy": "Replicate"}})).await?;
    world.running("moves", "2/2").await?;
    world.running("copies", "2/2").await?;
    let before = uid(&world.deployments(0).get("copies").await?);

    decide(&world, json!({"accepted": false})).await?;
    world.cluster_says("member-1", "Accepted", "False", "NotAccepted").await?;
    world.running("copies", "1/1").await?;
    world.running("moves", "2/2").await?;
    assert_eq!(world.shares("moves").await?, [Some(1), Some(2)], "what runs in member-1 runs on");
    let message = world.cluster_says("member-1", "Connected", "False", "NotAccepted").await?;
    assert!(message.contains("spec.accepted to true"), "{message}");
    world.restart_hub().await?;

    decide(&world, json!({"accepted": true})).await?;
    world.cluster_says("member-1", "Accepted", "True", "Accepted").await?;
    world.cluster_says("member-1", "Connected", "True", "SessionUp").await?;
    world.gone_from_member(0, "moves").await?;
    world.running("copies", "2/2").await?;
    world.running("moves", "2/2").await?;
    assert_eq!(world.shares("moves").await?, [None, Some(2)]);
    assert_eq!(uid(&world.deployments(0).get("copies").await?), before, "it was not made anew");
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_cluster_shows_where_one_looks_first() -> Result<()> {
    let world = World::alone("suspended").await?;
    world.apply("calm", json!({"type": "claude", "replicas": 2})).await?;
    world.running("calm", "2/2").await?;
    decide(&world, json!({"suspended": true})).await?;
    world.cluster_says("member-1", "Accepted", "True", "Suspended").await?;
    world
        .agent_until("calm", "it says that member-1 is suspended", |agent| {
            agent_condition(agent, "Placed").is_some_and(|(status, _, message)| {
                status == "True" && message.contains("member-1 is suspended")
            })
        })
        .await?;
    let table = world.kubectl(&["get", "membercluster", "member-1"]).await?;
    let table = String::from_utf8(table.stdout)?;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (header, row) = (lines.next().unwrap(), lines.next().unwrap());
    let column = header.iter().position(|name| *name == "SUSPENDED").unwrap();
    assert_eq!(row[column], "true", "{table}");

    decide(&world, json!({"suspended": false})).await?;
    world.cluster_says("member-1", "Accepted", "True", "Accepted").await?;
    world.finish().await
}

/// Edits the spec of member-1's MemberCluster.
async fn decide(world: &World, spec: Value) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": spec}));
    world.clusters().patch("member-1", &PatchParams::default(), &patch).await?;
    Ok(())
}
