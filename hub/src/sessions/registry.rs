//! The sessions that are open, by cluster and number: where effects find the machine that they are for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use parallax_crds::ClusterName;
use parallax_hub_core::fleet::SessionId;
use parallax_proto::session::HubSession;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Streams that one cluster may have open at once: the session, the one that takes over from it, and
/// some slack for reconnects. A member that opens more is broken or hostile.
const STREAMS_PER_CLUSTER: usize = 4;

/// One open session.
#[derive(Clone)]
pub struct Handle {
    /// The machine. Never locked across an await.
    pub session: Arc<Mutex<HubSession>>,
    /// Wakes its driver.
    pub wake: Arc<Notify>,
    /// The serial number of the member's certificate.
    pub serial: String,
    /// When that ends.
    pub not_after: Timestamp,
}

impl Handle {
    /// Changes the machine and wakes its driver.
    pub fn with(&self, change: impl FnOnce(&mut HubSession)) {
        change(&mut self.session.lock());
        self.wake.notify_one();
    }
}

/// All open sessions.
#[derive(Default)]
pub struct Registry {
    open: Mutex<HashMap<SessionId, Handle>>,
    numbers: AtomicU64,
    /// Reports that sessions which are over have dropped.
    dropped: AtomicU64,
}

impl Registry {
    /// Enters a session under a number of its own; none when its cluster has too many open.
    pub fn enter(&self, cluster: &ClusterName, handle: Handle) -> Option<SessionId> {
        let mut open = self.open.lock();
        if open.keys().filter(|id| id.cluster == *cluster).count() >= STREAMS_PER_CLUSTER {
            return None;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let id = SessionId { cluster: cluster.clone(), number };
        open.insert(id.clone(), handle);
        Some(id)
    }

    /// Takes a session out: it is over.
    pub fn leave(&self, id: &SessionId) {
        let mut open = self.open.lock();
        if let Some(handle) = open.remove(id) {
            self.dropped.fetch_add(handle.session.lock().dropped_reports(), Ordering::Relaxed);
        }
    }

    /// The session, while it is open.
    pub fn get(&self, id: &SessionId) -> Option<Handle> {
        self.open.lock().get(id).cloned()
    }

    /// Orders and removals that wait to be sent, over all sessions.
    pub fn outbox_depth(&self) -> usize {
        self.all().iter().map(|handle| handle.session.lock().outbox_depth()).sum()
    }

    /// Reports that were dropped, by the sessions that are open and those that are over. It only ever grows.
    pub fn dropped_reports(&self) -> u64 {
        let open = self.open.lock();
        let of_open: u64 = open.values().map(|handle| handle.session.lock().dropped_reports()).sum();
        self.dropped.load(Ordering::Relaxed) + of_open
    }

    /// Every open session.
    pub fn all(&self) -> Vec<Handle> {
        self.open.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use parallax_proto::session::HubSessionConfig;
    use parallax_proto::v1;
    use parallax_proto::v1::from_member::Frame;

    use super::*;

    fn handle(cluster: &ClusterName) -> Handle {
        Handle {
            session: Arc::new(Mutex::new(HubSession::new(cluster.clone(), Duration::ZERO))),
            wake: Arc::default(),
            serial: "1".into(),
            not_after: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_cluster_can_open_only_so_many_streams_and_others_are_not_affected() {
        let registry = Registry::default();
        let [noisy, quiet] = ["noisy", "quiet"].map(|name| ClusterName::new(name).unwrap());
        let first = registry.enter(&noisy, handle(&noisy)).unwrap();
        for _ in 1..STREAMS_PER_CLUSTER {
            assert!(registry.enter(&noisy, handle(&noisy)).is_some());
        }
        assert!(registry.enter(&noisy, handle(&noisy)).is_none());
        assert!(registry.enter(&quiet, handle(&quiet)).is_some());
        registry.leave(&first);
        let next = registry.enter(&noisy, handle(&noisy)).unwrap();
        assert!(next.number > first.number, "numbers are never used twice");
    }

    /// A session that has dropped one report: the member was never given its agent.
    fn dropping(cluster: &ClusterName) -> Handle {
        let handle = handle(cluster);
        let hello = v1::Hello {
            versions: vec![1],
            cluster_uid: "uid".to_owned(),
            boot_id: "boot".to_owned(),
            set_hash: vec![0; 16].into(),
            ..v1::Hello::default()
        };
        let config = HubSessionConfig {
            hub_uid: "hub".to_owned(),
            epoch: 1,
            session: "s".to_owned(),
            heartbeat: Duration::from_secs(10),
            silence: Duration::from_secs(45),
            not_after_unix: 0,
            lifetime: Duration::from_secs(3600),
        };
        let status = v1::Status {
            key: Some(v1::AgentKey { namespace: "demo".to_owned(), name: "unknown".to_owned() }),
            incarnation: "uid".to_owned(),
            boot_id: "boot".to_owned(),
            seq: 1,
            payload: Some(v1::StatusPayload {
                phase: v1::Phase::Running.into(),
                ..v1::StatusPayload::default()
            }),
            ..v1::Status::default()
        };
        handle.with(|session| {
            let said = |frame| v1::FromMember { frame: Some(frame) };
            session.on_frame(said(Frame::Hello(hello)), Duration::ZERO);
            session.admit(config, Vec::new(), Vec::new(), Duration::ZERO);
            session.on_frame(said(Frame::Status(status)), Duration::ZERO);
        });
        handle
    }

    #[test]
    fn dropped_reports_stay_counted_when_their_session_is_over() {
        let registry = Registry::default();
        let [over, open] = ["over", "open"].map(|name| ClusterName::new(name).unwrap());
        let id = registry.enter(&over, dropping(&over)).unwrap();
        registry.enter(&open, dropping(&open)).unwrap();
        assert_eq!(registry.dropped_reports(), 2);
        registry.leave(&id);
        registry.leave(&id);
        assert_eq!(registry.dropped_reports(), 2);
    }
}
