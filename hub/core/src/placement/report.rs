//! Everything about where an agent runs, for people ([`std::fmt::Display`]) and programs ([`serde::Serialize`]).

use std::fmt;

use parallax_crds::agent::{DivisionMode, Strategy};
use serde::Serialize;

use super::explanation::{Judged, Verdict, count};
use super::score::{Because, Part};
use super::spread::{Unsatisfied, label_of};
use super::{ClusterFacts, Placed, Request};
use crate::overrides::Applying;

/// How many clusters a report has at most: the agent's own first.
pub const MAX_CLUSTERS: usize = 1_000;

/// Why an agent runs where it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// All of it in a sentence, as the condition `Placed` has it.
    pub summary: String,
    /// Replicas to place: by the strategy the total, or the number in each cluster.
    pub wanted: i32,
    /// How many have a place.
    pub placed: i64,
    /// Divide or Replicate.
    pub strategy: Strategy,
    /// By what the replicas are divided.
    pub division: String,
    /// What each entry of `placement.spread` comes to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<SpreadReport>,
    /// What the placement demands and can't be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsatisfied: Option<Unsatisfied>,
    /// Those with a share first, then those that fit, then the others; each in the order of the fleet.
    pub clusters: Vec<ClusterReport>,
    /// How many more clusters there are that have no share.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

/// An entry of `placement.spread`, and the replicas of each of its groups that has any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpreadReport {
    /// Its key.
    pub by: String,
    /// The groups by name, and their replicas.
    pub groups: Vec<(String, i64)>,
}

/// What was decided about a cluster, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReport {
    /// Its name.
    pub cluster: String,
    /// Its share; none: it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// What it is worth to the agent; none: it doesn't fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
    /// What the score is the sum of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartReport>,
    /// Which of `placement.groups` it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The most replicas that it may have; none: nothing bounds it that is known of, or it doesn't fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<i64>,
    /// Which of `placement.overrides` apply there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<usize>,
    /// Why it takes nothing, or nothing more: a word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A part of a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartReport {
    /// What counts: `preferred[0]`, a name in `scores`, or a taint.
    pub because: String,
    /// How much.
    pub points: i64,
}

impl Report {
    pub(super) fn new(request: &Request<'_>, clusters: &[ClusterFacts], placed: &Placed) -> Self {
        let explanation = &placed.explanation;
        // Verdicts are in the order of the clusters.
        let mut judged: Vec<(&Judged, &ClusterFacts)> = explanation.verdicts.iter().zip(clusters).collect();
        judged.sort_by_key(|(judged, _)| match judged.verdict {
            Verdict::Placed { .. } | Verdict::Kept { .. } => 0,
            Verdict::Spare => 1,
            Verdict::Excluded(_) => 2,
        });
        let omitted = judged.len().saturating_sub(MAX_CLUSTERS);
        judged.truncate(MAX_CLUSTERS);
        let groups = request.placement.map(|p| p.groups.as_slice()).unwrap_or_default();
        let overrides = request.placement.map(|p| p.overrides.as_slice()).unwrap_or_default();
        let reported = |(judged, facts): (&Judged, &ClusterFacts)| {
            let (replicas, because) = match &judged.verdict {
                Verdict::Placed { replicas } => (Some(*replicas), None),
                Verdict::Kept { replicas, because } => (Some(*replicas), Some(because)),
                Verdict::Spare => (None, None),
                Verdict::Excluded(because) => (None, Some(because)),
            };
            let fits = judged.terms.filter(|_| replicas.is_some() || because.is_none());
            ClusterReport {
                cluster: judged.cluster.to_string(),
                replicas,
                score: fits.map(|_| judged.score.total),
                parts: judged.score.parts.iter().map(PartReport::of).collect(),
                group: fits.and_then(|terms| groups.get(terms.group)).map(|group| group.name.clone()),
                most: fits.and(judged.most),
                overrides: fits
                    .map_or_else(Vec::new, |_| Applying::to(overrides, &facts.labels).places().collect()),
                reason: because.map(Into::into),
                message: because.map(|because| {
                    let not_named = || "not named in placement.clusters".to_owned();
                    explanation.phrase(because, true).unwrap_or_else(not_named)
                }),
            }
        };
        Self {
            summary: explanation.summary(),
            wanted: explanation.wanted,
            placed: explanation.placed,
            strategy: explanation.strategy,
            division: division(request),
            spread: spread(request, clusters, placed),
            unsatisfied: explanation.unsatisfied.clone(),
            clusters: judged.into_iter().map(reported).collect(),
            omitted,
        }
    }
}

