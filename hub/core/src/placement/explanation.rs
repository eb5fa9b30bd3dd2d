//! Why an agent runs where it runs, as data, and in a sentence.

use std::collections::{BTreeMap, BTreeSet};

use parallax_crds::ClusterName;
use parallax_crds::agent::{ClusterOverride, Strategy};
use parallax_crds::selector::matches;

use super::filter::{Exclusion, Standing, Terms};
use super::score::Score;
use super::spread::Unsatisfied;
use super::{ClusterFacts, Request};

/// What placement decided about one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The cluster.
    pub cluster: ClusterName,
    /// What was decided.
    pub verdict: Verdict,
    /// What it is worth to the agent; nothing where it doesn't fit.
    pub score: Score,
    /// How it counts among the others; none where it doesn't fit.
    pub terms: Option<Terms>,
    /// The most replicas that it may have; none where nothing bounds it.
    pub most: Option<i64>,
}

/// Whether a cluster runs the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It runs this many replicas.
    Placed {
        /// Its share.
        replicas: i32,
    },
    /// It keeps this many replicas, and takes no more.
    Kept {
        /// Its share.
        replicas: i32,
        /// Why it takes no more.
        because: Exclusion,
    },
    /// It fits; the replicas are elsewhere.
    Spare,
    /// It doesn't fit.
    Excluded(Exclusion),
}

/// Whether everything that is wanted has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// All of it.
    Whole,
    /// Some replicas wait for a cluster that may take them.
    Partly,
    /// Something that the placement demands can't be had.
    Unsatisfied,
    /// No cluster fits.
    Nowhere,
}

/// A placement explained: a verdict on every cluster of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Each cluster, in the order in which they were given.
    pub verdicts: Vec<Judged>,
    /// Names in `placement.clusters` that no MemberCluster has, in the order of the spec.
    pub missing: Vec<String>,
    /// The places in `placement.overrides` of those that match no cluster.
    pub idle: Vec<usize>,
    /// Replicas to place: by the strategy the total, or the number in each cluster.
    pub wanted: i32,
    /// How they are shared.
    pub strategy: Strategy,
    /// The sum of the shares.
    pub placed: i64,
    /// What the placement demands and can't be had.
    pub unsatisfied: Option<Unsatisfied>,
    /// `placement.clusters` names clusters: a sentence speaks of these only.
    named: bool,
    regions: Vec<String>,
    namespace: String,
}

/// How many regions or clusters a sentence names before it only counts them.
const NAMED: usize = 3;

impl Explanation {
    pub(super) fn new(
        request: &Request<'_>,
        clusters: &[ClusterFacts],
        standings: Vec<Standing>,
        scores: Vec<Score>,
        targets: &BTreeMap<ClusterName, i32>,
        unsatisfied: Option<Unsatisfied>,
    ) -> Self {
        let judged = |((cluster, standing), score): ((&ClusterFacts, Standing), Score)| Judged {
            cluster: cluster.name.clone(),
            terms: standing.terms(),
            most: match &standing {
                Standing::Open { held, more, .. } => more.map(|more| more + held.map_or(0, i64::from)),
                Standing::Closed { held, .. } => Some(i64::from(*held)),
                Standing::Excluded(_) => Some(0),
            },
            verdict: verdict(standing, targets.get(&cluster.name)),
            score,
        };
        let named = request.placement.map(|p| p.clusters.as_slice()).unwrap_or_default();
        let known: BTreeSet<&str> = match named {
            [] => BTreeSet::new(),
            _ => clusters.iter().map(|cluster| cluster.name.as_str()).collect(),
        };
        let overrides = request.placement.map(|p| p.overrides.as_slice()).unwrap_or_default();
        let idle = |entry: &ClusterOverride| {
            clusters.iter().all(|cluster| !matches(&entry.cluster_selector, &cluster.labels))
        };
        Self {
            idle: (0..).zip(overrides).filter(|(_, entry)| idle(entry)).map(|(place, _)| place).collect(),
            verdicts: clusters.iter().zip(standings).zip(scores).map(judged).collect(),
            missing: named.iter().filter(|name| !known.contains(name.as_str())).cloned().collect(),
            named: !named.is_empty(),
            wanted: request.replicas.max(0),
            strategy: request.strategy(),
            placed: targets.values().map(|share| i64::from(*share)).sum(),
            unsatisfied,
            regions: request.placement.map(|p| p.regions.clone()).unwrap_or_default(),
            namespace: request.namespace.to_owned(),
        }
    }

