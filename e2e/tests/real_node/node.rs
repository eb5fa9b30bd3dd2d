//! The node itself: it comes back, and it leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Result;
use parallax_e2e::Component;
use parallax_e2e::layout::{FleetRecord, Layout};
use parallax_e2e::testing::can_run_a_real_node;
use parallax_e2e::waiting::blocking::until;

use crate::world::{CLUSTER, LIMIT, World};

/// What runs in the node, in the order in which it is started.
const NODE: [Component; 4] =
    [Component::Node, Component::Containerd, Component::Kubelet, Component::KubeProxy];

#[tokio::test(flavor = "multi_thread")]
async fn agents_run_again_after_the_node_was_killed_and_started() -> Result<()> {
    let Some(world) = World::alone("comeback").await? else { return Ok(()) };
    world.agent("lasting", 1).await?;
    let pod = world.pods_of("lasting").await?.remove(0).metadata.name.unwrap_or_default();
    // The first takes the others with it; killing what is dead is waiting for its end.
    for component in NODE {
        world.fleet.kill(CLUSTER, component).await?;
    }
    for component in NODE {
        world.fleet.restart(CLUSTER, component).await?;
    }
    world
        .until("the container to be started again", async || {
            Ok((world.container(&pod).await?.restart_count > 0).then_some(()))
        })
        .await?;
    world.runs("lasting", 1).await?;
    world.shell().await?;
    assert_eq!(world.ask("lasting", "/health").await?, "ok\n");
    world.namespace.delete().await
}

#[test]
fn nothing_of_the_node_is_left_when_the_tool_is_killed() {
    if !can_run_a_real_node() {
        return;
    }
    let directory = std::env::temp_dir().join(format!("parallax-e2e-{}-killed-node", std::process::id()));
    let mut tool = std::process::Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["up", "--members", "1", "--real-node", "--control-planes-only", "--dir"])
        .arg(&directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let layout = Layout::new(&directory).unwrap();
    // None: the tool has ended instead.
    let started = until("its node runs", LIMIT, || {
        let record = layout.read().unwrap_or_default().filter(has_a_running_node);
        Ok(if record.is_none() && tool.try_wait()?.is_some() { Some(None) } else { record.map(Some) })
    });
    let Some(record) = started.unwrap() else {
        let output = tool.wait_with_output().unwrap();
        panic!("the fleet does not start: {}", String::from_utf8_lossy(&output.stderr));
    };
    assert!(!cgroups(&record.id).is_empty(), "the node has no cgroup");
    let host = record.clusters[1].node.clone().unwrap().host.to_string();
    assert!(routes().contains(&host) || links().contains(&host), "no link to the node");

    tool.kill().unwrap();
    tool.wait().unwrap();
    // The directory is the last to go.
    until("the directory is gone", LIMIT, || Ok((!directory.exists()).then_some(()))).unwrap();
    assert_eq!(cgroups(&record.id), Vec::<PathBuf>::new());
    assert!(!routes().contains(&host) && !links().contains(&host), "{}{}", routes(), links());
    let processes = record.clusters.iter().flat_map(|cluster| &cluster.processes);
    assert!(processes.into_iter().all(|process| !process.identity.is_alive()));
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&*directory.to_string_lossy()), "{mounts}");
}

fn has_a_running_node(record: &FleetRecord) -> bool {
    let processes = record.clusters.iter().flat_map(|cluster| &cluster.processes);
    processes.into_iter().any(|process| process.component == Component::Kubelet)
}

fn cgroups(fleet: &str) -> Vec<PathBuf> {
    let prefix = format!("parallax-{}", &fleet[..12]);
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    let roots = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]);
    let children = |root: PathBuf| std::fs::read_dir(root).into_iter().flatten().flatten();
    roots
        .flat_map(children)
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect()
}

fn routes() -> String {
    ip(&["route", "show"])
}

fn links() -> String {
    ip(&["address", "show"])
}

fn ip(args: &[&str]) -> String {
    let program = if Path::new("/usr/sbin/ip").exists() { "/usr/sbin/ip" } else { "ip" };
    let output = std::process::Command::new(program).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
