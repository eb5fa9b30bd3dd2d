//! The member's end of all its sessions.

mod action;

use std::time::Duration;

use parallax_crds::AgentKey;
use parallax_crds::link::{AgentReport, ClusterReport, Held, MemberEvent, OrderResult};

pub use self::action::{Batch, MemberAction, MemberLinkConfig, Welcomed};
use crate::v1;

/// The member's end: one per process, over all reconnects.
pub struct MemberLink {
    config: MemberLinkConfig,
}

impl MemberLink {
    /// A link that dials at once.
    #[must_use]
    pub fn new(config: MemberLinkConfig, _now: Duration) -> Self {
        Self { config }
    }
    /// The member's API server holds this assignment.
    pub fn hold(&mut self, _held: Held) {}
    /// The member's API server holds nothing of this name any more.
    pub fn release(&mut self, _key: &AgentKey) {}
    /// The latest about an agent.
    pub fn report(&mut self, _report: AgentReport) {}
    /// Nothing is to be said about an agent any more.
    pub fn unreport(&mut self, _key: &AgentKey) {}
    /// The latest about the cluster.
    pub fn cluster(&mut self, _report: ClusterReport) {}
    /// Something for users to know.
    pub fn event(&mut self, _event: MemberEvent) {}
    /// The transport is open.
    pub fn on_connected(&mut self, _now: Duration) {}
    /// The transport is gone, or couldn't be opened.
    pub fn on_disconnected(&mut self, _cause: &str, _now: Duration) {}
    /// A frame arrived.
    pub fn on_frame(&mut self, _frame: v1::FromHub, _now: Duration) {}
    /// The time of `next_deadline` has come.
    pub fn on_timer(&mut self, _now: Duration) {}
    /// What `PersistEpoch` asked for is done.
    pub fn on_epoch_persisted(&mut self, _hub_uid: &str, _epoch: u64) {}
    /// What became of one order of a batch; nonce 0: of an order whose earlier result was Waiting or Removing.
    pub fn on_result(&mut self, _nonce: u64, _result: OrderResult) {}
    /// Says Bye and never dials again.
    pub fn drain(&mut self, _reason: &str, _now: Duration) {}
    /// The link was drained, and all is said.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.config.boot_id.is_empty()
    }
    /// The next thing to do.
    pub fn poll_action(&mut self, _now: Duration) -> Option<MemberAction> {
        None
    }
    /// The next frame to send. To be called only while the transport has room.
    pub fn poll_frame(&mut self, _now: Duration) -> Option<v1::FromMember> {
        None
    }
    /// When `on_timer` is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        None
    }
}
