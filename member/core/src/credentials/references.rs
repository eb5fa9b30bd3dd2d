//! Which agents refer to which objects of one kind, and what is known of those. Nothing is known of any other object.

use std::collections::{BTreeSet, HashMap, HashSet};

use parallax_crds::AgentKey;

type Name = Box<str>;

/// See the module. An agent refers to at most one object, of its own namespace.
#[derive(Debug)]
pub struct References<F> {
    namespaces: HashMap<Name, HashMap<Name, Referred<F>>>,
    of: HashMap<AgentKey, Name>,
    /// Objects that a listing, while one is under way, has had so far, by namespace.
    listings: HashMap<Name, HashSet<Name>>,
    serial: u64,
}

/// An object that agents refer to.
#[derive(Debug)]
struct Referred<F> {
    /// Each with the key that it needs.
    agents: HashMap<AgentKey, Box<str>>,
    known: Known<F>,
    /// Rises when something is seen to change.
    serial: u64,
}

#[derive(Debug)]
enum Known<F> {
    /// It has to be looked at.
    Nothing,
    /// There is none of that name.
    Absent,
    /// What it is like at that resourceVersion.
    As(String, F),
}

/// From when on a look at an object counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

impl<F> Default for References<F> {
    fn default() -> Self {
        Self { namespaces: HashMap::new(), of: HashMap::new(), listings: HashMap::new(), serial: 0 }
    }
}

impl<F: Clone> References<F> {
    /// The agent refers to that key of that object of its namespace from now on, and to no other; none: to nothing.
    pub fn refer(&mut self, agent: &AgentKey, to: Option<(&str, &str)>) {
        let before = self.of.remove(agent).filter(|before| to.is_none_or(|(name, _)| **before != *name));
        if let Some(before) = before
            && let Some(objects) = self.namespaces.get_mut(agent.namespace())
            && let Some(object) = objects.get_mut(&before)
        {
            object.agents.remove(agent);
            objects.retain(|_, object| !object.agents.is_empty());
            if objects.is_empty() {
                self.namespaces.remove(agent.namespace());
                self.listings.remove(agent.namespace());
            }
        }
        let Some((name, key)) = to else { return };
        self.of.insert(agent.clone(), name.into());
        self.serial += 1;
        let serial = self.serial;
        let fresh = || Referred { agents: HashMap::new(), known: Known::Nothing, serial };
        let objects = self.namespaces.entry(agent.namespace().into()).or_default();
        objects.entry(name.into()).or_insert_with(fresh).agents.insert(agent.clone(), key.into());
    }

    /// Whether any object of the namespace is referred to.
    #[must_use]
    pub fn in_use(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// Whether anything at all is referred to.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// The agents that refer to anything.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentKey> {
        self.of.keys().cloned().collect()
    }

    /// The keys that agents need of an object.
    #[must_use]
    pub fn keys(&self, namespace: &str, name: &str) -> BTreeSet<Box<str>> {
        self.get(namespace, name).map(|o| o.agents.values().cloned().collect()).unwrap_or_default()
    }

    /// What is known of an object (within: none when it doesn't exist), or a ticket for a look at it.
    ///
    /// # Errors
    /// The ticket, when it has to be looked at.
    pub fn known(&self, namespace: &str, name: &str) -> Result<Option<F>, Ticket> {
        let object = self.get(namespace, name);
        match object.map(|o| (&o.known, o.serial)) {
            Some((Known::As(_, facts), _)) => Ok(Some(facts.clone())),
            Some((Known::Absent, _)) => Ok(None),
            Some((Known::Nothing, serial)) => Err(Ticket(serial)),
            None => Err(Ticket(0)),
        }
    }

    /// A ticket for another look at an object.
    #[must_use]
    pub fn again(&self, namespace: &str, name: &str) -> Ticket {
        Ticket(self.get(namespace, name).map_or(0, |o| o.serial))
    }

    /// A look that began with this ticket has shown the object, or that there is none. It counts unless something has
    /// changed meanwhile: whoever was told so looks again.
    pub fn learn(&mut self, namespace: &str, name: &str, ticket: Ticket, looked: Option<(String, F)>) {
        if let Some(object) = self.get_mut(namespace, name).filter(|o| o.serial == ticket.0) {
            object.known = looked.map_or(Known::Absent, |(version, facts)| Known::As(version, facts));
        }
    }

    /// A watch shows an object at that version: the agents for which that is news.
    pub fn seen(&mut self, namespace: &str, name: &str, version: &str) -> Vec<AgentKey> {
        if let Some(listing) = self.listings.get_mut(namespace) {
            listing.insert(name.into());
        }
        self.changed(namespace, name, |known| !matches!(known, Known::As(of, _) if of == version))
    }

    /// A watch shows that an object is gone: the agents for which that is news.
    pub fn gone(&mut self, namespace: &str, name: &str) -> Vec<AgentKey> {
        self.changed(namespace, name, |known| !matches!(known, Known::Absent))
    }

    /// A listing of a namespace begins.
    pub fn list(&mut self, namespace: &str) {
        self.listings.insert(namespace.into(), HashSet::new());
    }

    /// It is complete: the agents whose object it didn't have.
    pub fn listed(&mut self, namespace: &str) -> Vec<AgentKey> {
        let had = self.listings.remove(namespace).unwrap_or_default();
        let objects = self.namespaces.get(namespace).into_iter().flat_map(HashMap::keys);
        let lost: Vec<Name> = objects.filter(|name| !had.contains(*name)).cloned().collect();
        lost.iter().flat_map(|name| self.gone(namespace, name)).collect()
    }

