//! Starting a control plane, and waiting until it works.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::Api;

use super::arguments::{self, Ports};
use super::files::Files;
use super::{ControlPlane, ControlPlaneOptions, Slot, nodes};
use crate::binaries::{Binaries, Tool};
use crate::client;
use crate::layout::{ClusterRecord, Component, EtcdRecord, Layout, NodeRecord};
use crate::process::{Process, ProcessSpec};
use crate::real_node::{self, Network, RealNode};
use crate::waiting::{OnTimeout, until};

/// Six seconds are usual; a machine that builds at the same time takes longer.
const LIMIT: Duration = Duration::from_mins(3);
/// A port that was free may be taken before it is used.
const ATTEMPTS: usize = 3;

/// Starts a control plane and waits until its API server, controllers and nodes work.
///
/// # Errors
/// A process ends or does not get ready within three minutes; the end of its log is in the error.
pub async fn start(
    layout: &Layout,
    launcher: &Path,
    binaries: &Binaries,
    options: &ControlPlaneOptions,
) -> anyhow::Result<ControlPlane> {
    let mut attempt = 1;
    loop {
        let error = match start_once(layout, launcher, binaries, options).await {
            Ok(control_plane) => return Ok(control_plane),
            Err(error) => error,
        };
        if attempt == ATTEMPTS || !format!("{error:#}").contains("address already in use") {
            return Err(error.context(format!("starting the control plane {}", options.name)));
        }
        attempt += 1;
        let directory = layout.cluster(&options.name);
        std::fs::remove_dir_all(&directory).with_context(|| format!("removing {}", directory.display()))?;
    }
}

async fn start_once(
    layout: &Layout,
    launcher: &Path,
    binaries: &Binaries,
    options: &ControlPlaneOptions,
) -> anyhow::Result<ControlPlane> {
    let name = options.name.as_str();
    let [etcd_client, etcd_peer, etcd_metrics, api_server] = crate::ports::free()?;
    let ports = Ports { etcd_client, etcd_peer, etcd_metrics, api_server };
    let directory = layout.cluster(name);
    std::fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let mut starting = Starting { layout, launcher, cluster: name, slots: BTreeMap::new() };
    let network = match &options.real_node {
        Some(options) => Some(real_node::keep_network(&mut starting, options).await?),
        None => None,
    };
    let node = network.map(|network| (nodes::name(name, 1), network));
    let server = format!("https://{}:{api_server}", network.map_or(Ipv4Addr::LOCALHOST, Network::host));
    let of_node = node.as_ref().map(|(name, network)| (name.as_str(), *network));
    let files = Files::write(layout, name, &server, of_node)?;

    let program = |tool: Tool| binaries.path(tool);
    starting.run(Component::Etcd, program(Tool::Etcd), arguments::etcd(layout, name, ports))?;
    starting.run(
        Component::KubeApiserver,
        program(Tool::ApiServer),
        arguments::api_server(layout, name, &files, ports, network),
    )?;
    let kubeconfig = layout.admin_kubeconfig(name);
    let client = client::from_kubeconfig(&kubeconfig).await?;
    starting.wait("its API server to be ready", || api_ready(&client)).await?;

    let manager = arguments::controller_manager(&files, network, &options.controller_manager_args);
    starting.run(Component::KubeControllerManager, program(Tool::ControllerManager), manager)?;
    starting.run(Component::KubeScheduler, program(Tool::Scheduler), arguments::scheduler(&files))?;
    if let Some(region) = &options.region {
        match (&node, &options.real_node) {
            (Some((node, network)), Some(options)) => {
                let labels = nodes::labels(region, 1);
                let real = RealNode { name: node, network: *network, labels, options, binaries };
                real_node::start(&mut starting, &real, &client).await?;
            }
            _ => {
                nodes::create(&client, name, region).await?;
                starting.run(Component::Kwok, program(Tool::Kwok), arguments::kwok(&files))?;
                starting.wait("its nodes to be ready", || nodes::ready(&client)).await?;
            }
        }
    }
    starting.wait("its controllers to work", || controllers_work(&client)).await?;

    let record = ClusterRecord {
        name: name.to_owned(),
        server,
        kubeconfig,
        audit_log: layout.audit_log(name),
        etcd: EtcdRecord {
            client: format!("http://127.0.0.1:{etcd_client}"),
            metrics: format!("http://127.0.0.1:{etcd_metrics}/metrics"),
        },
        node: node.map(|(name, network)| NodeRecord {
            name,
            address: network.node(),
            host: network.host(),
            pods: network.pods(),
            services: network.services(),
        }),
        hub: None,
        member: None,
        processes: Vec::new(),
        stopped: Vec::new(),
    };
    Ok(ControlPlane { record, ca: files.ca, slots: starting.slots })
}

/// A cluster of which some processes run; dropping it kills them.
pub struct Starting<'a> {
    /// The fleet's directory.
    pub layout: &'a Layout,
    /// The `fleet` binary.
    pub launcher: &'a Path,
    /// The cluster's name.
    pub cluster: &'a str,
    slots: BTreeMap<Component, Slot>,
}

impl Starting<'_> {
    /// Starts a process of this machine's own namespaces.
    ///
    /// # Errors
    /// It can't be started.
    pub fn run(&mut self, component: Component, program: PathBuf, args: Vec<String>) -> anyhow::Result<u32> {
        let log = self.layout.log(self.cluster, component);
        self.run_spec(component, ProcessSpec { program, args, env: Vec::new(), log, inside: None })
    }

    /// Starts a process, and gives its pid.
    ///
    /// # Errors
    /// It can't be started.
    pub fn run_spec(&mut self, component: Component, spec: ProcessSpec) -> anyhow::Result<u32> {
        let process = Process::start(self.launcher, &spec)?;
        let pid = process.pid();
        self.slots.insert(component, Slot { spec, process: Some(process) });
        Ok(pid)
    }

    /// The pid of a process that was started.
    ///
    /// # Errors
    /// None was started for the component.
    pub fn pid(&self, component: Component) -> anyhow::Result<u32> {
        let process = self.slots.get(&component).and_then(|slot| slot.process.as_ref());
        process.map(|process| process.pid()).with_context(|| format!("{component} was not started"))
    }

    /// Waits for a condition as long as every process runs.
    ///
    /// # Errors
    /// One has ended, or the time is over; the ends of their logs are in the error.
    pub async fn wait(
        &self,
        what: &str,
        mut condition: impl AsyncFnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let processes =
            self.slots.iter().filter_map(|(component, slot)| Some((*component, slot.process.as_ref()?)));
        let logs = OnTimeout::Logs(processes.collect());
        until(what, LIMIT, logs, async || Ok(condition().await?.then_some(()))).await
    }
}

async fn api_ready(client: &kube::Client) -> anyhow::Result<bool> {
    let request = http::Request::get("/readyz").body(Vec::new())?;
    Ok(client.request_text(request).await? == "ok")
}

/// The controller manager gives every namespace its default service account; pods can't be made before.
async fn controllers_work(client: &kube::Client) -> anyhow::Result<bool> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    Ok(accounts.get_opt("default").await?.is_some())
}
