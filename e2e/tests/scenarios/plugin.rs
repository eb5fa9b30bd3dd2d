//! `kubectl parallax`, as an administrator of the hub uses it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use parallax_e2e::Progress;
use parallax_e2e::product;
use serde_json::{Value, json};

use crate::world::World;

/// kubectl, which finds the plugin on its PATH.
pub struct Plugin {
    path: OsString,
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Plugin {
    pub async fn of(world: &World) -> Result<Self> {
        let program = product::plugin(Path::new(env!("CARGO_BIN_EXE_fleet")), Progress::Silent).await?;
        let folder = program.parent().context("the plugin lies in no directory")?.to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path)))?;
        let record = world.fleet().record();
        let (kubectl, kubeconfig) = (record.kubectl.clone(), record.cluster("hub")?.kubeconfig.clone());
        Ok(Self { path, kubectl, kubeconfig, namespace: world.namespace.clone() })
    }

    /// Runs a command to its end: whether it succeeded, and what it said.
    pub async fn run(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let output = tokio::process::Command::new(&self.kubectl)
            .arg("parallax")
            .args(arguments)
            .args(["--namespace", &self.namespace])
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .kill_on_drop(true)
            .output()
            .await
            .context("running kubectl parallax")?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// What a command answers that succeeds.
    pub async fn answer(&self, arguments: &[&str]) -> Result<String> {
        let (succeeded, said) = self.run(arguments).await?;
        anyhow::ensure!(succeeded, "kubectl parallax {arguments:?}: {said}");
        Ok(said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_drained_and_comes_back_as_the_plugin_had_foretold() -> Result<()> {
    let world = World::alone("drained").await?;
    let plugin = Plugin::of(&world).await?;
    world.apply("spread", json!({"type": "claude", "replicas": 4})).await?;
    world.running("spread", "4/4").await?;
    world.shared_out("spread", &[2, 2]).await?;

    let foretold = plugin.answer(&["drain", "member-1", "--dry-run"]).await?;
    let row = foretold.lines().find(|line| line.contains("spread")).context("no row of the agent")?;
    assert!(row.contains("member-1: 2, member-2: 2") && row.contains("member-2: 4"), "{foretold}");
    assert_eq!(world.shares("spread").await?, [Some(2), Some(2)], "a dry run changes nothing");

    let drained = plugin.answer(&["drain", "member-1", "--timeout", "5m"]).await?;
    assert!(drained.contains("membercluster.parallax.io/member-1 drained"), "{drained}");
    assert!(drained.contains("nothing runs on member-1 any more"), "{drained}");
    world.gone_from_member(0, "spread").await?;
    world.running("spread", "4/4").await?;
    assert!(plugin.answer(&["drain", "member-1"]).await?.contains("already drained"));

    let explained: Value = serde_json::from_str(&plugin.answer(&["explain", "spread", "-o", "json"]).await?)?;
    let of = |cluster: &str| {
        let all = explained["clusters"].as_array().into_iter().flatten();
        all.into_iter().find(|row| row["cluster"] == cluster).cloned().unwrap_or_default()
    };
    assert_eq!(of("member-2")["replicas"], 4, "{explained:#}");
    assert!(of("member-1")["message"].to_string().contains("parallax.io/drained"), "{explained:#}");

    plugin.answer(&["uncordon", "member-1"]).await?;
    let foretold = plugin.answer(&["rebalance", "spread", "--dry-run"]).await?;
    assert!(foretold.contains("member-1: 2, member-2: 2"), "{foretold}");
    plugin.answer(&["rebalance", "spread"]).await?;
    world.shared_out("spread", &[2, 2]).await?;
    world.running("spread", "4/4").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cordoned_cluster_keeps_what_it_has_and_gets_nothing_new() -> Result<()> {
    let world = World::alone("cordoned").await?;
    let plugin = Plugin::of(&world).await?;
    world.apply("before", json!({"type": "claude", "replicas": 2})).await?;
    world.running("before", "2/2").await?;
    let would = plugin.answer(&["cordon", "member-1", "--dry-run"]).await?;
    assert!(would.contains("nothing would move"), "{would}");
    plugin.answer(&["cordon", "member-1"]).await?;
    world.apply("after", json!({"type": "claude", "replicas": 2})).await?;
    world.running("after", "2/2").await?;
    assert_eq!(world.shares("after").await?, [None, Some(2)]);
    assert_eq!(world.shares("before").await?, [Some(1), Some(1)]);
    plugin.answer(&["uncordon", "member-1"]).await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_suspended_and_resumed_by_name() -> Result<()> {
    let world = World::calm("suspended-by-name").await?;
    let plugin = Plugin::of(&world).await?;
    world.apply("one", json!({"type": "claude", "placement": {"clusters": ["member-1"]}})).await?;
    world.running("one", "1/1").await?;
    plugin.answer(&["suspend", "one"]).await?;
    world.running("one", "0/0").await?;
    assert!(plugin.answer(&["suspend", "agent/one"]).await?.contains("already suspended"));
    plugin.answer(&["resume", "one"]).await?;
    world.running("one", "1/1").await?;
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_with_where_to_look() -> Result<()> {
    let world = World::calm("nobody").await?;
    let plugin = Plugin::of(&world).await?;
    for arguments in [
        &["explain", "nobody"][..],
        &["drain", "nowhere"],
        &["suspend", "cluster/nowhere"],
        &["rebalance", "nobody"],
        &["history", "nobody"],
        &["rollback", "nobody"],
        &["refresh", "nobody"],
    ] {
        let (succeeded, said) = plugin.run(arguments).await?;
        assert!(!succeeded && said.contains("there is no") && said.contains("kubectl get"), "{said}");
    }
    let (succeeded, said) = plugin.run(&["suspend", "pod/x"]).await?;
    assert!(!succeeded && said.contains("cluster/NAME"), "{said}");
    world.finish().await
}
