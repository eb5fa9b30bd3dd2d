//! A division that holds to every rule of [`super::spread`].
//!
//! The ordinary division is taken where it does. Otherwise it is built up replica by replica along the rules, and
//! repaired by moving single ones; of what was found, that counts which moves the fewest replicas, then that which keeps
//! to the first tiers, then that which is nearest to the ordinary division. A bounded search through all divisions ends
//! it: in a small fleet nothing better exists.

use std::cell::Cell;

use super::select::Party;
use super::spread::{Rules, Unsatisfied};
use super::sticky::Field;

/// How many clusters may be looked at for one agent in the search through all divisions, and in the other ways. It is what
/// bounds the time that an impossible wish costs.
const LOOKS: (usize, usize) = (60_000, 20_000_000);
/// How many totals below the wanted one are tried where that one can't be had.
const TOTALS: usize = 8;
/// How many pairs of clusters a repair looks at before it is left to the other ways.
const PAIRS: usize = 1_600;
/// How many times a division is built, each time without some groups more.
const BUILT: usize = 64;
/// How many clusters the search goes through, and how many replicas it divides.
const SEARCHED: (usize, i64) = (12, 32);

/// The shares of each party, and what couldn't be held to. Where that leaves no division at all, or one that takes away
/// what runs, everything stays where it is; if that is more than is wanted, the rules may be held to once it is less, since
/// then less is pinned.
#[must_use]
pub fn solve(field: &Field<'_>, rules: &Rules<'_>, wanted: i64) -> (Vec<i64>, Option<Unsatisfied>) {
    let parties = &field.parties;
    let easy = field.shared(wanted);
    if rules.excess(parties, &easy) == 0 {
        return (easy, None);
    }
    let reach: i64 = easy.iter().sum();
    let (ceiling, why) = rules.ceiling(parties, reach);
    let why = || why.clone().unwrap_or(Unsatisfied::Together { replicas: wanted, rules: rules.in_words() });
    let held: Vec<i64> = parties.iter().map(Party::share).collect();
    let fewest = held.iter().sum::<i64>().min(wanted).max(1);
    let looks = (Cell::new(LOOKS.0), Cell::new(LOOKS.1));
    for total in (fewest..=ceiling).rev().take(TOTALS) {
        if let Some(shares) = Attempt::new(field, rules, total, &looks).best() {
            return (shares, (total < reach).then(why));
        }
    }
    let stays = field.shared_from(held.clone(), wanted.min(held.iter().sum()));
    if stays == held { (stays, Some(why())) } else { solve(&field.reduced(&stays), rules, wanted) }
}

/// What a division costs; the smaller is the better: replicas that are taken from where they are, how far down the tiers
/// it goes, and how far it is from the ordinary division.
type Cost = (i64, i64, i64);

struct Attempt<'f, 'a> {
    field: &'f Field<'a>,
    rules: &'f Rules<'f>,
    total: i64,
    /// The ordinary division.
    easy: Vec<i64>,
    /// The parties' places by what decides between equals.
    rank: Vec<usize>,
    /// How many clusters may still be looked at, in the search and in the other ways.
    looks: &'f (Cell<usize>, Cell<usize>),
}

impl<'f, 'a> Attempt<'f, 'a> {
    fn new(
        field: &'f Field<'a>,
        rules: &'f Rules<'f>,
        total: i64,
        looks: &'f (Cell<usize>, Cell<usize>),
    ) -> Self {
        let mut order: Vec<usize> = (0..field.parties.len()).collect();
        order.sort_by_cached_key(|&i| field.ties.rank(&field.parties[i]));
        let mut rank = vec![0; order.len()];
        order.into_iter().enumerate().for_each(|(at, i)| rank[i] = at);
        Self { field, rules, total, easy: field.shared(total), rank, looks }
    }

    fn parties(&self) -> &[Party<'a>] {
        &self.field.parties
    }

    fn best(&self) -> Option<Vec<i64>> {
        if self.holds(&self.easy) {
            return Some(self.easy.clone());
        }
        let base: Vec<i64> = self.parties().iter().map(|party| party.base).collect();
        let fixed: Vec<i64> =
            self.parties().iter().map(|party| if party.pinned { party.base } else { 0 }).collect();
        let grown = self.grown(base, &vec![true; self.parties().len()]);
        let repaired =
            [Some(self.easy.clone()), grown.clone()].into_iter().flatten().filter_map(|s| self.repaired(s));
        let built = self.built(&fixed);
        let found = repaired.chain(grown).chain(built).filter(|shares| self.holds(shares));
        let best = found.map(|shares| (self.cost(&shares), shares)).min();
        self.searched(best).map(|(_, shares)| shares)
    }

