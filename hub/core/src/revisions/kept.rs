//! Which revisions of an agent are kept, and what of that is not stored yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parallax_crds::ParallaxAgentSpec;

use super::{About, FleetDefaults, Revision, RevisionId};

/// How many are kept. One more, while it is what clusters that wait run.
pub const MOST: usize = 5;

/// The revisions of one agent.
#[derive(Debug, Clone, Default)]
pub struct Revisions {
    kept: BTreeMap<RevisionId, Box<Kept>>,
    /// What the agent is to run everywhere in the end.
    current: Option<RevisionId>,
    /// What clusters run that wait for their turn.
    waiting: Option<RevisionId>,
    /// No longer kept, and maybe stored still.
    surplus: BTreeSet<RevisionId>,
    in_flight: Option<InFlight>,
    /// The next change goes out in waves: clusters that wait then run what is the current one now.
    in_waves: bool,
}

#[derive(Debug, Clone)]
struct Kept {
    about: About,
    /// With its spec, as long as that is needed here.
    revision: Option<Arc<Revision>>,
    saved: Saved,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saved {
    Not,
    /// It is on its way.
    Sent,
    Stored,
}

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InFlight {
    Store(RevisionId),
    Drop(RevisionId),
}

/// A revision that is kept.
#[derive(Debug, Clone, Copy)]
pub struct Numbered<'a> {
    /// Which.
    pub id: RevisionId,
    /// What is said of it.
    pub about: &'a About,
    /// The whole; none: it isn't known here.
    pub revision: Option<&'a Arc<Revision>>,
    /// It is on the API server.
    pub is_stored: bool,
}

/// A write of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum RevisionWrite {
    /// It is to be there, and to say this.
    Store {
        /// Which.
        id: RevisionId,
        /// What is said of it.
        about: About,
        /// The whole.
        revision: Arc<Revision>,
    },
    /// It is to be there no longer.
    Drop(RevisionId),
}

impl Revisions {
    /// Those that the API server lists.
    #[must_use]
    pub fn stored(listed: impl IntoIterator<Item = (RevisionId, About)>) -> Self {
        let known = |(id, about)| (id, Box::new(Kept { about, revision: None, saved: Saved::Stored }));
        let kept: BTreeMap<_, _> = listed.into_iter().map(known).collect();
        let current = kept.iter().max_by_key(|(id, kept)| (kept.about.number, **id)).map(|(id, _)| *id);
        let mut revisions = Self { kept, current, ..Self::default() };
        revisions.drop_surplus();
        revisions
    }

    /// Those of an agent that had vanished: the API server may have deleted them with it.
    #[must_use]
    pub fn come_back(mut self) -> Self {
        self.in_flight = None;
        for (id, kept) in &mut self.kept {
            if kept.revision.is_some() || self.current == Some(*id) {
                kept.saved = Saved::Not;
            }
        }
        self
    }

    /// The current one, and what is said of it.
    #[must_use]
    pub fn newest(&self) -> Option<(RevisionId, &About)> {
        let id = self.current?;
        Some((id, &self.kept.get(&id)?.about))
    }

    /// The newest before the current one whose pods are others, by what is said of it.
    #[must_use]
    pub fn before(&self) -> Option<&About> {
        Some(&self.kept.get(&self.previous_id()?)?.about)
    }

