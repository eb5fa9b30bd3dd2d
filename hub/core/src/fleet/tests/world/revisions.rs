//! ControllerRevisions as an API server keeps them.

use std::collections::BTreeSet;
use std::sync::Arc;

use parallax_crds::{AgentKey, labels};

use super::{World, key, reference};
use crate::fleet::Input;
use crate::overrides::{Applying, of};
use crate::resolve::resolve_where;
use crate::revisions::{About, Listed, MOST, Revision, RevisionId, part_of};

/// One of them.
#[derive(Debug, Clone)]
pub struct Stored {
    pub uid: String,
    pub about: About,
    pub revision: Arc<Revision>,
}

impl World {
    pub(super) fn store_revision(
        &mut self,
        agent: &AgentKey,
        uid: String,
        id: RevisionId,
        about: About,
        revision: Arc<Revision>,
    ) {
        assert_eq!((about.number, about.generation), (revision.number, revision.generation));
        assert_eq!(RevisionId::of(&uid, &revision.spec, &revision.defaults).unwrap(), id);
        let before = self.revisions.get(&(agent.clone(), id));
        if let Some(before) = before {
            let contents = |r: &Revision| (r.spec.clone(), r.defaults.clone());
            assert_eq!(contents(&before.revision), contents(&revision), "the data of {id} never changes");
            assert!(before.about != about || self.faulty, "a write that changes nothing of {id}");
        }
        self.revisions.insert((agent.clone(), id), Stored { uid, about, revision });
        self.collect_garbage(agent);
    }

    /// What an owner leaves behind goes with it.
    pub fn collect_garbage(&mut self, agent: &AgentKey) {
        let owner = self.agents.get(agent).and_then(|object| object.metadata.uid.clone());
        self.revisions.retain(|(of, _), stored| of != agent || Some(&stored.uid) == owner.as_ref());
    }

    /// The hub lists what is stored.
    pub fn load_revisions(&mut self) {
        let listed = |((agent, id), stored): (&(AgentKey, RevisionId), &Stored)| Listed {
            agent: agent.clone(),
            uid: stored.uid.clone(),
            id: *id,
            about: stored.about.clone(),
        };
        let listed = self.revisions.iter().map(listed).collect();
        self.feed(Input::RevisionsLoaded(listed));
    }

    /// The stored revisions of an agent, the oldest number first.
    pub fn revisions_of(&self, name: &str) -> Vec<&Stored> {
        let own = self.revisions.iter().filter(|((agent, _), _)| *agent == key(name));
        let mut stored: Vec<_> = own.map(|(_, stored)| stored).collect();
        stored.sort_by_key(|stored| stored.about.number);
        stored
    }

    /// Agents whose newest stored revision is that of their spec are resolved by it, whatever the hub's own defaults are.
    pub(super) fn expect_what_is_pinned(&mut self) {
        let pinned = |(key, object): (&AgentKey, &parallax_crds::ParallaxAgent)| {
            let stored = self.revisions_of(key.name());
            let newest = stored.last()?;
            let wish = object.metadata.annotations.as_ref().and_then(|all| all.get(labels::REFRESH));
            let same = newest.revision.spec == part_of(&object.spec);
            if !same || wish != newest.about.refreshed.as_ref() {
                return None;
            }
            let labels = self.clusters.values().filter_map(|cluster| cluster.metadata.labels.as_ref());
            let applying =
                labels.map(|labels| Applying::to(of(&object.spec), labels)).chain([Applying::NONE]);
            let resolved = applying.map(|a| resolve_where(&object.spec, a, &newest.about.defaults));
            Some((reference(key, object), resolved.filter_map(|r| Some(r.ok()?.hash)).collect()))
        };
        self.pinned = self.agents.iter().filter_map(pinned).collect();
    }

    /// What is stored once everything has come to rest.
    pub fn check_revisions(&self) {
        for (key, object) in &self.agents {
            let stored = self.revisions_of(key.name());
            let newest = stored.last().unwrap_or_else(|| panic!("{key} has no revision"));
            assert_eq!(newest.revision.spec, part_of(&object.spec), "{key}");
            let numbers: BTreeSet<_> = stored.iter().map(|stored| stored.about.number).collect();
            assert_eq!(numbers.len(), stored.len(), "{key}: {numbers:?}");
            let others = stored.iter().filter(|stored| stored.about.pods != newest.about.pods);
            assert!(stored.len() <= MOST || others.count() == 1, "{key}: {numbers:?}");
        }
        let owned = self.revisions.keys().all(|(agent, _)| self.agents.contains_key(agent));
        assert!(owned, "{:?}", self.revisions.keys());
    }
}
