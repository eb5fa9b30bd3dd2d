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
use tokio_util::sync::CancellationToken;

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
/// The connection to a pod that all requests of HTTP/2 share, once there is one.
type Shared = Arc<tokio::sync::Mutex<Option<Line<Sender2>>>>;

/// A request that got no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// Nothing of it was sent, since the pod took no connection.
    Unsent(Box<Request<Incoming>>),
    /// It may have been begun.
    Broken(Break),
}

/// How a request was left without an answer.
#[derive(Debug, thiserror::Error)]
pub enum Break {
    /// What is known of it.
    #[error(transparent)]
    Known(#[from] hyper::Error),
    /// Nothing is.
    #[error("the connection has ended")]
    Ended,
}

/// A connection, and its end: a request that is handed over just as the connection ends may be left unanswered for good.
#[derive(Debug, Clone)]
struct Line<S> {
    sender: S,
    ended: CancellationToken,
}

impl<S> Line<S> {
    /// Drives the connection.
    fn driven<E>(sender: S, connection: impl Future<Output = Result<(), E>> + Send + 'static) -> Self {
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        tokio::spawn(async move {
            // How a connection ends is told to whoever has a request on it.
            drop(connection.await);
            drop(end);
        });
        Self { sender, ended }
    }
}

/// The answer; none when the connection has ended without one.
async fn unless_ended<T>(ended: &CancellationToken, answer: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        () = ended.cancelled() => None,
    }
}

/// The connection that an answer comes by; to be given back once the answer is complete.
#[derive(Debug)]
pub struct Lent {
    pod: SocketAddr,
    line: Line<Sender1>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Upstreams {
    idle: Mutex<HashMap<SocketAddr, Vec<Line<Sender1>>>>,
    shared: Mutex<HashMap<SocketAddr, Shared>>,
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
        let Lent { pod, line } = lent;
        if line.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        let idle = idle.entry(pod).or_default();
        if idle.len() < IDLE {
            idle.push(line);
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
            let (mut line, fresh) = match self.take_idle(pod) {
                Some(line) => (line, false),
                None => match connect(pod).await {
                    Ok(line) => (line, true),
                    Err(why) => {
                        tracing::debug!(%pod, "no connection: {why}");
                        return Err(Unanswered::Unsent(Box::new(request)));
                    }
                },
            };
            let answer = line.sender.try_send_request(request);
            match unless_ended(&line.ended, answer).await.ok_or(Unanswered::Broken(Break::Ended))? {
                Ok(response) => return Ok((response, Lent { pod, line })),
                Err(mut error) => match error.take_message() {
                    // The pod had closed the connection that lay idle.
                    Some(back) if !fresh => request = back,
                    Some(back) => return Err(Unanswered::Unsent(Box::new(back))),
                    None => return Err(Unanswered::Broken(error.into_error().into())),
                },
            }
        }
    }

    /// The connection that was used last, or another that is ready: the others close by themselves.
    fn take_idle(&self, pod: SocketAddr) -> Option<Line<Sender1>> {
        let mut all = self.idle.lock();
        let idle = all.get_mut(&pod)?;
        idle.retain(|line| !line.sender.is_closed());
        let ready = idle.iter().rposition(|line| line.sender.is_ready())?;
        Some(idle.swap_remove(ready))
    }

    async fn send_shared(
        &self,
        pod: SocketAddr,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Unanswered> {
        loop {
            let slot = Arc::clone(self.shared.lock().entry(pod).or_default());
            let (mut line, fresh) = {
                let mut slot = slot.lock().await;
                match slot.as_ref().filter(|line| !line.sender.is_closed()) {
                    Some(line) => (line.clone(), false),
                    None => match connect_shared(pod).await {
                        Ok(line) => (slot.insert(line).clone(), true),
                        Err(why) => {
                            tracing::debug!(%pod, "no connection: {why}");
                            return Err(Unanswered::Unsent(Box::new(request)));
                        }
                    },
                }
            };
            let answer = line.sender.try_send_request(request);
            match unless_ended(&line.ended, answer).await.ok_or(Unanswered::Broken(Break::Ended))? {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(back) if !fresh => request = back,
                    Some(back) => return Err(Unanswered::Unsent(Box::new(back))),
                    None => return Err(Unanswered::Broken(error.into_error().into())),
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

async fn connect(pod: SocketAddr) -> Result<Line<Sender1>, NoConnection> {
    let io = dial(pod).await?;
    let (sender, connection) = http1::Builder::new().max_buf_size(BUFFER).handshake(io).await?;
    Ok(Line::driven(sender, connection.with_upgrades()))
}

async fn connect_shared(pod: SocketAddr) -> Result<Line<Sender2>, NoConnection> {
    let io = dial(pod).await?;
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(Duration::from_secs(20))
        .handshake(io);
    let (sender, connection) = handshake.await?;
    Ok(Line::driven(sender, connection))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_an_answer_by_a_connection_that_has_ended() {
        let line = Line::driven((), async { Ok::<(), ()>(()) });
        assert_eq!(unless_ended(&line.ended, std::future::pending::<()>()).await, None);
        assert_eq!(unless_ended(&line.ended, std::future::ready(1)).await, Some(1), "it came in time");
    }
}
