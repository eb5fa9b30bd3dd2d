//! The API keys that the member asks the hub for: each once in a session, which then tells of every change.

use std::collections::BTreeMap;

use parallax_crds::AgentKey;
use parallax_crds::link::KeyWish;

use crate::outbox::Outbox;
use crate::session::limits::WISHES;
use crate::v1::from_member::Frame;
use crate::{v1, wire};

#[derive(Debug, Default)]
pub(super) struct Keys {
    wishes: BTreeMap<AgentKey, KeyWish>,
    /// Not asked for yet in this session.
    due: Outbox<AgentKey, ()>,
}

impl Keys {
    /// Whether that is news.
    pub fn want(&mut self, wish: KeyWish) -> bool {
        if self.wants(&wish) {
            return false;
        }
        let key = wish.agent.key.clone();
        self.due.push(key.clone(), ());
        self.wishes.insert(key, wish);
        true
    }

    /// What was handed over is lost.
    pub fn again(&mut self, key: &AgentKey) {
        if self.wishes.contains_key(key) {
            self.due.push(key.clone(), ());
        }
    }

    pub fn forget(&mut self, key: &AgentKey) {
        self.wishes.remove(key);
        self.due.remove(key);
    }

    /// A hub knows nothing of what was asked before.
    pub fn begin_session(&mut self) {
        for key in self.wishes.keys() {
            self.due.push(key.clone(), ());
        }
    }

    /// Whether the answer is to something that is still wanted.
    pub fn wants(&self, wish: &KeyWish) -> bool {
        self.wishes.get(&wish.agent.key) == Some(wish)
    }

    pub fn next(&mut self) -> Option<Frame> {
        let mut wishes = Vec::new();
        while wishes.len() < WISHES
            && let Some((key, ())) = self.due.pop()
        {
            wishes.extend(self.wishes.get(&key).map(wire::key_wish_message));
        }
        (!wishes.is_empty()).then(|| Frame::KeyWishes(v1::KeyWishes { wishes }))
    }
}
