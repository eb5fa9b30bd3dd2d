//! Drives the hub's end of one session.

use std::sync::Arc;

use futures::Stream;
use parallax_crds::ClusterName;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tonic::Status;

use super::Clock;
use crate::session::{HubEvent, HubSession};
use crate::v1;

/// An event, with the cluster and the number of the session that it is from.
pub type Addressed = (ClusterName, u64, HubEvent);

/// Runs a session until it is closed. The last event is always `Closed`. End it early by `session.lock().bye(..)` and a
/// wake-up: the stream is then closed within [`crate::session::limits::FAREWELL`].
pub async fn run(
    _session: Arc<Mutex<HubSession>>,
    _wake: Arc<Notify>,
    _number: u64,
    _clock: Clock,
    _incoming: impl Stream<Item = Result<v1::FromMember, Status>> + Send + Unpin,
    _outgoing: mpsc::Sender<Result<v1::FromHub, Status>>,
    _events: mpsc::Sender<Addressed>,
) {
}
