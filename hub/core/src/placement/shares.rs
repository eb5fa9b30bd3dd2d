//! The shares of an agent: from standings and scores to so many replicas in each cluster.

use std::collections::BTreeMap;

use parallax_crds::ClusterName;
use parallax_crds::agent::DivisionMode;

use super::filter::Standing;
use super::score::Score;
use super::select::{Party, parties, the_first};
use super::solve::solve;
use super::spread::{Rules, Unsatisfied};
use super::sticky::Field;
use super::ties::Ties;
use super::{ClusterFacts, MAX_TARGETS, Request};

/// The shares under Divide, and what couldn't be held to.
#[must_use]
pub fn divided(
    request: &Request<'_>,
    clusters: &[ClusterFacts],
    standings: &[Standing],
    scores: &[Score],
) -> (BTreeMap<ClusterName, i32>, Option<Unsatisfied>) {
    let division = request.placement.and_then(|p| p.division.as_ref());
    let packed = division.is_some_and(|d| d.mode == DivisionMode::Packed);
    let sticky = request.placement.is_none_or(|p| p.sticky);
    let parties = parties(clusters, standings, scores, request.rebalance || !sticky);
    let ties = Ties::of(request.incarnation);
    let wanted = i64::from(request.replicas.max(0));
    if wanted == 0 {
        return (at_zero(Field::new(parties, packed, ties)), None);
    }
    // One that has the agent at 0 replicas and takes none would have its part of the weight only until it is dropped.
    let mut parties = useful(parties);
    let spread = request.placement.map(|p| p.spread.as_slice()).unwrap_or_default();
    let ruled = !spread.is_empty() || request.least() > 1;
    if ruled {
        if parties.len() > MAX_TARGETS {
            parties = the_first(parties, wanted, &ties);
        }
        // So that the order in which clusters are given decides nothing.
        parties.sort_by_key(|party| party.name);
        let solved = |parties: Vec<Party<'_>>| {
            let rules = Rules::of(spread, request.least(), clusters, &parties);
            let field = Field::new(parties, packed, ties.clone());
            let (shares, why) = solve(&field, &rules, wanted);
            (above_zero(&field.parties, shares), why)
        };
        // One that can't have enough has no part in it where the others hold all that can be held.
        let able = |party: &&Party<'_>| party.pinned || party.most >= request.least();
        let others: Vec<_> = parties.iter().filter(able).cloned().collect();
        if !others.is_empty() && others.len() < parties.len() {
            let (shares, why) = solved(others);
            let reach = wanted.min(parties.iter().map(|party| party.most).sum());
            if why.is_none() && shares.values().map(|share| i64::from(*share)).sum::<i64>() == reach {
                return (shares, None);
            }
        }
        return solved(parties);
    }
    let field = Field::new(parties, packed, ties);
    let shares = field.shared(wanted);
    if shares.iter().filter(|share| **share > 0).count() <= MAX_TARGETS {
        return (above_zero(&field.parties, shares), None);
    }
    let Field { parties, ties, .. } = field;
    let first = the_first(parties, wanted, &ties);
    let field = Field::new(first, packed, ties);
    (above_zero(&field.parties, field.shared(wanted)), None)
}

/// The shares under Replicate: all of the replicas in each cluster that can take them. One that takes nothing new keeps
/// what it has, but an order waits for one that isn't connected.
#[must_use]
pub fn replicated(
    wanted: i32,
    clusters: &[ClusterFacts],
    standings: &[Standing],
) -> BTreeMap<ClusterName, i32> {
    use super::filter::Exclusion::{NotConnected, Suspended};
    let share = |standing: &Standing| match standing {
        Standing::Open { .. } | Standing::Closed { because: NotConnected, .. } => Some(wanted),
        Standing::Closed { held, because: Suspended, .. } => Some(*held),
        Standing::Closed { held, .. } => Some((*held).min(wanted)),
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
fn at_zero(field: Field<'_>) -> BTreeMap<ClusterName, i32> {
    let home = |party: &Party<'_>| (party.name.clone(), 0);
    if field.parties.iter().all(|party| party.held.is_none()) {
        let shares = field.shared(1);
        return field
            .parties
            .iter()
            .zip(shares)
            .filter(|(_, share)| *share > 0)
            .map(|(p, _)| home(p))
            .collect();
    }
    let Field { parties, ties, .. } = field;
    let mut held: Vec<Party<'_>> = parties.into_iter().filter(|party| party.held.is_some()).collect();
    if held.len() > MAX_TARGETS {
        held = the_first(held, 0, &ties);
    }
    held.iter().map(home).collect()
}

/// Those that can have a replica.
fn useful(mut parties: Vec<Party<'_>>) -> Vec<Party<'_>> {
    parties.retain(|party| party.most > 0);
    parties
}

fn above_zero(parties: &[Party<'_>], shares: Vec<i64>) -> BTreeMap<ClusterName, i32> {
    let narrow = |share: i64| i32::try_from(share).unwrap_or(i32::MAX);
    let used = parties.iter().zip(shares).filter(|(_, share)| *share > 0);
    used.map(|(party, share)| (party.name.clone(), narrow(share))).collect()
}
