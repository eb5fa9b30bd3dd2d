//! The drivers over a real HTTP/2 connection in memory, with time that passes by itself: how sessions end.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use hyper_util::rt::TokioIo;
use parallax_crds::ClusterName;
use parallax_crds::copies::CopyAnswer;
use parallax_crds::link::KeyAnswer;
use parallax_proto::driver::member::{Carrier, Dial, DialError};
use parallax_proto::driver::{self, Clock, hub::Addressed};
use parallax_proto::session::{Batch, CloseReason, HubEvent, HubSession, MemberLink, Welcomed};
use parallax_proto::v1;
use parallax_proto::v1::fleet_server::{Fleet, FleetServer};
use parking_lot::Mutex;
use support::{link_config, session_config};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// A hub whose one session is driven by the test.
struct Hub {
    session: Arc<Mutex<HubSession>>,
    wake: Arc<Notify>,
    clock: Clock,
    events: mpsc::Sender<Addressed>,
}

#[tonic::async_trait]
impl Fleet for Hub {
    type SessionStream = BoxStream<'static, Result<v1::FromHub, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::FromMember>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outgoing, frames) = mpsc::channel(2);
        let (session, wake, events) = (self.session.clone(), self.wake.clone(), self.events.clone());
        tokio::spawn(driver::hub::run(session, wake, 1, self.clock, request.into_inner(), outgoing, events));
        Ok(Response::new(ReceiverStream::new(frames).boxed()))
    }
}

/// Gives out one connection; later dials never end.
struct Once(Mutex<Option<DuplexStream>>);

impl Dial for Once {
    async fn dial(&self) -> Result<Channel, DialError> {
        let Some(stream) = self.0.lock().take() else {
            return std::future::pending().await;
        };
        let stream = Mutex::new(Some(TokioIo::new(stream)));
        let connector = tower::service_fn(move |_| {
            let stream = stream.lock().take();
            async move { stream.ok_or_else(|| std::io::Error::other("used up")) }
        });
        let endpoint = Endpoint::from_static("http://hub");
        endpoint.connect_with_connector(connector).await.map_err(|error| DialError(error.to_string()))
    }
}

/// Tells what happens.
struct Diary {
    lines: mpsc::UnboundedSender<String>,
    disk_is_full: bool,
}

impl Carrier for Diary {
    fn carry(&self, batch: Batch) {
        self.lines.send(format!("carry {}", batch.nonce)).unwrap();
    }
    fn key(&self, answer: KeyAnswer) {
        self.lines.send(format!("key {}", answer.wish.agent.key)).unwrap();
    }
    fn copy(&self, answer: CopyAnswer) {
        self.lines.send(format!("copy {:?}", answer.place)).unwrap();
    }
    async fn persist_epoch(&self, hub_uid: &str, epoch: u64) -> Result<(), String> {
        self.lines.send(format!("persist {hub_uid} {epoch}")).unwrap();
        if self.disk_is_full { Err("the disk is full".to_owned()) } else { Ok(()) }
    }
    fn connected(&self, welcome: &Welcomed) {
        self.lines.send(format!("connected {}", welcome.session)).unwrap();
    }
    fn refused(&self, reason: &str, _: &str) {
        self.lines.send(format!("refused {reason}")).unwrap();
    }
    fn lost(&self, cause: &str) {
        self.lines.send(format!("lost: {cause}")).unwrap();
    }
}

struct Pair {
    session: Arc<Mutex<HubSession>>,
    hub_wake: Arc<Notify>,
    events: mpsc::Receiver<Addressed>,
    lines: mpsc::UnboundedReceiver<String>,
    shutdown: CancellationToken,
    member: JoinHandle<()>,
    clock: Clock,
}

