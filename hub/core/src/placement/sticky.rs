//! Shares that stay where they are.
//!
//! A replica that a cluster holds stays there while the cluster qualifies. Only the difference to what is
//! wanted moves: more replicas go to the first tier that has room, where the most is missing to the ideal division of
//! that tier; fewer are taken from the last tier, where the most is too much. So changed weights, scores, a new cluster
//! or a lost connection move nothing by themselves.

use std::cmp::Reverse;

use super::divide::{Claim, hand_out};
use super::select::Party;
use super::ties::Ties;

/// The clusters of a division, and how it is made.
pub struct Field<'a> {
    /// Those that qualify.
    pub parties: Vec<Party<'a>>,
    /// The places of the parties by tier.
    tiers: Vec<Vec<usize>>,
    /// As few clusters as will hold the replicas, rather than each its part.
    packed: bool,
    /// What decides between equals.
    pub ties: Ties,
}

impl<'a> Field<'a> {
    /// The field of these parties.
    #[must_use]
    pub fn new(parties: Vec<Party<'a>>, packed: bool, ties: Ties) -> Self {
        let mut tiers = vec![Vec::new(); parties.iter().map(|party| party.tier + 1).max().unwrap_or(0)];
        for (place, party) in parties.iter().enumerate() {
            tiers[party.tier].push(place);
        }
        Self { parties, tiers, packed, ties }
    }

    /// The field once every party holds no more than so much.
    #[must_use]
    pub fn reduced(&self, shares: &[i64]) -> Self {
        let reduced = |(party, &share): (&Party<'a>, &i64)| party.reduced(share);
        let parties = self.parties.iter().zip(shares).map(reduced).collect();
        Self { parties, tiers: self.tiers.clone(), packed: self.packed, ties: self.ties.clone() }
    }

    /// What each has, party by party, when `wanted` replicas are divided. They sum to `wanted`, unless the clusters that
    /// may take more can't take that many.
    #[must_use]
    pub fn shared(&self, wanted: i64) -> Vec<i64> {
        self.shared_from(self.parties.iter().map(|party| party.base).collect(), wanted)
    }

    /// As [`Self::shared`], from other shares.
    #[must_use]
    pub fn shared_from(&self, mut shares: Vec<i64>, wanted: i64) -> Vec<i64> {
        let missing = wanted - shares.iter().sum::<i64>();
        if missing > 0 {
            self.add(missing, &mut shares);
        } else {
            self.take(-missing, &mut shares);
        }
        shares
    }

    fn add(&self, mut missing: i64, shares: &mut [i64]) {
        for tier in &self.tiers {
            let room = |i: usize| self.parties[i].most - shares[i];
            let here = tier.iter().map(|&i| room(i)).sum::<i64>().min(missing);
            if here == 0 {
                continue;
            }
            let more = if self.packed {
                let mut order: Vec<usize> = (0..tier.len()).collect();
                order.sort_by_cached_key(|&at| {
                    let (share, party) = (shares[tier[at]], &self.parties[tier[at]]);
                    (share == 0, Reverse(share), Reverse(party.most), self.ties.rank(party))
                });
                filled(&order, here, |at| room(tier[at]))
            } else {
                let claims = self.claims(tier, shares, here, |i| room(i).min(here));
                hand_out(here, self.weight(tier), &claims, |at| self.ties.rank(&self.parties[tier[at]]))
            };
            tier.iter().zip(more).for_each(|(&i, more)| shares[i] += more);
            missing -= here;
        }
    }

    /// A suspended cluster is sent nothing new, so it gives replicas up only when the others have none left.
    fn take(&self, mut surplus: i64, shares: &mut [i64]) {
        for suspended in [false, true] {
            for tier in self.tiers.iter().rev() {
                let there = |i: usize| if self.parties[i].suspended == suspended { shares[i] } else { 0 };
                let here = tier.iter().map(|&i| there(i)).sum::<i64>().min(surplus);
                if here == 0 {
                    continue;
                }
                let fewer = if self.packed {
                    let mut order: Vec<usize> = (0..tier.len()).collect();
                    order.sort_by_cached_key(|&at| {
                        let party = &self.parties[tier[at]];
                        (shares[tier[at]], party.most, Reverse(self.ties.rank(party)))
                    });
                    filled(&order, here, |at| there(tier[at]))
                } else {
                    let mut claims = self.claims(tier, shares, -here, there);
                    claims.iter_mut().for_each(|claim| claim.due = -claim.due);
                    hand_out(here, self.weight(tier), &claims, |at| {
                        Reverse(self.ties.rank(&self.parties[tier[at]]))
                    })
                };
                tier.iter().zip(fewer).for_each(|(&i, fewer)| shares[i] -= fewer);
                surplus -= here;
            }
        }
    }

    /// What each of a tier lacks to its ideal share when the tier gets so many more, times the tier's weight: whole
    /// numbers, nothing is rounded.
    fn claims(&self, tier: &[usize], shares: &[i64], more: i64, limit: impl Fn(usize) -> i64) -> Vec<Claim> {
        let total = i128::from(tier.iter().map(|&i| shares[i]).sum::<i64>() + more);
        let weight = self.weight(tier);
        let claim = |&i: &usize| Claim {
            due: total * i128::from(self.parties[i].weight) - i128::from(shares[i]) * weight,
            limit: limit(i),
        };
        tier.iter().map(claim).collect()
    }

    fn weight(&self, tier: &[usize]) -> i128 {
        tier.iter().map(|&i| i128::from(self.parties[i].weight)).sum()
    }
}

/// So many units, to one after the other in this order.
fn filled(order: &[usize], mut units: i64, limit: impl Fn(usize) -> i64) -> Vec<i64> {
    let mut given = vec![0; order.len()];
    for &at in order {
        given[at] = limit(at).min(units);
        units -= given[at];
    }
    given
}
