//! Starting a control plane, and waiting until it works.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::Api;

use super::arguments::{self, Ports};
use super::files::Files;
use super::{ControlPlane, ControlPlaneOptions, Slot, nodes};
use crate::binaries::{Binaries, Tool};
use crate::client;
use crate::layout::{ClusterRecord, Component, EtcdRecord, Layout};
use crate::process::{Process, ProcessSpec};
use crate::waiting::wait_for;

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
    let server = format!("https://127.0.0.1:{api_server}");
    let directory = layout.cluster(name);
    std::fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let files = Files::write(layout, name, &server)?;

    let mut starting = Starting { layout, launcher, cluster: name, slots: BTreeMap::new() };
    starting.run(Component::Etcd, binaries, Tool::Etcd, arguments::etcd(layout, name, ports))?;
    starting.run(
        Component::KubeApiserver,
        binaries,
        Tool::ApiServer,
        arguments::api_server(layout, name, &files, ports),
    )?;
    let kubeconfig = layout.admin_kubeconfig(name);
    let client = client::from_kubeconfig(&kubeconfig).await?;
    starting.wait("its API server to be ready", || api_ready(&client)).await?;

    let extra = &options.controller_manager_args;
    let manager = arguments::controller_manager(&files, extra);
    starting.run(Component::KubeControllerManager, binaries, Tool::ControllerManager, manager)?;
    starting.run(Component::KubeScheduler, binaries, Tool::Scheduler, arguments::scheduler(&files))?;
    if let Some(region) = &options.region {
        nodes::create(&client, name, region).await?;
        starting.run(Component::Kwok, binaries, Tool::Kwok, arguments::kwok(&files))?;
        starting.wait("its nodes to be ready", || nodes::ready(&client)).await?;
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
        hub: None,
        member: None,
        processes: Vec::new(),
    };
    Ok(ControlPlane { record, ca: files.ca, slots: starting.slots })
}

/// A control plane of which some processes run; dropping it kills them.
struct Starting<'a> {
    layout: &'a Layout,
    launcher: &'a Path,
    cluster: &'a str,
    slots: BTreeMap<Component, Slot>,
}

impl Starting<'_> {
    fn run(
        &mut self,
        component: Component,
        binaries: &Binaries,
        tool: Tool,
        args: Vec<String>,
    ) -> anyhow::Result<()> {
        let log = self.layout.log(self.cluster, component);
        let spec = ProcessSpec { program: binaries.path(tool), args, env: Vec::new(), log };
        let process = Some(Process::start(self.launcher, &spec)?);
        self.slots.insert(component, Slot { spec, process });
        Ok(())
    }

    async fn wait<F: Future<Output = anyhow::Result<bool>>>(
        &self,
        what: &str,
        condition: impl Fn() -> F,
    ) -> anyhow::Result<()> {
        let processes =
            self.slots.iter().filter_map(|(component, slot)| Some((*component, slot.process.as_ref()?)));
        wait_for(what, LIMIT, processes, condition).await
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
