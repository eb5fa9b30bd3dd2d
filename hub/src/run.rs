//! The hub as a process: what is started in which order, and how it ends.
//!
//! Kinds and rights → state, CA and tombstones → both lists → ready, and members are let in. At the end
//! sessions say Bye, writes that are under way finish, and the process exits with 0.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use parallax_crds::labels::HUB_MANAGER;
use parallax_crds::{MemberCluster, ParallaxAgent};
use parallax_hub_core::fleet::{Config, Fleet, Input};
use parallax_hub_core::{FleetDefaults, Tombstone};
use parallax_platform::readiness::Check;
use parallax_platform::{
    Addresses, AdminServer, Events, KubeArgs, PlatformError, Readiness, Watch, admin, patiently,
};
use parallax_proto::driver::Clock;
use parallax_proto::identity::{FleetCa, TrustDomain};
use parallax_proto::session::limits;
use parallax_proto::tls::{Limits, hub_server};
use parallax_proto::v1::enrollment_server::EnrollmentServer;
use parallax_proto::v1::fleet_server::FleetServer;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::brain::Brain;
use crate::enrollment::Enroller;
use crate::error::HubError;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::sessions::{Registry, Sessions};
use crate::store::state::{self, HubState};
use crate::store::{ca, tombstones};
use crate::writers::Writers;
use crate::{fence, preflight, tls, watch};

/// What sets the sessions' port.
const SESSION_PORT: &str = "--session-port (SESSION_PORT)";
/// Members between admission and sync at a time; others come again.
const MAX_RESYNCS: usize = 64;
/// Things that happened and wait for the brain. Full: watches and sessions wait, and their senders with them.
const WAITING: usize = 1024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// An enrollment is a token and a key.
const ENROLLMENT_BYTES: usize = 64 * 1024;
/// How long sessions have to say Bye, and then writes to finish: together less than the grace of ten seconds.
const FAREWELLS: Duration = Duration::from_secs(3);
const LAST_WRITES: Duration = Duration::from_secs(4);

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

/// What the hub has stored about itself.
struct Stored {
    state: HubState,
    ca: FleetCa,
    tombstones: Vec<Tombstone>,
}

/// Runs the hub until it is told to stop.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), HubError> {
    let process = parallax_platform::Metrics::new("parallax-hub", env!("CARGO_PKG_VERSION"));
    let client = parallax_platform::observed_client(&settings.kube, &process).await?;
    let registry = Arc::new(Registry::default());
    let metrics = Metrics::register(&process, &registry);
    let events = Events::start(client.clone(), HUB_MANAGER, &process, stop.clone());
    let readiness = Readiness::default();
    let ready = Ready {
        started: readiness.check("start"),
        agents: Watch::new(&client, "ParallaxAgents").shown_in(&readiness),
        clusters: Watch::new(&client, "MemberClusters").shown_in(&readiness),
    };
    let sessions = bind(SocketAddr::new(settings.bind, settings.session_port))?;
    let http = AdminServer::bind(settings.bind, settings.http_port, "--port (PORT)").await?;
    let scrapes =
        AdminServer::bind(settings.bind, settings.metrics_port, "--metrics-port (METRICS_PORT)").await?;
    let addresses = Addresses {
        session: sessions.local_addr().ok(),
        http: Some(http.address()),
        metrics: Some(scrapes.address()),
    };
    addresses.publish(settings.addresses_file.as_deref())?;
    // Health is answered to the end: it is the process's, not the fleet's.
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    tokio::spawn(answer("health", http.serve(admin::health(readiness), ended.clone())));
    tokio::spawn(answer("metrics", scrapes.serve(admin::metrics(process), ended)));

    let attempt = || prepare(&client, &settings);
    let Some(stored) = patiently(&stop, &ready.started, HubError::is_passing, attempt).await? else {
        return Ok(());
    };
    ready.started.ready();
    let hub = Hub { settings, client, registry, metrics, events };
    hub.serve(stored, sessions, ready, stop).await
}

/// An admin port, to its end; the hub works on without it.
async fn answer(port: &'static str, serving: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(port, %error, "the port answers no longer; restart the hub");
    }
}

/// What the hub waits for before it is ready.
struct Ready {
    started: Check,
    agents: Watch,
    clusters: Watch,
}

/// What the end of the fence means.
fn fenced(ended: Result<HubError, tokio::task::JoinError>) -> HubError {
    ended.unwrap_or(HubError::Halted { part: "the watch of the hub's record" })
}

/// Takes the port now, so that a port in use is known at once, without listening yet.
fn bind(address: SocketAddr) -> Result<TcpSocket, HubError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let flag = SESSION_PORT;
    let (bind, port) = (address.ip(), address.port());
    socket
        .and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        })
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => PlatformError::PortInUse { bind, port, flag },
            _ => PlatformError::Listen { bind, port, flag, source },
        })
        .map_err(HubError::from)
}

/// Everything that the hub must have before it can begin.
async fn prepare(client: &Client, settings: &Settings) -> Result<Stored, HubError> {
    preflight::check(client).await?;
    let Settings { namespace, trust_domain, .. } = settings;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let ca = ca::load_or_create(&secrets, trust_domain).await?;
    let tombstones = tombstones::load(&config_maps).await?;
    let unix_millis = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    let state = state::begin_epoch(&config_maps, unix_millis).await?;
    Ok(Stored { state, ca, tombstones })
}

/// What every part of the hub needs.
struct Hub {
    settings: Settings,
    client: Client,
    registry: Arc<Registry>,
    metrics: Metrics,
    events: Events,
}

