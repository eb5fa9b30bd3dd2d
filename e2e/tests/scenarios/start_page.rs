//! The commands of docs/start.md, as a new user pastes them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_agent_of_the_start_page_runs() -> Result<()> {
    let world = World::calm("first").await?;
    let page = Page::for_the_hub_of(&world).await?;
    let said = page.run(&block("kubectl apply -f -")?).await?;
    assert!(said.contains("parallaxagent.parallax.io/first condition met"), "{said}");
    world.running("first", "2/2").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_accounts_kubeconfig_is_made_as_the_start_page_says() -> Result<()> {
    let world = World::calm("account").await?;
    world.apply("seen", json!({"type": "claude", "replicas": 0})).await?;
    let page = Page::for_the_hub_of(&world).await?;
    let use_it = "\naccount parallax-hub it.kubeconfig\nexport KUBECONFIG=it.kubeconfig\n\
                  kubectl auth whoami\nkubectl get parallaxagent seen\n! kubectl get pods";
    let said = page.run(&(block("account()")? + use_it)).await?;
    assert!(said.contains("system:serviceaccount:parallax-system:parallax-hub"), "{said}");
    let kubeconfig = std::fs::read_to_string(page.directory.join("it.kubeconfig"))?;
    assert!(!kubeconfig.contains("client-key-data"), "the administrator's key is in it");
    world.finish().await
}

/// The block of commands on the page that contains these words.
fn block(words: &str) -> Result<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/start.md");
    let text = std::fs::read_to_string(page)?;
    let blocks = text.split("```bash\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.into_iter().find(|block| block.contains(words));
    Ok(block.with_context(|| format!("no block on the page has {words:?}"))?.to_owned())
}

/// A shell whose kubectl points at the hub, with the test's namespace as the current one.
struct Page {
    kubectl: PathBuf,
    directory: PathBuf,
}

impl Page {
    async fn for_the_hub_of(world: &World) -> Result<Self> {
        let record = world.fleet().record();
        let directory = record.directory.join(&world.namespace);
        std::fs::create_dir_all(&directory)?;
        std::fs::copy(&record.cluster("hub")?.kubeconfig, directory.join("config"))?;
        let page = Self { kubectl: record.kubectl, directory };
        page.run(&format!("kubectl config set-context --current --namespace {}", world.namespace)).await?;
        Ok(page)
    }

    async fn run(&self, commands: &str) -> Result<String> {
        let bin = self.kubectl.parent().context("kubectl lies nowhere")?.display();
        let output = tokio::process::Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(&self.directory)
            .env("PATH", format!("{bin}:{}", std::env::var("PATH")?))
            .env("KUBECONFIG", self.directory.join("config"))
            .output()
            .await?;
        let said = String::from_utf8(output.stdout)?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "{commands}\n{said}\n{complaint}");
        Ok(said)
    }
}
