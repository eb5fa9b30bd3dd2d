//! A queue that holds the latest value per key, oldest key first.

use std::collections::BTreeMap;

/// What waits to be sent: at most one value per key. A key that is pushed again keeps its place in the queue, so that
/// one that changes all the time is not overtaken for ever.
#[derive(Debug, Clone)]
pub struct Outbox<K, V> {
    turn: u64,
    order: BTreeMap<u64, K>,
    values: BTreeMap<K, (u64, V)>,
}

impl<K: Ord + Clone, V> Default for Outbox<K, V> {
    fn default() -> Self {
        Self { turn: 0, order: BTreeMap::new(), values: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V> Outbox<K, V> {
    /// Queues `value`, in place of an older one of the same key.
    pub fn push(&mut self, key: K, value: V) {
        if let Some((_, old)) = self.values.get_mut(&key) {
            *old = value;
            return;
        }
        self.turn += 1;
        self.order.insert(self.turn, key.clone());
        self.values.insert(key, (self.turn, value));
    }

    /// Takes the value whose key has waited longest.
    pub fn pop(&mut self) -> Option<(K, V)> {
        let (_, key) = self.order.pop_first()?;
        let (_, value) = self.values.remove(&key)?;
        Some((key, value))
    }

    /// The key that has waited longest.
    #[must_use]
    pub fn first(&self) -> Option<&K> {
        self.order.first_key_value().map(|(_, key)| key)
    }

    /// Takes out the value of `key`.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (turn, value) = self.values.remove(key)?;
        self.order.remove(&turn);
        Some(value)
    }

    /// How many keys wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.order.clear();
        self.values.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_value_goes_out_in_the_first_ones_place() {
        let mut outbox = Outbox::default();
        outbox.push("a", 1);
        outbox.push("b", 2);
        outbox.push("a", 3);
        assert_eq!(outbox.len(), 2);
        assert_eq!(outbox.first(), Some(&"a"));
        assert_eq!(outbox.pop(), Some(("a", 3)));
        assert_eq!(outbox.pop(), Some(("b", 2)));
        assert_eq!(outbox.pop(), None);
    }

    #[test]
    fn what_is_removed_leaves_no_trace() {
        let mut outbox = Outbox::default();
        for _ in 0..1000 {
            outbox.push("a", 1);
            assert_eq!(outbox.remove(&"a"), Some(1));
        }
        assert!(outbox.is_empty());
        assert!(outbox.order.is_empty());
        outbox.push("a", 1);
        outbox.clear();
        assert_eq!(outbox.pop(), None);
    }
}
