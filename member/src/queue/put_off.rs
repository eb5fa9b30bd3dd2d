//! The turns that were put off.

use std::collections::{BTreeSet, HashMap};

use parallax_crds::AgentKey;

/// Agents whose turn was put off, the longest-waiting first. A further turn that is put off too keeps the place.
#[derive(Default)]
pub(super) struct PutOff {
    serial: u64,
    places: HashMap<AgentKey, u64>,
    order: BTreeSet<(u64, AgentKey)>,
}

impl PutOff {
    pub fn add(&mut self, key: &AgentKey) {
        self.serial += 1;
        let place = *self.places.entry(key.clone()).or_insert(self.serial);
        self.order.insert((place, key.clone()));
    }

    pub fn remove(&mut self, key: &AgentKey) {
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&(place, key.clone()));
        }
    }

    /// The first of those that may be taken.
    pub fn first(&self, may: impl Fn(&AgentKey) -> bool) -> Option<AgentKey> {
        self.order.iter().map(|(_, key)| key).find(|key| may(key)).cloned()
    }

    pub fn has(&self, key: &AgentKey) -> bool {
        self.places.contains_key(key)
    }

    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }
}
