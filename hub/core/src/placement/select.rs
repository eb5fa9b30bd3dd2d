//! The clusters among which replicas are divided, in tiers: a replica goes to the first tier that has room, and the last
//! gives replicas up first. A tier is the clusters of one group that have the same score.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use parallax_crds::ClusterName;

use super::filter::{Exclusion, Standing};
use super::score::Score;
use super::ties::Ties;
use super::{ClusterFacts, MAX_TARGETS};

/// What is as good as no bound: no agent has as many replicas.
const UNBOUNDED: i64 = i32::MAX as i64;

/// A cluster that qualifies.
#[derive(Debug, Clone)]
pub struct Party<'a> {
    /// Its place among the clusters.
    pub place: usize,
    /// Its name.
    pub name: &'a ClusterName,
    /// Its relative share within its tier, above 0.
    pub weight: i64,
    /// What it holds; none: it doesn't have the agent.
    pub held: Option<i32>,
    /// What the division begins with: what it holds, or 0 where that may move.
    pub base: i64,
    /// The most that it may have.
    pub most: i64,
    /// It has the agent already, so that it is before those that are equal to it but haven't.
    pub first: bool,
    /// It is suspended or not connected: whatever the placement wishes, what it holds stays.
    pub pinned: bool,
    /// It is sent nothing at all.
    pub suspended: bool,
    /// The smaller is filled first.
    pub tier: usize,
}

impl Party<'_> {
    /// The same once it holds no more than `share`. One that takes nothing new doesn't take back what it gave up.
    #[must_use]
    pub fn reduced(&self, share: i64) -> Self {
        let closed = self.most == self.share();
        Self {
            held: self.held.map(|held| i32::try_from(share).map_or(held, |share| held.min(share))),
            base: self.base.min(share),
            most: if closed { self.most.min(share) } else { self.most },
            ..self.clone()
        }
    }

    /// What it holds, as a number.
    #[must_use]
    pub fn share(&self) -> i64 {
        self.held.map_or(0, i64::from)
    }
}

/// The clusters that qualify. `free_to_move`: what open ones hold may move to where it would go now.
#[must_use]
pub fn parties<'a>(
    clusters: &'a [ClusterFacts],
    standings: &[Standing],
    scores: &[Score],
    free_to_move: bool,
) -> Vec<Party<'a>> {
    let ranks = clusters.iter().zip(standings).zip(scores);
    let qualified = || {
        ranks.clone().enumerate().filter_map(|(place, ((cluster, standing), score))| {
            Some((place, cluster, standing, standing.terms()?, score.total))
        })
    };
    // Where it may move, it would not go to a tainted cluster: there stays what the others can't hold.
    let tier_of = |standing: &Standing, group: usize, score: i64| {
        let tainted = matches!(standing, Standing::Closed { because: Exclusion::Tainted(_), .. });
        (free_to_move && tainted, group, Reverse(score))
    };
    let tiers: BTreeSet<_> =
        qualified().map(|(_, _, standing, terms, score)| tier_of(standing, terms.group, score)).collect();
    let tiers: Vec<_> = tiers.into_iter().collect();
    qualified()
        .map(|(place, cluster, standing, terms, score)| {
            let held = standing.held();
            let share = held.map_or(0, i64::from);
            let because = match standing {
                Standing::Closed { because, .. } => Some(because),
                Standing::Open { .. } | Standing::Excluded(_) => None,
            };
            let pinned = matches!(because, Some(Exclusion::Suspended | Exclusion::NotConnected));
            let more = match standing {
                Standing::Open { more, .. } => more.unwrap_or(UNBOUNDED),
                Standing::Closed { .. } | Standing::Excluded(_) => 0,
            };
            Party {
                place,
                name: &cluster.name,
                weight: terms.weight,
                held,
                base: if free_to_move && !pinned { 0 } else { share },
                most: share + more,
                first: held.is_some() && (pinned || !free_to_move),
                pinned,
                suspended: because == Some(&Exclusion::Suspended),
                tier: tiers.binary_search(&tier_of(standing, terms.group, score)).unwrap_or_default(),
            }
        })
        .collect()
}

/// As many parties as a decision can list: those that hold the most, then those of the first tiers that can take an
/// equal part, then those with the largest weight.
#[must_use]
pub fn the_first<'a>(mut parties: Vec<Party<'a>>, wanted: i64, ties: &Ties) -> Vec<Party<'a>> {
    let part = wanted / MAX_TARGETS as i64 + 1;
    parties.sort_by_cached_key(|party| {
        let takes = Reverse(party.most.min(part));
        (Reverse(party.share()), party.tier, takes, Reverse(party.weight), ties.rank(party))
    });
    parties.truncate(MAX_TARGETS);
    parties
}
