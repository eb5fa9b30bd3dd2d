//! What members ask of objects in agents' namespaces: who is told. What is in them is not known here.

use std::collections::{BTreeMap, BTreeSet};

use parallax_crds::copies::{CopyWish, Source};
use parallax_crds::{AgentKey, ClusterName};

use super::agent::Life;
use super::{Effect, Fleet};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Copies {
    asked: BTreeMap<AgentKey, BTreeMap<(ClusterName, Source), Asked>>,
    by: BTreeMap<ClusterName, BTreeSet<AgentKey>>,
}

/// A wish of a cluster's session, and what was last said to it.
#[derive(Debug)]
struct Asked {
    wish: CopyWish,
    told: Option<bool>,
}

impl Fleet {
    /// A member asks what is in objects.
    pub(super) fn copy_wishes(&mut self, name: &ClusterName, wishes: Vec<CopyWish>) {
        for wish in wishes {
            let key = wish.agent.key.clone();
            if !self.is_connected(name) || !self.agents.contains_key(&key) {
                continue;
            }
            let asked = self.copies.asked.entry(key.clone()).or_default();
            asked.insert((name.clone(), wish.source.clone()), Asked { wish, told: None });
            self.copies.by.entry(name.clone()).or_default().insert(key.clone());
            self.look_at_copies(&key);
        }
    }

    /// The agent or its placement may have changed: who asked for its sake may be told now, or no longer.
    pub(super) fn look_at_copies(&mut self, key: &AgentKey) {
        let Some(mut asked) = self.copies.asked.remove(key) else { return };
        for ((name, _), Asked { wish, told }) in &mut asked {
            let Some(session) = self.clusters.get(name).and_then(|cluster| cluster.session.as_ref()) else {
                continue;
            };
            let may = self.may_be_told(name, wish);
            if told.replace(may) != Some(may) {
                let (session, wish) = (session.id.clone(), wish.clone());
                self.effects.push_back(if may {
                    Effect::TellCopy { session, wish }
                } else {
                    Effect::TellCopyNoLonger { session, wish }
                });
            }
        }
        self.copies.asked.insert(key.clone(), asked);
    }

    /// The agent's object is gone: nobody is told anything for its sake.
    pub(super) fn end_copies(&mut self, key: &AgentKey) {
        self.look_at_copies(key);
        for (name, _) in self.copies.asked.remove(key).unwrap_or_default().into_keys() {
            if let Some(keys) = self.copies.by.get_mut(&name) {
                keys.remove(key);
            }
        }
    }

    /// A session is over, and its wishes with it.
    pub(super) fn drop_copies(&mut self, name: &ClusterName) {
        for key in self.copies.by.remove(name).unwrap_or_default() {
            if let Some(asked) = self.copies.asked.get_mut(&key) {
                asked.retain(|(cluster, _), _| cluster != name);
                if asked.is_empty() {
                    self.copies.asked.remove(&key);
                }
            }
        }
    }

    fn may_be_told(&self, name: &ClusterName, wish: &CopyWish) -> bool {
        let agent = self.agents.get(&wish.agent.key).filter(|agent| {
            agent.incarnation == wish.agent.incarnation
                && agent.life == Life::Living
                && agent.decision.share(name).is_some()
        });
        agent.is_some_and(|_| match &wish.source {
            Source::Namespace => true,
        })
    }
}