    fn holds(&self, shares: &[i64]) -> bool {
        shares.iter().sum::<i64>() == self.total && self.rules.excess(self.parties(), shares) == 0
    }

    fn cost(&self, shares: &[i64]) -> Cost {
        let each = self.parties().iter().zip(shares).zip(&self.easy).map(|((party, share), easy)| {
            let tier = i64::try_from(party.tier).unwrap_or(i64::MAX);
            ((party.base - share).max(0), tier * share, (share - easy).abs())
        });
        each.fold((0, 0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1, sum.2 + each.2))
    }

    /// Replicas are added to these shares one after the other, each where the rules want it most, and nowhere but at those
    /// that are `free`. None: at some point none could be added, or there are more than wanted.
    fn grown(&self, mut shares: Vec<i64>, free: &[bool]) -> Option<Vec<i64>> {
        let mut left = self.total - shares.iter().sum::<i64>();
        while left > 0 {
            spend(&self.looks.1, shares.len())?;
            let state: Vec<State> =
                self.rules.rules.iter().map(|rule| State::of(rule.loads(&shares))).collect();
            let next = (0..shares.len())
                .filter(|&i| free[i])
                .filter_map(|i| Some((self.claim(i, &shares, &state, left)?, i)))
                .min();
            let (claim, next) = next?;
            shares[next] += claim.units;
            left -= claim.units;
        }
        (left == 0).then_some(shares)
    }

    /// How much a party should be the next to get a replica; none: it may not.
    fn claim(&self, i: usize, shares: &[i64], state: &[State], left: i64) -> Option<Turn> {
        let (party, share) = (&self.parties()[i], shares[i]);
        let units = if share == 0 { self.rules.least } else { (self.rules.least - share).max(1) };
        if units > left || share + units > party.most {
            return None;
        }
        let (mut idle, mut loads) = (0, 0);
        for (rule, state) in self.rules.rules.iter().zip(state) {
            let group = rule.group_of[i];
            let load = state.loads[group];
            if load == 0 && state.used >= rule.max {
                return None;
            }
            idle += i64::from(load > 0 && state.used < rule.min);
            if let Some(skew) = rule.skew {
                if load > 0 && state.lowest_beside(group).is_some_and(|lowest| load + units > lowest + skew) {
                    return None;
                }
                loads += load;
            }
        }
        // Shares relative to weights, in millionths.
        let filled = share.saturating_mul(1_000_000) / party.weight;
        let back = share >= party.base;
        Some(Turn { idle, loads, back, tier: party.tier, filled, rank: self.rank[i], units })
    }

    /// From nothing but what can't move; groups that are in the way of the rest are left out one after the other.
    fn built(&self, fixed: &[i64]) -> Option<Vec<i64>> {
        let mut out: Vec<(usize, usize)> = self.dispensable();
        let mut free = vec![true; fixed.len()];
        for built in 0..BUILT {
            if let Some(shares) = self.grown(fixed.to_vec(), &free).filter(|shares| self.holds(shares)) {
                return Some(shares);
            }
            // The more are out already, the more go at a time, so that many small groups cost few attempts.
            let left = out.len().saturating_sub(1 + built * built / 4);
            for (rule, group) in out.split_off(left) {
                let group_of = &self.rules.rules[rule].group_of;
                free.iter_mut()
                    .zip(group_of)
                    .filter(|(_, of)| **of == group)
                    .for_each(|(free, _)| *free = false);
            }
            if left == 0 {
                return None;
            }
        }
        None
    }

