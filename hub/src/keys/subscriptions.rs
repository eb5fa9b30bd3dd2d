//! Which sessions get which keys, and which Secrets are to be read for them: each by one reader at a time, so that of
//! two values the newer one is said last.

use std::collections::{BTreeMap, BTreeSet};

use parallax_crds::AgentKey;
use parallax_crds::link::KeyWish;
use parallax_hub_core::fleet::SessionId;

/// Namespace and name.
type Place = (String, String);

/// Who gets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// The session.
    pub session: SessionId,
    /// What it asked for.
    pub wish: KeyWish,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Subscriptions {
    secrets: BTreeMap<Place, Of>,
    /// Where each agent of a session is entered.
    places: BTreeMap<(SessionId, AgentKey), Place>,
    due: BTreeSet<Place>,
    reading: BTreeSet<Place>,
}

/// Of one Secret.
#[derive(Debug, Default)]
struct Of {
    subscribers: BTreeMap<(SessionId, AgentKey), KeyWish>,
    /// Those that are to be told.
    untold: BTreeSet<(SessionId, AgentKey)>,
}

impl Subscriptions {
    /// A session gets this, in place of what it got for that agent.
    pub fn subscribe(&mut self, session: SessionId, wish: KeyWish) {
        let agent = wish.agent.key.clone();
        self.unsubscribe(&session, &agent);
        let place = (agent.namespace().to_owned(), wish.reference.name.clone());
        let id = (session, agent);
        self.places.insert(id.clone(), place.clone());
        let of = self.secrets.entry(place.clone()).or_default();
        of.subscribers.insert(id.clone(), wish);
        of.untold.insert(id);
        self.due.insert(place);
    }

    /// A session gets nothing for that agent any more.
    pub fn unsubscribe(&mut self, session: &SessionId, agent: &AgentKey) {
        let id = (session.clone(), agent.clone());
        let Some(place) = self.places.remove(&id) else { return };
        let Some(of) = self.secrets.get_mut(&place) else { return };
        of.subscribers.remove(&id);
        of.untold.remove(&id);
        if of.subscribers.is_empty() {
            self.secrets.remove(&place);
            self.due.remove(&place);
        }
    }

    /// A session gets nothing any more.
    pub fn end(&mut self, session: &SessionId) {
        let of_it = self.places.keys().filter(|(id, _)| id == session);
        let agents: Vec<AgentKey> = of_it.map(|(_, agent)| agent.clone()).collect();
        agents.iter().for_each(|agent| self.unsubscribe(session, agent));
    }

    /// A Secret has changed: all that get a key of it are to be told.
    pub fn changed(&mut self, namespace: &str, name: &str) {
        let place = (namespace.to_owned(), name.to_owned());
        if let Some(of) = self.secrets.get_mut(&place) {
            of.untold.extend(of.subscribers.keys().cloned());
            self.due.insert(place);
        }
    }

    /// Every Secret of a namespace may have changed.
    pub fn changed_in(&mut self, namespace: &str) {
        let names = self.secrets.keys().filter(|(of, _)| of == namespace).map(|(_, name)| name.clone());
        names.collect::<Vec<_>>().iter().for_each(|name| self.changed(namespace, name));
    }

    /// A Secret to read now, and who is to be told; to be ended by [`done`](Self::done).
    pub fn begin(&mut self) -> Option<(Place, Vec<Subscriber>)> {
        let place = self.due.iter().find(|place| !self.reading.contains(*place))?.clone();
        self.due.remove(&place);
        let of = self.secrets.get_mut(&place)?;
        let told = std::mem::take(&mut of.untold);
        let subscriber = |id: (SessionId, AgentKey)| {
            Some(Subscriber { wish: of.subscribers.get(&id)?.clone(), session: id.0 })
        };
        let subscribers = told.into_iter().filter_map(subscriber).collect();
        self.reading.insert(place.clone());
        Some((place, subscribers))
    }

    /// It was read; `again`: in vain, so that all are still to be told.
    pub fn done(&mut self, namespace: &str, name: &str, again: bool) {
        self.reading.remove(&(namespace.to_owned(), name.to_owned()));
        if again {
            self.changed(namespace, name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::agent::KeyReference;
    use parallax_crds::{AgentRef, ClusterName, Incarnation};

    use super::*;

    fn session(number: u64) -> SessionId {
        SessionId { cluster: ClusterName::new("a").unwrap(), number }
    }

    fn wish(agent: &str, secret: &str) -> KeyWish {
        KeyWish {
            agent: AgentRef { key: AgentKey::new("team", agent), incarnation: Incarnation::new("u") },
            reference: KeyReference { name: secret.into(), key: "KEY".into() },
        }
    }

    /// What is read next: the Secret, and the agents that are told.
    fn next(all: &mut Subscriptions) -> Option<(String, Vec<String>)> {
        let ((_, name), told) = all.begin()?;
        Some((name, told.into_iter().map(|s| s.wish.agent.key.name().to_owned()).collect()))
    }

    fn is(name: &str, agents: &[&str]) -> Option<(String, Vec<String>)> {
        Some((name.to_owned(), agents.iter().map(|agent| (*agent).to_owned()).collect()))
    }

    #[test]
    fn agents_that_share_a_secret_share_a_look_at_it() {
        let mut all = Subscriptions::default();
        all.subscribe(session(1), wish("x", "keys"));
        all.subscribe(session(1), wish("y", "keys"));
        assert_eq!(next(&mut all), is("keys", &["x", "y"]));
        all.done("team", "keys", false);
        assert_eq!(next(&mut all), None);
        all.changed("team", "others");
        all.changed("team", "keys");
        assert_eq!(next(&mut all), is("keys", &["x", "y"]));
    }

    #[test]
    fn a_secret_that_changes_while_it_is_read_is_read_again_after_that() {
        let mut all = Subscriptions::default();
        all.subscribe(session(1), wish("x", "keys"));
        assert_eq!(next(&mut all), is("keys", &["x"]));
        all.changed_in("team");
        assert_eq!(next(&mut all), None);
        all.done("team", "keys", false);
        assert_eq!(next(&mut all), is("keys", &["x"]));
        all.done("team", "keys", true);
        assert_eq!(next(&mut all), is("keys", &["x"]), "what could not be read is still to be told");
    }

    #[test]
    fn who_came_later_is_told_alone() {
        let mut all = Subscriptions::default();
        all.subscribe(session(1), wish("x", "keys"));
        next(&mut all);
        all.subscribe(session(2), wish("z", "keys"));
        all.done("team", "keys", false);
        assert_eq!(next(&mut all), is("keys", &["z"]));
    }

    #[test]
    fn whoever_has_no_claim_any_more_is_told_nothing() {
        let mut all = Subscriptions::default();
        for agent in ["x", "y"] {
            all.subscribe(session(1), wish(agent, "keys"));
        }
        all.subscribe(session(2), wish("x", "keys"));
        all.subscribe(session(1), wish("x", "more"));
        all.unsubscribe(&session(1), &AgentKey::new("team", "y"));
        assert_eq!(next(&mut all), is("keys", &["x"]));
        assert_eq!(next(&mut all), is("more", &["x"]));
        all.end(&session(1));
        all.end(&session(2));
        all.changed_in("team");
        assert_eq!(next(&mut all), None);
        assert!(all.secrets.is_empty() && all.places.is_empty() && all.due.is_empty());
    }
}
