//! An API key reaches the containers of its agent.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::world::{CLUSTER, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_arrives_as_the_variables_that_its_tool_reads() -> Result<()> {
    let Some(world) = World::new("credentials").await? else { return Ok(()) };
    let reference = json!({ "secretRef": { "name": "claude-api-key", "key": "CLAUDE_API_KEY" } });
    world.apply("keyed", json!({ "credentials": reference })).await?;
    let agents = world.namespace.agents();
    world
        .until("the agent to wait for its key", async || {
            let conditions = agents.get("keyed").await?.status.unwrap_or_default().conditions;
            let said = conditions.into_iter().find(|condition| condition.type_ == "CredentialsReady");
            Ok(said.filter(|said| said.reason == "SecretMissing").map(drop))
        })
        .await?;
    let secrets: Api<Secret> = world.namespace.of(world.fleet, CLUSTER).await?;
    let secret = serde_json::from_value(json!({
        "metadata": { "name": "claude-api-key" },
        "stringData": { "CLAUDE_API_KEY": "not-a-real-key" },
    }))?;
    secrets.create(&PostParams::default(), &secret).await?;
    world.runs("keyed", 1).await?;
    let pod = world.pods_of("keyed").await?.remove(0).metadata.name.unwrap_or_default();
    let environment = world.exec(&pod, &["env"]).await?;
    for variable in ["CLAUDE_API_KEY", "ANTHROPIC_API_KEY"] {
        let line = format!("{variable}=not-a-real-key");
        assert!(environment.lines().any(|set| set == line), "{variable} is not the key's value");
    }
    world.namespace.delete().await
}