    /// The groups that rules could do without, by rule, those with the least room last.
    fn dispensable(&self) -> Vec<(usize, usize)> {
        let most: Vec<i64> = self.parties().iter().map(|party| party.most.min(self.total)).collect();
        let mut all: Vec<(i64, (usize, usize))> = Vec::new();
        for (r, rule) in self.rules.rules.iter().enumerate() {
            let room = rule.loads(&most);
            let mut groups: Vec<_> =
                (0..rule.groups).filter(|&g| room[g] > 0).map(|g| (room[g], (r, g))).collect();
            groups.sort_unstable();
            groups.truncate(groups.len().saturating_sub(usize::try_from(rule.min).unwrap_or(usize::MAX)));
            all.extend(groups);
        }
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|(_, group)| group).collect()
    }

    /// Single replicas are moved as long as that breaks the rules less.
    fn repaired(&self, mut shares: Vec<i64>) -> Option<Vec<i64>> {
        let parties = self.parties();
        let mut excess = self.rules.excess(parties, &shares);
        while excess > 0 {
            let from: Vec<usize> =
                (0..shares.len()).filter(|&i| shares[i] > 0 && !parties[i].pinned).collect();
            let to: Vec<usize> = (0..shares.len()).filter(|&i| shares[i] < parties[i].most).collect();
            if from.len() * to.len() > PAIRS {
                return None;
            }
            spend(&self.looks.1, from.len() * to.len() * shares.len())?;
            let mut best: Option<(i64, Cost, usize, usize)> = None;
            for &i in &from {
                for &j in to.iter().filter(|&&j| j != i) {
                    shares[i] -= 1;
                    shares[j] += 1;
                    let after = self.rules.excess(parties, &shares);
                    if after < excess {
                        let found = (after, self.cost(&shares), self.rank[i], self.rank[j]);
                        best = Some(best.map_or(found, |before| before.min(found)));
                    }
                    shares[i] += 1;
                    shares[j] -= 1;
                }
            }
            let (after, _, i, j) = best?;
            let at = |rank: usize| self.rank.iter().position(|r| *r == rank);
            shares[at(i)?] -= 1;
            shares[at(j)?] += 1;
            excess = after;
        }
        Some(shares)
    }

    /// The best of all divisions, as far as the looks last.
    fn searched(&self, best: Option<(Cost, Vec<i64>)>) -> Option<(Cost, Vec<i64>)> {
        if self.parties().len() > SEARCHED.0 || self.total > SEARCHED.1 {
            return best;
        }
        let pinned: i64 = self.parties().iter().filter(|party| party.pinned).map(|party| party.base).sum();
        let shares = vec![0; self.parties().len()];
        let mut search = Search { attempt: self, best, shares, pinned: pinned <= self.total };
        search.from(0, self.total, 0);
        search.best
    }
}

/// Takes so many from what is left; none: that was too little.
fn spend(left: &Cell<usize>, looks: usize) -> Option<()> {
    left.set(left.get().checked_sub(looks)?);
    Some(())
}

/// How the groups of a rule stand while a division is built.
struct State {
    loads: Vec<i64>,
    used: i64,
    /// The group with the fewest replicas above 0, and the next.
    lowest: Option<(i64, usize)>,
    second: Option<i64>,
}

impl State {
    fn of(loads: Vec<i64>) -> Self {
        let (mut used, mut lowest, mut second) = (0, None::<(i64, usize)>, None::<i64>);
        for (group, &load) in loads.iter().enumerate().filter(|(_, load)| **load > 0) {
            used += 1;
            match lowest {
                Some((low, _)) if load >= low => second = Some(second.map_or(load, |s| s.min(load))),
                _ => {
                    second = lowest.map(|(low, _)| low);
                    lowest = Some((load, group));
                }
            }
        }
        Self { loads, used, lowest, second }
    }

    fn lowest_beside(&self, group: usize) -> Option<i64> {
        match self.lowest {
            Some((_, lowest)) if lowest == group => self.second,
            lowest => lowest.map(|(load, _)| load),
        }
    }
}

/// Whose turn it is: the smaller is the sooner.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// Rules that still need another group than this party's.
    idle: i64,
    /// What its groups have, where groups must not differ.
    loads: i64,
    /// It has back what it held.
    back: bool,
    tier: usize,
    filled: i64,
    rank: usize,
    units: i64,
}

struct Search<'s, 'f, 'a> {
    attempt: &'s Attempt<'f, 'a>,
    best: Option<(Cost, Vec<i64>)>,
    shares: Vec<i64>,
    /// There are enough replicas for the parties that are pinned to keep theirs.
    pinned: bool,
}

impl Search<'_, '_, '_> {
    /// Tries all shares of the parties from `next` on; `left` replicas are theirs, and `taken` were taken from the others.
    fn from(&mut self, next: usize, left: i64, taken: i64) {
        let worse = self.best.as_ref().is_some_and(|(cost, _)| taken > cost.0);
        if worse || spend(&self.attempt.looks.0, 1).is_none() {
            return;
        }
        let parties = self.attempt.parties();
        let Some(party) = parties.get(next) else {
            if left == 0 && self.attempt.holds(&self.shares) {
                let found = (self.attempt.cost(&self.shares), self.shares.clone());
                if self.best.as_ref().is_none_or(|best| found < *best) {
                    self.best = Some(found);
                }
            }
            return;
        };
        let rest: i64 = parties[next + 1..].iter().map(|party| party.most).sum();
        let (fewest, most) = ((left - rest).max(0), party.most.min(left));
        let fewest = if party.pinned && self.pinned { party.base } else { fewest };
        // What changes the least is tried first.
        let mut shares: Vec<i64> = (fewest..=most).collect();
        shares.sort_by_key(|share| ((party.base - share).max(0), (share - self.attempt.easy[next]).abs()));
        for share in shares {
            self.shares[next] = share;
            self.from(next + 1, left - share, taken + (party.base - share).max(0));
        }
        self.shares[next] = 0;
    }
}
