//! Drives the member's link over all its sessions.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use parallax_crds::copies::CopyAnswer;
use parallax_crds::link::KeyAnswer;
use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;

use super::{Clock, sleep_until};
use crate::session::limits::{DECODE_BYTES, FAREWELL};
use crate::session::{Batch, MemberAction, MemberLink, Welcomed};
use crate::v1;
use crate::v1::fleet_client::FleetClient;

/// A connection that isn't open after this long is given up.
const DIAL: Duration = Duration::from_secs(20);

/// Frames between the link and the transport. What waits there can't be coalesced any more.
const FRAMES: usize = 2;

/// Why the hub could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct DialError(
    /// What went wrong, and what to do about it.
    pub String,
);

/// Opens connections to the hub.
pub trait Dial: Send + Sync + 'static {
    /// One new connection.
    fn dial(&self) -> impl Future<Output = Result<Channel, DialError>> + Send;
}

/// What the member does with what its link brings. All calls but `persist_epoch` return at once: work is queued, its
/// results go to [`MemberLink::on_result`] and a wake-up.
pub trait Carrier: Send + Sync + 'static {
    /// Carry out these orders: in the order of calls for each agent, agents independently. Every order and removal of the
    /// batch is answered by one `on_result(batch.nonce, ..)`; what settles later by `on_result(0, ..)`.
    fn carry(&self, batch: Batch);
    /// The hub's answer to a wish for a key.
    fn key(&self, answer: KeyAnswer);
    /// What the hub says of an object that was asked for.
    fn copy(&self, answer: CopyAnswer);
    /// Persist the epoch before this returns. An error ends the session; it is tried again.
    fn persist_epoch(&self, hub_uid: &str, epoch: u64) -> impl Future<Output = Result<(), String>> + Send;
    /// A session has begun.
    fn connected(&self, welcome: &Welcomed);
    /// The hub refused this member; `message` says what to do.
    fn refused(&self, reason: &str, message: &str);
    /// A session, or the attempt at one, has ended.
    fn lost(&self, cause: &str);
}

struct Connection {
    outgoing: mpsc::Sender<v1::FromMember>,
    incoming: BoxStream<'static, Result<v1::FromHub, Status>>,
}

impl Connection {
    /// Opens the call; what the hub refuses shows as the first thing that comes in.
    fn open(channel: Channel) -> Self {
        let (outgoing, frames) = mpsc::channel(FRAMES);
        let call = async move {
            let mut client = FleetClient::new(channel).max_decoding_message_size(DECODE_BYTES);
            client.session(ReceiverStream::new(frames)).await.map(tonic::Response::into_inner)
        };
        Self { outgoing, incoming: futures::stream::once(call).try_flatten().boxed() }
    }
}

