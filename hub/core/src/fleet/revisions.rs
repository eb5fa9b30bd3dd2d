//! What is pinned of the fleet's defaults with each agent, and the revisions that remember it.
//!
//! A new revision begins when a user changes what pods are made of, or wishes for the fleet's present defaults. It is
//! written beside the orders that follow from it, and never waited for.

use std::collections::BTreeMap;
use std::sync::Arc;

use parallax_crds::{AgentKey, labels};

use super::agent::{Agent, Life};
use super::{Effect, Fleet, Now, WriteOutcome};
use crate::resolve::FleetDefaults;
use crate::revisions::{About, Listed, RevisionId, RevisionWrite, Revisions, part_of, pods_of};
use crate::writes::Urgency;

/// All defaults that are pinned somewhere, each of them once, and what is known of agents that aren't seen.
#[derive(Debug)]
pub(super) struct Pins {
    /// The fleet's present ones first.
    known: Vec<Arc<FleetDefaults>>,
    /// Of those that the start is still to show.
    at_start: BTreeMap<AgentKey, Vec<Listed>>,
    /// Of those that vanished, by their UID: they may come back.
    vanished: BTreeMap<AgentKey, (String, Revisions)>,
}

impl Pins {
    pub fn new(present: FleetDefaults) -> Self {
        Self { known: vec![Arc::new(present)], at_start: BTreeMap::new(), vanished: BTreeMap::new() }
    }

    /// What holds for agents that change now.
    pub fn present(&self) -> Arc<FleetDefaults> {
        Arc::clone(&self.known[0])
    }

    /// The start is over: what nobody has asked for is nobody's.
    pub fn end_start(&mut self) {
        self.at_start.clear();
    }

    fn shared(&mut self, defaults: Arc<FleetDefaults>) -> Arc<FleetDefaults> {
        if let Some(known) = self.known.iter().find(|known| **known == defaults) {
            return Arc::clone(known);
        }
        self.known.push(Arc::clone(&defaults));
        defaults
    }
}

impl Fleet {
    pub(super) fn revisions_loaded(&mut self, stored: Vec<Listed>, now: Now) {
        for mut listed in stored {
            listed.about.defaults = self.pins.shared(listed.about.defaults);
            self.pins.at_start.entry(listed.agent.clone()).or_default().push(listed);
        }
        for key in self.agents.keys().cloned().collect::<Vec<_>>() {
            self.recall_revisions(&key, now);
        }
        self.listed(|lists| lists.revisions = true);
    }

    /// An agent that is seen first goes on with the revisions that were stored of it.
    pub(super) fn recall_revisions(&mut self, key: &AgentKey, now: Now) {
        let present = self.pins.present();
        let stored = self.pins.at_start.remove(key).unwrap_or_default();
        let vanished = self.pins.vanished.remove(key);
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.revisions = match vanished.filter(|(uid, _)| *uid == agent.uid) {
            Some((_, revisions)) => revisions.come_back(),
            None => {
                let own = stored.into_iter().filter(|listed| listed.uid == agent.uid);
                Revisions::stored(own.map(|listed| (listed.id, listed.about)))
            }
        };
        agent.pin(&present);
        // It was resolved with the present ones when it was seen.
        if !Arc::ptr_eq(&agent.defaults, &present) {
            agent.generations.clear();
            agent.resolve(&self.facts);
        }
        self.look_at_rollout(key);
        self.save_revisions(key, now);
    }

    /// Nobody has deleted the agent, and its object is gone.
    pub(super) fn remember_revisions(&mut self, key: &AgentKey, agent: &mut Agent) {
        let revisions = std::mem::take(&mut agent.revisions);
        self.pins.vanished.insert(key.clone(), (agent.uid.clone(), revisions));
    }

    /// Takes in an agent's spec as it is now: with what is pinned for it, or else with the fleet's present defaults.
    pub(super) fn revise(&mut self, key: &AgentKey, now: Now) {
        let present = self.pins.present();
        let Some(agent) = self.agents.get_mut(key) else { return };
        // What was stored decides first.
        if self.lists.revisions {
            agent.pin(&present);
        }
        agent.resolve(&self.facts);
        self.look_at_rollout(key);
        self.save_revisions(key, now);
    }