/// Both ends; without `served`, nobody reads at the hub's end.
fn pair(served: bool, disk_is_full: bool) -> (Pair, Option<DuplexStream>) {
    let clock = Clock::start();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let session = Arc::new(Mutex::new(HubSession::new(ClusterName::new("member").unwrap(), clock.now())));
    let hub_wake = Arc::new(Notify::new());
    let (sender, events) = mpsc::channel(16);
    let unserved = if served {
        let hub = Hub { session: session.clone(), wake: hub_wake.clone(), clock, events: sender };
        let incoming = futures::stream::once(async { Ok::<_, std::io::Error>(far) })
            .chain(futures::stream::pending())
            .boxed();
        tokio::spawn(async move {
            Server::builder().add_service(FleetServer::new(hub)).serve_with_incoming(incoming).await.unwrap();
        });
        None
    } else {
        Some(far)
    };
    let link = Arc::new(Mutex::new(MemberLink::new(link_config(None), clock.now())));
    let (writer, lines) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let member = tokio::spawn(driver::member::run(
        link,
        Arc::new(Notify::new()),
        clock,
        Once(Mutex::new(Some(near))),
        Diary { lines: writer, disk_is_full },
        shutdown.clone(),
    ));
    (Pair { session, hub_wake, events, lines, shutdown, member, clock }, unserved)
}

impl Pair {
    /// Admits the member as soon as it says Hello.
    async fn admit(&mut self) {
        let hello = self.events.recv().await;
        assert!(matches!(hello, Some((_, 1, HubEvent::Hello(_)))), "{hello:?}");
        self.session.lock().admit(session_config(3), Vec::new(), Vec::new(), self.clock.now());
        self.hub_wake.notify_one();
    }

    async fn closed(&mut self) -> CloseReason {
        loop {
            match self.events.recv().await {
                Some((_, _, HubEvent::Closed(reason))) => return reason,
                Some(_) => {}
                None => panic!("the session's driver ended without a word"),
            }
        }
    }

    async fn line(&mut self) -> String {
        self.lines.recv().await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_stops_says_bye_and_is_gone_at_once() {
    let (mut pair, _) = pair(true, false);
    pair.admit().await;
    assert_eq!(pair.line().await, "connected s");
    assert_eq!(pair.line().await, "persist hub 3");
    let from = pair.clock.now();
    pair.shutdown.cancel();
    assert!(matches!(pair.closed().await, CloseReason::MemberLeft { .. }));
    pair.member.await.unwrap();
    assert!(pair.clock.now() - from < Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_stops_says_bye_and_its_member_hears_it() {
    let (mut pair, _) = pair(true, false);
    pair.admit().await;
    assert_eq!(pair.line().await, "connected s");
    assert_eq!(pair.line().await, "persist hub 3");
    pair.session.lock().bye("a new version", pair.clock.now());
    pair.hub_wake.notify_one();
    assert!(matches!(pair.closed().await, CloseReason::Bye { .. }));
    let line = pair.line().await;
    assert!(line.contains("good-bye: a new version"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_open_while_nothing_happens() {
    let (mut pair, _) = pair(true, false);
    pair.admit().await;
    let until = pair.clock.now() + Duration::from_secs(600);
    while pair.clock.now() < until {
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!pair.session.lock().is_closed());
        while let Ok((_, _, event)) = pair.events.try_recv() {
            assert!(!matches!(event, HubEvent::Closed(_)), "{event:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_stops_in_time_though_its_hub_reads_nothing() {
    let (pair, _unserved) = pair(false, false);
    // Long enough to have dialled, not long enough to notice the silence.
    tokio::time::advance(Duration::from_secs(3)).await;
    let from = pair.clock.now();
    pair.shutdown.cancel();
    pair.member.await.unwrap();
    assert!(pair.clock.now() - from <= Duration::from_millis(2100), "{:?}", pair.clock.now() - from);
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_cannot_be_persisted_ends_the_session() {
    let (mut pair, _) = pair(true, true);
    pair.admit().await;
    assert_eq!(pair.line().await, "connected s");
    assert_eq!(pair.line().await, "persist hub 3");
    let line = pair.line().await;
    assert!(line.contains("the disk is full"), "{line}");
    assert!(matches!(pair.closed().await, CloseReason::Lost));
}
