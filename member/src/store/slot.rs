//! Everything known of one agent here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parallax_crds::link::{AgentReport, CredentialsReport};
use parallax_member_core::needs::Need;
use parallax_member_core::{ChildKind, Sync};

use super::{Assignment, Child, Kept, Pod, Slice};

/// What is known of an agent.
#[derive(Debug, Default)]
pub struct Slot {
    /// The order.
    pub assignment: Kept<Assignment>,
    children: [Kept<Child>; ChildKind::ALL.len()],
    /// Its pods by name, with the listing that each was last in.
    pub(super) pods: HashMap<Box<str>, (u32, Pod)>,
    /// Its Service's slices by name.
    pub(super) slices: HashMap<Box<str>, Kept<Slice>>,
    /// What became of the assignment of that UID and generation.
    pub sync: Option<(Box<str>, i64, Sync)>,
    /// Whether its API key is there, when that was last looked at; none when it needs none.
    pub credentials: Option<CredentialsReport>,
    /// What its pods can't start without and isn't there, as far as was known when it was last looked at.
    pub missing: Vec<Need>,
    /// What was last told of it.
    pub reported: Option<AgentReport>,
    /// When its Deployment was last written, until its pods are ready.
    pub applied: Option<Instant>,
    /// The status of its assignment is about to be written.
    pub status_due: bool,
}

impl Slot {
    /// Its object of that kind.
    pub fn child(&self, kind: ChildKind) -> &Kept<Child> {
        &self.children[kind as usize]
    }

    /// Its object of that kind, to be changed.
    pub fn child_mut(&mut self, kind: ChildKind) -> &mut Kept<Child> {
        &mut self.children[kind as usize]
    }

    /// Its pods.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().map(|(_, pod)| pod)
    }

    /// Its pods by name.
    pub fn named_pods(&self) -> impl Iterator<Item = (&str, &Pod)> {
        self.pods.iter().map(|(name, (_, pod))| (&**name, pod))
    }

    /// The slices of its Service, by name.
    pub fn slices(&self) -> impl Iterator<Item = (&str, &Arc<Slice>)> {
        self.slices.iter().filter_map(|(name, slice)| Some((&**name, slice.live()?)))
    }

    /// Nothing of it is there.
    pub fn is_empty(&self) -> bool {
        self.assignment.live().is_none()
            && self.children.iter().all(|child| child.live().is_none())
            && self.pods.is_empty()
            && self.slices().next().is_none()
    }
}
