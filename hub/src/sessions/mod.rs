//! The members' streams: each gets a machine, a driver and an entry in the registry. Who speaks is known
//! from the verified certificate and from nothing else.

mod registry;

use std::sync::Arc;

use parallax_hub_core::fleet::SessionId;
use parallax_proto::driver::{self, Clock};
use parallax_proto::session::HubSession;
use parallax_proto::tls::peer_cluster;
use parallax_proto::v1::fleet_server::Fleet;
use parallax_proto::v1::{FromHub, FromMember};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

pub use registry::{Handle, Registry};

/// Frames that wait for the transport. Few: what isn't sent yet can still be replaced by something newer.
const OUTGOING: usize = 2;

/// The service that members hold their sessions with.
pub struct Sessions {
    /// Where sessions are entered.
    pub registry: Arc<Registry>,
    /// The time of the machines.
    pub clock: Clock,
    /// Where their events go.
    pub events: mpsc::Sender<driver::hub::Addressed>,
    /// Where their drivers run.
    pub tasks: TaskTracker,
}

#[tonic::async_trait]
impl Fleet for Sessions {
    type SessionStream = ReceiverStream<Result<FromHub, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<FromMember>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let peer = peer_cluster(&request)?;
        let handle = Handle {
            session: Arc::new(Mutex::new(HubSession::new(peer.cluster.clone(), self.clock.now()))),
            wake: Arc::new(Notify::new()),
            serial: peer.serial,
            not_after: peer.not_after,
        };
        let Some(id) = self.registry.enter(&peer.cluster, handle.clone()) else {
            tracing::warn!(cluster = %peer.cluster, "a stream is refused: the cluster has too many open; look for members that share one identity");
            return Err(Status::resource_exhausted(
                "too many sessions of this cluster are open; look for members that share one identity",
            ));
        };
        let (outgoing, frames) = mpsc::channel(OUTGOING);
        let (registry, events, clock) = (self.registry.clone(), self.events.clone(), self.clock);
        self.tasks.spawn(async move {
            let SessionId { number, .. } = id;
            driver::hub::run(
                handle.session,
                handle.wake,
                number,
                clock,
                request.into_inner(),
                outgoing,
                events,
            )
            .await;
            registry.leave(&id);
        });
        Ok(Response::new(ReceiverStream::new(frames)))
    }
}
