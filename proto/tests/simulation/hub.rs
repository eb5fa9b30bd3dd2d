//! A hub made of sessions and a plain map of what each member is to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use parallax_crds::link::{AgentReport, Order, Outcome};
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, ClusterName};
use parallax_proto::driver::{self, Clock};
use parallax_proto::session::{HubEvent, HubSession, HubSessionConfig};
use parallax_proto::v1;
use parallax_proto::v1::fleet_server::{Fleet, FleetServer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use turmoil::net::{TcpListener, TcpStream};

use crate::MEMBERS;
use crate::member::MemberStore;
use crate::support::session_config;

/// Each member has a port of its own, in place of a certificate.
pub const FIRST_PORT: u16 = 9000;

/// What the hub knows of one cluster.
#[derive(Default)]
pub struct Cluster {
    pub wanted: BTreeMap<AgentKey, Order>,
    tombstones: BTreeSet<AgentRef>,
    reports: BTreeMap<AgentKey, AgentReport>,
    live: Option<Live>,
    synced: bool,
}

#[derive(Clone)]
struct Live {
    number: u64,
    session: Arc<Mutex<HubSession>>,
    wake: Arc<Notify>,
}

/// The hub, and what of it survives a restart.
#[derive(Default)]
pub struct HubStore {
    clusters: BTreeMap<String, Cluster>,
    epoch: u64,
    sessions: u64,
    pub made: u64,
    pub may_go: BTreeSet<AgentRef>,
}

impl HubStore {
    pub fn cluster(&mut self, name: &str) -> &mut Cluster {
        self.clusters.entry(name.to_owned()).or_default()
    }

    pub fn want(&mut self, cluster: &str, order: Order) {
        let cluster = self.cluster(cluster);
        cluster.wanted.insert(order.agent.key.clone(), order.clone());
        if let Some(live) = &cluster.live {
            live.session.lock().upsert(order);
            live.wake.notify_one();
        }
    }

    pub fn delete(&mut self, cluster: &str, agent: &AgentRef) {
        self.may_go.insert(agent.clone());
        let cluster = self.cluster(cluster);
        cluster.wanted.remove(&agent.key);
        cluster.tombstones.insert(agent.clone());
        if let Some(live) = &cluster.live {
            live.session.lock().remove(agent.clone(), None);
            live.wake.notify_one();
        }
    }

    /// Where the hub and a member differ.
    pub fn difference(&mut self, name: &str, member: &MemberStore) -> Option<String> {
        let cluster = self.cluster(name);
        if !cluster.synced {
            return Some(format!("{name} is not in sync"));
        }
        if let Some(tombstone) = cluster.tombstones.first() {
            return Some(format!("{name}: {tombstone:?} is not known to be gone"));
        }
        if cluster.wanted.len() != member.held.len() {
            return Some(format!("{name} holds {}, {} are wanted", member.held.len(), cluster.wanted.len()));
        }
        cluster.wanted.values().find_map(|order| {
            let held = member.held.get(&order.agent.key);
            let same = held.is_some_and(|held| {
                held.agent == order.agent && held.hash == order.hash && held.scale == order.scale
            });
            let report = cluster.reports.get(&order.agent.key);
            let told = report.is_some_and(|report| {
                report.agent == order.agent
                    && report.hash == Some(order.hash)
                    && report.ready == order.scale.replicas
            });
            (!same || !told).then(|| format!("{name}: {order:?} is wanted, {held:?} held, {report:?} known"))
        })
    }
}

type Shared = Arc<Mutex<HubStore>>;

struct Service {
    cluster: ClusterName,
    store: Shared,
    clock: Clock,
    events: mpsc::Sender<driver::hub::Addressed>,
}

#[tonic::async_trait]
impl Fleet for Service {
    type SessionStream = BoxStream<'static, Result<v1::FromHub, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::FromMember>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outgoing, frames) = mpsc::channel(2);
        let session = Arc::new(Mutex::new(HubSession::new(self.cluster.clone(), self.clock.now())));
        let wake = Arc::new(Notify::new());
        let number = {
            let mut store = self.store.lock();
            store.sessions += 1;
            let number = store.sessions;
            let cluster = store.cluster(self.cluster.as_str());
            let live = Live { number, session: session.clone(), wake: wake.clone() };
            cluster.synced = false;
            if let Some(old) = cluster.live.replace(live) {
                old.session.lock().bye("another session has begun", self.clock.now());
                old.wake.notify_one();
            }
            number
        };
        let events = self.events.clone();
        tokio::spawn(driver::hub::run(
            session,
            wake,
            number,
            self.clock,
            request.into_inner(),
            outgoing,
            events,
        ));
        Ok(Response::new(ReceiverStream::new(frames).boxed()))
    }
}

/// The hub's process.
pub async fn serve(store: Shared) -> turmoil::Result {
    let clock = Clock::start();
    {
        let mut store = store.lock();
        store.epoch += 1;
        for cluster in store.clusters.values_mut() {
            cluster.live = None;
            cluster.synced = false;
            cluster.reports.clear();
        }
    }
    let (events, mut inbox) = mpsc::channel(4);
    for (port, name) in (FIRST_PORT..).zip(MEMBERS) {
        let listener = TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), port)).await?;
        let incoming = futures::stream::unfold(listener, |listener| async move {
            let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
            Some((accepted, listener))
        });
        let service =
            Service { cluster: ClusterName::new(name)?, store: store.clone(), clock, events: events.clone() };
        let server = tonic::transport::Server::builder().add_service(FleetServer::new(service));
        tokio::spawn(server.serve_with_incoming(incoming.boxed()).map(drop));
    }
    while let Some((cluster, number, event)) = inbox.recv().await {
        handle(&store, &cluster, number, event, clock);
    }
    Ok(())
}

fn handle(store: &Shared, name: &ClusterName, number: u64, event: HubEvent, clock: Clock) {
    let mut store = store.lock();
    let epoch = store.epoch;
    let cluster = store.cluster(name.as_str());
    let Some(live) = cluster.live.clone().filter(|live| live.number == number) else {
        return;
    };
    match event {
        HubEvent::Hello(_) => {
            let config = HubSessionConfig {
                session: format!("session-{number}"),
                lifetime: Duration::from_secs(86_400),
                ..session_config(epoch)
            };
            let orders = cluster.wanted.values().cloned().collect();
            let removals = cluster.tombstones.iter().cloned().collect();
            live.session.lock().admit(config, orders, removals, clock.now());
            live.wake.notify_one();
        }
        HubEvent::KeyWishes(wishes) => panic!("nobody asked for {wishes:?}"),
        HubEvent::CopyWishes(wishes) => panic!("nobody asked for {wishes:?}"),
        HubEvent::Usage(usages) => panic!("nobody measured {usages:?}"),
        HubEvent::Result(result) => {
            if result.outcome == Outcome::Gone {
                cluster.tombstones.remove(&result.agent);
            }
        }
        HubEvent::Report(report) => {
            cluster.reports.insert(report.agent.key.clone(), report);
        }
        HubEvent::Synced => cluster.synced = true,
        HubEvent::Closed(reason) => {
            assert!(!reason.to_string().contains("broke the protocol"), "{reason}");
            (cluster.live, cluster.synced) = (None, false);
        }
        HubEvent::Unclaimed(_) | HubEvent::ReportsComplete | HubEvent::Cluster(_) | HubEvent::Events(..) => {}
    }
}

/// tonic asks a connection for its facts; these have none.
struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
