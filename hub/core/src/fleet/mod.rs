//! The fleet as one state machine.

use std::collections::VecDeque;
use std::time::Duration;

mod effect;
mod input;

pub use effect::{Effect, Subject};
pub use input::{CrdState, Hello, Input, Now, SessionEvent, SessionId, Write, WriteOutcome};

/// What the fleet is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The hub's own UID.
    pub hub_uid: String,
    /// The epoch that is stored and that orders are given under.
    pub epoch: u64,
    /// Before `/agent-<type>` in default images.
    pub image_prefix: String,
    /// The tag of default images.
    pub image_tag: String,
    /// Explicit deletions count towards the mass-removal guard too.
    pub hold_mass_deletions: bool,
    /// How many sessions may be between Admit and Synced at a time; others are told to come again.
    pub max_resyncs: usize,
}

/// The whole fleet: agents, clusters, sessions, and what is owed to each.
#[derive(Debug)]
pub struct Fleet {
    config: Config,
    effects: VecDeque<Effect>,
}

impl Fleet {
    /// An empty fleet at the hub's start. Nothing is admitted or ordered before both lists and the tombstones are in.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            effects: VecDeque::new(),
        }
    }

    /// Takes in one thing that happened. Poll for effects until there are none afterwards.
    pub fn handle(&mut self, input: Input, now: Now) {
        let _ = (input, now, &self.config);
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Input::Tick`] is due, on the monotonic clock; none while nothing is.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        None
    }
}
