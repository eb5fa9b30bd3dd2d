//! What time alone brings about: silence, the end of the certificate, heartbeats.

use std::time::Duration;

use super::event::CloseReason;
use super::{HubSession, Stage};
use crate::session::limits::SILENCE;
use crate::v1;
use crate::v1::from_hub::Frame;

impl HubSession {
    /// The time of [`next_deadline`](Self::next_deadline) has come.
    pub fn on_timer(&mut self, now: Duration) {
        // Who doesn't take the events away keeps the driver from reading: then it isn't the member that is silent.
        if !self.events.is_empty() {
            self.heard = now;
        }
        let silence = self.silence();
        match &mut self.stage {
            Stage::Closing { until } if now >= *until => {
                self.control.clear();
                self.stage = Stage::Closed;
            }
            Stage::Closing { .. } | Stage::Closed => {}
            _ if now >= self.heard.saturating_add(silence) => self.end(CloseReason::Silent),
            Stage::Open(open) if now >= open.ends => {
                self.bye(
                    "the member's certificate has ended: enroll it again with a token of `parallax-hub token CLUSTER --reset`",
                    now,
                );
            }
            Stage::Open(open) if now >= open.said.saturating_add(open.config.heartbeat) => {
                open.said = now;
                if !self.control.iter().any(|frame| matches!(frame, Frame::Heartbeat(_))) {
                    self.control.push_back(Frame::Heartbeat(v1::Heartbeat::default()));
                }
            }
            _ => {}
        }
    }

    /// When [`on_timer`](Self::on_timer) is to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let silent = self.heard.saturating_add(self.silence());
        match &self.stage {
            Stage::Closed => None,
            Stage::Closing { until } => Some(*until),
            Stage::New | Stage::Introduced { .. } => Some(silent),
            Stage::Open(open) => {
                Some(silent.min(open.ends).min(open.said.saturating_add(open.config.heartbeat)))
            }
        }
    }

    fn silence(&self) -> Duration {
        match &self.stage {
            Stage::Open(open) => open.config.silence,
            _ => SILENCE,
        }
    }
}
