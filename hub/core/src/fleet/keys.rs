//! API keys that members ask the hub for: who gets which. The values are not known here.

use std::collections::BTreeMap;

use parallax_crds::link::{KeyWish, Withheld};
use parallax_crds::{AgentKey, ClusterName};

use super::agent::Life;
use super::{Effect, Fleet};

/// A wish of a session, and what was last said to it.
#[derive(Debug)]
pub(super) struct Asked {
    wish: KeyWish,
    said: Option<Verdict>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// The key is handed over.
    Given,
    /// It isn't, and people are told why.
    Withheld(Withheld),
    /// It isn't; another order is on its way, or the agent is no business of that cluster.
    NotNow,
}

impl Fleet {
    /// A member asks for keys.
    pub(super) fn key_wishes(&mut self, name: &ClusterName, wishes: Vec<KeyWish>) {
        for wish in wishes {
            let key = wish.agent.key.clone();
            let session = self.clusters.get_mut(name).and_then(|cluster| cluster.session.as_mut());
            let (Some(session), true) = (session, self.agents.contains_key(&key)) else { continue };
            session.keys.insert(key.clone(), Asked { wish, said: None });
            self.wishing.entry(key.clone()).or_default().insert(name.clone());
            self.look_at_keys(&key);
        }
    }

    /// The agent or its placement may have changed: who asked for its key may get it now, or no longer.
    pub(super) fn look_at_keys(&mut self, key: &AgentKey) {
        let Some(names) = self.wishing.get(key) else { return };
        let mut gone = Vec::new();
        for name in names {
            let session = self.clusters.get(name).and_then(|cluster| cluster.session.as_ref());
            let asked = session.and_then(|session| Some((session, session.keys.get(key)?)));
            let Some((session, asked)) = asked else {
                gone.push(name.clone());
                continue;
            };
            let verdict = self.verdict(name, &asked.wish);
            if asked.said.as_ref() == Some(&verdict) {
                continue;
            }
            let (session, wish) = (session.id.clone(), asked.wish.clone());
            self.effects.push_back(match verdict.clone() {
                Verdict::Given => Effect::HandKey { session, wish },
                Verdict::Withheld(why) => Effect::WithholdKey { session, wish, why: Some(why) },
                Verdict::NotNow => Effect::WithholdKey { session, wish, why: None },
            });
            let session = self.clusters.get_mut(name).and_then(|cluster| cluster.session.as_mut());
            if let Some(asked) = session.and_then(|session| session.keys.get_mut(key)) {
                asked.said = Some(verdict);
            }
        }
        if let Some(names) = self.wishing.get_mut(key) {
            names.retain(|name| !gone.contains(name));
            if names.is_empty() {
                self.wishing.remove(key);
            }
        }
    }

    /// The agent's object is gone: so is every claim to its key.
    pub(super) fn end_wishes(&mut self, key: &AgentKey) {
        self.look_at_keys(key);
        for name in self.wishing.remove(key).unwrap_or_default() {
            if let Some(session) = self.clusters.get_mut(&name).and_then(|cluster| cluster.session.as_mut()) {
                session.keys.remove(key);
            }
        }
    }

    /// A session is over, and its wishes with it.
    pub(super) fn drop_wishes(&mut self, name: &ClusterName, wishes: &BTreeMap<AgentKey, Asked>) {
        for key in wishes.keys() {
            if let Some(names) = self.wishing.get_mut(key) {
                names.remove(name);
                if names.is_empty() {
                    self.wishing.remove(key);
                }
            }
        }
    }

    fn verdict(&self, name: &ClusterName, wish: &KeyWish) -> Verdict {
        let key = &wish.agent.key;
        let agent = self.agents.get(key).filter(|agent| {
            agent.incarnation == wish.agent.incarnation
                && agent.life == Life::Living
                && agent.decision.share(name).is_some()
        });
        let wanted =
            agent.and_then(|agent| agent.stored.object.spec.runtime.credentials.as_ref()?.from_hub());
        if wanted != Some(&wish.reference) {
            return Verdict::NotNow;
        }
        let namespace = key.namespace();
        if self.config.credentials_from.contains(namespace) {
            return Verdict::Given;
        }
        Verdict::Withheld(Withheld {
            reason: "SourceHubNotAllowed".to_owned(),
            message: format!(
                "the hub hands over no key of the namespace {namespace}; let it by --credentials-from={namespace}, or use source: Member"
            ),
        })
    }
}
