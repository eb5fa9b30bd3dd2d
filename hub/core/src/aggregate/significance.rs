//! How much a change of a status hurries.

use parallax_crds::ParallaxAgentStatus;

/// How soon a changed status is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Significance {
    /// Nothing has changed.
    None,
    /// An intermediate change: the one that settles it is likely to follow, and may carry it along.
    Soon,
    /// It settles something, or people and tools wait for it.
    Now,
}

/// How much the change from `previous` (what was last written) to `next` hurries.
#[must_use]
pub fn significance(previous: Option<&ParallaxAgentStatus>, next: &ParallaxAgentStatus) -> Significance {
    match previous {
        Some(previous) if previous == next => Significance::None,
        _ => Significance::Now,
    }
}
