//! What a cluster is worth to an agent: of two that may take a replica, the one with the higher score gets it.

use parallax_crds::agent::Placement;
use parallax_crds::selector::matches;

use super::filter::Standing;
use super::{ClusterFacts, taints};

/// A reported score of 100 with the weight 1 counts as much as a preference of the weight 1.
const WHOLE: i64 = 100;
/// What a soft taint costs: more than all preferences and reported scores can make up for together.
const SOFT_TAINT: i64 = -1_000_000;

/// A score, by part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Score {
    /// The sum of the parts.
    pub total: i64,
    /// What counts for or against the cluster; parts of 0 are left out.
    pub parts: Vec<Part>,
}

/// What counts for or against a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub because: Because,
    /// How much.
    pub points: i64,
}

/// What a part of a score comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// The entry of `placement.preferred` in this place matches the cluster.
    Preferred(usize),
    /// The cluster reports this of itself.
    Reported(String),
    /// A PreferNoSchedule taint that isn't tolerated.
    Taint(String),
}

/// What each cluster is worth to an agent that is placed so; nothing where it is excluded.
#[must_use]
pub fn scores(
    placement: Option<&Placement>,
    clusters: &[ClusterFacts],
    standings: &[Standing],
) -> Vec<Score> {
    let ranks = clusters.iter().zip(standings);
    ranks
        .map(|(cluster, standing)| match standing {
            Standing::Excluded(_) => Score::default(),
            Standing::Open { .. } | Standing::Closed { .. } => score(placement, cluster),
        })
        .collect()
}

fn score(placement: Option<&Placement>, cluster: &ClusterFacts) -> Score {
    let mut score = Score::default();
    let mut add = |because: Because, points: i64| {
        if points != 0 {
            score.total += points;
            score.parts.push(Part { because, points });
        }
    };
    for (place, entry) in placement.iter().flat_map(|p| &p.preferred).enumerate() {
        if matches(&entry.cluster_selector, &cluster.labels) {
            add(Because::Preferred(place), i64::from(entry.weight) * WHOLE);
        }
    }
    for entry in placement.iter().flat_map(|p| &p.scores) {
        let reported = cluster.scores.get(&entry.name).map_or(0, |score| i64::from(*score).clamp(0, WHOLE));
        if reported != 0 {
            add(Because::Reported(entry.name.clone()), i64::from(entry.weight) * reported);
        }
    }
    let tolerations = placement.map(|p| p.tolerations.as_slice()).unwrap_or_default();
    for taint in taints::disfavoured(cluster, tolerations) {
        add(Because::Taint(taint), SOFT_TAINT);
    }
    score
}
