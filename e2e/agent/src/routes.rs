//! What the agent answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures::{Stream, StreamExt as _};
use prometheus_client::metrics::gauge::Gauge;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_stream::wrappers::IntervalStream;

use crate::busy::Busy;
use crate::identity::Identity;
use crate::metrics::Metrics;

/// The agent's state.
pub struct Agent {
    identity: Identity,
    busy: Busy,
    healthy: AtomicBool,
    metrics: Metrics,
    ending: watch::Receiver<bool>,
}

impl Agent {
    /// A healthy one; `ending` turns true when it is asked to end.
    pub fn new(identity: Identity, busy: Busy, metrics: Metrics, ending: watch::Receiver<bool>) -> Self {
        Self { identity, busy, healthy: AtomicBool::new(true), metrics, ending }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// Everything.
pub fn all(agent: Arc<Agent>) -> Router {
    Router::new()
        .route("/health", get(health).put(set_health))
        .route("/busy", post(busy))
        .route("/work", any(work))
        .route("/events", get(events))
        .route("/ws", get(web_socket))
        .route("/metrics", get(metrics))
        .fallback(who)
        .with_state(agent)
}

/// Only the metrics, for a port of their own.
pub fn metrics_only(agent: Arc<Agent>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(agent)
}

/// Any other path: who it is, and how busy.
async fn who(State(agent): State<Arc<Agent>>) -> Json<Value> {
    agent.metrics.requests.inc();
    Json(json!({ "identity": agent.identity, "busyPercent": agent.busy.percent() }))
}

async fn health(State(agent): State<Arc<Agent>>) -> (StatusCode, &'static str) {
    match agent.healthy.load(Ordering::Relaxed) {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "told to be unhealthy\n"),
    }
}

#[derive(Deserialize)]
struct Health {
    ok: bool,
}

/// `PUT /health?ok=false`: probes fail from now on.
async fn set_health(State(agent): State<Arc<Agent>>, Query(health): Query<Health>) -> StatusCode {
    agent.healthy.store(health.ok, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Share {
    percent: u8,
}

/// `POST /busy?percent=50`: uses half a core from now on.
async fn busy(State(agent): State<Arc<Agent>>, Query(share): Query<Share>) -> StatusCode {
    agent.busy.set(share.percent);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Task {
    ms: u64,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
}

/// `/work?ms=5000&input_tokens=1000&output_tokens=50`: answers after that time, also when the agent is asked to end
/// meanwhile, and counts the tokens as if a model had read and written them.
async fn work(State(agent): State<Arc<Agent>>, Query(task): Query<Task>) -> Json<Value> {
    agent.metrics.requests.inc();
    let at_work = Held::of(&agent, |metrics| &metrics.busy);
    tokio::time::sleep(Duration::from_millis(task.ms)).await;
    drop(at_work);
    agent.metrics.tokens(task.input_tokens, task.output_tokens);
    Json(json!({ "worked": task.ms }))
}

#[derive(Deserialize)]
struct Pace {
    #[serde(default = "a_second")]
    every_ms: u64,
    count: Option<usize>,
}

fn a_second() -> u64 {
    1000
}

/// `/events?every_ms=1000&count=10`: numbered server-sent events, until the agent is asked to end.
async fn events(
    State(agent): State<Arc<Agent>>,
    Query(pace): Query<Pace>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    agent.metrics.requests.inc();
    let open = Held::of(&agent, |metrics| &metrics.streams);
    let ending = ended(agent.ending.clone());
    let ticks = IntervalStream::new(tokio::time::interval(Duration::from_millis(pace.every_ms.max(1))));
    let numbered = ticks.enumerate().map(move |(number, _)| {
        let _held = &open;
        Ok(Event::default().id(number.to_string()).data(number.to_string()))
    });
    let numbered = numbered.take(pace.count.unwrap_or(usize::MAX));
    Sse::new(numbered.take_until(ending)).keep_alive(KeepAlive::default())
}

/// `/ws`: a WebSocket that sends back what it gets.
async fn web_socket(State(agent): State<Arc<Agent>>, upgrade: WebSocketUpgrade) -> Response {
    agent.metrics.requests.inc();
    upgrade.on_upgrade(move |socket| echo(agent, socket))
}

async fn echo(agent: Arc<Agent>, mut socket: WebSocket) {
    let _open = Held::of(&agent, |metrics| &metrics.streams);
    let mut ending = std::pin::pin!(ended(agent.ending.clone()));
    loop {
        let message = tokio::select! {
            message = socket.recv() => message,
            () = &mut ending => {
                socket.send(Message::Close(None)).await.ok();
                return;
            }
        };
        let Some(Ok(message)) = message else { return };
        let sent = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            // The library answers pings, and completes the closing handshake on the next turn.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn metrics(State(agent): State<Arc<Agent>>) -> Response {
    match agent.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Returns when the agent is asked to end.
pub async fn ended(mut ending: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it all that could be waited for.
    ending.wait_for(|ending| *ending).await.ok();
}

/// Holds a gauge one higher for as long as it lives.
struct Held {
    agent: Arc<Agent>,
    gauge: fn(&Metrics) -> &Gauge,
}

impl Held {
    fn of(agent: &Arc<Agent>, gauge: fn(&Metrics) -> &Gauge) -> Self {
        gauge(&agent.metrics).inc();
        Self { agent: agent.clone(), gauge }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        (self.gauge)(&self.agent.metrics).dec();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::SocketAddr;

    use futures::SinkExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite;

    use super::*;

    /// An agent that answers, and the switch that asks it to end.
    async fn agent() -> (SocketAddr, watch::Sender<bool>) {
        let (end, ending) = watch::channel(false);
        let agent = Agent::new(
            Identity::of_environment(),
            Busy::start(0).unwrap(),
            Metrics::default(),
            ending.clone(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = axum::serve(listener, all(Arc::new(agent))).with_graceful_shutdown(ended(ending));
        tokio::spawn(async move { serving.await });
        (address, end)
    }

    /// The whole answer to a request, until the agent closes the connection.
    async fn ask(agent: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(agent).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_web_socket_sends_back_what_it_gets_and_is_closed_when_the_agent_is_ended() {
        let (address, end) = agent().await;
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/ws")).await.unwrap();
        socket.send(tungstenite::Message::text("hello")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), tungstenite::Message::text("hello"));
        end.send_replace(true);
        assert!(socket.next().await.unwrap().unwrap().is_close());
    }

    #[tokio::test]
    async fn an_event_stream_ends_when_the_agent_is_ended() {
        let (address, end) = agent().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /events?every_ms=1 HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains("data: 0") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it ended before it was told to");
        }
        end.send_replace(true);
        stream.read_to_end(&mut answer).await.unwrap();
    }

    #[tokio::test]
    async fn it_tells_what_it_has_done_and_what_it_does() {
        let (address, _end) = agent().await;
        ask(address, "GET /work?ms=0&input_tokens=1000&output_tokens=20").await;
        let metrics = ask(address, "GET /metrics").await;
        for line in [
            "parallax_agent_requests_total 1",
            "parallax_agent_busy 0",
            r#"parallax_agent_tokens_total{type="input"} 1000"#,
            r#"parallax_agent_tokens_total{type="output"} 20"#,
        ] {
            assert!(metrics.contains(line), "{line} is not in\n{metrics}");
        }
        let begun = tokio::spawn(ask(address, "GET /work?ms=60000"));
        while !ask(address, "GET /metrics").await.contains("parallax_agent_busy 1") {}
        begun.abort();
    }

    #[tokio::test]
    async fn it_is_as_healthy_and_as_busy_as_it_is_told_to_be() {
        let (address, _end) = agent().await;
        assert!(ask(address, "GET /health").await.starts_with("HTTP/1.1 200"));
        ask(address, "PUT /health?ok=false").await;
        assert!(ask(address, "GET /health").await.starts_with("HTTP/1.1 503"));
        ask(address, "POST /busy?percent=250").await;
        assert!(ask(address, "GET /").await.contains(r#""busyPercent":100"#));
    }
}
