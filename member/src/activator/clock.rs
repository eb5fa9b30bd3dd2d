//! The time that decisions are told: what has passed since the Unix epoch, and never less than before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A clock that was set once, and goes on by itself: a change of the machine's time opens or closes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    set_at: Instant,
    set_to: Duration,
}

impl Clock {
    /// Set to the machine's time.
    pub fn start() -> Self {
        let set_to = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { set_at: Instant::now(), set_to }
    }

    /// What has passed since the Unix epoch.
    pub fn now(&self) -> Duration {
        self.set_to + self.set_at.elapsed()
    }

    /// When it will show that time.
    pub fn instant(&self, time: Duration) -> Instant {
        self.set_at + time.saturating_sub(self.set_to)
    }
}
