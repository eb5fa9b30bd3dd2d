//! What the member asks the hub to be told of objects there: each once in a session, for each agent that needs it.

use std::collections::BTreeMap;

use parallax_crds::copies::{CopyWish, Place, Source};
use parallax_crds::{AgentKey, Incarnation};

use crate::outbox::Outbox;
use crate::session::limits::WISHES;
use crate::v1::from_member::Frame;
use crate::{v1, wire};

#[derive(Debug, Default)]
pub(super) struct Copies {
    wishes: BTreeMap<Place, BTreeMap<AgentKey, Incarnation>>,
    /// Not asked for yet in this session.
    due: Outbox<(AgentKey, Source), CopyWish>,
}

impl Copies {
    /// Whether that is news.
    pub fn want(&mut self, wish: CopyWish) -> bool {
        let agents = self.wishes.entry(wish.place()).or_default();
        let (key, incarnation) = (wish.agent.key.clone(), wish.agent.incarnation.clone());
        if agents.get(&key) == Some(&incarnation) {
            return false;
        }
        agents.insert(key.clone(), incarnation);
        self.due.push((key, wish.source.clone()), wish);
        true
    }

    /// What was told is lost.
    pub fn again(&mut self, place: &Place) {
        for wish in self.wishes.get(place).into_iter().flat_map(|agents| wishes(place, agents)) {
            self.due.push((wish.agent.key.clone(), wish.source.clone()), wish);
        }
    }

    /// Whether nobody needs it any more.
    pub fn forget(&mut self, key: &AgentKey, source: &Source) -> bool {
        let place = Place { namespace: key.namespace().to_owned(), source: source.clone() };
        if let Some(agents) = self.wishes.get_mut(&place) {
            agents.remove(key);
            if agents.is_empty() {
                self.wishes.remove(&place);
            }
        }
        self.due.remove(&(key.clone(), source.clone()));
        !self.wishes.contains_key(&place)
    }

    /// A hub knows nothing of what was asked before.
    pub fn begin_session(&mut self) {
        for wish in self.wishes.iter().flat_map(|(place, agents)| wishes(place, agents)) {
            self.due.push((wish.agent.key.clone(), wish.source.clone()), wish);
        }
    }

    /// Whether somebody still needs it.
    pub fn wants(&self, place: &Place) -> bool {
        self.wishes.contains_key(place)
    }

    pub fn next(&mut self) -> Option<Frame> {
        let mut wishes = Vec::new();
        while wishes.len() < WISHES
            && let Some((_, wish)) = self.due.pop()
        {
            wishes.push(wire::copy_wish_message(&wish));
        }
        (!wishes.is_empty()).then_some(Frame::CopyWishes(v1::CopyWishes { wishes }))
    }
}

fn wishes(place: &Place, agents: &BTreeMap<AgentKey, Incarnation>) -> impl Iterator<Item = CopyWish> {
    agents.iter().map(|(key, incarnation)| CopyWish {
        agent: parallax_crds::AgentRef { key: key.clone(), incarnation: incarnation.clone() },
        source: place.source.clone(),
    })
}
