//! Drives the member's link over all its sessions.

use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::Clock;
use crate::session::{Batch, MemberLink, Welcomed};

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

/// What the member does with what its link brings. Calls must return at once: work is queued, its results go to
/// [`MemberLink::on_result`] and a wake-up.
pub trait Carrier: Send + Sync + 'static {
    /// Carry out these orders: in the order of calls for each agent, agents independently. Every order and removal of the
    /// batch is answered by one `on_result(batch.nonce, ..)`; what settles later by `on_result(0, ..)`.
    fn carry(&self, batch: Batch);
    /// Persist the epoch before this returns. An error ends the session; it is tried again.
    fn persist_epoch(&self, hub_uid: &str, epoch: u64) -> impl Future<Output = Result<(), String>> + Send;
    /// A session has begun.
    fn connected(&self, welcome: &Welcomed);
    /// The hub refused this member; `message` says what to do.
    fn refused(&self, reason: &str, message: &str);
    /// A session, or the attempt at one, has ended.
    fn lost(&self, cause: &str);
}

/// Runs the link until `shutdown`, then says Bye; ends within [`crate::session::limits::FAREWELL`] of it.
pub async fn run(
    _link: Arc<Mutex<MemberLink>>,
    _wake: Arc<Notify>,
    _clock: Clock,
    _dialler: impl Dial,
    _carrier: impl Carrier,
    _shutdown: CancellationToken,
) {
}
