//! The hub as a process: what is started in which order.
//!
//! Ports → kinds and rights → state, CA and tombstones → [`Hub::serve`].

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use parallax_crds::labels::HUB_MANAGER;
use parallax_hub_core::FleetDefaults;
use parallax_platform::addresses::Port;
use parallax_platform::{Addresses, AdminServer, Events, KubeArgs, Readiness, Watch, admin, patiently};
use parallax_proto::identity::TrustDomain;
use tokio_util::sync::CancellationToken;

use crate::error::HubError;
use crate::metrics::Metrics;
use crate::preflight;
use crate::serving::{Hub, Watches};
use crate::sessions::Registry;
use crate::store::at_start::AtStart;

/// How the hub runs; see the flags of the same names.
pub struct Settings {
    pub kube: KubeArgs,
    pub namespace: String,
    pub trust_domain: TrustDomain,
    pub bind: IpAddr,
    pub session_port: u16,
    pub http_port: u16,
    pub metrics_port: u16,
    pub addresses_file: Option<PathBuf>,
    pub defaults: FleetDefaults,
    pub certificate_validity: Duration,
    pub credentials_from: Vec<String>,
    pub hold_mass_deletions: bool,
}

/// Runs the hub until it is told to stop.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), HubError> {
    let process = parallax_platform::Metrics::new("parallax-hub", env!("CARGO_PKG_VERSION"));
    let client = parallax_platform::observed_client(&settings.kube, &process).await?;
    let registry = Arc::new(Registry::default());
    let metrics = Metrics::register(&process, &registry);
    let events = Events::start(client.clone(), HUB_MANAGER, &process, stop.clone());
    let readiness = Readiness::default();
    let started = readiness.check("start");
    let watches = Watches {
        agents: Watch::new(&client, "ParallaxAgents").shown_in(&readiness),
        clusters: Watch::new(&client, "MemberClusters").shown_in(&readiness),
    };
    let port = Port::take(settings.bind, settings.session_port, "--session-port (SESSION_PORT)")?;
    let http = AdminServer::bind(settings.bind, settings.http_port, "--port (PORT)")?;
    let scrapes = AdminServer::bind(settings.bind, settings.metrics_port, "--metrics-port (METRICS_PORT)")?;
    let addresses =
        Addresses { session: port.address(), http: Some(http.address()), metrics: Some(scrapes.address()) };
    addresses.publish(settings.addresses_file.as_deref())?;
    // Health is answered to the end: it is the process's, not the fleet's.
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    tokio::spawn(answer("health", http.serve(admin::health(readiness), ended.clone())));
    tokio::spawn(answer("metrics", scrapes.serve(admin::metrics(process), ended)));

    let attempt = || prepare(&client, &settings);
    let Some(stored) = patiently(&stop, &started, HubError::is_passing, attempt).await? else {
        return Ok(());
    };
    started.ready();
    let hub = Hub { settings, client, registry, metrics, events };
    hub.serve(stored, port, watches, stop).await
}

/// An admin port, to its end; the hub works on without it.
async fn answer(port: &'static str, serving: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(port, %error, "the port answers no longer; restart the hub");
    }
}

/// Everything that the hub must have before it can begin.
async fn prepare(client: &Client, settings: &Settings) -> Result<AtStart, HubError> {
    preflight::check(client).await?;
    AtStart::load(client, &settings.namespace, &settings.trust_domain).await
}
