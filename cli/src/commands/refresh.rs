//! Agents with the hub's present defaults.

use jiff::Timestamp;
use parallax_crds::labels::REFRESH;
use serde_json::json;

use crate::error::CliError;
use crate::hub::Hub;
use crate::output::{say, table};
use crate::revisions::known;

/// Has one agent of the namespace resolved with the hub's present defaults, or all of them.
pub async fn run(hub: &Hub, name: Option<&str>, dry_run: bool) -> Result<(), CliError> {
    let agents = match name {
        Some(name) => vec![hub.agent(name).await?],
        None => hub.agents_here().await?,
    };
    if agents.is_empty() {
        say(&format!("there are no agents in namespace {}", hub.namespace));
        return Ok(());
    }
    // Another value is another wish.
    let wish = Timestamp::now().to_string();
    let mut pinned = Vec::new();
    for agent in &agents {
        let name = agent.metadata.name.as_deref().unwrap_or_default();
        if dry_run {
            let all = known(&hub.revisions(name).await?, agent.metadata.uid.as_deref().unwrap_or_default())?;
            pinned.extend(all.last().map(|newest| {
                let defaults = &newest.about.defaults;
                [
                    name.to_owned(),
                    newest.image(),
                    defaults.cpu_request.0.clone(),
                    defaults.memory_request.0.clone(),
                ]
            }));
            continue;
        }
        hub.patch_agent(name, &json!({"metadata": {"annotations": {REFRESH: wish}}})).await?;
        say(&format!("parallaxagent.parallax.io/{name} refreshed"));
    }
    if dry_run {
        say(&table(["AGENT", "IMAGE NOW", "CPU REQUEST NOW", "MEMORY REQUEST NOW"], pinned));
        say(
            "these would become the hub's present defaults, where the agents leave them open (dry run: nothing was changed)",
        );
    }
    Ok(())
}
