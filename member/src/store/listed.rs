//! Small facts about many objects, by name. What a listing doesn't have is gone when it is complete.

use std::collections::HashMap;

/// Facts by name, each with the listing that it was last in.
#[derive(Debug)]
pub struct Listed<V> {
    listing: u32,
    all: HashMap<Box<str>, (u32, V)>,
}

impl<V> Default for Listed<V> {
    fn default() -> Self {
        Self { listing: 0, all: HashMap::new() }
    }
}

impl<V: PartialEq> Listed<V> {
    /// What is known of that name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.all.get(name).map(|(_, value)| value)
    }

    /// All that is known.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.all.values().map(|(_, value)| value)
    }

    /// Takes a fact in; whether it is news.
    pub fn put(&mut self, name: &str, value: V) -> bool {
        let news = self.get(name) != Some(&value);
        self.all.insert(name.into(), (self.listing, value));
        news
    }

    /// An object is gone.
    pub fn remove(&mut self, name: &str) {
        self.all.remove(name);
    }

    /// A listing begins.
    pub fn list(&mut self) {
        self.listing += 1;
    }

    /// It is complete.
    pub fn sweep(&mut self) {
        let listing = self.listing;
        self.all.retain(|_, (seen, _)| *seen == listing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_ends_what_it_does_not_have() {
        let mut listed = Listed::default();
        assert!(listed.put("a", 1) && listed.put("b", 1));
        assert!(!listed.put("a", 1), "no news");
        listed.list();
        listed.put("b", 1);
        listed.put("c", 2);
        listed.sweep();
        assert_eq!((listed.get("a"), listed.get("b"), listed.get("c")), (None, Some(&1), Some(&2)));
    }
}
