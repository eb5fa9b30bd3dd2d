//! Which event is written when: pure, in time since an arbitrary origin.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;

/// Between two writes about the same thing.
const QUIET: Duration = Duration::from_secs(60);
/// Writes a second over all, and how many may go at once after a quiet time.
const RATE: u32 = 50;
/// Things that are remembered, waiting or lately written.
const LIMIT: usize = 4096;
/// Between two looks for what need not be remembered any more.
const SWEEP: Duration = Duration::from_secs(1);
const MAX_REASON: usize = 128;

/// What an event is about: the same thing again is the same key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) object: ObjectReference,
    pub(super) warning: bool,
    pub(super) reason: String,
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.object.namespace.hash(state);
        self.object.name.hash(state);
        self.object.uid.hash(state);
        self.reason.hash(state);
    }
}

impl Key {
    /// The object without its version, which changes while the thing is the same.
    pub(super) fn new(object: ObjectReference, warning: bool, reason: &str) -> Self {
        let reason = reason[..reason.floor_char_boundary(MAX_REASON)].to_owned();
        Self { object: ObjectReference { resource_version: None, ..object }, warning, reason }
    }
}

#[derive(Debug, Default)]
struct Entry {
    waits: Option<String>,
    written: Option<Duration>,
}

/// The latest note of each key, and when it may go.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    entries: HashMap<Key, Entry>,
    /// Waiting keys by when they are due, then by when they came.
    schedule: BTreeMap<(Duration, u64), Key>,
    came: u64,
    /// The bucket as the time at which it will have been refilled.
    full_at: Duration,
    /// When there was last no room.
    swept: Option<Duration>,
}

impl Throttle {
    /// Takes a note; one that waits about the same thing is replaced. False when there is no room.
    pub(super) fn offer(&mut self, key: Key, note: String, now: Duration) -> bool {
        if self.entries.len() >= LIMIT && !self.entries.contains_key(&key) {
            self.sweep(now);
            if self.entries.len() >= LIMIT {
                return false;
            }
        }
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.waits.replace(note).is_none() {
            let due = entry.written.map_or(now, |written| now.max(written + QUIET));
            self.came += 1;
            self.schedule.insert((due, self.came), key);
        }
        true
    }

    /// Forgets what may be written at once anyway. A flood of events doesn't make it look through all of them for each.
    fn sweep(&mut self, now: Duration) {
        if self.swept.is_none_or(|swept| swept + SWEEP <= now) {
            self.swept = Some(now);
            self.entries.retain(|_, entry| {
                entry.waits.is_some() || entry.written.is_some_and(|written| written + QUIET > now)
            });
        }
    }

    /// The next event to write now.
    pub(super) fn next(&mut self, now: Duration) -> Option<(Key, String)> {
        if self.deadline()? > now {
            return None;
        }
        let (_, key) = self.schedule.pop_first()?;
        let entry = self.entries.get_mut(&key)?;
        let note = entry.waits.take()?;
        entry.written = Some(now);
        self.full_at = self.full_at.max(now) + Duration::from_secs(1) / RATE;
        Some((key, note))
    }

    /// When [`Self::next`] will have something.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let (due, _) = self.schedule.keys().next()?;
        // A bucket of RATE is a second's worth.
        let has_token = (self.full_at + Duration::from_secs(1) / RATE).saturating_sub(Duration::from_secs(1));
        Some((*due).max(has_token))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(name: &str, reason: &str) -> Key {
        let object = ObjectReference { name: Some(name.to_owned()), ..ObjectReference::default() };
        Key::new(object, false, reason)
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_goes_at_once_and_the_last_of_a_minute_at_its_end() {
        let mut throttle = Throttle::default();
        assert!(throttle.offer(key("a", "Placed"), "one".into(), at(0)));
        assert_eq!(throttle.next(at(0)).unwrap().1, "one");
        for note in ["two", "three"] {
            assert!(throttle.offer(key("a", "Placed"), note.into(), at(10)));
        }
        assert_eq!(throttle.next(at(59_999)), None);
        assert_eq!(throttle.deadline(), Some(at(60_000)));
        assert_eq!(throttle.next(at(60_000)).unwrap().1, "three");
        assert_eq!(throttle.deadline(), None);
    }

    #[test]
    fn other_objects_and_reasons_do_not_wait_for_each_other() {
        let mut throttle = Throttle::default();
        for key in [key("a", "Placed"), key("a", "Settled"), key("b", "Placed")] {
            assert!(throttle.offer(key, "x".into(), at(0)));
        }
        let written = std::iter::from_fn(|| throttle.next(at(0))).count();
        assert_eq!(written, 3);
    }

    #[test]
    fn an_object_that_changed_meanwhile_is_the_same_thing() {
        let one = ObjectReference { resource_version: Some("1".into()), ..ObjectReference::default() };
        let two = ObjectReference { resource_version: Some("2".into()), ..ObjectReference::default() };
        assert_eq!(Key::new(one, true, "X"), Key::new(two, true, "X"));
    }

    #[test]
    fn fifty_a_second_go_over_all() {
        let mut throttle = Throttle::default();
        for n in 0..1000 {
            assert!(throttle.offer(key(&n.to_string(), "Placed"), "x".into(), at(0)));
        }
        let mut written = Vec::new();
        for second in 0..10 {
            for milli in (0..1000).step_by(10) {
                while throttle.next(at(second * 1000 + milli)).is_some() {
                    written.push(second);
                }
            }
        }
        let in_second = |n| written.iter().filter(|second| **second == n).count();
        assert!(in_second(0) <= 100, "{}", in_second(0));
        for second in 1..10 {
            assert!((49..=51).contains(&in_second(second)), "{second}: {}", in_second(second));
        }
    }

    #[test]
    fn memory_is_bounded_and_room_comes_back() {
        let mut throttle = Throttle::default();
        for n in 0..LIMIT {
            assert!(throttle.offer(key(&n.to_string(), "Placed"), "x".into(), at(0)));
        }
        assert!(!throttle.offer(key("one more", "Placed"), "x".into(), at(0)));
        assert!(throttle.offer(key("0", "Placed"), "replaced".into(), at(0)));
        let later = at(1_000_000);
        while throttle.next(later).is_some() {}
        assert!(throttle.offer(key("one more", "Placed"), "x".into(), later + QUIET));
    }

    #[test]
    fn a_flood_is_looked_through_once_a_second() {
        let mut throttle = Throttle::default();
        for n in 0..LIMIT {
            assert!(throttle.offer(key(&n.to_string(), "Placed"), "x".into(), at(0)));
        }
        assert!(!throttle.offer(key("one more", "Placed"), "x".into(), at(500)));
        assert!(throttle.next(at(500)).is_some());
        let (next, written) = (throttle.swept, at(500) + QUIET);
        assert!(!throttle.offer(key("one more", "Placed"), "x".into(), at(1499)));
        assert_eq!(throttle.swept, next);
        assert!(!throttle.offer(key("one more", "Placed"), "x".into(), at(1500)));
        assert!(throttle.offer(key("one more", "Placed"), "x".into(), written + SWEEP));
    }
}
