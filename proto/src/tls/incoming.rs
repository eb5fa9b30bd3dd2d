//! From a listener to verified connections: handshakes run beside each other, bounded in time and number.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;

use super::HubConnection;
use super::error::member_refused;
use crate::identity::Leaf;

/// How long after the end of its certificate a connection is cut, if its session hasn't ended itself.
const AFTER_EXPIRY: Duration = Duration::from_secs(5);
/// How long accepting rests when the system has no descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What callers can make a hub hold before it knows them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Handshakes at a time; further connections wait in the listener's queue.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// Connections without a certificate at a time (they can only enroll); more are closed.
    pub anonymous: usize,
    /// How long a connection without a certificate may last.
    pub anonymous_lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes: 256,
            handshake_timeout: Duration::from_secs(10),
            anonymous: 64,
            anonymous_lifetime: Duration::from_secs(30),
        }
    }
}

/// Connections whose handshake has succeeded, for tonic's `serve_with_incoming`. Never ends by itself;
/// when it is dropped, the listener closes.
#[derive(Debug)]
pub struct Incoming {
    connections: mpsc::Receiver<HubConnection>,
}

impl Incoming {
    /// Starts accepting. Must be called within a tokio runtime.
    pub(super) fn start(listener: TcpListener, acceptor: TlsAcceptor, limits: Limits) -> Self {
        let (sender, connections) = mpsc::channel(1);
        let accepting = Accepting {
            acceptor,
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            anonymous: Arc::new(Semaphore::new(limits.anonymous)),
            limits,
            sender,
        };
        tokio::spawn(async move {
            let gone = accepting.sender.clone();
            tokio::select! {
                () = gone.closed() => {}
                () = accepting.run(&listener) => {}
            }
        });
        Self { connections }
    }
}

impl Stream for Incoming {
    type Item = io::Result<HubConnection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connections.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

/// A member that can't come in is worth a warning; a probe that says nothing, or a member that went away,
/// isn't.
fn report(from: SocketAddr, error: &io::Error) {
    if let Some(why) = member_refused(error) {
        tracing::warn!(%from, "a member's certificate was refused: {why}");
    } else {
        tracing::debug!(%from, %error, "a connection didn't come about");
    }
}

#[derive(Clone)]
struct Accepting {
    acceptor: TlsAcceptor,
    handshakes: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
    limits: Limits,
    sender: mpsc::Sender<HubConnection>,
}

impl Accepting {
    async fn run(self, listener: &TcpListener) {
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&self.handshakes).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let this = self.clone();
                    tokio::spawn(async move {
                        let gone = this.sender.clone();
                        tokio::select! {
                            () = gone.closed() => {}
                            result = this.handshake(stream, place) => if let Err(error) = result {
                                report(from, &error);
                            }
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept connections; if descriptors are short, raise the limit of open files");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    async fn handshake(self, stream: TcpStream, place: OwnedSemaphorePermit) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let stream = timeout(self.limits.handshake_timeout, self.acceptor.accept(stream))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "its handshake took too long"))??;
        drop(place);
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let connection = if let Some(leaf) = leaf {
            let not_after = Leaf::from_der(leaf).map_err(io::Error::other)?.not_after;
            let left = Duration::try_from(not_after.duration_since(Timestamp::now())).unwrap_or_default();
            // Certificates can state any year; tokio's clock can't.
            let left = left.min(Duration::from_secs(365 * 24 * 3600));
            HubConnection::new(stream, Instant::now() + left + AFTER_EXPIRY, None)
        } else {
            let place = Arc::clone(&self.anonymous).try_acquire_owned().map_err(|_| {
                io::Error::other(
                    "it has no certificate, and too many without one are connected; it will try again",
                )
            })?;
            HubConnection::new(stream, Instant::now() + self.limits.anonymous_lifetime, Some(place))
        };
        // Nobody listens any more: the hub is stopping.
        let _ = self.sender.send(connection).await;
        Ok(())
    }
}
