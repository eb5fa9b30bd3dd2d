//! Which sessions are told of which objects, and which objects are to be read for that: each by one reader at a time, so
//! that of two versions the newer one is told last.

use std::collections::{BTreeMap, BTreeSet};

use parallax_crds::AgentKey;
use parallax_crds::copies::{CopyWish, Place};
use parallax_hub_core::fleet::SessionId;

/// See the module.
#[derive(Debug, Default)]
pub struct Subscriptions {
    places: BTreeMap<Place, Of>,
    due: BTreeSet<Place>,
    reading: BTreeSet<Place>,
}

/// Of one object.
#[derive(Debug, Default)]
struct Of {
    /// For the sake of which agents.
    sessions: BTreeMap<SessionId, BTreeSet<AgentKey>>,
    /// Those that are to be told.
    untold: BTreeSet<SessionId>,
}

impl Subscriptions {
    /// A session is told of this, for the sake of an agent.
    pub fn subscribe(&mut self, session: SessionId, wish: &CopyWish) {
        let place = wish.place();
        let of = self.places.entry(place.clone()).or_default();
        of.sessions.entry(session.clone()).or_default().insert(wish.agent.key.clone());
        of.untold.insert(session);
        self.due.insert(place);
    }

    /// A session isn't told of it any more, for the sake of that agent.
    pub fn unsubscribe(&mut self, session: &SessionId, wish: &CopyWish) {
        let place = wish.place();
        let Some(of) = self.places.get_mut(&place) else { return };
        let Some(agents) = of.sessions.get_mut(session) else { return };
        agents.remove(&wish.agent.key);
        if agents.is_empty() {
            of.end(session);
        }
        self.tidy();
    }

    /// A session is told nothing any more.
    pub fn end(&mut self, session: &SessionId) {
        self.places.values_mut().for_each(|of| of.end(session));
        self.tidy();
    }

    /// An object may have changed: all that are told of it are to be told.
    pub fn changed(&mut self, place: &Place) {
        if let Some(of) = self.places.get_mut(place) {
            of.untold.extend(of.sessions.keys().cloned());
            self.due.insert(place.clone());
        }
    }

    /// An object to read now, and who is to be told; to be ended by [`done`](Self::done).
    pub fn begin(&mut self) -> Option<(Place, Vec<SessionId>)> {
        let place = self.due.iter().find(|place| !self.reading.contains(*place))?.clone();
        self.due.remove(&place);
        let sessions = std::mem::take(&mut self.places.get_mut(&place)?.untold).into_iter().collect();
        self.reading.insert(place.clone());
        Some((place, sessions))
    }

    /// It was read; in vain for these, which are still to be told.
    pub fn done(&mut self, place: &Place, untold: Vec<SessionId>) {
        self.reading.remove(place);
        let Some(of) = self.places.get_mut(place) else { return };
        let left = untold.into_iter().filter(|session| of.sessions.contains_key(session)).collect::<Vec<_>>();
        if !left.is_empty() {
            of.untold.extend(left);
            self.due.insert(place.clone());
        }
    }

    fn tidy(&mut self) {
        let due = &mut self.due;
        self.places.retain(|place, of| {
            if of.sessions.is_empty() {
                due.remove(place);
            }
            !of.sessions.is_empty()
        });
    }
}

impl Of {
    fn end(&mut self, session: &SessionId) {
        self.sessions.remove(session);
        self.untold.remove(session);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parallax_crds::copies::Source;
    use parallax_crds::{AgentRef, ClusterName, Incarnation};

    use super::*;

    fn session(number: u64) -> SessionId {
        SessionId { cluster: ClusterName::new("a").unwrap(), number }
    }

    fn wish(namespace: &str, agent: &str) -> CopyWish {
        CopyWish {
            agent: AgentRef { key: AgentKey::new(namespace, agent), incarnation: Incarnation::new("u") },
            source: Source::Namespace,
        }
    }

    /// What is read next: the namespace, and the sessions that are told.
    fn next(all: &mut Subscriptions) -> Option<(String, Vec<u64>)> {
        let (place, told) = all.begin()?;
        Some((place.namespace, told.into_iter().map(|session| session.number).collect()))
    }

    fn is(namespace: &str, sessions: &[u64]) -> Option<(String, Vec<u64>)> {
        Some((namespace.to_owned(), sessions.to_vec()))
    }

    #[test]
    fn agents_of_a_namespace_share_a_look_at_it() {
        let mut all = Subscriptions::default();
        all.subscribe(session(1), &wish("team", "x"));
        all.subscribe(session(1), &wish("team", "y"));
        all.subscribe(session(2), &wish("team", "z"));
        assert_eq!(next(&mut all), is("team", &[1, 2]));
        all.done(&wish("team", "x").place(), Vec::new());
        assert_eq!(next(&mut all), None);
        all.changed(&wish("another", "x").place());
        all.changed(&wish("team", "x").place());
        assert_eq!(next(&mut all), is("team", &[1, 2]));
    }

    #[test]
    fn who_comes_while_it_is_read_is_told_after_that() {
        let mut all = Subscriptions::default();
        let place = wish("team", "x").place();
        all.subscribe(session(1), &wish("team", "x"));
        assert_eq!(next(&mut all), is("team", &[1]));
        all.subscribe(session(2), &wish("team", "z"));
        assert_eq!(next(&mut all), None);
        all.done(&place, vec![session(1)]);
        assert_eq!(next(&mut all), is("team", &[1, 2]), "what could not be read is still to be told");
    }

    #[test]
    fn a_session_is_told_while_an_agent_of_it_needs_that() {
        let mut all = Subscriptions::default();
        let place = wish("team", "x").place();
        for agent in ["x", "y"] {
            all.subscribe(session(1), &wish("team", agent));
        }
        all.unsubscribe(&session(1), &wish("team", "x"));
        assert_eq!(next(&mut all), is("team", &[1]));
        all.unsubscribe(&session(1), &wish("team", "y"));
        all.done(&place, vec![session(1)]);
        assert_eq!(next(&mut all), None, "nobody needs it any more");
        all.subscribe(session(2), &wish("team", "x"));
        all.end(&session(2));
        assert_eq!(next(&mut all), None);
        assert!(all.places.is_empty() && all.due.is_empty() && all.reading.is_empty());
    }
}
