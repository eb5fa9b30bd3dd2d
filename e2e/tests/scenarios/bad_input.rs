//! What is refused, and whether it is said what to do.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use parallax_e2e::product::Product;
use parallax_e2e::{Component, Progress};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_kubeconfig_is_one_clear_line_and_exit_code_1() -> Result<()> {
    let binaries = Product::build(env!("CARGO_BIN_EXE_fleet").as_ref(), Progress::Silent).await?;
    for (binary, extra) in [(&binaries.hub, vec![]), (&binaries.member, vec!["--hub", "127.0.0.1:1"])] {
        let output = Command::new(binary)
            .args(["--kubeconfig", "/nonexistent/kubeconfig"])
            .args(extra)
            .env_remove("KUBECONFIG")
            .output()
            .await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error:")).collect();
        assert_eq!(errors.len(), 1, "{stderr}");
        assert!(errors[0].contains("/nonexistent/kubeconfig"), "{stderr}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_one_clear_line_and_exit_code_1() -> Result<()> {
    let world = World::calm("port").await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let binaries = Product::build(env!("CARGO_BIN_EXE_fleet").as_ref(), Progress::Silent).await?;
    let kubeconfig = world.fleet().record().cluster("hub")?.kubeconfig.clone();
    let output = Command::new(&binaries.hub)
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .args(["--bind", "127.0.0.1", "--session-port", "0", "--metrics-port", "0", "--port", &port])
        .output()
        .await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let error = stderr.lines().find(|line| line.starts_with("error:")).context("no error line")?;
    assert!(error.contains(&port) && error.contains("--port"), "{error}");
    world.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_join_token_is_refused_in_both_logs() -> Result<()> {
    // A second member in the cluster would have a say in others' agents.
    let world = World::alone("token").await?;
    let record = world.fleet().record();
    let session = world.fleet().hub_endpoints()?.session;
    let binaries = Product::build(env!("CARGO_BIN_EXE_fleet").as_ref(), Progress::Silent).await?;
    // A second token supersedes the first. The stranger looks for its identity in a namespace of its own, where there
    // is none.
    let mut tokens = vec![];
    for _ in 0..2 {
        let output = Command::new(&binaries.hub)
            .args(["token", "stranger", "-o", "json", "--kubeconfig"])
            .arg(&record.cluster("hub")?.kubeconfig)
            .output()
            .await?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        tokens.push(answer["token"].as_str().context("no token")?.to_owned());
    }
    let superseded = tokens.remove(0);
    let secret = superseded.split('.').nth(2).context("a token has four parts")?.to_owned();

    let mut member = Command::new(&binaries.member)
        .arg("--kubeconfig")
        .arg(&record.cluster("member-1")?.kubeconfig)
        .args(["--system-namespace", &world.namespace])
        .args(["--hub", &session, "--bind", "127.0.0.1", "--metrics-port", "0"])
        .env("PARALLAX_JOIN_TOKEN", &superseded)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stderr = member.stderr.take().context("no stderr")?;
    let mut lines = BufReader::new(stderr).lines();
    let said = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(line) = lines.next_line().await? {
            if line.contains("token") && line.contains("parallax-hub token") {
                return Ok::<_, anyhow::Error>(());
            }
        }
        anyhow::bail!("the member ended without a word about its token")
    })
    .await
    .context("the member does not say what to do about its token")?;
    said?;
    member.kill().await?;
    world
        .eventually("the hub's log says so too", || async {
            let log = world.fleet().log_tail("hub", Component::ParallaxHub, 200);
            assert!(!log.contains(secret.as_str()), "the hub logs tokens");
            Ok(log.lines().any(|line| line.contains("stranger") && line.contains("parallax-hub token")))
        })
        .await?;
    world.clusters().delete("stranger", &kube::api::DeleteParams::default()).await?;
    world.finish().await
}
