//! The activator of a member's cluster: a process beside the cluster, which is found by a slice that the tool writes.
//! Simulated pods have no network: there, agents are reached on their ports on 127.0.0.1. The pods of a real node reach
//! it at the host's end of the node's link, and it sees who they are.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use parallax_crds::labels::{ACTIVATOR, SYSTEM_NAMESPACE};
use serde_json::json;

use super::Fleet;
use super::install::kubeconfig;
use super::run;
use crate::layout::{ClusterRecord, Component};
use crate::process::ProcessSpec;
use crate::product::Product;
use crate::{client, manifests};

/// The address that stands for 127.0.0.1 in slices, where API servers refuse that. It is nobody's (RFC 5737).
pub const ACTIVATOR_ADDRESS: &str = "198.51.100.1";

/// Where it is.
struct Stand {
    /// The address that it is listed under.
    address: String,
    /// The address that it listens on.
    bind: String,
    /// Who may call besides pods that may.
    admit: Option<&'static str>,
}

impl Stand {
    fn of(cluster: &ClusterRecord) -> Self {
        match &cluster.node {
            Some(node) => Self { address: node.host.to_string(), bind: node.host.to_string(), admit: None },
            None => Self {
                address: ACTIVATOR_ADDRESS.to_owned(),
                bind: "127.0.0.1".to_owned(),
                admit: Some("127.0.0.0/8"),
            },
        }
    }
}

/// Starts it, and lists it.
pub(super) async fn start(fleet: &Fleet, product: &Product, cluster: &ClusterRecord) -> anyhow::Result<()> {
    let component = Component::ParallaxActivator;
    let Stand { address, bind, admit } = Stand::of(cluster);
    let mut args = vec![
        "activator".to_owned(),
        format!("--kubeconfig={}", kubeconfig(&fleet.layout, &cluster.name, ACTIVATOR).display()),
        format!("--address={address}"),
        format!("--bind={bind}"),
        format!("--addresses-file={}", run::addresses_file(fleet, &cluster.name, component).display()),
    ];
    args.extend(admit.map(|network| format!("--admit={network}")));
    let mut spec = ProcessSpec {
        program: product.member.clone(),
        args: args.clone(),
        env: Vec::new(),
        log: fleet.layout.log(&cluster.name, component),
        inside: None,
    };
    spec.args.push("--metrics-port=0".into());
    let addresses = run::start(fleet, &cluster.name, component, &spec).await?;
    args.push(format!("--metrics-port={}", run::port(&addresses.metrics)?));
    run::keep(fleet, &cluster.name, component, args, |_| ())?;
    let client = client::from_kubeconfig(&cluster.kubeconfig).await?;
    list(&client, &address).await
}

/// Lists an activator, as the cluster's own controller does for pods.
///
/// # Errors
/// The API server refuses the slice.
pub async fn list(client: &kube::Client, address: &str) -> anyhow::Result<()> {
    let name = slice_of(address);
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": ACTIVATOR}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": [],
    });
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    slices.patch(&name, &PatchParams::apply(manifests::MANAGER).force(), &Patch::Apply(&slice)).await?;
    Ok(())
}

/// Strikes it off the list.
///
/// # Errors
/// It isn't listed.
pub async fn strike(client: &kube::Client, address: &str) -> anyhow::Result<()> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    slices.delete(&slice_of(address), &DeleteParams::default()).await?;
    Ok(())
}

fn slice_of(address: &str) -> String {
    format!("{ACTIVATOR}-{}", address.replace('.', "-"))
}
