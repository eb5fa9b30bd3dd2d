//! Moving replicas without a gap: a replica leaves its cluster when the one that replaces it is ready in another.
//!
//! Placement says where replicas are to be in the end: the goal. [`retain`] says what clusters are to have beyond it in the
//! meantime, and is asked again whenever something becomes ready: what it retains only ever shrinks, and of clusters that
//! can be judged never comes to more than is still missing to the goal. It is a pure function of what is in effect and what is ready, so that a hub
//! that starts in the middle of a move goes on from what it finds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use parallax_crds::ClusterName;

/// One cluster's part in a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The cluster.
    pub name: ClusterName,
    /// Replicas that it is to have in the end.
    pub goal: i32,
    /// Replicas that it has been ordered to have so far.
    pub in_effect: i32,
    /// Of these, beyond the goal of the earlier decision: retained by an earlier answer.
    pub retained: i32,
    /// Replicas that are ready there; none: it hasn't told yet.
    pub ready: Option<i32>,
    /// It can be told to have fewer now: its session is up and it isn't suspended.
    pub within_reach: bool,
}

/// What clusters are to have beyond the goal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    /// Replicas beyond the goal, above 0.
    pub replicas: BTreeMap<ClusterName, i32>,
    /// Those of `replicas` that are out of reach.
    pub away: BTreeSet<ClusterName>,
}

/// What each cluster is to have beyond the goal until the goal is ready.
///
/// No replica that is ready is given up while fewer are ready where they are to be than are wanted; and of those that
/// aren't ready (they may be again before the others are), so many are retained as were given to other clusters. What
/// merely becomes less retains nothing, then. A cluster that is out of reach, or hasn't told what is ready there, keeps
/// what it has, and is judged later.
///
/// `most` is how many there may be over all clusters within reach, retained ones among them; none: there is no bound.
/// Where clusters have to share what may be retained, those come first that have most of it, so that the others are rid of the agent soon.
#[must_use]
pub fn retain(parts: &[Part], most: Option<i64>) -> Retained {
    let sum = |of: &dyn Fn(&Part) -> i32| parts.iter().map(|part| i64::from(of(part))).sum::<i64>();
    let given = sum(&|part| part.goal.saturating_sub(part.in_effect).max(0));
    let due = given + sum(&|part| if part.is_judged() { part.retained } else { 0 });
    let missing = sum(&|part| part.goal.saturating_sub(part.ready.unwrap_or(0)).max(0));
    let mut room = most.map_or(i64::MAX, |most| (most - sum(&|part| part.goal)).max(0));

    let mut retained = Retained::default();
    for part in parts.iter().filter(|part| !part.is_judged()) {
        let kept = if part.within_reach { take(&mut room, part.surplus()) } else { part.surplus().into() };
        retained.put(part, kept);
    }
    let mut leaving: Vec<_> = parts.iter().filter(|part| part.is_judged() && part.surplus() > 0).collect();
    leaving.sort_by_key(|part| (Reverse(part.serving_surplus()), Reverse(part.surplus()), &part.name));
    let mut budget = missing.min(room);
    let serving: Vec<i64> = leaving.iter().map(|part| take(&mut budget, part.serving_surplus())).collect();
    let mut budget = budget.min(due - serving.iter().sum::<i64>()).max(0);
    for (part, serving) in leaving.into_iter().zip(serving) {
        let idle = take(&mut budget, part.surplus() - part.serving_surplus());
        retained.put(part, serving + idle);
    }
    retained
}

impl Part {
    /// It is known what is ready there, and it can be told to have fewer.
    fn is_judged(&self) -> bool {
        self.within_reach && self.ready.is_some()
    }

    /// What it has beyond its goal.
    fn surplus(&self) -> i32 {
        self.in_effect.saturating_sub(self.goal).max(0)
    }

    /// Of its surplus, what is ready.
    fn serving_surplus(&self) -> i32 {
        self.ready.unwrap_or(0).saturating_sub(self.goal).clamp(0, self.surplus())
    }
}

impl Retained {
    fn put(&mut self, part: &Part, replicas: i64) {
        if replicas > 0 {
            let replicas = i32::try_from(replicas).unwrap_or(i32::MAX);
            self.replicas.insert(part.name.clone(), replicas);
            if !part.within_reach {
                self.away.insert(part.name.clone());
            }
        }
    }
}

fn take(budget: &mut i64, wanted: i32) -> i64 {
    let taken = i64::from(wanted).min(*budget);
    *budget -= taken;
    taken
}

#[cfg(test)]
mod tests;
