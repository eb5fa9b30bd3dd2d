//! Starting a node's programs in their order, and waiting until the node works.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::config::{self, Site};
use super::init::ARRANGED;
use super::network::{self, Network};
use super::{addons, cgroups, images, prerequisites};
use crate::binaries::{Binaries, Tool};
use crate::control_plane::{RealNodeOptions, Starting, nodes};
use crate::layout::Component;
use crate::process::{Namespaces, ProcessSpec};

/// What a real node is started with.
pub struct RealNode<'a> {
    /// The Node object's name.
    pub name: &'a str,
    /// Its addresses.
    pub network: Network,
    /// Its labels, beside those that every kubelet gives its node.
    pub labels: BTreeMap<String, String>,
    /// What it runs, and what it is marked with.
    pub options: &'a RealNodeOptions,
    /// Where the kubelet and the others lie.
    pub binaries: &'a Binaries,
}

/// Makes the node's network, which its control plane needs before the node, and which outlives the node.
///
/// # Errors
/// The network namespace can't be made, or its link to the host.
pub async fn keep_network(starting: &mut Starting<'_>, options: &RealNodeOptions) -> anyhow::Result<Network> {
    let args = ["--net", "--", "sleep", "infinity"].map(String::from).to_vec();
    let keeper = starting.run(Component::NodeNetwork, "unshare".into(), args)?;
    let own = fs::read_link("/proc/self/ns/net").context("reading /proc/self/ns/net")?;
    let path = format!("/proc/{keeper}/ns/net");
    starting.wait("the node's network namespace", async || Ok(fs::read_link(&path)? != own)).await?;
    network::claim(keeper, &options.mark)
}

/// Starts the node and what every cluster has on it, and waits until it all works.
///
/// # Errors
/// Something is refused, or ends, or does not work in time; the ends of the logs are in the error.
pub async fn start(
    starting: &mut Starting<'_>,
    node: &RealNode<'_>,
    client: &kube::Client,
) -> anyhow::Result<()> {
    let directory = starting.layout.node(starting.cluster);
    let pki = starting.layout.pki(starting.cluster);
    let site = Site {
        node: node.name,
        directory: &directory,
        pki: &pki,
        cgroup: &node.options.mark,
        network: node.network,
    };
    write_files(&site)?;
    cgroups::create(&node.options.mark)?;
    addons::apply(client, node.network).await?;

    let inside = keep_node(starting, &site).await?;
    let spec =
        |program: PathBuf, args: Vec<String>, component: Component, starting: &Starting<'_>| ProcessSpec {
            program,
            args,
            env: vec![("PATH".into(), prerequisites::path())],
            log: starting.layout.log(starting.cluster, component),
            inside: Some(inside.clone()),
        };
    let file = |name: &str| directory.join(name).display().to_string();
    let containerd = vec![format!("--config={}", file("containerd.toml"))];
    let runtime = spec("containerd".into(), containerd, Component::Containerd, starting);
    starting.run_spec(Component::Containerd, runtime)?;
    starting.wait("containerd to answer", async || answers(&inside)).await?;
    let (binaries, agent) = (node.binaries.clone(), node.options.example_agent.clone());
    let (images_in, into) = (directory.clone(), inside.clone());
    tokio::task::spawn_blocking(move || images::import(&images_in, &binaries, &agent, &into))
        .await
        .context("importing images")??;

    let labels: Vec<String> = node.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    let kubelet = vec![
        format!("--config={}", file("kubelet.json")),
        format!("--kubeconfig={}", pki.join("kubelet.kubeconfig").display()),
        format!("--hostname-override={}", node.name),
        format!("--node-ip={}", node.network.node()),
        format!("--node-labels={}", labels.join(",")),
        "--root-dir=/var/lib/kubelet".into(),
    ];
    let kubelet = spec(node.binaries.path(Tool::Kubelet), kubelet, Component::Kubelet, starting);
    starting.run_spec(Component::Kubelet, kubelet)?;
    let proxy = vec![format!("--config={}", file("kube-proxy.json"))];
    let proxy = spec(node.binaries.path(Tool::KubeProxy), proxy, Component::KubeProxy, starting);
    starting.run_spec(Component::KubeProxy, proxy)?;
    starting.wait("its node to be ready", || nodes::ready(client)).await?;
    starting.wait("its DNS and resource metrics to work", || addons::serve(client)).await
}

/// Starts the process that keeps the node's namespaces, and waits until all is arranged in them.
async fn keep_node(starting: &mut Starting<'_>, site: &Site<'_>) -> anyhow::Result<Namespaces> {
    let network = starting.pid(Component::NodeNetwork)?;
    let mut args: Vec<String> = vec![format!("--net=/proc/{network}/ns/net"), "--".into(), "unshare".into()];
    args.extend(
        [
            "--mount",
            "--propagation=private",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child=SIGKILL",
            "--",
        ]
        .map(String::from),
    );
    args.push(starting.launcher.display().to_string());
    args.extend(["__node-init".into(), format!("--dir={}", site.directory.display())]);
    args.push(format!("--hostname={}", site.node));
    let keeper = starting.run(Component::Node, "nsenter".into(), args)?;
    starting.wait("the node's namespaces", async || Ok(is_arranged(site.directory))).await?;
    let inside = Namespaces::default();
    inside.open(keeper)?;
    Ok(inside)
}

/// Whether the node with its files in this directory has arranged its namespaces.
pub fn is_arranged(directory: &Path) -> bool {
    directory.join(ARRANGED).is_file()
}

/// Whether containerd, which has had `before` bytes in its log when it was started, takes pods by now: a kubelet that comes
/// sooner ends. Nothing but the log tells: it answers others before.
///
/// # Errors
/// The log can't be read.
pub fn takes_pods(log: &Path, before: u64) -> anyhow::Result<bool> {
    let text = fs::read(log).with_context(|| format!("reading {}", log.display()))?;
    let said = usize::try_from(before).ok().and_then(|before| text.get(before..)).unwrap_or_default();
    Ok(String::from_utf8_lossy(said).contains("Start streaming server"))
}

/// Forgets that it has, before it is started again.
pub fn forget_arranged(directory: &Path) {
    fs::remove_file(directory.join(ARRANGED)).ok();
}

fn write_files(site: &Site<'_>) -> anyhow::Result<()> {
    let directory = site.directory;
    let net = directory.join("net.d");
    fs::create_dir_all(&net).with_context(|| format!("creating {}", net.display()))?;
    write(&directory.join("containerd.toml"), &config::containerd(site))?;
    write_json(&net.join("10-parallax.conflist"), &config::cni(site))?;
    write_json(&directory.join("kubelet.json"), &config::kubelet(site))?;
    write_json(&directory.join("kube-proxy.json"), &config::kube_proxy(site))?;
    // The node resolves no names of its own: what the cluster's DNS does not know does not exist.
    write(&directory.join("resolv.conf"), "")
}

fn write_json(path: &Path, content: &Value) -> anyhow::Result<()> {
    write(path, &serde_json::to_string_pretty(content).context("writing a configuration")?)
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}

fn answers(inside: &Namespaces) -> anyhow::Result<bool> {
    let mut ctr = inside.command("ctr")?;
    Ok(ctr.arg("version").output().context("running ctr")?.status.success())
}
