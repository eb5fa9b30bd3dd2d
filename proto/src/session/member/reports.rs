//! What the member says about its agents: the latest about each, at most a few a second of one that flaps, and all of it
//! after each resync.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use parallax_crds::AgentKey;
use parallax_crds::link::AgentReport;

use crate::outbox::Outbox;
use crate::v1;
use crate::v1::from_member::Frame;
use crate::wire;

/// An agent's reports that go out as they come, and then one per interval.
const BURST: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Latest {
    report: AgentReport,
    /// When the agent's bucket will be full again, which says how full it is now.
    full_at: Duration,
}

/// How far the snapshot that follows a resync has come.
#[derive(Debug)]
enum Snapshot {
    None,
    From(Bound<AgentKey>),
}

#[derive(Debug)]
pub(super) struct Reports {
    latest: BTreeMap<AgentKey, Latest>,
    /// Changed since it was last sent.
    changed: Outbox<AgentKey, ()>,
    /// Changed too often; by when it may be sent.
    held_back: BTreeSet<(Duration, AgentKey)>,
    snapshot: Snapshot,
    /// Of the boot.
    seq: u64,
    /// The hub can take reports.
    live: bool,
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            latest: BTreeMap::new(),
            changed: Outbox::default(),
            held_back: BTreeSet::new(),
            snapshot: Snapshot::None,
            seq: 0,
            live: false,
        }
    }
}

impl Reports {
    pub fn set(&mut self, report: AgentReport) {
        let key = report.agent.key.clone();
        match self.latest.get_mut(&key) {
            Some(latest) if latest.report == report => return,
            Some(latest) => latest.report = report,
            None => {
                self.latest.insert(key.clone(), Latest { report, full_at: Duration::ZERO });
            }
        }
        // While nobody listens nothing is queued: a snapshot will tell all.
        if self.live && !self.is_held_back(&key) {
            self.changed.push(key, ());
        }
    }

    pub fn unset(&mut self, key: &AgentKey) {
        if let Some(latest) = self.latest.remove(key) {
            self.changed.remove(key);
            self.held_back.remove(&(allowed_at(&latest), key.clone()));
        }
    }

    fn is_held_back(&self, key: &AgentKey) -> bool {
        let Some(latest) = self.latest.get(key) else {
            return false;
        };
        self.held_back.contains(&(allowed_at(latest), key.clone()))
    }

    /// Begins to send everything.
    pub fn start_snapshot(&mut self) {
        self.live = true;
        self.snapshot = Snapshot::From(Bound::Unbounded);
    }

    /// Nobody listens any more.
    pub fn end_session(&mut self) {
        self.live = false;
        self.snapshot = Snapshot::None;
        self.changed.clear();
        self.held_back.clear();
    }

    /// The next report to send, or the end of a snapshot.
    pub fn next(&mut self, boot_id: &str, now: Duration) -> Option<Frame> {
        if !self.live {
            return None;
        }
        if let Snapshot::From(from) = &self.snapshot {
            let next = self.latest.range((from.clone(), Bound::Unbounded)).next().map(|(key, _)| key.clone());
            let Some(key) = next else {
                self.snapshot = Snapshot::None;
                let end = v1::StatusSnapshotEnd { boot_id: boot_id.to_owned(), seq: self.seq };
                return Some(Frame::StatusSnapshotEnd(end));
            };
            self.changed.remove(&key);
            self.snapshot = Snapshot::From(Bound::Excluded(key.clone()));
            let latest = self.latest.get(&key)?;
            self.held_back.remove(&(allowed_at(latest), key));
            self.seq += 1;
            return Some(Frame::Status(wire::status(&latest.report, boot_id, self.seq)));
        }
        while let Some((key, ())) = self.changed.pop() {
            let Some(latest) = self.latest.get_mut(&key) else {
                continue;
            };
            let allowed = allowed_at(latest);
            if allowed > now {
                self.held_back.insert((allowed, key));
                continue;
            }
            latest.full_at = latest.full_at.max(now) + INTERVAL;
            self.seq += 1;
            return Some(Frame::Status(wire::status(&latest.report, boot_id, self.seq)));
        }
        None
    }

    /// Lets go what was held back until now.
    pub fn on_timer(&mut self, now: Duration) {
        while let Some((at, _)) = self.held_back.first()
            && *at <= now
            && let Some((_, key)) = self.held_back.pop_first()
        {
            self.changed.push(key, ());
        }
    }

    /// When something that is held back may go.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.held_back.first().map(|(at, _)| *at)
    }

    /// Reports that wait to be sent, snapshots apart.
    pub fn depth(&self) -> usize {
        self.changed.len() + self.held_back.len()
    }
}

/// When the agent's bucket has a token.
fn allowed_at(latest: &Latest) -> Duration {
    latest.full_at.saturating_sub(INTERVAL * (BURST - 1))
}
