//! Why an agent runs where it runs, as data, and in a sentence.

use std::collections::{BTreeMap, BTreeSet};

use parallax_crds::ClusterName;
use parallax_crds::agent::Strategy;

use super::filter::{Exclusion, Standing};
use super::{ClusterFacts, Request};

/// What placement decided about one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        /// Why it takes no more: `NotConnected` or `Suspended`.
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
    /// No cluster fits.
    Nowhere,
}

/// A placement explained: a verdict on every cluster of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Each cluster, in the order in which they were given.
    pub verdicts: Vec<(ClusterName, Verdict)>,
    /// Names in `placement.clusters` that no MemberCluster has, in the order of the spec.
    pub missing: Vec<String>,
    /// Replicas to place: by the strategy the total, or the number in each cluster.
    pub wanted: i32,
    /// How they are shared.
    pub strategy: Strategy,
    /// The sum of the shares.
    pub placed: i64,
    /// `placement.clusters` names clusters: a sentence speaks of these only.
    named: bool,
    regions: Vec<String>,
}

/// How many regions or clusters a sentence names before it only counts them.
const NAMED: usize = 3;

impl Explanation {
    pub(super) fn new(
        request: &Request<'_>,
        strategy: Strategy,
        clusters: &[ClusterFacts],
        standings: &[Standing],
        targets: &BTreeMap<ClusterName, i32>,
    ) -> Self {
        let verdicts = clusters
            .iter()
            .zip(standings)
            .map(|(cluster, standing)| (cluster.name.clone(), verdict(standing, targets.get(&cluster.name))))
            .collect();
        let named = request.placement.map(|p| p.clusters.as_slice()).unwrap_or_default();
        let known: BTreeSet<&str> = match named {
            [] => BTreeSet::new(),
            _ => clusters.iter().map(|cluster| cluster.name.as_str()).collect(),
        };
        Self {
            verdicts,
            missing: named.iter().filter(|name| !known.contains(name.as_str())).cloned().collect(),
            named: !named.is_empty(),
            wanted: request.replicas.max(0),
            strategy,
            placed: targets.values().map(|share| i64::from(*share)).sum(),
            regions: request.placement.map(|p| p.regions.clone()).unwrap_or_default(),
        }
    }

    /// Whether everything that is wanted has a place.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        if self.clusters_used() == 0 {
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
                "{} of {} placed; {} for a cluster that is connected and not suspended: {}",
                self.placed,
                count(i64::from(self.wanted), "replica"),
                match i64::from(self.wanted) - self.placed {
                    1 => "1 waits".to_owned(),
                    more => format!("{more} wait"),
                },
                self.obstacles(),
            ),
            (Coverage::Nowhere, _) if self.verdicts.is_empty() && self.missing.is_empty() => {
                return "the fleet has no clusters yet: join one to it".to_owned();
            }
            (Coverage::Nowhere, _) => {
                let named = |(_, verdict): &&(ClusterName, Verdict)| {
                    *verdict != Verdict::Excluded(Exclusion::NotNamed)
                };
                let all = self.verdicts.iter().filter(named).count() + self.missing.len();
                let named = if self.named { "named " } else { "" };
                let (clusters, fit) = if all == 1 { ("cluster", "fits") } else { ("clusters", "fit") };
                return format!("0 of {all} {named}{clusters} {fit}: {}", self.obstacles());
            }
        };
        [Some(sentence), self.suspended(), self.unknown()]
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

    /// The suspended clusters among the agent's own, and among those that would get a copy: where nothing lacks, the
    /// rest of the status doesn't speak of them.
    fn suspended(&self) -> Option<String> {
        let would_get_a_copy = self.strategy == Strategy::Replicate;
        let names: Vec<_> = self
            .verdicts
            .iter()
            .filter(|(_, verdict)| match verdict {
                Verdict::Kept { because: Exclusion::Suspended, .. } => self.coverage() == Coverage::Whole,
                Verdict::Excluded(Exclusion::Suspended) => would_get_a_copy,
                _ => false,
            })
            .map(|(name, _)| name.as_str())
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
        self.verdicts.iter().map(|(_, verdict)| i64::from(used(verdict))).sum()
    }

    /// "2 not in region eu (us-1, us-2), 1 not accepted (new)": the most frequent first.
    fn obstacles(&self) -> String {
        let mut by_exclusion: BTreeMap<Exclusion, Vec<&str>> = BTreeMap::new();
        for (name, verdict) in &self.verdicts {
            if let Verdict::Excluded(exclusion) | Verdict::Kept { because: exclusion, .. } = verdict {
                by_exclusion.entry(*exclusion).or_default().push(name.as_str());
            }
        }
        let mut parts: Vec<(Vec<&str>, String)> =
            by_exclusion.into_iter().filter_map(|(e, names)| Some((names, self.phrase(e)?))).collect();
        if !self.missing.is_empty() && self.coverage() == Coverage::Nowhere {
            let missing = self.missing.iter().map(String::as_str).collect();
            parts.push((missing, "not a cluster of this fleet".to_owned()));
        }
        parts.sort_by_key(|(names, _)| std::cmp::Reverse(names.len()));
        let said =
            parts.iter().map(|(names, phrase)| format!("{} {phrase} ({})", names.len(), listed(names)));
        said.collect::<Vec<_>>().join(", ")
    }

    /// None for what isn't worth telling.
    fn phrase(&self, exclusion: Exclusion) -> Option<String> {
        let phrase = match exclusion {
            Exclusion::NotNamed => return None,
            Exclusion::NotInRegion => return Some(self.not_in_region()),
            Exclusion::NotSelected => "not matched by placement.clusterSelector",
            Exclusion::NoWeight => "without a weight in placement.division",
            Exclusion::NotAccepted => "not accepted",
            Exclusion::Suspended => "suspended",
            Exclusion::NotConnected => "not connected",
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

fn verdict(standing: &Standing, share: Option<&i32>) -> Verdict {
    match (standing, share) {
        (Standing::Excluded(exclusion), _) => Verdict::Excluded(*exclusion),
        (Standing::Open { .. }, Some(&replicas)) => Verdict::Placed { replicas },
        (Standing::Open { .. }, None) => Verdict::Spare,
        (Standing::Disconnected { .. }, Some(&replicas)) => {
            Verdict::Kept { replicas, because: Exclusion::NotConnected }
        }
        (Standing::Disconnected { .. }, None) => Verdict::Excluded(Exclusion::NotConnected),
        (Standing::Suspended { .. }, Some(&replicas)) => {
            Verdict::Kept { replicas, because: Exclusion::Suspended }
        }
        (Standing::Suspended { .. }, None) => Verdict::Excluded(Exclusion::Suspended),
    }
}

/// "1 replica", "3 replicas".
fn count(n: i64, noun: &str) -> String {
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