    fn save_revisions(&mut self, key: &AgentKey, now: Now) {
        if self.agents.get(key).is_some_and(|agent| agent.revisions.is_to_be_written()) {
            self.revision_writes.want(key.clone(), Urgency::Now, now.mono);
        }
    }

    /// The agent's turn in the queue of writes.
    pub(super) fn write_revision(&mut self, key: &AgentKey, now: Now) {
        let agent = self.agents.get_mut(key).filter(|agent| agent.life == Life::Living);
        let Some((uid, write)) = agent.and_then(|agent| Some((agent.uid.clone(), agent.revisions.take()?)))
        else {
            return self.revision_writes.done(key, now.mono);
        };
        let key = key.clone();
        self.effects.push_back(match write {
            RevisionWrite::Store { id, about, revision } => {
                Effect::WriteRevision { key, uid, id, about: Box::new(about), revision }
            }
            RevisionWrite::Drop(id) => Effect::DropRevision { key, id },
        });
    }

    pub(super) fn revision_written(
        &mut self,
        key: &AgentKey,
        id: RevisionId,
        outcome: &WriteOutcome,
        now: Now,
    ) {
        self.revision_writes.answered(key, outcome, now.mono);
        let Some(agent) = self.agents.get_mut(key) else { return };
        agent.revisions.written(id, matches!(outcome, WriteOutcome::Ok(_)));
        if agent.waves().is_some() {
            self.touch(key);
        }
        // Where there is no place for it, there is none for the agent either.
        if *outcome != WriteOutcome::NotFound {
            self.save_revisions(key, now);
        }
    }
}

impl Agent {
    /// Whether the user wishes for other defaults than those that are pinned, and that wasn't heeded yet.
    pub fn wants_refresh(&self) -> bool {
        let wish = self.wish(labels::REFRESH);
        wish.is_some() && self.revisions.newest().is_some_and(|(_, newest)| newest.refreshed != wish)
    }

    /// Pins what the spec is resolved with, and begins a revision if that is none yet. A spec that can't be resolved is none.
    fn pin(&mut self, present: &Arc<FleetDefaults>) {
        let part = part_of(&self.stored.object.spec);
        let generation = self.generation();
        let wish = self.wish(labels::REFRESH);
        let refreshes = self.wants_refresh();
        let in_waves = self.waves().is_some();
        let newest = self.revisions.newest();
        let pinned = newest.map(|(_, newest)| Arc::clone(&newest.defaults));
        let is_same = |(id, newest): (RevisionId, &About)| {
            newest.generation == generation
                || RevisionId::of(&self.uid, &part, &newest.defaults).is_ok_and(|same| same == id)
        };
        let defaults = if refreshes {
            // The revision that the user goes back to is named in the wish.
            let named = wish.as_ref().and_then(|wish| wish.rsplit_once('/')?.1.parse().ok());
            named.and_then(|id| self.revisions.defaults_of(id)).unwrap_or(present).clone()
        } else if newest.is_some_and(is_same) {
            pinned.clone().unwrap_or_else(|| Arc::clone(present))
        } else {
            Arc::clone(present)
        };
        let refreshed = wish.or_else(|| newest.and_then(|(_, newest)| newest.refreshed.clone()));
        let identified =
            RevisionId::of(&self.uid, &part, &defaults).and_then(|id| Ok((id, pods_of(&part, &defaults)?)));
        let Ok((id, pods)) = identified else {
            self.defaults = pinned.unwrap_or_else(|| Arc::clone(present));
            return;
        };
        self.defaults = Arc::clone(&defaults);
        if newest.is_some_and(|(newest, _)| newest == id) {
            if let Some(wish) = refreshed.filter(|_| refreshes) {
                self.revisions.note_refreshed(wish);
            }
            self.revisions.in_waves(in_waves);
            if self.revisions.wants_spec() {
                self.revisions.recognise(part);
            }
        } else {
            let about = About { number: 0, generation, pods, defaults, refreshed };
            self.revisions.begin(id, about, part);
            self.revisions.in_waves(in_waves);
        }
    }
}
