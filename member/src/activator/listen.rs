//! The port of one agent.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::proxy;
use super::upstreams::{BUFFER, CONNECTION_WINDOW, STREAM_WINDOW};
use super::visit::House;

/// How long a client may take for the head of a request, and leave a connection idle.
const HEAD: Duration = Duration::from_secs(75);
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 128;
/// How long to wait when no connection can be accepted: the process has too many files open.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a connection from that address is for the agent.
pub type Admits = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// What a port needs beside its agent.
#[derive(Clone)]
pub struct Port {
    /// Who may connect.
    pub admits: Admits,
    /// Connections that all ports together may have.
    pub room: Arc<Semaphore>,
    /// Connections, to be waited for at the end.
    pub connections: TaskTracker,
    /// Ends with the agent, or the process.
    pub closing: CancellationToken,
}

/// Serves the port until `closing`; what is under way then goes on in `connections`.
pub async fn serve(listener: TcpListener, house: Arc<House>, port: Port) {
    let Port { admits, room, connections, closing } = port;
    loop {
        // A client that finds no room waits in the kernel's queue.
        let room = tokio::select! {
            room = Arc::clone(&room).acquire_owned() => room,
            () = closing.cancelled() => return,
        };
        let Ok(room) = room else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(agent = %house.key, "can't accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if !admits(from.ip()) {
            house.metrics.turned_away.inc();
            continue;
        }
        let (house, closing) = (Arc::clone(&house), closing.clone());
        connections.spawn(async move {
            house.metrics.connections.inc();
            connection(stream, from, Arc::clone(&house), closing).await;
            house.metrics.connections.dec();
            drop(room);
        });
    }
}

async fn connection(stream: TcpStream, from: SocketAddr, house: Arc<House>, closing: CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        // It is closed already.
        return;
    }
    let service = service_fn(move |request| {
        let house = Arc::clone(&house);
        async move { Ok::<_, Infallible>(proxy::pass(house, from.ip(), request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .auto_date_header(false)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(Duration::from_secs(20))
        .auto_date_header(false);
    let mut serving = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = closing.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%from, "a connection ended: {error}");
    }
}
