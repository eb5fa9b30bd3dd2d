//! The member's end of the link: how it dials, and what it does with what the link brings.

use std::sync::Arc;

use parallax_crds::copies::CopyAnswer;
use parallax_crds::link::KeyAnswer;
use parallax_platform::chain;
use parallax_proto::driver::member::{Carrier, Dial, DialError};
use parallax_proto::identity::MemberIdentity;
use parallax_proto::session::{Batch, Welcomed};
use parallax_proto::tls::session_channel;
use parking_lot::Mutex;
use tonic::transport::Channel;

use crate::agents::Agents;
use crate::metrics::Metrics;
use crate::state::StateStore;

/// Dials the hub as this member.
pub struct Dialler {
    /// `HOST:PORT` of the hub.
    pub hub: String,
    /// As whom.
    pub identity: Arc<MemberIdentity>,
}

impl Dial for Dialler {
    async fn dial(&self) -> Result<Channel, DialError> {
        session_channel(&self.hub, &self.identity).await.map_err(|e| DialError(chain(&e)))
    }
}

/// Hands on what the link brings.
pub struct Courier {
    agents: Arc<Agents>,
    state: StateStore,
    metrics: Metrics,
    /// What was last said about the session's end: the same thing is said once.
    said: Mutex<String>,
}

impl Courier {
    /// For these agents.
    pub fn new(agents: Arc<Agents>, state: StateStore, metrics: Metrics) -> Self {
        Self { agents, state, metrics, said: Mutex::default() }
    }

    /// Whether this has not just been said.
    fn is_news(&self, text: &str) -> bool {
        let mut said = self.said.lock();
        let news = *said != text;
        text.clone_into(&mut said);
        news
    }
}

impl Carrier for Courier {
    fn carry(&self, batch: Batch) {
        tracing::debug!(orders = batch.orders.len(), removals = batch.removals.len(), "orders came");
        self.agents.carry(batch);
    }

    fn key(&self, answer: KeyAnswer) {
        self.agents.key_answered(answer);
    }

    fn copy(&self, answer: CopyAnswer) {
        self.agents.copy_answered(answer);
    }

    async fn persist_epoch(&self, hub_uid: &str, epoch: u64) -> Result<(), String> {
        self.state.save(hub_uid, epoch).await
    }

    fn connected(&self, welcome: &Welcomed) {
        let Welcomed { hub_uid, epoch, session, cluster, not_after_unix, previous_hub } = welcome;
        self.said.lock().clear();
        self.metrics.connected.set(1);
        self.metrics.epoch.set(i64::try_from(*epoch).unwrap_or(i64::MAX));
        self.metrics.certificate_ends.set(*not_after_unix);
        if let Some(previous) = previous_hub {
            tracing::warn!(%cluster, hub = hub_uid, previous, "another hub than before; what it doesn't know stays");
        }
        tracing::info!(%cluster, hub = hub_uid, epoch, session, "connected to the hub");
        self.agents.name_cluster(cluster.clone());
    }

    fn refused(&self, reason: &str, message: &str) {
        self.metrics.connected.set(0);
        if self.is_news(message) {
            tracing::error!(reason, "no session with the hub until somebody acts: {message}");
        }
    }

    fn lost(&self, cause: &str) {
        self.metrics.connected.set(0);
        if self.is_news(cause) {
            tracing::warn!("no session with the hub: {cause}; agents run on, and it is tried again");
        } else {
            tracing::debug!("still no session with the hub: {cause}");
        }
    }
}
