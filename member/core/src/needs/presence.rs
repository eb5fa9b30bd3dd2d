//! Which of the objects that agents need are there, as far as watches tell.

use std::collections::{BTreeSet, HashMap, HashSet};

use parallax_crds::AgentKey;

use super::{Kind, Need};

/// See the module. Of objects, only names are known, and only in namespaces in which an agent needs one of that kind.
#[derive(Debug, Default)]
pub struct Presence {
    needs: HashMap<AgentKey, BTreeSet<Need>>,
    places: HashMap<(Kind, Box<str>), Place>,
}

/// A kind's objects in one namespace.
#[derive(Debug, Default)]
struct Place {
    /// Whose needs are met here, or not.
    agents: HashSet<AgentKey>,
    /// The objects that there are; none before the first listing is complete.
    there: Option<HashSet<Box<str>>>,
    /// Those of the listing that is under way.
    listing: HashSet<Box<str>>,
}

impl Presence {
    /// The agent needs these from now on, and nothing else.
    pub fn need(&mut self, agent: &AgentKey, needs: BTreeSet<Need>) {
        let before = self.needs.remove(agent).unwrap_or_default();
        for kind in
            before.iter().map(|need| need.kind).filter(|kind| needs.iter().all(|need| need.kind != *kind))
        {
            let place = (kind, agent.namespace().into());
            if let Some(of) = self.places.get_mut(&place) {
                of.agents.remove(agent);
                if of.agents.is_empty() {
                    self.places.remove(&place);
                }
            }
        }
        for need in &needs {
            self.places
                .entry((need.kind, agent.namespace().into()))
                .or_default()
                .agents
                .insert(agent.clone());
        }
        if !needs.is_empty() {
            self.needs.insert(agent.clone(), needs);
        }
    }

    /// Whether an agent of that namespace needs an object of that kind.
    #[must_use]
    pub fn is_needed(&self, kind: Kind, namespace: &str) -> bool {
        self.places.contains_key(&(kind, namespace.into()))
    }

    /// What the agent needs and isn't there. Of what can't be known, nothing is said.
    #[must_use]
    pub fn missing(&self, agent: &AgentKey) -> Vec<Need> {
        let is_missing = |need: &&Need| {
            let place = self.places.get(&(need.kind, agent.namespace().into()));
            place.and_then(|place| place.there.as_ref()).is_some_and(|there| !there.contains(&need.name))
        };
        self.needs.get(agent).into_iter().flatten().filter(is_missing).cloned().collect()
    }

    /// A listing begins.
    pub fn list(&mut self, kind: Kind, namespace: &str) {
        if let Some(place) = self.place(kind, namespace) {
            place.listing.clear();
        }
    }

    /// It has an object of that name.
    pub fn lists(&mut self, kind: Kind, namespace: &str, name: &str) {
        if let Some(place) = self.place(kind, namespace) {
            place.listing.insert(name.into());
        }
    }

    /// It is complete: the agents for which that is news.
    pub fn listed(&mut self, kind: Kind, namespace: &str) -> Vec<AgentKey> {
        let Some(place) = self.place(kind, namespace) else { return Vec::new() };
        let now = std::mem::take(&mut place.listing);
        let before = place.there.replace(now.clone());
        self.concerned(kind, namespace, |name| {
            before.as_ref().is_none_or(|before| before.contains(name)) != now.contains(name)
        })
    }

    /// An object of that name is there, or has changed: the agents for which that is news.
    pub fn seen(&mut self, kind: Kind, namespace: &str, name: &str) -> Vec<AgentKey> {
        let there = self.place(kind, namespace).and_then(|place| place.there.as_mut());
        let news = there.is_some_and(|there| there.insert(name.into()));
        if news { self.concerned(kind, namespace, |of| of == name) } else { Vec::new() }
    }

    /// An object of that name is gone: the agents for which that is news.
    pub fn gone(&mut self, kind: Kind, namespace: &str, name: &str) -> Vec<AgentKey> {
        let there = self.place(kind, namespace).and_then(|place| place.there.as_mut());
        let news = there.is_some_and(|there| there.remove(name));
        if news { self.concerned(kind, namespace, |of| of == name) } else { Vec::new() }
    }

    fn place(&mut self, kind: Kind, namespace: &str) -> Option<&mut Place> {
        self.places.get_mut(&(kind, namespace.into()))
    }

