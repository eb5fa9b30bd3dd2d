//! What the member says beside its agents' reports: about its cluster, and to the users of its agents.

use std::collections::VecDeque;

use parallax_crds::link::{ClusterReport, MemberEvent};

use crate::session::limits::EVENTS;
use crate::v1::from_member::Frame;
use crate::{v1, wire};

/// Events in one frame.
const BATCH: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Notices {
    cluster: Option<ClusterReport>,
    cluster_due: bool,
    events: VecDeque<MemberEvent>,
    dropped: u64,
}

impl Notices {
    pub fn cluster(&mut self, report: ClusterReport) {
        if self.cluster.as_ref() != Some(&report) {
            self.cluster = Some(report);
            self.cluster_due = true;
        }
    }

    pub fn event(&mut self, event: MemberEvent) {
        if self.events.len() >= EVENTS {
            self.events.pop_front();
            self.dropped += 1;
        }
        self.events.push_back(event);
    }

    /// The hub may be a new one, which knows nothing.
    pub fn begin_session(&mut self) {
        self.cluster_due = self.cluster.is_some();
    }

    pub fn next(&mut self) -> Option<Frame> {
        if std::mem::take(&mut self.cluster_due)
            && let Some(report) = &self.cluster
        {
            return Some(Frame::ClusterReport(wire::cluster_report_message(report)));
        }
        if self.events.is_empty() {
            return None;
        }
        let count = self.events.len().min(BATCH);
        let events = self.events.drain(..count).map(|event| wire::event_message(&event)).collect();
        Some(Frame::Events(v1::Events { events, dropped: std::mem::take(&mut self.dropped) }))
    }
}
