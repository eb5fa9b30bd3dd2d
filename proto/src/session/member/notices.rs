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
    /// The latest.
    cluster: Option<ClusterReport>,
    /// What was last said in this session.
    told: Option<ClusterReport>,
    cluster_due: bool,
    events: VecDeque<MemberEvent>,
    dropped: u64,
}

impl Notices {
    pub fn cluster(&mut self, report: ClusterReport) {
        self.cluster_due = self.told.as_ref().is_none_or(|told| !report.can_wait(told));
        self.cluster = Some(report);
    }

    /// Something goes to the hub in any case: what could wait goes along.
    pub fn on_beat(&mut self) {
        self.cluster_due = self.cluster != self.told;
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
        self.told = None;
        self.cluster_due = self.cluster.is_some();
    }

    pub fn next(&mut self) -> Option<Frame> {
        if std::mem::take(&mut self.cluster_due)
            && let Some(report) = &self.cluster
        {
            self.told = Some(report.clone());
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::Amounts;
    use parallax_crds::link::Resources;

    use super::*;

    fn free(cpu: i64) -> ClusterReport {
        let free = Some(Amounts { cpu, memory: 1 << 30, pods: 100, ..Amounts::default() });
        ClusterReport {
            resources: Some(Resources { free, ..Resources::default() }),
            ..ClusterReport::default()
        }
    }

    /// The CPU that the next frame says to be free.
    fn said(notices: &mut Notices) -> Option<i64> {
        match notices.next()? {
            Frame::ClusterReport(report) => Some(report.resources.unwrap().free.unwrap().cpu_millicores),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_has_changed_much_is_told_at_once_and_what_has_changed_little_with_the_next_heartbeat() {
        let mut notices = Notices::default();
        notices.cluster(free(16_000));
        assert_eq!(said(&mut notices), Some(16_000));
        notices.cluster(free(15_000));
        assert_eq!(said(&mut notices), None, "a sixteenth can wait");
        notices.cluster(free(14_999));
        assert_eq!(said(&mut notices), Some(14_999));
        notices.cluster(free(14_500));
        notices.on_beat();
        assert_eq!(said(&mut notices), Some(14_500));
        notices.on_beat();
        assert_eq!(said(&mut notices), None, "nothing has changed");
    }

    #[test]
    fn room_in_a_full_cluster_is_told_at_once() {
        let mut notices = Notices::default();
        notices.cluster(free(0));
        assert_eq!(said(&mut notices), Some(0));
        notices.cluster(free(100));
        assert_eq!(said(&mut notices), Some(100));
    }

    #[test]
    fn everything_but_what_is_free_is_told_at_once() {
        let mut notices = Notices::default();
        notices.cluster(free(1000));
        notices.next().unwrap();
        notices.cluster(ClusterReport { scores: [("cost".to_owned(), 1)].into(), ..free(1000) });
        assert!(notices.next().is_some());
        notices.cluster(ClusterReport { resources: None, ..ClusterReport::default() });
        assert!(notices.next().is_some());
    }

    #[test]
    fn a_new_session_is_told_everything() {
        let mut notices = Notices::default();
        notices.begin_session();
        assert_eq!(said(&mut notices), None, "nothing is known yet");
        notices.cluster(free(1000));
        notices.begin_session();
        assert_eq!(said(&mut notices), Some(1000));
        notices.begin_session();
        assert_eq!(said(&mut notices), Some(1000));
    }
}
