//! What was written lately, so that the same again is counted up instead of written anew.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::throttle::Key;

/// How long an Event is counted up; the recorder's own cache keeps it as long.
const KEPT: Duration = Duration::from_secs(6 * 60);
/// Things that are remembered; the one that was written longest ago goes first.
const LIMIT: usize = 4096;

/// The latest Event of each key, with what writes it (`R`).
#[derive(Debug)]
pub(super) struct Series<R> {
    kept: HashMap<Key, Written<R>>,
    /// Keys in the order in which they were written.
    order: BTreeMap<u64, Key>,
    writes: u64,
}

/// An Event's note can't change, so another note needs another Event, and the recorder would go on counting the old
/// one: a new note gets a new recorder.
#[derive(Debug)]
struct Written<R> {
    number: u64,
    at: Duration,
    note: String,
    recorder: R,
}

impl<R> Series<R> {
    pub fn new() -> Self {
        Self { kept: HashMap::new(), order: BTreeMap::new(), writes: 0 }
    }

    /// What wrote the same before, which is to be given back when it has written it again.
    pub fn take(&mut self, key: &Key, note: &str, now: Duration) -> Option<R> {
        while let Some(oldest) = self.order.first_entry() {
            if self.kept.get(oldest.get()).is_some_and(|written| written.at + KEPT > now) {
                break;
            }
            self.kept.remove(&oldest.remove());
        }
        let written = self.kept.remove(key)?;
        self.order.remove(&written.number);
        (written.note == note).then_some(written.recorder)
    }

    /// `recorder` has written the note.
    pub fn put(&mut self, key: Key, note: String, recorder: R, now: Duration) {
        if self.kept.len() >= LIMIT
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.kept.remove(&oldest);
        }
        self.writes += 1;
        self.order.insert(self.writes, key.clone());
        let written = Written { number: self.writes, at: now, note, recorder };
        if let Some(earlier) = self.kept.insert(key, written) {
            self.order.remove(&earlier.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ObjectReference;

    use super::*;

    fn key(name: usize) -> Key {
        let object = ObjectReference { name: Some(name.to_string()), ..ObjectReference::default() };
        Key::new(object, false, "Placed")
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_same_note_is_counted_up_for_six_minutes() {
        let mut series = Series::new();
        series.put(key(1), "x".to_owned(), "first", at(0));
        assert_eq!(series.take(&key(1), "x", at(359)), Some("first"));
        series.put(key(1), "x".to_owned(), "first", at(359));
        assert_eq!(series.take(&key(1), "y", at(360)), None);
        series.put(key(1), "y".to_owned(), "second", at(360));
        assert_eq!(series.take(&key(1), "y", at(720)), None);
    }

    #[test]
    fn memory_is_bounded_and_what_is_oldest_goes() {
        let mut series = Series::new();
        for round in 0..3 {
            for n in 0..LIMIT {
                series.put(key(n), "x".to_owned(), round, at(round));
            }
        }
        series.put(key(LIMIT), "x".to_owned(), 3, at(3));
        assert_eq!((series.kept.len(), series.order.len()), (LIMIT, LIMIT));
        assert_eq!(series.take(&key(0), "x", at(3)), None);
        assert_eq!(series.take(&key(1), "x", at(3)), Some(2));
        assert_eq!((series.kept.len(), series.order.len()), (LIMIT - 1, LIMIT - 1));
        assert_eq!(series.take(&key(LIMIT), "x", at(363)), None);
        assert!(series.kept.is_empty() && series.order.is_empty());
    }
}