impl Hub {
    /// From the stored state to the end.
    async fn serve(
        self,
        stored: Stored,
        socket: TcpSocket,
        ready: Ready,
        stop: CancellationToken,
    ) -> Result<(), HubError> {
        let Stored { state, ca, tombstones } = stored;
        tracing::info!(hub = %state.uid, epoch = state.epoch, ca = %ca.fingerprint(), "the hub begins");
        self.metrics.epoch(state.epoch);
        let clock = Clock::start();
        let (inputs, taken_in) = mpsc::channel(WAITING);
        let (events, said) = mpsc::channel(WAITING);
        let (writes, streams) = (TaskTracker::new(), TaskTracker::new());
        let mut fence = tokio::spawn(fence::superseded(
            self.client.clone(),
            self.settings.namespace.clone(),
            state.holder.clone(),
        ));
        let keys = Keys::new(self.client.clone(), self.registry.clone());
        let brain = self.brain(state, clock, Arc::clone(&keys), inputs.clone(), writes.clone());
        let mut thinking = tokio::spawn(brain.run(taken_in, said, stop.clone()));
        let handing_over = tokio::spawn(keys.run(self.settings.credentials_from.clone()));
        // Nobody listens any more only when the hub stops.
        let _ = inputs.send(Input::TombstonesLoaded(tombstones)).await;
        let listed = CancellationToken::new();
        let mut watches = self.watch(&inputs, ready, &listed);
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = &mut thinking => return Err(HubError::Halted { part: "the fleet's state machine" }),
            _ = watches.join_next() => return Err(HubError::Halted { part: "a watch" }),
            ended = &mut fence => return Err(fenced(ended)),
            () = listed.cancelled() => {}
        }

        let ca = Arc::new(ca);
        let tls = tls::show_identity(
            &ca,
            self.settings.trust_domain.clone(),
            self.settings.certificate_validity,
            &stop,
        )?;
        let listener = socket.listen(BACKLOG).map_err(|source| PlatformError::Listen {
            bind: self.settings.bind,
            port: self.settings.session_port,
            flag: SESSION_PORT,
            source,
        })?;
        let enroller = Enroller {
            ca,
            validity: self.settings.certificate_validity,
            secrets: Api::namespaced(self.client.clone(), &self.settings.namespace),
            clusters: Api::all(self.client.clone()),
        };
        let sessions = Sessions { registry: self.registry.clone(), clock, events, tasks: streams.clone() };
        let incoming = tls.incoming(listener, Limits::default());
        let mut serving = tokio::spawn(
            hub_server()
                .add_service(FleetServer::new(sessions).max_decoding_message_size(limits::DECODE_BYTES))
                .add_service(EnrollmentServer::new(enroller).max_decoding_message_size(ENROLLMENT_BYTES))
                .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()),
        );
        tracing::info!("ready: members are let in");
        // All end when the hub stops. One that ends before would leave a process that looks well and does nothing.
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            _ = &mut thinking => return Err(HubError::Halted { part: "the fleet's state machine" }),
            _ = watches.join_next() => return Err(HubError::Halted { part: "a watch" }),
            ended = &mut fence => return Err(fenced(ended)),
            ended = &mut serving => {
                tracing::error!(?ended, "members are no longer let in");
                return Err(HubError::Halted { part: "the listener for members" });
            }
        }

        for handle in self.registry.all() {
            handle.with(|session| session.bye("HubStops", clock.now()));
        }
        streams.close();
        writes.close();
        // The server ends once its connections have carried the last frames.
        let farewells = async {
            streams.wait().await;
            serving.await
        };
        let said = tokio::time::timeout(FAREWELLS, farewells).await.is_ok();
        let written = tokio::time::timeout(LAST_WRITES, writes.wait()).await.is_ok();
        thinking.abort();
        handing_over.abort();
        fence.abort();
        if said && written {
            tracing::info!("the hub ends");
        } else {
            tracing::warn!(said, written, "the hub ends with good-byes or writes under way");
        }
        Ok(())
    }

    fn brain(
        &self,
        state: HubState,
        clock: Clock,
        keys: Arc<Keys>,
        answers: mpsc::Sender<Input>,
        writes: TaskTracker,
    ) -> Brain {
        let Settings { namespace, defaults, credentials_from, hold_mass_deletions, .. } = &self.settings;
        let config = Config {
            hub_uid: state.uid.clone(),
            epoch: state.epoch,
            defaults: defaults.clone(),
            hold_mass_deletions: *hold_mass_deletions,
            credentials_from: credentials_from.iter().cloned().collect(),
            max_resyncs: MAX_RESYNCS,
        };
        let config_maps = Api::namespaced(self.client.clone(), namespace);
        Brain {
            fleet: Fleet::new(config),
            hub_uid: state.uid,
            clock,
            registry: self.registry.clone(),
            keys,
            writers: Writers::new(
                self.client.clone(),
                config_maps,
                &state.holder,
                answers,
                self.metrics.clone(),
                writes,
            ),
            events: self.events.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Follows both kinds; `listed` is cancelled once both are known whole.
    fn watch(&self, inputs: &mpsc::Sender<Input>, ready: Ready, listed: &CancellationToken) -> JoinSet<()> {
        let Ready { agents, clusters, .. } = ready;
        let (agents_listed, clusters_listed) = (CancellationToken::new(), CancellationToken::new());
        let seen = (agents_listed.clone(), clusters_listed.clone());
        let mut watches = JoinSet::new();
        watches.spawn(watch::follow::<ParallaxAgent>(agents, inputs.clone(), move || seen.0.cancel()));
        watches.spawn(watch::follow::<MemberCluster>(clusters, inputs.clone(), move || seen.1.cancel()));
        let listed = listed.clone();
        tokio::spawn(async move {
            agents_listed.cancelled().await;
            clusters_listed.cancelled().await;
            listed.cancel();
        });
        watches
    }
}
