//! The member's life: from its settings to its last word.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, ListParams};
use parallax_crds::AgentAssignment;
use parallax_crds::link::ClusterReport;
use parallax_platform::readiness::Check;
use parallax_platform::{Addresses, AdminServer, KubeArgs, Readiness, admin, observed_client, patiently};
use parallax_proto::driver::{Clock, member};
use parallax_proto::identity::{JoinToken, MemberIdentity};
use parallax_proto::session::{MemberLink, MemberLinkConfig};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agents::{self, Agents, Uplink};
use crate::error::MemberError;
use crate::failure::{Failure, within};
use crate::identity::IdentityStore;
use crate::link::{Courier, Dialler};
use crate::metrics::Metrics;
use crate::state::{Obeyed, StateStore};
use crate::{enroll, store, usage};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the first look at all agents may hold up the first dial.
const FIRST_LOOK: Duration = Duration::from_secs(15);

/// What the command line says.
#[derive(Debug)]
pub struct Settings {
    /// Which API server.
    pub kube: KubeArgs,
    /// `HOST:PORT` of the hub.
    pub hub: String,
    /// Where the join token is.
    pub join_token_file: Option<PathBuf>,
    /// The join token.
    pub join_token: Option<String>,
    /// Whether and how missing namespaces are made.
    pub namespaces: agents::Making,
    /// Namespaces whose control-plane pods may reach every agent.
    pub control_plane_namespaces: Vec<String>,
    /// Namespaces whose pods may read every agent's metrics.
    pub scraper_namespaces: Vec<String>,
    /// The member's own namespace.
    pub namespace: String,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port of metrics and health.
    pub metrics_port: u16,
    /// Where the addresses are written to.
    pub addresses_file: Option<PathBuf>,
}

/// Runs the member until `shutdown`.
///
/// # Errors
/// When it can't start, or a part of it ends too soon.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), MemberError> {
    let process = parallax_platform::Metrics::new("parallax-member", VERSION);
    let readiness = Readiness::default();
    let started = readiness.check("start");
    let admin = AdminServer::bind(settings.bind, settings.metrics_port, "--metrics-port (METRICS_PORT)")?;
    let addresses = Addresses { metrics: Some(admin.address()), ..Addresses::default() };
    let token = enroll::token(settings.join_token_file.as_deref(), settings.join_token.as_deref())?;
    let client = observed_client(&settings.kube, &process).await?;
    addresses.publish(settings.addresses_file.as_deref())?;
    let mut tasks = JoinSet::new();
    let routes = admin::health(readiness.clone()).merge(admin::metrics(process.clone()));
    let serving = admin.serve(routes, shutdown.clone());
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!("the admin port failed: {error}");
        }
    });
    let attempt = || look(&settings, &client, token.is_some());
    let Some(found) = patiently(&shutdown, &started, MemberError::is_passing, attempt).await? else {
        return Ok(());
    };
    let member = Member::new(&settings, client, token, found, &process);
    Box::pin(member.follow(&settings, &readiness, started, shutdown.clone())).await?;
    // Each task knows the shutdown and ends by itself; the whole is bounded by the process's grace.
    while tasks.join_next().await.is_some() {}
    tracing::info!("stopped");
    Ok(())
}

/// What the member must know before it can work.
struct Found {
    kubernetes_version: String,
    cluster_uid: String,
    identity: Option<MemberIdentity>,
    obeyed: Obeyed,
}

/// Reads what this cluster is and whom its member obeyed; says what is missing.
async fn look(settings: &Settings, client: &Client, has_token: bool) -> Result<Found, MemberError> {
    let api = |what| move |why: Failure| MemberError::Api { what, why };
    let version =
        within(client.apiserver_version()).await.map_err(api("ask the API server for its version"))?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system =
        within(namespaces.get("kube-system")).await.map_err(api("read the namespace kube-system"))?;
    let assignments: Api<AgentAssignment> = Api::all(client.clone());
    match within(assignments.list_metadata(&ListParams::default().limit(1))).await {
        Ok(_) => {}
        Err(Failure::NotFound(_)) => return Err(MemberError::CrdMissing),
        Err(failure) => return Err(api("list AgentAssignments")(failure)),
    }
    let identity = IdentityStore::new(client.clone(), &settings.namespace).load().await?;
    if identity.is_none() && !has_token {
        return Err(MemberError::NoToken);
    }
    Ok(Found {
        kubernetes_version: version.git_version,
        cluster_uid: system.metadata.uid.unwrap_or_default(),
        identity,
        obeyed: StateStore::new(client.clone(), &settings.namespace).load().await?,
    })
}

/// What works from then on.
struct Member {
    client: Client,
    cluster_uid: String,
    identity: Option<MemberIdentity>,
    token: Option<JoinToken>,
    agents: Arc<Agents>,
    clock: Clock,
    metrics: Metrics,
}

