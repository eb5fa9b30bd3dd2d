//! Measurements on a running fleet, each beside a floor of the same run: machines are shared and noisy, so
//! a ratio says more than a time.

pub mod percentile;
pub mod propagation;
mod seen;
