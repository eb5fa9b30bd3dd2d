//! Shares that stay where they are.
//!
//! A replica that a cluster holds stays there while the cluster qualifies. Only the difference to what is
//! wanted moves: more replicas go where the most is missing to the ideal division, fewer are taken where the
//! most is too much. So changed weights, a new cluster or a lost connection move nothing by themselves.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use parallax_crds::{ClusterName, Incarnation};
use sha2::{Digest, Sha256};

use super::divide::{Claim, hand_out};
use super::filter::Standing;
use super::{ClusterFacts, MAX_TARGETS};

/// A cluster that qualifies.
#[derive(Clone, Copy)]
struct Party<'a> {
    name: &'a ClusterName,
    weight: i32,
    /// What it holds; none: it doesn't have the agent.
    held: Option<i32>,
    open: bool,
    suspended: bool,
}

impl<'a> Party<'a> {
    fn of(cluster: &'a ClusterFacts, standing: &Standing) -> Option<Self> {
        Some(Self {
            name: &cluster.name,
            weight: standing.weight()?,
            held: standing.held(),
            open: matches!(standing, Standing::Open { .. }),
            suspended: matches!(standing, Standing::Suspended { .. }),
        })
    }

    fn share(&self) -> i64 {
        i64::from(self.held.unwrap_or(0))
    }
}

/// The shares under Divide: they sum to `wanted`, unless no cluster that may take the missing ones is open.
#[must_use]
pub fn divide(
    wanted: i32,
    incarnation: &Incarnation,
    clusters: &[ClusterFacts],
    standings: &[Standing],
) -> BTreeMap<ClusterName, i32> {
    let ties = Ties::of(incarnation);
    let parties: Vec<Party<'_>> = clusters
        .iter()
        .zip(standings)
        .filter_map(|(cluster, standing)| Party::of(cluster, standing))
        .collect();
    if wanted == 0 {
        return at_zero(&parties, &ties);
    }
    let shares = shared(wanted, &parties, &ties);
    if shares.len() <= MAX_TARGETS {
        return shares;
    }
    let useful = parties.into_iter().filter(|party| party.open || party.share() > 0).collect();
    shared(wanted, &the_first(useful, &ties), &ties)
}

/// The shares under Replicate: all of `wanted` in each cluster; one that is suspended keeps what it has.
#[must_use]
pub fn replicate(
    wanted: i32,
    clusters: &[ClusterFacts],
    standings: &[Standing],
) -> BTreeMap<ClusterName, i32> {
    let share = |standing: &Standing| match *standing {
        Standing::Open { .. } | Standing::Disconnected { .. } => Some(wanted),
        Standing::Suspended { held, .. } => Some(held),
        Standing::Excluded(_) => None,
    };
    clusters
        .iter()
        .zip(standings)
        .filter_map(|(cluster, standing)| Some((cluster.name.clone(), share(standing)?)))
        .collect()
}

/// Nothing is wanted: the agent stays where it is with 0 replicas, so that its Services and rows stay too.
/// If it is nowhere, it gets one home: the cluster that its first replica would go to.
fn at_zero(parties: &[Party<'_>], ties: &Ties) -> BTreeMap<ClusterName, i32> {
    let mut held: Vec<Party<'_>> = parties.iter().copied().filter(|party| party.held.is_some()).collect();
    if held.is_empty() {
        return shared(1, parties, ties).into_keys().map(|home| (home, 0)).collect();
    }
    if held.len() > MAX_TARGETS {
        held = the_first(held, ties);
    }
    held.into_iter().map(|party| (party.name.clone(), 0)).collect()
}

/// The shares above 0, where `wanted` is at least 1.
fn shared(wanted: i32, parties: &[Party<'_>], ties: &Ties) -> BTreeMap<ClusterName, i32> {
    let total_weight: i128 = parties.iter().map(|party| i128::from(party.weight)).sum();
    let held: i64 = parties.iter().map(Party::share).sum();
    let missing = i64::from(wanted) - held;
    // The ideal share less the one held, times the total weight: whole numbers, nothing is rounded.
    let deficit = |party: &Party<'_>| {
        i128::from(wanted) * i128::from(party.weight) - i128::from(party.share()) * total_weight
    };
    let mut shares: Vec<i64> = parties.iter().map(Party::share).collect();
    if missing > 0 {
        let open = |party: &Party<'_>| if party.open { missing } else { 0 };
        let claims: Vec<Claim> =
            parties.iter().map(|party| Claim { due: deficit(party), limit: open(party) }).collect();
        let more = hand_out(missing, total_weight, &claims, |i| ties.rank(&parties[i]));
        shares.iter_mut().zip(more).for_each(|(share, more)| *share += more);
    } else {
        // A suspended cluster is sent nothing new, so it gives replicas up only when the others have none left.
        let mut surplus = -missing;
        for suspended in [false, true] {
            let claims: Vec<Claim> = parties
                .iter()
                .map(|party| Claim {
                    due: -deficit(party),
                    limit: if party.suspended == suspended { party.share() } else { 0 },
                })
                .collect();
            let fewer = hand_out(surplus, total_weight, &claims, |i| Reverse(ties.rank(&parties[i])));
            surplus -= fewer.iter().sum::<i64>();
            shares.iter_mut().zip(fewer).for_each(|(share, fewer)| *share -= fewer);
        }
    }
    let narrow = |share: i64| i32::try_from(share).unwrap_or(i32::MAX);
    parties
        .iter()
        .zip(shares)
        .filter(|(_, share)| *share > 0)
        .map(|(party, share)| (party.name.clone(), narrow(share)))
        .collect()
}

/// As many parties as a decision can list: those that hold the most, then those with the largest weight.
fn the_first<'a>(mut parties: Vec<Party<'a>>, ties: &Ties) -> Vec<Party<'a>> {
    parties.sort_by_cached_key(|party| (Reverse(party.share()), Reverse(party.weight), ties.rank(party)));
    parties.truncate(MAX_TARGETS);
    parties
}

/// Ties are broken by a stable hash of the agent's incarnation and the cluster's name: equal agents spread,
/// and a restart of the hub changes nothing.
pub(crate) struct Ties(Sha256);

impl Ties {
    pub(crate) fn of(incarnation: &Incarnation) -> Self {
        let mut hash = Sha256::new();
        hash.update(incarnation.as_str());
        hash.update([0]);
        Self(hash)
    }

    /// The smaller is before the larger.
    pub(crate) fn of_cluster(&self, name: &ClusterName) -> [u8; 32] {
        let mut hash = self.0.clone();
        hash.update(name.as_str());
        hash.finalize().into()
    }

    /// The smaller is the first to be given a replica, and the last to lose one. A cluster that has the
    /// agent already (at 0 replicas) is before one that hasn't.
    fn rank(&self, party: &Party<'_>) -> (bool, [u8; 32]) {
        (party.held.is_none(), self.of_cluster(party.name))
    }
}
