//! How long a member waits before its next attempt: full jitter, so that members that lost their hub together don't
//! come back together.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The first window of a hub that was never reached.
const FIRST: Duration = Duration::from_millis(200);
/// The first window after the loss of an established session: every other member has probably lost its own too.
const LOST: Duration = Duration::from_secs(2);
/// The widest window of the first five minutes, and of later.
const CAP: Duration = Duration::from_secs(15);
const PATIENT: Duration = Duration::from_secs(300);
const LATER_CAP: Duration = Duration::from_secs(60);
/// A session that has lasted this long was healthy.
const HEALTHY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Backoff {
    random: SmallRng,
    window: Duration,
    /// When the hub was last lost.
    outage: Option<Duration>,
}

impl Backoff {
    pub fn new(seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), window: FIRST, outage: None }
    }

    /// After an attempt that led to no session.
    pub fn after_failure(&mut self, now: Duration) -> Duration {
        let outage = *self.outage.get_or_insert(now);
        let cap = if now.saturating_sub(outage) < PATIENT { CAP } else { LATER_CAP };
        let window = self.window.min(cap);
        self.window = window.saturating_mul(2).min(cap);
        self.within(Duration::ZERO, window)
    }

    /// After a session that was established and `lasted`.
    pub fn after_session(&mut self, lasted: Duration, now: Duration) -> Duration {
        if lasted >= HEALTHY {
            self.window = LOST;
            self.outage = Some(now);
        }
        self.window = self.window.max(LOST);
        self.after_failure(now)
    }

    /// After a refusal: somebody has to do something first, and may have done it at any time.
    pub fn after_refusal(&mut self) -> Duration {
        self.within(Duration::from_secs(15), Duration::from_secs(60))
    }

    /// When the hub has asked for `after`: not earlier, and not all at once.
    pub fn after_retry(&mut self, after: Duration) -> Duration {
        let after = after.min(LATER_CAP * 5);
        self.within(after, after.mul_f64(1.25).max(after + FIRST))
    }

    fn within(&mut self, low: Duration, high: Duration) -> Duration {
        low + high.saturating_sub(low).mul_f64(self.random.random_range(0.0..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// The widest delay over many seeds, after the same history.
    fn widest(history: impl Fn(&mut Backoff) -> Duration) -> Duration {
        (0..400).map(|seed| history(&mut Backoff::new(seed))).max().unwrap_or_default()
    }

    #[test]
    fn a_hub_that_was_never_reached_is_tried_soon_then_less_often() {
        let first = widest(|b| b.after_failure(seconds(0)));
        assert!(first <= FIRST && first > FIRST / 2, "{first:?}");
        let tenth = widest(|b| (0..10).map(|_| b.after_failure(seconds(1))).last().unwrap_or_default());
        assert!(tenth <= CAP && tenth > seconds(12), "{tenth:?}");
        let late = widest(|b| (0..400).map(|n| b.after_failure(seconds(n))).last().unwrap_or_default());
        assert!(late <= LATER_CAP && late > seconds(50), "{late:?}");
    }

    #[test]
    fn losing_a_healthy_session_starts_with_a_window_of_two_seconds() {
        let again = widest(|b| {
            for n in 0..1000 {
                b.after_failure(seconds(n));
            }
            b.after_session(seconds(61), seconds(2000))
        });
        assert!(again <= LOST && again > LOST / 2, "{again:?}");
    }

    #[test]
    fn sessions_that_break_at_once_are_tried_less_and_less_often() {
        let tenth =
            widest(|b| (0..10).map(|n| b.after_session(seconds(1), seconds(n))).last().unwrap_or_default());
        assert!(tenth > seconds(12), "{tenth:?}");
    }

    #[test]
    fn what_the_hub_asks_for_is_waited_for() {
        let mut backoff = Backoff::new(1);
        for _ in 0..100 {
            let delay = backoff.after_retry(seconds(4));
            assert!((seconds(4)..=seconds(5)).contains(&delay), "{delay:?}");
            let delay = backoff.after_refusal();
            assert!((seconds(15)..=seconds(60)).contains(&delay), "{delay:?}");
        }
    }
}