/// Runs the link until `shutdown`, then says Bye; ends within [`FAREWELL`] of it.
pub async fn run(
    link: Arc<Mutex<MemberLink>>,
    wake: Arc<Notify>,
    clock: Clock,
    dialler: impl Dial,
    carrier: impl Carrier,
    shutdown: CancellationToken,
) {
    let mut dialling: Option<BoxFuture<'_, Result<Channel, DialError>>> = None;
    let mut persisting: Option<BoxFuture<'_, Result<(String, u64), String>>> = None;
    let mut connection: Option<Connection> = None;
    let mut farewell: Option<Duration> = None;
    loop {
        // Frames first: an action to close comes with what is still to be said before.
        let room = connection.as_ref().is_none_or(|connection| pump(&link, &clock, connection));
        let full = connection.as_ref().filter(|_| !room).map(|connection| connection.outgoing.clone());
        loop {
            let action = link.lock().poll_action(clock.now());
            match action {
                None => break,
                Some(MemberAction::Dial) => dialling = Some(dial(&dialler).boxed()),
                Some(MemberAction::PersistEpoch { hub_uid, epoch }) => {
                    persisting = Some(persist(&carrier, hub_uid, epoch).boxed());
                }
                Some(MemberAction::Carry(batch)) => carrier.carry(batch),
                Some(MemberAction::Key(answer)) => carrier.key(answer),
                Some(MemberAction::Copy(answer)) => carrier.copy(answer),
                Some(MemberAction::Close) => {
                    (dialling, persisting) = (None, None);
                    if farewell.is_none() {
                        connection = None;
                    }
                }
                Some(MemberAction::Connected(welcome)) => carrier.connected(&welcome),
                Some(MemberAction::Refused { reason, message }) => carrier.refused(&reason, &message),
                Some(MemberAction::Lost { cause }) => carrier.lost(&cause),
            }
        }
        let (drained, deadline) = {
            let link = link.lock();
            (link.is_drained(), link.next_deadline())
        };
        if drained {
            if let (Some(connection), Some(until)) = (connection, farewell) {
                hang_up(connection, until.saturating_sub(clock.now())).await;
            }
            return;
        }
        // Each round asks for all there is to say, so a wake-up that waits behind frames is heard all the same. With this
        // order a simulation plays the same way each time.
        let lost = tokio::select! {
            biased;
            () = sleep_until(&clock, deadline) => {
                link.lock().on_timer(clock.now());
                None
            }
            () = shutdown.cancelled(), if farewell.is_none() => {
                let now = clock.now();
                farewell = Some(now.saturating_add(FAREWELL));
                link.lock().drain("the member stops", now);
                None
            }
            channel = ready(&mut dialling) => match channel {
                Ok(channel) => {
                    connection = Some(Connection::open(channel));
                    link.lock().on_connected(clock.now());
                    None
                }
                Err(error) => Some(error.to_string()),
            },
            persisted = ready(&mut persisting) => match persisted {
                Ok((hub_uid, epoch)) => {
                    link.lock().on_epoch_persisted(&hub_uid, epoch);
                    None
                }
                Err(error) => Some(format!("the hub's epoch can't be persisted: {error}")),
            },
            () = has_room(full) => None,
            frame = next_frame(&mut connection) => match frame {
                Some(Ok(frame)) => {
                    link.lock().on_frame(frame, clock.now());
                    None
                }
                Some(Err(status)) => Some(describe(&status)),
                None => Some("the hub closed the stream".to_owned()),
            },
            () = wake.notified() => None,
        };
        if let Some(cause) = lost {
            (dialling, persisting, connection) = (None, None, None);
            link.lock().on_disconnected(&cause, clock.now());
        }
    }
}

/// Sends what the link has to say while there is room. Whether there still is.
fn pump(link: &Mutex<MemberLink>, clock: &Clock, connection: &Connection) -> bool {
    loop {
        match connection.outgoing.try_reserve() {
            Ok(permit) => match link.lock().poll_frame(clock.now()) {
                Some(frame) => permit.send(frame),
                None => return true,
            },
            Err(TrySendError::Full(())) => return false,
            // The reading side tells why.
            Err(TrySendError::Closed(())) => return true,
        }
    }
}

async fn dial(dialler: &impl Dial) -> Result<Channel, DialError> {
    match tokio::time::timeout(DIAL, dialler.dial()).await {
        Ok(dialled) => dialled,
        Err(_) => Err(DialError(format!(
            "the hub didn't answer within {} s; check --hub and the network between",
            DIAL.as_secs()
        ))),
    }
}

async fn persist(carrier: &impl Carrier, hub_uid: String, epoch: u64) -> Result<(String, u64), String> {
    carrier.persist_epoch(&hub_uid, epoch).await?;
    Ok((hub_uid, epoch))
}

/// The outcome of a future, if there is one; the future is then over.
async fn ready<T>(future: &mut Option<BoxFuture<'_, T>>) -> T {
    match future {
        Some(pending) => {
            let outcome = pending.await;
            *future = None;
            outcome
        }
        None => std::future::pending().await,
    }
}

async fn next_frame(connection: &mut Option<Connection>) -> Option<Result<v1::FromHub, Status>> {
    match connection {
        Some(connection) => connection.incoming.next().await,
        None => std::future::pending().await,
    }
}

async fn has_room(outgoing: Option<mpsc::Sender<v1::FromMember>>) {
    match outgoing {
        Some(outgoing) => drop(outgoing.reserve().await),
        None => std::future::pending().await,
    }
}

/// Lets what was said reach the hub, which then closes the stream.
async fn hang_up(connection: Connection, within: Duration) {
    let Connection { outgoing, mut incoming } = connection;
    drop(outgoing);
    // Whether it closes in time or not, this end is done.
    let _ = tokio::time::timeout(within, async { while let Some(Ok(_)) = incoming.next().await {} }).await;
}

/// A status with what lies under it: tonic hides the reason of a failed handshake there.
fn describe(status: &Status) -> String {
    let mut text = format!("the hub's stream failed: {}", status.message());
    let mut source = status.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