    /// The agents that need an object of such a name.
    fn concerned(&self, kind: Kind, namespace: &str, name: impl Fn(&str) -> bool) -> Vec<AgentKey> {
        let agents = self.places.get(&(kind, namespace.into())).map(|place| &place.agents);
        let needs = |agent: &&AgentKey| {
            let needs = self.needs.get(*agent).into_iter().flatten();
            needs.into_iter().any(|need| need.kind == kind && name(&need.name))
        };
        agents.into_iter().flatten().filter(needs).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> AgentKey {
        AgentKey::new("team", name)
    }

    fn maps<const N: usize>(names: [&str; N]) -> BTreeSet<Need> {
        names.map(|name| Need { kind: Kind::ConfigMap, name: name.into() }).into()
    }

    fn missing(presence: &Presence, name: &str) -> Vec<String> {
        presence.missing(&agent(name)).iter().map(|need| need.name.to_string()).collect()
    }

    /// One agent needs two ConfigMaps, another the second of them; the namespace has the first.
    fn two() -> Presence {
        let mut presence = Presence::default();
        presence.need(&agent("a"), maps(["one", "two"]));
        presence.need(&agent("b"), maps(["two"]));
        presence.list(Kind::ConfigMap, "team");
        presence.lists(Kind::ConfigMap, "team", "one");
        presence
    }

    #[test]
    fn nothing_is_said_to_be_missing_before_it_is_known() {
        let mut presence = two();
        assert_eq!(missing(&presence, "a"), [""; 0]);
        let mut news = presence.listed(Kind::ConfigMap, "team");
        news.sort();
        assert_eq!(news, [agent("a"), agent("b")]);
        assert_eq!(missing(&presence, "a"), ["two"]);
        assert_eq!(missing(&presence, "b"), ["two"]);
    }

    #[test]
    fn what_comes_and_goes_is_news_once_to_those_who_need_it() {
        let mut presence = two();
        presence.listed(Kind::ConfigMap, "team");
        assert_eq!(presence.seen(Kind::ConfigMap, "team", "other"), []);
        assert_eq!(presence.seen(Kind::Secret, "team", "two"), []);
        assert_eq!(presence.seen(Kind::ConfigMap, "team", "two").len(), 2);
        assert_eq!(presence.seen(Kind::ConfigMap, "team", "two"), []);
        assert_eq!(missing(&presence, "a"), [""; 0]);
        assert_eq!(presence.gone(Kind::ConfigMap, "team", "one"), [agent("a")]);
        assert_eq!(presence.gone(Kind::ConfigMap, "team", "one"), []);
        assert_eq!(missing(&presence, "a"), ["one"]);
    }

    #[test]
    fn a_later_listing_tells_what_came_and_went_unseen() {
        let mut presence = two();
        presence.listed(Kind::ConfigMap, "team");
        presence.list(Kind::ConfigMap, "team");
        presence.lists(Kind::ConfigMap, "team", "one");
        assert_eq!(presence.listed(Kind::ConfigMap, "team"), [], "nothing has changed");
        presence.list(Kind::ConfigMap, "team");
        presence.lists(Kind::ConfigMap, "team", "two");
        assert_eq!(missing(&presence, "a"), ["two"], "what was known holds until the listing is complete");
        assert_eq!(presence.listed(Kind::ConfigMap, "team").len(), 2);
        assert_eq!(missing(&presence, "a"), ["one"]);
    }

    #[test]
    fn what_an_agent_needs_later_is_known_at_once() {
        let mut presence = two();
        presence.listed(Kind::ConfigMap, "team");
        presence.need(&agent("c"), maps(["one", "three"]));
        assert_eq!(missing(&presence, "c"), ["three"]);
    }

    #[test]
    fn nothing_is_kept_of_what_nobody_needs_any_more() {
        let mut presence = two();
        presence.listed(Kind::ConfigMap, "team");
        presence.need(&agent("a"), BTreeSet::new());
        assert!(presence.is_needed(Kind::ConfigMap, "team"));
        assert_eq!(missing(&presence, "a"), [""; 0]);
        presence.need(&agent("b"), BTreeSet::new());
        assert!(!presence.is_needed(Kind::ConfigMap, "team"));
        assert!(presence.needs.is_empty() && presence.places.is_empty());
        presence.need(&agent("b"), maps(["two"]));
        assert_eq!(missing(&presence, "b"), [""; 0], "it has to be listed again");
    }
}
