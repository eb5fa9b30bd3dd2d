//! Pods that the test plays, as a kubelet would run them: each listens on a loopback address of its own, says so in its
//! status, counts the requests that it gets, and breaks every connection off when it is told to go.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{Config, Event, watcher};
use parallax_crds::labels::AGENT;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};

use super::talk::{self, Talk};

/// What simulated nodes leave to whoever plays the pods.
pub const IMAGE: &str = "fleet.test/played:1";
/// Where agents listen.
const PORT: u16 = 8080;
/// Where they serve metrics.
const METRICS_PORT: u16 = 9090;

/// What goes on in the pods of one agent.
struct Life {
    /// How often each request has arrived, by its path.
    arrived: Mutex<HashMap<String, u32>>,
    /// What they say of themselves.
    works: AtomicBool,
    /// How often they were asked.
    asked: AtomicU32,
    /// What those are told who listen for events.
    events: broadcast::Sender<String>,
}

impl Life {
    fn answer(&self, request: Request<Incoming>) -> Response<Talk> {
        let path = request.uri().path().to_owned();
        *self.arrived.lock().entry(path).or_default() += 1;
        talk::answer(request, &self.events)
    }

    fn metrics(&self) -> Response<Talk> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        talk::words(format!("parallax_agent_busy {}\n", u8::from(self.works.load(Ordering::SeqCst))))
    }
}

/// The pods of one agent.
pub struct Pods {
    life: Arc<Life>,
    playing: JoinHandle<Result<()>>,
}

impl Pods {
    /// Plays the pods of that agent from now on.
    pub fn play(api: Api<Pod>, agent: &str) -> Self {
        let life = Arc::new(Life {
            arrived: Mutex::default(),
            works: AtomicBool::default(),
            asked: AtomicU32::default(),
            events: broadcast::Sender::new(16),
        });
        let playing = tokio::spawn(play(api, format!("{AGENT}={agent}"), Arc::clone(&life)));
        Self { life, playing }
    }

    /// Whether they say from now on that they work.
    pub fn work(&self, works: bool) {
        self.life.works.store(works, Ordering::SeqCst);
    }

    /// An event, to those who listen.
    pub fn tell(&self, event: &str) -> Result<()> {
        self.life.events.send(event.to_owned()).context("nobody listens")?;
        Ok(())
    }

    /// How often they were asked whether they do.
    pub fn asked(&self) -> u32 {
        self.life.asked.load(Ordering::SeqCst)
    }

    /// Every request that has arrived, and how often.
    pub fn arrived(&self) -> HashMap<String, u32> {
        self.life.arrived.lock().clone()
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.playing.abort();
    }
}

async fn play(api: Api<Pod>, selector: String, life: Arc<Life>) -> Result<()> {
    let mut running: HashMap<String, JoinHandle<()>> = HashMap::new();
    let mut events = std::pin::pin!(watcher(api.clone(), Config::default().labels(&selector)));
    while let Some(event) = events.try_next().await? {
        match event {
            Event::Apply(pod) | Event::InitApply(pod) => {
                let name = pod.metadata.name.clone().context("a pod without a name")?;
                let scheduled = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
                if pod.metadata.deletion_timestamp.is_some() {
                    end(running.remove(&name)).await;
                } else if scheduled && !running.contains_key(&name) {
                    let (address, serving) = start(Arc::clone(&life)).await?;
                    running.insert(name.clone(), serving);
                    say_ready(&api, &name, address).await?;
                }
            }
            Event::Delete(pod) => end(running.remove(pod.metadata.name.as_deref().unwrap_or_default())).await,
            Event::Init | Event::InitDone => {}
        }
    }
    anyhow::bail!("the watch of the pods has ended")
}

async fn end(serving: Option<JoinHandle<()>>) {
    if let Some(serving) = serving {
        serving.abort();
        let _ = serving.await;
    }
}

/// On an address that nothing else has: 127.0.0.0/8 is the machine's own.
async fn start(life: Arc<Life>) -> Result<(SocketAddr, JoinHandle<()>)> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let (listener, metrics) = loop {
        let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let bind = |port| TcpListener::bind(SocketAddr::from(([127, 95, high, low], port)));
        if let (Ok(listener), Ok(metrics)) = (bind(PORT).await, bind(METRICS_PORT).await) {
            break (listener, metrics);
        }
    };
    let address = listener.local_addr()?;
    let told = Arc::clone(&life);
    let serving = tokio::spawn(async move {
        tokio::join!(
            serve(listener, move |request| life.answer(request)),
            serve(metrics, move |_| told.metrics())
        );
    });
    Ok((address, serving))
}

async fn serve(
    listener: TcpListener,
    answer: impl Fn(Request<Incoming>) -> Response<Talk> + Clone + Send + Sync + 'static,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let answer = answer.clone();
        connections.spawn(async move {
            let upgraded = Mutex::new(None);
            let service = service_fn(|mut request: Request<Incoming>| {
                let upgrade = hyper::upgrade::on(&mut request);
                let response = answer(request);
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    *upgraded.lock() = Some(upgrade);
                }
                async move { Ok::<_, Infallible>(response) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            let upgrade = upgraded.into_inner();
            if let Some(upgrade) = upgrade {
                talk::socket(upgrade).await;
            }
        });
    }
}

async fn say_ready(api: &Api<Pod>, name: &str, address: SocketAddr) -> Result<()> {
    let is = |type_: &str| json!({"type": type_, "status": "True"});
    let status = json!({"status": {
        "phase": "Running", "podIP": address.ip(), "podIPs": [{"ip": address.ip()}],
        "conditions": [is("Initialized"), is("ContainersReady"), is("Ready")],
        "containerStatuses": [{
            "name": "agent", "image": IMAGE, "imageID": "", "ready": true, "started": true, "restartCount": 0,
            "state": {"running": {}},
        }],
    }});
    let patched = api.patch_status(name, &PatchParams::default(), &Patch::Strategic(&status)).await;
    match patched {
        // It was told to go before it was ready.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        patched => patched.map(drop).with_context(|| format!("saying that {name} is ready")),
    }
}
