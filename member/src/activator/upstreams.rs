//! Connections to an agent's pods. A request that no byte of was sent comes back, and can be sent elsewhere; of any
//! other one nobody knows whether a pod has begun with it, so it is never sent again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;

/// How long a pod that says it is ready may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Idle connections that are kept for each pod.
const IDLE: usize = 128;
/// What is buffered of one connection, each way: memory is bounded by connections, whatever goes through them.
pub const BUFFER: usize = 64 * 1024;
/// How much of a stream a peer may send before it is read.
pub const STREAM_WINDOW: u32 = 256 * 1024;
/// How much of all streams of a connection.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;

type Sender1 = http1::SendRequest<Incoming>;
type Sender2 = http2::SendRequest<Incoming>;

/// A request that got no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// Nothing of it was sent, since the pod took no connection.
    Unsent(Box<Request<Incoming>>),
    /// It may have been begun.
    Broken(hyper::Error),
}

/// The connection that an answer comes by; to be given back once the answer is complete.
#[derive(Debug)]
pub struct Lent {
    pod: SocketAddr,
    sender: Sender1,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Upstreams {
    idle: Mutex<HashMap<SocketAddr, Vec<Sender1>>>,
    shared: Mutex<HashMap<SocketAddr, Arc<tokio::sync::Mutex<Option<Sender2>>>>>,
}

impl Upstreams {
    /// Sends a request to a pod by the protocol that it came by.
    pub async fn send(
        &self,
        pod: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Option<Lent>), Unanswered> {
        if request.version() == Version::HTTP_2 {
            return self.send_shared(pod, request).await.map(|response| (response, None));
        }
        self.send_alone(pod, request).await.map(|(response, lent)| (response, Some(lent)))
    }

    /// A connection whose answer is complete can take another request.
    pub fn give_back(&self, lent: Lent) {
        let Lent { pod, sender } = lent;
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        let idle = idle.entry(pod).or_default();
        if idle.len() < IDLE {
            idle.push(sender);
        }
    }

    /// Only these pods are left.
    pub fn retain(&self, pods: &[SocketAddr]) {
        self.idle.lock().retain(|pod, _| pods.contains(pod));
        self.shared.lock().retain(|pod, _| pods.contains(pod));
    }

    async fn send_alone(
        &self,
        pod: SocketAddr,
        mut request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Lent), Unanswered> {
        loop {
            let (mut sender, fresh) = match self.take_idle(pod) {
                Some(sender) => (sender, false),
                None => match connect(pod).await {
                    Ok(sender) => (sender, true),
                    Err(why) => {
                        tracing::debug!(%pod, "no connection: {why}");
                        return Err(Unanswered::Unsent(Box::new(request)));
                    }
                },
            };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, Lent { pod, sender })),
                Err(mut error) => match error.take_message() {
                    // The pod had closed the connection that lay idle.
                    Some(back) if !fresh => request = back,
                    Some(back) => return Err(Unanswered::Unsent(Box::new(back))),
                    None => return Err(Unanswered::Broken(error.into_error())),
                },
            }
        }
    }

    /// The connection that was used last, or another that is ready: the others close by themselves.
    fn take_idle(&self, pod: SocketAddr) -> Option<Sender1> {
        let mut all = self.idle.lock();
        let idle = all.get_mut(&pod)?;
        idle.retain(|sender| !sender.is_closed());
        let ready = idle.iter().rposition(Sender1::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    async fn send_shared(
        &self,
        pod: SocketAddr,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Unanswered> {
        loop {
            let slot = Arc::clone(self.shared.lock().entry(pod).or_default());
            let (mut sender, fresh) = {
                let mut slot = slot.lock().await;
                match slot.as_ref().filter(|sender| !sender.is_closed()) {
                    Some(sender) => (sender.clone(), false),
                    None => match connect_shared(pod).await {
                        Ok(sender) => (slot.insert(sender).clone(), true),
                        Err(why) => {
                            tracing::debug!(%pod, "no connection: {why}");
                            return Err(Unanswered::Unsent(Box::new(request)));
                        }
                    },
                }
            };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(back) if !fresh => request = back,
                    Some(back) => return Err(Unanswered::Unsent(Box::new(back))),
                    None => return Err(Unanswered::Broken(error.into_error())),
                },
            }
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum NoConnection {
    #[error("it took longer than {} s", CONNECT.as_secs())]
    TooSlow,
    #[error(transparent)]
    Refused(#[from] std::io::Error),
    #[error(transparent)]
    Handshake(#[from] hyper::Error),
}

async fn dial(pod: SocketAddr) -> Result<TokioIo<TcpStream>, NoConnection> {
    let dialled = tokio::time::timeout(CONNECT, TcpStream::connect(pod)).await;
    let stream = dialled.map_err(|_| NoConnection::TooSlow)??;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

async fn connect(pod: SocketAddr) -> Result<Sender1, NoConnection> {
    let io = dial(pod).await?;
    let (sender, connection) = http1::Builder::new().max_buf_size(BUFFER).handshake(io).await?;
    // How a connection ends is told to whoever has a request on it.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    Ok(sender)
}

async fn connect_shared(pod: SocketAddr) -> Result<Sender2, NoConnection> {
    let io = dial(pod).await?;
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(Duration::from_secs(20))
        .handshake(io);
    let (sender, connection) = handshake.await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