impl Member {
    fn new(
        settings: &Settings,
        client: Client,
        token: Option<JoinToken>,
        found: Found,
        process: &parallax_platform::Metrics,
    ) -> Self {
        let Found { kubernetes_version, cluster_uid, identity, obeyed } = found;
        let clock = Clock::start();
        let config = MemberLinkConfig {
            cluster_uid: cluster_uid.clone(),
            boot_id: uuid::Uuid::new_v4().to_string(),
            member_version: VERSION.to_owned(),
            hub_uid: obeyed.hub_uid,
            max_epoch: obeyed.max_epoch,
            seed: rand::random(),
        };
        let link = Arc::new(Mutex::new(MemberLink::new(config, clock.now())));
        let outbox = Arc::clone(&link);
        process.reads_gauge(
            "parallax_member_outbox_entries",
            "Results and changed reports that wait to be sent to the hub",
            move || outbox.lock().outbox_depth() as u64,
        );
        let metrics = Metrics::new(process);
        let uplink = Uplink { link, wake: Arc::new(Notify::new()) };
        let about = ClusterReport {
            kubernetes_version,
            member_version: VERSION.to_owned(),
            ..ClusterReport::default()
        };
        let rules = agents::Settings {
            own_namespace: settings.namespace.clone(),
            namespaces: settings.namespaces.clone(),
            control_plane_namespaces: settings.control_plane_namespaces.clone(),
            scraper_namespaces: settings.scraper_namespaces.clone(),
        };
        let agents = Agents::new(client.clone(), rules, about, uplink, metrics.clone());
        Self { client, cluster_uid, identity, token, agents, clock, metrics }
    }

    /// Works until `shutdown`: the agents first, the hub when there is one.
    async fn follow(
        self,
        settings: &Settings,
        readiness: &Readiness,
        started: Check,
        shutdown: CancellationToken,
    ) -> Result<(), MemberError> {
        let Self { client, cluster_uid, identity, token, agents, clock, metrics } = self;
        let identities = IdentityStore::new(client.clone(), &settings.namespace);
        let state = StateStore::new(client.clone(), &settings.namespace);
        let known = identity.as_ref().map(MemberIdentity::cluster).or(token.as_ref().map(JoinToken::cluster));
        if let Some(cluster) = known {
            agents.name_cluster(cluster.clone());
        }
        let mut watches = JoinSet::new();
        started.not_ready("the first lists are not complete");
        tokio::select! {
            listed = store::watch::start(&client, readiness, &agents, &mut watches) => {
                listed.map_err(|_| MemberError::Halted("a watch"))?;
            }
            () = shutdown.cancelled() => return Ok(()),
        }
        started.ready();
        let mut work = JoinSet::new();
        work.spawn(agents::execute(Arc::clone(&agents), shutdown.clone()));
        work.spawn(agents::write_statuses(Arc::clone(&agents), shutdown.clone()));
        work.spawn(usage::run(Arc::clone(&agents), client, clock, shutdown.clone()));
        let linked = async {
            // The hub asks at once what runs here: better to know by then.
            tokio::select! {
                _ = tokio::time::timeout(FIRST_LOOK, agents.looked_at()) => {}
                () = shutdown.cancelled() => {}
            }
            let identity = tokio::select! {
                identity = identity_for(&settings.hub, identity, token, &cluster_uid, &identities) => identity,
                () = shutdown.cancelled() => None,
            };
            let Some(identity) = identity else { return };
            agents.name_cluster(identity.cluster().clone());
            let Uplink { link, wake } = agents.uplink().clone();
            let dialler = Dialler { hub: settings.hub.clone(), identity: Arc::new(identity) };
            let courier = Courier::new(Arc::clone(&agents), state, metrics);
            member::run(link, wake, clock, dialler, courier, shutdown.clone()).await;
        };
        // One of these that ends before the process would leave a member that looks well and sees nothing.
        let halted = async {
            let part = tokio::select! {
                _ = watches.join_next() => "a watch",
                _ = work.join_next() => "the work on agents",
            };
            if shutdown.is_cancelled() { std::future::pending().await } else { part }
        };
        tokio::select! {
            () = linked => {}
            part = halted => return Err(MemberError::Halted(part)),
        }
        while work.join_next().await.is_some() {}
        Ok(())
    }
}

/// The stored identity, while it is good; a new one by the token otherwise.
async fn identity_for(
    hub: &str,
    identity: Option<MemberIdentity>,
    token: Option<JoinToken>,
    cluster_uid: &str,
    store: &IdentityStore,
) -> Option<MemberIdentity> {
    match (identity, token) {
        (Some(identity), Some(token)) if identity.not_after() <= jiff::Timestamp::now() => {
            tracing::warn!("the certificate ended at {}; enrolling again", identity.not_after());
            Some(enroll::enroll(hub, &token, cluster_uid, store).await)
        }
        (Some(identity), _) => Some(identity),
        (None, Some(token)) => Some(enroll::enroll(hub, &token, cluster_uid, store).await),
        (None, None) => None,
    }
}
