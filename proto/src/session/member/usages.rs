//! What agents use: the latest about each, in one frame per interval.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_crds::AgentKey;
use parallax_crds::link::AgentUsage;
use prost::Message as _;

use crate::outbox::Outbox;
use crate::session::limits::{USAGE_BYTES, USAGE_INTERVAL};
use crate::v1::from_member::Frame;
use crate::{v1, wire};

#[derive(Debug, Default)]
pub(super) struct Usages {
    latest: BTreeMap<AgentKey, AgentUsage>,
    /// Not told in this session.
    due: Outbox<AgentKey, ()>,
    /// Agents have gone since the last frame: the hub sums up anew, whatever the next one has.
    fewer: bool,
    /// When the next frame may go.
    at: Duration,
    /// That time is known to have come: only the transport's room is waited for.
    come: bool,
    /// The hub takes them.
    live: bool,
}

impl Usages {
    pub fn set(&mut self, usage: AgentUsage) {
        let key = usage.agent.key.clone();
        if self.latest.get(&key) == Some(&usage) {
            return;
        }
        self.latest.insert(key.clone(), usage);
        if self.live {
            self.due.push(key, ());
        }
    }

    pub fn unset(&mut self, key: &AgentKey) {
        self.due.remove(key);
        self.fewer |= self.latest.remove(key).is_some() && self.live;
    }

    /// The hub knows what this member holds, and can place what it uses, if it takes that in.
    pub fn start(&mut self, taken: bool) {
        self.live = taken;
        if !taken {
            return;
        }
        for key in self.latest.keys() {
            self.due.push(key.clone(), ());
        }
    }

    pub fn end_session(&mut self) {
        (self.live, self.fewer) = (false, false);
        self.due.clear();
    }

    pub fn next(&mut self, now: Duration) -> Option<Frame> {
        if now < self.at {
            return None;
        }
        let mut usages = Vec::new();
        let mut bytes = 0;
        while bytes < USAGE_BYTES
            && let Some((key, ())) = self.due.pop()
        {
            let Some(usage) = self.latest.get(&key).map(wire::usage_message) else { continue };
            bytes += usage.encoded_len();
            usages.push(usage);
        }
        if usages.is_empty() && !std::mem::take(&mut self.fewer) {
            return None;
        }
        self.fewer = false;
        self.at = now.saturating_add(USAGE_INTERVAL);
        self.come = false;
        Some(Frame::MetricsReport(v1::MetricsReport { usages }))
    }

    pub fn on_timer(&mut self, now: Duration) {
        self.come = self.has_news() && now >= self.at;
    }

    /// When there will be something to say.
    pub fn next_deadline(&self) -> Option<Duration> {
        (self.has_news() && !self.come).then_some(self.at)
    }

    fn has_news(&self) -> bool {
        self.fewer || !self.due.is_empty()
    }
}