    /// Whether everything that is wanted has a place.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        if self.unsatisfied.is_some() {
            Coverage::Unsatisfied
        } else if self.clusters_used() == 0 {
            Coverage::Nowhere
        } else if self.strategy == Strategy::Divide && self.placed < i64::from(self.wanted) {
            Coverage::Partly
        } else {
            Coverage::Whole
        }
    }

    /// One sentence without a full stop. While everything has a place it speaks only of the agent's own
    /// clusters, and of what its spec names in vain, so that it doesn't change with the rest of the fleet.
    #[must_use]
    pub fn summary(&self) -> String {
        let used = self.clusters_used();
        let sentence = match (self.coverage(), self.strategy) {
            (Coverage::Whole, _) if self.wanted == 0 => {
                format!("no replicas are wanted; kept on {}", count(used, "cluster"))
            }
            (Coverage::Whole, Strategy::Divide) => {
                format!("{} on {}", count(self.placed, "replica"), count(used, "cluster"))
            }
            (Coverage::Whole, Strategy::Replicate) => {
                format!("{} on each of {}", count(i64::from(self.wanted), "replica"), count(used, "cluster"))
            }
            (Coverage::Partly, _) => format!(
                "{} of {} placed; {} for a cluster that may take more: {}",
                self.placed,
                count(i64::from(self.wanted), "replica"),
                match i64::from(self.wanted) - self.placed {
                    1 => "1 waits".to_owned(),
                    more => format!("{more} wait"),
                },
                self.obstacles(),
            ),
            (Coverage::Unsatisfied, _) => {
                let why = self.unsatisfied.as_ref().map(ToString::to_string).unwrap_or_default();
                let stays = if self.placed > 0 { "; what runs stays where it is" } else { "" };
                format!(
                    "{} of {} placed: {why}{stays}",
                    self.placed,
                    count(i64::from(self.wanted), "replica")
                )
            }
            (Coverage::Nowhere, _) if self.verdicts.is_empty() && self.missing.is_empty() => {
                return "the fleet has no clusters yet: join one to it".to_owned();
            }
            (Coverage::Nowhere, _) => {
                let named = |judged: &&Judged| judged.verdict != Verdict::Excluded(Exclusion::NotNamed);
                let all = self.verdicts.iter().filter(named).count() + self.missing.len();
                let named = if self.named { "named " } else { "" };
                let (clusters, fit) = if all == 1 { ("cluster", "fits") } else { ("clusters", "fit") };
                return format!("0 of {all} {named}{clusters} {fit}: {}", self.obstacles());
            }
        };
        [Some(sentence), self.suspended(), self.unknown(), self.idle()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// What to tell of names in `placement.clusters` that no MemberCluster has, where others have a place. (Where none
    /// has, it is one of the obstacles.)
    #[must_use]
    pub fn unknown(&self) -> Option<String> {
        if self.missing.is_empty() || self.coverage() == Coverage::Nowhere {
            return None;
        }
        let is = if self.missing.len() == 1 { "which is no cluster" } else { "which are no clusters" };
        Some(format!("placement.clusters also names {}, {is} of this fleet", listed(&self.missing)))
    }

    /// What to tell of overrides that no cluster has anything of.
    fn idle(&self) -> Option<String> {
        let places: Vec<_> = self.idle.iter().map(ToString::to_string).collect();
        let are = match places.len() {
            0 => return None,
            1 => "matches",
            _ => "match",
        };
        Some(format!("placement.overrides[{}] {are} no cluster of this fleet", places.join(", ")))
    }

    /// The suspended clusters among the agent's own, and among those that would get a copy: where nothing lacks, the
    /// rest of the status doesn't speak of them.
    fn suspended(&self) -> Option<String> {
        let would_get_a_copy = self.strategy == Strategy::Replicate;
        let names: Vec<_> = self
            .verdicts
            .iter()
            .filter(|judged| match &judged.verdict {
                Verdict::Kept { because: Exclusion::Suspended, .. } => self.coverage() == Coverage::Whole,
                Verdict::Excluded(Exclusion::Suspended) => would_get_a_copy,
                _ => false,
            })
            .map(|judged| judged.cluster.as_str())
            .collect();
        let are = match names.len() {
            0 => return None,
            1 => "is suspended and is sent nothing new",
            _ => "are suspended and are sent nothing new",
        };
        Some(format!("{} {are}", listed(&names)))
    }

    fn clusters_used(&self) -> i64 {
        let used = |verdict: &Verdict| matches!(verdict, Verdict::Placed { .. } | Verdict::Kept { .. });
        self.verdicts.iter().map(|judged| i64::from(used(&judged.verdict))).sum()
    }

    /// "2 not in region eu (us-1, us-2), 1 not accepted (new)": the most frequent first.
    fn obstacles(&self) -> String {
        let mut by_exclusion: BTreeMap<&Exclusion, Vec<&str>> = BTreeMap::new();
        let mut filled = Vec::new();
        for judged in &self.verdicts {
            let name = judged.cluster.as_str();
            match &judged.verdict {
                Verdict::Excluded(exclusion) | Verdict::Kept { because: exclusion, .. } => {
                    by_exclusion.entry(exclusion).or_default().push(name);
                }
                Verdict::Placed { replicas } if judged.most == Some(i64::from(*replicas)) => {
                    filled.push(name);
                }
                Verdict::Placed { .. } | Verdict::Spare => {}
            }
        }
        let mut parts: Vec<(Vec<&str>, String)> = by_exclusion
            .into_iter()
            .filter_map(|(exclusion, names)| {
                let phrase = self.phrase(exclusion, names.len() == 1)?;
                Some((names, phrase))
            })
            .collect();
        if !filled.is_empty() {
            let have = if filled.len() == 1 { "has" } else { "have" };
            parts.push((filled, format!("{have} as many as fit")));
        }
        if !self.missing.is_empty() && self.coverage() == Coverage::Nowhere {
            let missing = self.missing.iter().map(String::as_str).collect();
            parts.push((missing, "not a cluster of this fleet".to_owned()));
        }
        parts.sort_by_key(|(names, _)| std::cmp::Reverse(names.len()));
        let said =
            parts.iter().map(|(names, phrase)| format!("{} {phrase} ({})", names.len(), listed(names)));
        said.collect::<Vec<_>>().join(", ")
    }

    /// What excludes clusters, after their number; `one`: in the singular. None for what isn't worth telling.
    #[must_use]
    pub fn phrase(&self, exclusion: &Exclusion, one: bool) -> Option<String> {
        let phrase = match exclusion {
            Exclusion::NotNamed => return None,
            Exclusion::NotInRegion => return Some(self.not_in_region()),
            Exclusion::NotSelected => "not matched by placement.clusterSelector",
            Exclusion::NotInGroup => "in none of placement.groups",
            Exclusion::NoWeight => "without a weight in placement.division",
            Exclusion::NotLabelled(key) => {
                return Some(format!("without the label {key} of placement.spread"));
            }
            Exclusion::NotAccepted => "not accepted",
            Exclusion::NamespaceNotTaken => {
                return Some(format!("closed to namespace {}", self.namespace));
            }
            Exclusion::Tainted(taint) => return Some(format!("tainted {taint}")),
            Exclusion::Suspended => "suspended",
            Exclusion::NotConnected => "not connected",
            Exclusion::Full => "full by its maxReplicas",
            Exclusion::Lacks(amount) if one => return Some(format!("lacks {amount}")),
            Exclusion::Lacks(amount) => return Some(format!("lack {amount}")),
            Exclusion::TooSmall(room) => {
                let replicas = count(*room, "replica");
                return Some(format!("with room for {replicas}, below division.minReplicasPerCluster"));
            }
        };
        Some(phrase.to_owned())
    }

    fn not_in_region(&self) -> String {
        let named = &self.regions[..self.regions.len().min(NAMED)];
        let phrase = format!("not in region {}", named.join(" or "));
        match self.regions.len() - named.len() {
            0 => phrase,
            more => format!("{phrase} or {more} more"),
        }
    }
}

fn verdict(standing: Standing, share: Option<&i32>) -> Verdict {
    match (standing, share) {
        (Standing::Open { .. }, Some(&replicas)) => Verdict::Placed { replicas },
        (Standing::Open { .. }, None) => Verdict::Spare,
        (Standing::Closed { because, .. }, Some(&replicas)) => Verdict::Kept { replicas, because },
        (Standing::Excluded(because) | Standing::Closed { because, .. }, _) => Verdict::Excluded(because),
    }
}

/// "1 replica", "3 replicas".
pub(super) fn count(n: i64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// "a, b, c and 4 more".
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    let first = first.join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