    /// Nothing is known of any object any more: the agents that have to look again.
    pub fn forget_all(&mut self) -> Vec<AgentKey> {
        self.listings.clear();
        self.serial += 1;
        for object in self.namespaces.values_mut().flat_map(HashMap::values_mut) {
            (object.known, object.serial) = (Known::Nothing, self.serial);
        }
        self.agents()
    }

    fn changed(&mut self, namespace: &str, name: &str, is_news: impl Fn(&Known<F>) -> bool) -> Vec<AgentKey> {
        let serial = self.serial + 1;
        let Some(object) = self.get_mut(namespace, name).filter(|o| is_news(&o.known)) else {
            return Vec::new();
        };
        (object.known, object.serial) = (Known::Nothing, serial);
        let agents = object.agents.keys().cloned().collect();
        self.serial = serial;
        agents
    }

    fn get(&self, namespace: &str, name: &str) -> Option<&Referred<F>> {
        self.namespaces.get(namespace)?.get(name)
    }

    fn get_mut(&mut self, namespace: &str, name: &str) -> Option<&mut Referred<F>> {
        self.namespaces.get_mut(namespace)?.get_mut(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn agent(name: &str) -> AgentKey {
        AgentKey::new("team", name)
    }

    /// Two agents that refer to one object, which was looked at.
    fn two() -> References<u8> {
        let mut all = References::default();
        all.refer(&agent("a"), Some(("keys", "A")));
        all.refer(&agent("b"), Some(("keys", "B")));
        let ticket = all.known("team", "keys").unwrap_err();
        all.learn("team", "keys", ticket, Some(("1".to_owned(), 1)));
        all
    }

    fn sorted(mut agents: Vec<AgentKey>) -> Vec<String> {
        agents.sort();
        agents.iter().map(|a| a.name().to_owned()).collect()
    }

    #[test]
    fn a_look_is_shared_until_the_object_changes() {
        let mut all = two();
        assert_eq!(all.known("team", "keys"), Ok(Some(1)));
        assert_eq!(all.keys("team", "keys").len(), 2);
        assert!(all.seen("team", "keys", "1").is_empty());
        assert_eq!(sorted(all.seen("team", "keys", "2")), ["a", "b"]);
        assert!(all.known("team", "keys").is_err());
    }

    #[test]
    fn nobody_hears_of_an_object_that_no_agent_names() {
        let mut all = two();
        assert!(all.seen("team", "others", "9").is_empty());
        assert!(all.seen("other-team", "keys", "9").is_empty());
        assert!(all.known("team", "others").is_err());
    }

    #[test]
    fn an_object_that_appears_or_goes_is_news_once() {
        let mut all = References::<u8>::default();
        all.refer(&agent("a"), Some(("keys", "A")));
        let ticket = all.known("team", "keys").unwrap_err();
        all.learn("team", "keys", ticket, None);
        assert_eq!(all.known("team", "keys"), Ok(None));
        assert!(all.gone("team", "keys").is_empty());
        assert_eq!(sorted(all.seen("team", "keys", "3")), ["a"]);
        let ticket = all.known("team", "keys").unwrap_err();
        all.learn("team", "keys", ticket, Some(("3".to_owned(), 3)));
        assert_eq!(sorted(all.gone("team", "keys")), ["a"]);
    }

    #[test]
    fn a_look_that_a_change_overtook_does_not_count() {
        let mut all = References::<u8>::default();
        all.refer(&agent("a"), Some(("keys", "A")));
        let ticket = all.known("team", "keys").unwrap_err();
        assert_eq!(sorted(all.seen("team", "keys", "2")), ["a"]);
        all.learn("team", "keys", ticket, None);
        let ticket = all.known("team", "keys").unwrap_err();
        all.learn("team", "keys", ticket, Some(("2".to_owned(), 2)));
        assert_eq!(all.known("team", "keys"), Ok(Some(2)));
    }

    #[test]
    fn a_listing_tells_what_went_unseen() {
        let mut all = two();
        all.refer(&agent("c"), Some(("more", "C")));
        let ticket = all.known("team", "more").unwrap_err();
        all.learn("team", "more", ticket, Some(("5".to_owned(), 5)));
        all.list("team");
        assert!(all.seen("team", "more", "5").is_empty());
        assert_eq!(sorted(all.listed("team")), ["a", "b"]);
    }

    #[test]
    fn what_nobody_refers_to_any_more_is_forgotten() {
        let mut all = two();
        all.refer(&agent("a"), Some(("more", "A")));
        assert_eq!(all.keys("team", "keys").len(), 1);
        all.refer(&agent("b"), None);
        assert!(all.known("team", "keys").is_err());
        assert!(all.in_use("team"));
        all.refer(&agent("a"), None);
        assert!(!all.in_use("team") && all.is_empty());
    }

    #[test]
    fn an_agent_that_keeps_its_reference_keeps_what_is_known() {
        let mut all = two();
        all.refer(&agent("a"), Some(("keys", "A")));
        assert_eq!(all.known("team", "keys"), Ok(Some(1)));
        all.refer(&agent("a"), Some(("keys", "OTHER")));
        assert!(all.keys("team", "keys").contains("OTHER") && !all.keys("team", "keys").contains("A"));
        assert_eq!(sorted(all.forget_all()), ["a", "b"]);
        assert!(all.known("team", "keys").is_err());
    }
}
