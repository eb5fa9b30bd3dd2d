//! One autoscaler for a whole fleet: each cluster's own chooses within a share of the bounds, and shares of the maximum go
//! from clusters that have room left to those whose load has used theirs up.
//!
//! [`lend`] is a pure function of what clusters were ordered and what they have chosen, and is asked again whenever that
//! changes. A cluster first gives up what it lends; only when it has persisted that, and chooses no more, does another one
//! get it: the sum of what clusters may choose never exceeds the agent's maximum, also between the two.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use parallax_crds::ClusterName;

/// One cluster's part in an agent's maximum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The cluster.
    pub name: ClusterName,
    /// Its share of the maximum by its replicas.
    pub own: i32,
    /// What it has beyond that by earlier answers; below 0: what it has given up.
    pub lent: i32,
    /// The least that it may keep.
    pub least: i32,
    /// What its autoscaler has chosen; none: that isn't known now.
    pub chosen: Option<i32>,
    /// The most that it may choose by what it has persisted; none: that isn't known now.
    pub in_effect: Option<i32>,
}

impl Part {
    /// The most that it may choose by what it is ordered.
    fn most(&self) -> i32 {
        self.own.saturating_add(self.lent)
    }

    /// What it is to be reckoned with: an order for more is as good as followed, one for less only when it has persisted
    /// it and has come down to it. None: nobody knows.
    fn reckoned(&self) -> Option<i64> {
        let most = self.most().max(self.in_effect?).max(self.chosen.unwrap_or(0));
        Some(most.into())
    }

    /// It has followed its order, and says what it chooses.
    fn is_judged(&self) -> bool {
        self.in_effect == Some(self.most()) && self.chosen.is_some()
    }

    /// Its load may want more than it may have.
    fn is_at_its_limit(&self) -> bool {
        self.is_judged() && self.chosen >= Some(self.most())
    }

    /// How much it can give up, and still grow by a quarter, and by one at least, before it is at its limit.
    fn spare(&self) -> i32 {
        let Some(chosen) = self.chosen.filter(|_| self.is_judged()) else { return 0 };
        let kept = chosen.saturating_add(slack(chosen)).max(self.least).max(1);
        (self.most() - kept).max(0)
    }
}

/// By how much a cluster may grow before others are asked for more.
fn slack(chosen: i32) -> i32 {
    (chosen.max(0) / 4).max(1)
}

/// How much more a cluster gets at once that may choose so many and is at its limit: half as much again, so that a load that
/// has doubled has what it needs after two looks.
fn more(most: i32) -> i32 {
    (most.max(0) / 2).max(1)
}

/// What each cluster is to have beyond its own share, or short of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// By cluster, where it isn't 0.
    pub shares: BTreeMap<ClusterName, i32>,
    /// Something was given up for a cluster that is at its limit.
    pub given_up: bool,
    /// Something would be, if it might be now.
    pub waits: bool,
}

/// Hands out what is given up already, and has clusters give up more where `may_give_up`.
#[must_use]
pub fn lend(parts: &[Part], may_give_up: bool) -> Lent {
    let mut lent: Vec<i32> = parts.iter().map(|part| part.lent).collect();
    let whole: i64 = parts.iter().map(|part| i64::from(part.own)).sum();
    // While a cluster may still choose more than is known, the others keep to what they have.
    let reckoned: Option<i64> = parts.iter().map(Part::reckoned).sum();
    let mut free = reckoned.map_or(0, |reckoned| (whole - reckoned).max(0));

    // Who has given up most gets it back first.
    let mut takers: Vec<&Part> = parts.iter().filter(|part| part.is_at_its_limit()).collect();
    takers.sort_by_key(|part| (part.lent, &part.name));
    let mut wanted: i64 = 0;
    for taker in takers {
        let wants = i64::from(more(taker.most()));
        let gets = free.min(wants);
        free -= gets;
        wanted += wants - gets;
        add(parts, &mut lent, taker, gets);
    }

    // What has been given up, and is on its way to be free, isn't asked for twice.
    let ordered: i64 = parts.iter().map(|part| i64::from(part.most())).sum();
    let mut wanted = match reckoned {
        Some(reckoned) => wanted - wanted.min(reckoned - ordered),
        None => 0,
    };
    let mut givers: Vec<&Part> = parts.iter().filter(|part| part.spare() > 0).collect();
    givers.sort_by_key(|part| (Reverse(part.spare()), &part.name));
    let asked = wanted > 0 && !givers.is_empty();
    for giver in givers.into_iter().filter(|_| may_give_up) {
        let gives = i64::from(giver.spare()).min(wanted);
        wanted -= gives;
        add(parts, &mut lent, giver, -gives);
    }
    let shares = parts.iter().zip(lent).filter(|(_, lent)| *lent != 0);
    Lent {
        shares: shares.map(|(part, lent)| (part.name.clone(), lent)).collect(),
        given_up: asked && may_give_up,
        waits: asked && !may_give_up,
    }
}

fn add(parts: &[Part], lent: &mut [i32], to: &Part, replicas: i64) {
    let replicas = i32::try_from(replicas).unwrap_or(0);
    if let Some(lent) = parts.iter().position(|part| part == to).and_then(|at| lent.get_mut(at)) {
        *lent += replicas;
    }
}

#[cfg(test)]
mod tests;
