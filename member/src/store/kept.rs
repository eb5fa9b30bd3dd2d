//! One object of which the newest known version is kept, whoever brings it: a watch or the answer to a write.

use std::sync::Arc;

/// What is kept of objects has an identity and an age.
pub trait Versioned {
    /// The object's UID.
    fn uid(&self) -> &str;
    /// Its resourceVersion. Kubernetes guarantees their order within a kind.
    fn version(&self) -> u64;
}

/// The newest version of one object, if it exists.
#[derive(Debug)]
pub struct Kept<T> {
    live: Option<Arc<T>>,
    /// The UID that was last seen to go, and the version of its end: a write's answer that arrives after that
    /// brings nothing back. A later version does: an object that lost our label goes from our watch only.
    gone: Option<(Box<str>, u64)>,
    /// In which listing it was last touched.
    listing: u32,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { live: None, gone: None, listing: 0 }
    }
}

impl<T: Versioned> Kept<T> {
    /// The object.
    pub fn live(&self) -> Option<&Arc<T>> {
        self.live.as_ref()
    }

    /// Takes a version in. None when it is no news; otherwise what was there before.
    pub fn update(&mut self, new: T, listing: u32) -> Option<Option<Arc<T>>> {
        if self.gone.as_ref().is_some_and(|(uid, end)| **uid == *new.uid() && new.version() < *end) {
            return None;
        }
        self.listing = listing;
        if self.live.as_ref().is_some_and(|old| old.version() >= new.version()) {
            return None;
        }
        Some(self.live.replace(Arc::new(new)))
    }

    /// A listing has the object of that UID.
    pub fn listed(&mut self, uid: &str, listing: u32) {
        if self.live.as_ref().is_some_and(|live| live.uid() == uid) {
            self.listing = listing;
        }
    }

    /// The object of that UID went at that version; what was there, if it was that one and no later.
    pub fn remove(&mut self, uid: &str, version: u64) -> Option<Arc<T>> {
        let ours = self.live.as_ref().is_some_and(|live| live.uid() == uid && live.version() <= version);
        if ours || self.live.is_none() {
            self.gone = Some((uid.into(), version));
        }
        if ours { self.live.take() } else { None }
    }

    /// A listing is complete: an object that it didn't touch is gone.
    pub fn sweep(&mut self, listing: u32) -> Option<Arc<T>> {
        if self.listing == listing {
            return None;
        }
        let live = self.live.as_ref()?;
        let (uid, end): (Box<str>, _) = (live.uid().into(), live.version() + 1);
        self.remove(&uid, end)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Thing(&'static str, u64);

    impl Versioned for Thing {
        fn uid(&self) -> &str {
            self.0
        }
        fn version(&self) -> u64 {
            self.1
        }
    }

    fn version(kept: &Kept<Thing>) -> Option<u64> {
        kept.live().map(|t| t.1)
    }

    #[test]
    fn an_older_version_is_no_news() {
        let mut kept = Kept::default();
        assert!(kept.update(Thing("a", 5), 0).is_some());
        assert!(kept.update(Thing("a", 5), 0).is_none());
        assert!(kept.update(Thing("a", 4), 0).is_none());
        assert!(kept.update(Thing("a", 6), 0).unwrap().is_some());
        assert_eq!(version(&kept), Some(6));
    }

    #[test]
    fn the_late_end_of_a_predecessor_does_not_end_its_successor() {
        let mut kept = Kept::default();
        kept.update(Thing("a", 5), 0);
        kept.update(Thing("b", 9), 0);
        assert!(kept.remove("a", 8).is_none());
        assert_eq!(version(&kept), Some(9));
    }

    #[test]
    fn the_late_answer_to_a_write_brings_nothing_back() {
        let mut kept = Kept::default();
        kept.update(Thing("a", 5), 0);
        assert!(kept.remove("a", 7).is_some());
        assert!(kept.update(Thing("a", 6), 0).is_none());
        assert!(kept.update(Thing("b", 7), 0).is_some());
    }

    #[test]
    fn an_object_that_only_lost_our_label_can_come_back() {
        let mut kept = Kept::default();
        kept.update(Thing("a", 5), 0);
        assert!(kept.remove("a", 6).is_some());
        assert!(kept.update(Thing("a", 6), 0).is_some());
        assert!(kept.update(Thing("a", 7), 0).is_some());
        assert!(kept.remove("a", 6).is_none());
        assert_eq!(version(&kept), Some(7));
    }

    #[test]
    fn a_listing_ends_what_it_does_not_have_and_spares_what_was_written_meanwhile() {
        let mut kept = Kept::default();
        kept.update(Thing("a", 5), 1);
        assert!(kept.sweep(1).is_none());
        kept.update(Thing("a", 6), 2);
        assert!(kept.sweep(2).is_none());
        assert!(kept.sweep(3).is_some());
        assert_eq!(version(&kept), None);
    }
}