    /// The one with this number, if it is kept.
    #[must_use]
    pub fn numbered(&self, number: i64) -> Option<Numbered<'_>> {
        let (id, kept) = self.kept.iter().find(|(_, kept)| kept.about.number == number)?;
        let Kept { about, revision, saved } = &**kept;
        Some(Numbered { id: *id, about, revision: revision.as_ref(), is_stored: *saved == Saved::Stored })
    }

    /// The user has gone back to what clusters run that wait.
    #[must_use]
    pub fn has_gone_back(&self) -> bool {
        self.waiting.is_some() && self.waiting == self.current
    }

    /// Clusters that wait run the one with this number, so that it is kept; none: none waits.
    pub fn wait(&mut self, number: Option<i64>) {
        self.waiting = number.and_then(|number| self.numbered(number)).map(|found| found.id);
        self.drop_surplus();
        self.forget_specs();
    }

    /// The spec of one that is kept was read.
    pub fn read(&mut self, id: RevisionId, spec: ParallaxAgentSpec) {
        if let Some(kept) = self.kept.get_mut(&id).filter(|kept| kept.revision.is_none()) {
            kept.revision = Some(Arc::new(whole(&kept.about, spec)));
        }
    }

    /// One is no longer stored, whoever deleted it.
    pub fn is_gone(&mut self, id: RevisionId) {
        if self.kept.get(&id).is_some_and(|kept| kept.revision.is_none()) && self.current != Some(id) {
            self.kept.remove(&id);
        }
    }

    /// What was pinned with a revision that is kept.
    #[must_use]
    pub fn defaults_of(&self, id: RevisionId) -> Option<&Arc<FleetDefaults>> {
        self.kept.get(&id).map(|kept| &kept.about.defaults)
    }

    /// What is pinned is that of `spec` from now on. `about` has the number of the current one; the next is counted here.
    pub fn begin(&mut self, id: RevisionId, about: About, spec: ParallaxAgentSpec) {
        let number = self.newest().map_or(0, |(_, newest)| newest.number) + 1;
        let about = About { number, ..about };
        let revision = Some(Arc::new(whole(&about, spec)));
        self.surplus.remove(&id);
        self.kept.insert(id, Box::new(Kept { about, revision, saved: Saved::Not }));
        self.current = Some(id);
        self.drop_surplus();
        self.forget_specs();
    }

    /// Whether the next change goes out in waves.
    pub fn in_waves(&mut self, in_waves: bool) {
        self.in_waves = in_waves;
        self.forget_specs();
    }

    /// Whether the spec of the current one is needed and not known.
    #[must_use]
    pub fn wants_spec(&self) -> bool {
        let current = self.current.and_then(|id| self.kept.get(&id));
        current.is_some_and(|kept| kept.revision.is_none() && (self.in_waves || kept.saved == Saved::Not))
    }

    /// The current one is that of `spec`: the agent says so.
    pub fn recognise(&mut self, spec: ParallaxAgentSpec) {
        if let Some(kept) = self.current.and_then(|id| self.kept.get_mut(&id)) {
            kept.revision = Some(Arc::new(whole(&kept.about, spec)));
        }
    }

    /// A wish for the fleet's present defaults was followed, and changed nothing.
    pub fn note_refreshed(&mut self, wish: String) {
        if let Some(kept) = self.current.and_then(|id| self.kept.get_mut(&id)) {
            kept.about.refreshed = Some(wish);
            kept.saved = Saved::Not;
        }
    }

    /// Whether [`Self::take`] has something, now or when what is on its way is answered.
    #[must_use]
    pub fn is_to_be_written(&self) -> bool {
        !self.surplus.is_empty() || self.kept.values().any(|kept| kept.can_be_written())
    }

    /// The next write, which is on its way from then on: one at a time, the oldest number first, and drops last.
    pub fn take(&mut self) -> Option<RevisionWrite> {
        if self.in_flight.is_some() {
            return None;
        }
        let unsaved = self.kept.iter_mut().filter(|(_, kept)| kept.can_be_written());
        let oldest = unsaved.min_by_key(|(_, kept)| kept.about.number);
        if let Some((id, kept)) = oldest {
            let revision = kept.revision.clone()?;
            kept.saved = Saved::Sent;
            self.in_flight = Some(InFlight::Store(*id));
            return Some(RevisionWrite::Store { id: *id, about: kept.about.clone(), revision });
        }
        let id = *self.surplus.first()?;
        self.in_flight = Some(InFlight::Drop(id));
        Some(RevisionWrite::Drop(id))
    }

    /// The write of an object is over, one way or another.
    pub fn written(&mut self, id: RevisionId, ok: bool) {
        match self.in_flight.take_if(|write| write.id() == id) {
            Some(InFlight::Store(id)) => {
                // What has changed meanwhile is written again.
                if let Some(kept) = self.kept.get_mut(&id).filter(|kept| kept.saved == Saved::Sent) {
                    kept.saved = if ok { Saved::Stored } else { Saved::Not };
                }
                self.forget_specs();
            }
            Some(InFlight::Drop(id)) if ok => _ = self.surplus.remove(&id),
            Some(InFlight::Drop(_)) | None => {}
        }
    }

    fn previous_id(&self) -> Option<RevisionId> {
        let (id, newest) = self.newest()?;
        let others = self.kept.iter().filter(|(other, kept)| **other != id && kept.about.pods != newest.pods);
        others.max_by_key(|(other, kept)| (kept.about.number, **other)).map(|(other, _)| *other)
    }

    fn drop_surplus(&mut self) {
        let used = [self.previous_id(), self.waiting];
        let mut by_number: Vec<_> = self.kept.iter().map(|(id, kept)| (kept.about.number, *id)).collect();
        by_number.sort_unstable();
        for (_, id) in by_number.iter().rev().skip(MOST).filter(|(_, id)| !used.contains(&Some(*id))) {
            self.kept.remove(id);
            self.surplus.insert(*id);
        }
    }

    /// Only what is to be written, and what clusters run that wait, is needed whole. The agent says what the current one
    /// is.
    fn forget_specs(&mut self) {
        let in_waves = [self.current, self.previous_id()].map(|id| id.filter(|_| self.in_waves));
        let needed = [in_waves[0], in_waves[1], self.waiting];
        for (id, kept) in &mut self.kept {
            if kept.saved == Saved::Stored && !needed.contains(&Some(*id)) {
                kept.revision = None;
            }
        }
    }
}

impl Kept {
    fn can_be_written(&self) -> bool {
        self.saved == Saved::Not && self.revision.is_some()
    }
}

impl InFlight {
    fn id(self) -> RevisionId {
        match self {
            Self::Store(id) | Self::Drop(id) => id,
        }
    }
}

fn whole(about: &About, spec: ParallaxAgentSpec) -> Revision {
    let About { number, generation, pods: _, defaults, refreshed: _ } = about;
    Revision { number: *number, generation: *generation, spec, defaults: Arc::clone(defaults) }
}
