//! Agents placed as if they ran nowhere yet.

use jiff::Timestamp;
use parallax_crds::labels::REBALANCE;
use parallax_crds::{AgentKey, ParallaxAgent};
use serde_json::json;

use crate::error::CliError;
use crate::hub::Hub;
use crate::output::say;
use crate::what_if::Picture;

/// Has one agent of the namespace placed anew, or all of them.
pub async fn run(hub: &Hub, name: Option<&str>, dry_run: bool) -> Result<(), CliError> {
    let agents = match name {
        Some(name) => vec![hub.agent(name).await?],
        None => hub.agents_here().await?,
    };
    // Another value is another wish.
    let wish = Timestamp::now().to_string();
    if dry_run {
        let picture = Picture::of(hub).await?;
        let wished = |mut agent: ParallaxAgent| {
            let annotations = agent.metadata.annotations.get_or_insert_default();
            annotations.insert(REBALANCE.to_owned(), wish.clone());
            agent
        };
        let changed =
            agents.iter().cloned().map(wished).fold(picture.clone(), |p, agent| p.with_agent(agent));
        say(&picture.difference(&changed));
    }
    for agent in &agents {
        let key = AgentKey::of(&agent.metadata);
        let object = format!("parallaxagent.parallax.io/{}", key.name());
        if dry_run {
            say(&format!("{object} rebalanced (dry run: nothing was changed)"));
            continue;
        }
        hub.patch_agent(key.name(), &json!({"metadata": {"annotations": {REBALANCE: wish}}})).await?;
        say(&format!("{object} rebalanced"));
    }
    if agents.is_empty() {
        say(&format!("there are no agents in namespace {}", hub.namespace));
    }
    Ok(())
}
