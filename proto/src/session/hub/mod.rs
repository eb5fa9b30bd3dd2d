//! The hub's end of one session.

mod event;

use std::time::Duration;

use parallax_crds::link::Order;
use parallax_crds::names::AgentRef;
use parallax_crds::{AgentKey, ClusterName};

pub use self::event::{CloseReason, HelloFacts, HubEvent, HubSessionConfig};
use crate::v1;

/// The hub's end of one session with one member.
pub struct HubSession {
    cluster: ClusterName,
}

impl HubSession {
    /// A session of which nothing is known but the member's certificate.
    #[must_use]
    pub fn new(cluster: ClusterName, _now: Duration) -> Self {
        Self { cluster }
    }
    /// The cluster that the member's certificate names.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }
    /// A frame arrived.
    pub fn on_frame(&mut self, _frame: v1::FromMember, _now: Duration) {}
    /// The time of `next_deadline` has come.
    pub fn on_timer(&mut self, _now: Duration) {}
    /// The stream ended.
    pub fn on_eof(&mut self, _now: Duration) {}
    /// Lets the member in.
    pub fn admit(&mut self, _config: HubSessionConfig, _orders: Vec<Order>, _removals: Vec<AgentRef>, _now: Duration) {}
    /// Sends the member away for a while.
    pub fn retry(&mut self, _after: Duration, _reason: &str, _now: Duration) {}
    /// Sends the member away until somebody does what `message` says.
    pub fn refuse(&mut self, _reason: &str, _message: &str, _now: Duration) {}
    /// Wants `order` carried out, whatever was wanted of its key before.
    pub fn upsert(&mut self, _order: Order) {}
    /// Wants this incarnation removed.
    pub fn remove(&mut self, _agent: AgentRef, _traceparent: Option<String>) {}
    /// Wants nothing of this key any more, and nothing removed.
    pub fn forget(&mut self, _key: &AgentKey) {}
    /// Ends the session; the member reconnects.
    pub fn bye(&mut self, _reason: &str, _now: Duration) {}
    /// The next frame to send. To be called only while the transport has room.
    pub fn poll_frame(&mut self, _now: Duration) -> Option<v1::FromHub> {
        None
    }
    /// The next event.
    pub fn poll_event(&mut self) -> Option<HubEvent> {
        None
    }
    /// When `on_timer` is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        None
    }
    /// Everything has been said: close the transport.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        true
    }
    /// Reports that were dropped because they were about agents that the member was never given.
    #[must_use]
    pub fn dropped_reports(&self) -> u64 {
        0
    }
}
