//! The page on one cluster, as a reader goes through it.

use anyhow::{Context as _, Result};
use parallax_e2e::testing::{Shell, shows, steps};

use crate::world::{CLUSTER, World};

#[tokio::test(flavor = "multi_thread")]
async fn everything_on_the_page_about_one_cluster_works() -> Result<()> {
    let Some(world) = World::new("page").await? else { return Ok(()) };
    let shell = Shell::at(world.fleet, CLUSTER, "default").await?;
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/one-cluster.md");
    for step in steps(&std::fs::read_to_string(page)?) {
        let where_ = format!("line {} of docs/one-cluster.md", step.line);
        let Some(expected) = step.prints else {
            shell.run(&step.commands).await.context(where_)?;
            continue;
        };
        world
            .until(&format!("what {where_} prints"), async || {
                let said = shell.run(&step.commands).await?;
                match shows(&said, &expected) {
                    Ok(()) => Ok(Some(())),
                    Err(line) => anyhow::bail!("no line {line:?} in\n{said}"),
                }
            })
            .await?;
    }
    world.namespace.delete().await
}
