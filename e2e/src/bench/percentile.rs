//! Percentiles of a handful of durations.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The p50, p95 and p99 of a sample, in milliseconds, by the nearest-rank method.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many durations.
    pub count: usize,
    /// The median, in milliseconds.
    pub p50: f64,
    /// The 95th percentile, in milliseconds.
    pub p95: f64,
    /// The 99th percentile, in milliseconds.
    pub p99: f64,
}

impl Percentiles {
    /// Of a sample; `None` when it is empty.
    #[must_use]
    pub fn of(sample: &[Duration]) -> Option<Self> {
        let mut sorted = sample.to_vec();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map(|d| d.as_secs_f64() * 1e3)
        };
        Some(Self { count: sorted.len(), p50: rank(50)?, p95: rank(95)?, p99: rank(99)? })
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms (n={})", self.p50, self.p95, self.p99, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_members_of_the_sample_by_nearest_rank() {
        let sample: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        let p = Percentiles::of(&sample).map(|p| (p.p50, p.p95, p.p99));
        assert_eq!(p, Some((50.0, 95.0, 99.0)));
    }

    #[test]
    fn an_empty_sample_has_no_percentiles() {
        assert_eq!(Percentiles::of(&[]), None);
    }
}