impl PartReport {
    fn of(part: &Part) -> Self {
        let because = match &part.because {
            Because::Preferred(place) => format!("preferred[{place}]"),
            Because::Reported(name) => name.clone(),
            Because::Taint(taint) => format!("taint {taint}"),
        };
        Self { because, points: part.points }
    }
}

fn division(request: &Request<'_>) -> String {
    if request.strategy() == Strategy::Replicate {
        return "every cluster that fits gets all replicas".to_owned();
    }
    let placement = request.placement;
    let division = placement.and_then(|p| p.division.as_ref());
    let mode = match division.map(|d| d.mode).unwrap_or_default() {
        DivisionMode::Balanced => "Balanced: evenly",
        DivisionMode::Weighted => "Weighted: in proportion to the weights",
        DivisionMode::Capacity => "Capacity: in proportion to how many fit",
        DivisionMode::Packed => "Packed: as few clusters as will hold them",
    };
    let groups = placement.is_some_and(|p| !p.groups.is_empty());
    let scores = placement.is_some_and(|p| !p.preferred.is_empty() || !p.scores.is_empty());
    let among = match (groups, scores) {
        (false, false) => "",
        (true, false) => ", first in the first group",
        (false, true) => ", first where the score is highest",
        (true, true) => ", first in the first group, in it where the score is highest",
    };
    let stays = if request.rebalance || placement.is_some_and(|p| !p.sticky) {
        "all that can move does"
    } else {
        "what runs stays where it is"
    };
    let least = match division.and_then(|d| d.min_replicas_per_cluster) {
        Some(least) if least > 1 => format!("; {least} in a cluster at least, or none"),
        _ => String::new(),
    };
    format!("{mode}{among}; {stays}{least}")
}

fn spread(request: &Request<'_>, clusters: &[ClusterFacts], placed: &Placed) -> Vec<SpreadReport> {
    let entries = request.placement.map(|p| p.spread.as_slice()).unwrap_or_default();
    let groups = |by: &str| {
        let mut groups = std::collections::BTreeMap::<String, i64>::new();
        for cluster in clusters {
            let label = label_of(by).and_then(|key| cluster.labels.get(key));
            let group = label.map_or(cluster.name.as_str(), String::as_str);
            if let Some(share) = placed.targets.get(&cluster.name).filter(|share| **share > 0) {
                *groups.entry(group.to_owned()).or_default() += i64::from(*share);
            }
        }
        groups.into_iter().collect()
    };
    entries.iter().map(|entry| SpreadReport { by: entry.by.clone(), groups: groups(&entry.by) }).collect()
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary)?;
        writeln!(f, "{}", self.division)?;
        for entry in &self.spread {
            let groups: Vec<String> =
                entry.groups.iter().map(|(group, replicas)| format!("{group} {replicas}")).collect();
            let groups = if groups.is_empty() { "nothing".to_owned() } else { groups.join(", ") };
            writeln!(f, "spread by {}: {groups}", entry.by)?;
        }
        let width = self.clusters.iter().map(|c| c.cluster.len()).max().unwrap_or(0).max("CLUSTER".len());
        writeln!(f, "{:width$}  REPLICAS  SCORE  WHY", "CLUSTER")?;
        for cluster in &self.clusters {
            let replicas = cluster.replicas.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let score = cluster.score.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let why = cluster.why();
            writeln!(
                f,
                "{}",
                format!("{:width$}  {replicas:>8}  {score:>5}  {why}", cluster.cluster).trim_end()
            )?;
        }
        if self.omitted > 0 {
            writeln!(
                f,
                "and {} without a share",
                count(i64::try_from(self.omitted).unwrap_or(i64::MAX), "more cluster")
            )?;
        }
        Ok(())
    }
}

impl ClusterReport {
    /// "group cloud, preferred[0] +5000, room for 3"; or what excludes it.
    fn why(&self) -> String {
        let group = self.group.as_ref().map(|group| format!("group {group}"));
        let parts = self.parts.iter().map(|part| format!("{} {:+}", part.because, part.points));
        let room = self.most.filter(|_| self.reason.is_none()).map(|most| format!("holds at most {most}"));
        let kept = if self.replicas.is_some() { "takes nothing new: " } else { "" };
        let message = self.message.as_ref().map(|message| format!("{kept}{message}"));
        let overrides = self.overrides.iter().map(|place| format!("overrides[{place}]"));
        group
            .into_iter()
            .chain(parts)
            .chain(room)
            .chain(overrides)
            .chain(message)
            .collect::<Vec<_>>()
            .join(", ")
    }
}
