//! Tombstones: removals that outlive the agent's object, because a cluster was away when it was deleted.
//!
//! The set that is wanted and the set that is stored are kept apart; one write at a time brings the second to the
//! first, so that stores and drops can't overtake each other.

use std::collections::BTreeSet;
use std::time::Duration;

use parallax_crds::{AgentKey, AgentRef, ClusterName, Incarnation};

const RETRY: Duration = Duration::from_secs(2);

/// A removal that one cluster still has to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tombstone {
    /// The cluster that may hold the agent.
    pub cluster: ClusterName,
    /// Which agent: another of the same name is not meant.
    pub agent: AgentRef,
}

/// A change of what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TombstoneWrite {
    /// To be there.
    pub store: Vec<Tombstone>,
    /// To be no longer there.
    pub drop: Vec<Tombstone>,
}

/// All tombstones of the fleet.
#[derive(Debug, Clone, Default)]
pub struct Tombstones {
    wanted: BTreeSet<Tombstone>,
    stored: BTreeSet<Tombstone>,
    /// A store of these failed in a way that leaves open whether it was carried out.
    doubtful: BTreeSet<Tombstone>,
    changed: BTreeSet<Tombstone>,
    in_flight: Option<TombstoneWrite>,
    retry_at: Duration,
}

impl Tombstones {
    /// Takes in what is stored, at the start.
    pub fn load(&mut self, stored: Vec<Tombstone>) {
        self.wanted.extend(stored.iter().cloned());
        self.stored.extend(stored);
    }

    /// Wants a tombstone stored. Whether it is stored already.
    pub fn plant(&mut self, tombstone: Tombstone) -> bool {
        let stored = self.stored.contains(&tombstone);
        if self.wanted.insert(tombstone.clone()) || !stored {
            self.changed.insert(tombstone);
        }
        stored
    }

    /// The removal is done, or meant no longer.
    pub fn lift(&mut self, tombstone: &Tombstone) {
        if self.wanted.remove(tombstone) {
            self.changed.insert(tombstone.clone());
        }
    }

    /// Every tombstone of a cluster, by agent.
    pub fn of<'a>(&'a self, cluster: &ClusterName) -> impl Iterator<Item = &'a AgentRef> + use<'a> {
        let first = Tombstone {
            cluster: cluster.clone(),
            agent: AgentRef { key: AgentKey::new("", ""), incarnation: Incarnation::new("") },
        };
        let cluster = cluster.clone();
        self.wanted.range(first..).take_while(move |t| t.cluster == cluster).map(|t| &t.agent)
    }

    /// Every tombstone of a cluster for agents of one name.
    #[must_use]
    pub fn named(&self, cluster: &ClusterName, key: &AgentKey) -> Vec<Tombstone> {
        let first = Tombstone {
            cluster: cluster.clone(),
            agent: AgentRef { key: key.clone(), incarnation: Incarnation::new("") },
        };
        self.wanted
            .range(first..)
            .take_while(|t| t.cluster == *cluster && t.agent.key == *key)
            .cloned()
            .collect()
    }

    /// Whether the removal is owed.
    #[must_use]
    pub fn contains(&self, tombstone: &Tombstone) -> bool {
        self.wanted.contains(tombstone)
    }

    /// The next write, if one is due; it is answered by [`Self::written`].
    pub fn take(&mut self, now: Duration) -> Option<TombstoneWrite> {
        if self.in_flight.is_some() || self.changed.is_empty() || now < self.retry_at {
            return None;
        }
        let mut write = TombstoneWrite::default();
        for tombstone in std::mem::take(&mut self.changed) {
            match (self.wanted.contains(&tombstone), self.stored.contains(&tombstone)) {
                (true, false) => write.store.push(tombstone),
                (false, stored) if stored || self.doubtful.contains(&tombstone) => write.drop.push(tombstone),
                _ => {}
            }
        }
        if write.store.is_empty() && write.drop.is_empty() {
            return None;
        }
        self.in_flight = Some(write.clone());
        Some(write)
    }

    /// The write is over. What it has stored; nothing when it failed, and it is due again a little later.
    pub fn written(&mut self, ok: bool, now: Duration) -> Vec<Tombstone> {
        let Some(write) = self.in_flight.take() else {
            return Vec::new();
        };
        if !ok {
            self.retry_at = now + RETRY;
            self.doubtful.extend(write.store.iter().cloned());
            self.changed.extend(write.store);
            self.changed.extend(write.drop);
            return Vec::new();
        }
        for tombstone in &write.drop {
            self.stored.remove(tombstone);
            self.doubtful.remove(tombstone);
            if self.wanted.contains(tombstone) {
                self.changed.insert(tombstone.clone());
            }
        }
        for tombstone in &write.store {
            self.doubtful.remove(tombstone);
            self.stored.insert(tombstone.clone());
            if !self.wanted.contains(tombstone) {
                self.changed.insert(tombstone.clone());
            }
        }
        write.store
    }

    /// When [`Self::take`] may next have something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        (self.in_flight.is_none() && !self.changed.is_empty()).then_some(self.retry_at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tombstone(cluster: &str, name: &str, incarnation: &str) -> Tombstone {
        Tombstone {
            cluster: ClusterName::new(cluster).unwrap(),
            agent: AgentRef {
                key: AgentKey::new("default", name),
                incarnation: Incarnation::new(incarnation),
            },
        }
    }

    const ZERO: Duration = Duration::ZERO;

    #[test]
    fn what_is_lifted_before_it_is_stored_is_never_written() {
        let mut all = Tombstones::default();
        assert!(!all.plant(tombstone("a", "x", "1")));
        all.lift(&tombstone("a", "x", "1"));
        assert_eq!(all.take(ZERO), None);
    }

    #[test]
    fn a_lift_during_the_store_is_dropped_after_it() {
        let mut all = Tombstones::default();
        let t = tombstone("a", "x", "1");
        all.plant(t.clone());
        assert_eq!(all.take(ZERO).unwrap().store.as_slice(), std::slice::from_ref(&t));
        all.lift(&t);
        assert_eq!(all.take(ZERO), None, "one write at a time");
        all.written(true, ZERO);
        assert_eq!(all.take(ZERO).unwrap().drop, [t]);
    }

    #[test]
    fn a_failed_write_is_tried_again_and_not_taken_for_stored() {
        let mut all = Tombstones::default();
        let t = tombstone("a", "x", "1");
        all.plant(t.clone());
        all.take(ZERO).unwrap();
        assert!(all.written(false, ZERO).is_empty());
        assert_eq!(all.take(ZERO), None);
        assert_eq!(all.next_deadline(), Some(RETRY));
        assert_eq!(all.take(RETRY).unwrap().store.as_slice(), std::slice::from_ref(&t));
        assert_eq!(all.written(true, RETRY).as_slice(), std::slice::from_ref(&t));
        assert!(all.plant(t));
    }

    #[test]
    fn tombstones_are_found_by_cluster_and_by_name() {
        let mut all = Tombstones::default();
        all.load(vec![
            tombstone("a", "x", "1"),
            tombstone("a", "x", "2"),
            tombstone("a", "y", "3"),
            tombstone("b", "x", "1"),
        ]);
        let a = ClusterName::new("a").unwrap();
        assert_eq!(all.of(&a).count(), 3);
        assert_eq!(all.named(&a, &AgentKey::new("default", "x")).len(), 2);
    }
}
