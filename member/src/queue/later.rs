//! Turns that are due at a time.

use std::collections::{BTreeSet, HashMap};

use parallax_crds::AgentKey;
use tokio::time::Instant;

/// When agents are due, one time each.
#[derive(Default)]
pub(super) struct Later {
    due: HashMap<AgentKey, Instant>,
    order: BTreeSet<(Instant, AgentKey)>,
}

impl Later {
    pub fn set(&mut self, key: &AgentKey, due: Instant) {
        self.remove(key);
        self.due.insert(key.clone(), due);
        self.order.insert((due, key.clone()));
    }

    pub fn remove(&mut self, key: &AgentKey) {
        if let Some(due) = self.due.remove(key) {
            self.order.remove(&(due, key.clone()));
        }
    }

    /// When it is due.
    pub fn get(&self, key: &AgentKey) -> Option<Instant> {
        self.due.get(key).copied()
    }

    /// When the first is due.
    pub fn first(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// One that is due now.
    pub fn pop(&mut self, now: Instant) -> Option<AgentKey> {
        let (_, key) = self.order.first().filter(|(due, _)| *due <= now).cloned()?;
        self.remove(&key);
        Some(key)
    }
}
