//! The machines of [`crate::session`], driven by tokio over tonic streams. Nothing is decided here.
//!
//! A shell changes a machine under its lock and wakes the driver: `session.lock().upsert(order); wake.notify_one()`.
//! No lock is held across an await; channels are bounded.

pub mod hub;
pub mod member;

use std::time::Duration;

use tokio::time::Instant;

/// Monotonic time since the clock was made: the `now` of the machines that a process drives. Copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The time since then.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// When `now` will be what is given.
    fn at(&self, time: Duration) -> Instant {
        self.origin.checked_add(time).unwrap_or_else(|| self.origin + Duration::from_secs(86_400 * 365))
    }
}

/// Sleeps until `time`, or for ever.
async fn sleep_until(clock: &Clock, time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep_until(clock.at(time)).await,
        None => std::future::pending().await,
    }
}
