//! What time alone brings about: dials, silence, heartbeats, reports that were held back.

use std::time::Duration;

use super::action::MemberAction;
use super::{MemberLink, Stage};
use crate::session::limits::SILENCE;

impl MemberLink {
    /// The time of [`next_deadline`](Self::next_deadline) has come.
    pub fn on_timer(&mut self, now: Duration) {
        self.reports.on_timer(now);
        self.usages.on_timer(now);
        match &mut self.stage {
            Stage::Away { until } if now >= *until => {
                self.stage = Stage::Dialling;
                self.actions.push_back(MemberAction::Dial);
            }
            Stage::Leaving { until, .. } if now >= *until => {
                self.actions.push_back(MemberAction::Close);
                self.stage = Stage::Drained;
            }
            Stage::Greeting { .. } | Stage::Open(_) if now >= self.heard.saturating_add(SILENCE) => {
                self.hang_up("the hub was silent for too long", now);
            }
            Stage::Open(open) if now >= open.beat.saturating_add(open.heartbeat) => {
                open.beat = now;
                open.beat_due = true;
                self.notices.on_beat();
            }
            _ => {}
        }
    }

    /// When [`on_timer`](Self::on_timer) is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let silent = self.heard.saturating_add(SILENCE);
        match &self.stage {
            Stage::Away { until } | Stage::Leaving { until, .. } => Some(*until),
            Stage::Dialling | Stage::Drained => None,
            Stage::Greeting { .. } => Some(silent),
            Stage::Open(open) => {
                let beat = open.beat.saturating_add(open.heartbeat);
                let said = [self.reports.next_deadline(), self.usages.next_deadline()];
                Some(said.into_iter().flatten().fold(silent.min(beat), Duration::min))
            }
        }
    }
}
