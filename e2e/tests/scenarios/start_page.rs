//! The commands of docs/start.md, as a new user pastes them.

use std::path::Path;

use anyhow::{Context as _, Result};
use parallax_e2e::testing::{Shell, steps};
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_agent_of_the_start_page_runs() -> Result<()> {
    let world = World::calm("first").await?;
    let shell = Shell::at(world.fleet(), "hub", &world.namespace).await?;
    let said = shell.run(&block("kubectl apply -f -")?).await?;
    assert!(said.contains("parallaxagent.parallax.io/first condition met"), "{said}");
    world.running("first", "2/2").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_accounts_kubeconfig_is_made_as_the_start_page_says() -> Result<()> {
    let world = World::calm("account").await?;
    world.apply("seen", json!({"type": "claude", "replicas": 0})).await?;
    let shell = Shell::at(world.fleet(), "hub", &world.namespace).await?;
    let use_it = "\naccount parallax-hub it.kubeconfig\nexport KUBECONFIG=it.kubeconfig\n\
                  kubectl auth whoami\nkubectl get parallaxagent seen\n! kubectl get pods";
    let said = shell.run(&(block("account()")? + use_it)).await?;
    assert!(said.contains("system:serviceaccount:parallax-system:parallax-hub"), "{said}");
    let kubeconfig = std::fs::read_to_string(shell.directory().join("it.kubeconfig"))?;
    assert!(!kubeconfig.contains("client-key-data"), "the administrator's key is in it");
    world.finish().await
}

/// The block of commands on the page that contains these words.
fn block(words: &str) -> Result<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/start.md");
    let text = std::fs::read_to_string(page)?;
    let step = steps(&text).into_iter().find(|step| step.commands.contains(words));
    Ok(step.with_context(|| format!("no block on the page has {words:?}"))?.commands)
}
