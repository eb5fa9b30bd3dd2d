//! What a division must hold to: the entries of `placement.spread`, and the fewest replicas of a cluster that has any.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use parallax_crds::agent::Spread;
use parallax_crds::labels;
use serde::Serialize;

use super::ClusterFacts;
use super::select::Party;

/// The label that a spread goes by; none: each cluster is a group of its own.
#[must_use]
pub fn label_of(by: &str) -> Option<&str> {
    match by {
        "cluster" => None,
        "zone" => Some(labels::ZONE),
        "region" => Some(labels::REGION),
        "provider" => Some(labels::PROVIDER),
        key => Some(key),
    }
}

/// What can't be held to, and by how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum Unsatisfied {
    /// The clusters that fit are in too few groups.
    #[error(
        "spread by {by} needs {needed} groups, and the clusters that fit are in {there}; \
         let the agent into clusters of other groups, or lower minGroups"
    )]
    TooFewGroups {
        /// The entry of `spread`.
        by: String,
        /// Its `minGroups`.
        needed: i64,
        /// How many there are.
        there: i64,
    },
    /// There are fewer replicas than groups that each need one.
    #[error(
        "spread by {by} needs a replica in each of {needed} groups, and only {replicas} can be placed; \
         add replicas or room for them, or lower minGroups"
    )]
    TooFewReplicas {
        /// The entry of `spread`.
        by: String,
        /// Its `minGroups`.
        needed: i64,
        /// How many can be placed at most.
        replicas: i64,
    },
    /// The groups that may have replicas have no room for all.
    #[error(
        "spread by {by} leaves room for {room} of {replicas} replicas; \
         add room to the groups that have the least, or raise maxSkew or maxGroups"
    )]
    TooTight {
        /// The entry of `spread`.
        by: String,
        /// How many can be placed.
        room: i64,
        /// How many are wanted.
        replicas: i64,
    },
    /// Each could be held to, but not all at once.
    #[error(
        "no division of {replicas} replicas over the clusters that fit holds to {rules} at once; \
         change one of them, or let the agent into more clusters"
    )]
    Together {
        /// How many are wanted.
        replicas: i64,
        /// What can't be held to.
        rules: String,
    },
}

/// What a division must hold to.
pub struct Rules<'a> {
    /// The entries of `placement.spread`.
    pub rules: Vec<Rule<'a>>,
    /// The fewest replicas of a cluster that has any.
    pub least: i64,
}

/// An entry of `placement.spread` among certain parties.
pub struct Rule<'a> {
    /// Its key, as it is written.
    pub by: &'a str,
    /// How many groups must have a replica.
    pub min: i64,
    /// How many may.
    pub max: i64,
    /// By how many replicas groups that have any may differ.
    pub skew: Option<i64>,
    /// The group of each party.
    pub group_of: Vec<usize>,
    /// How many groups there are.
    pub groups: usize,
}

impl<'a> Rules<'a> {
    /// The rules of these parties.
    #[must_use]
    pub fn of(spread: &'a [Spread], least: i64, clusters: &[ClusterFacts], parties: &[Party<'_>]) -> Self {
        let rules = spread.iter().map(|entry| Rule::of(entry, clusters, parties)).collect();
        Self { rules, least: least.max(1) }
    }

    /// By how much these shares break the rules, in replicas; 0: not at all. A party that is pinned may keep less
    /// than the least.
    #[must_use]
    pub fn excess(&self, parties: &[Party<'_>], shares: &[i64]) -> i64 {
        let short = |(party, share): (&Party<'_>, &i64)| {
            if party.pinned || *share == 0 { 0 } else { (self.least - share).clamp(0, *share) }
        };
        let small: i64 = parties.iter().zip(shares).map(short).sum();
        small + self.rules.iter().map(|rule| rule.excess(&rule.loads(shares))).sum::<i64>()
    }

    /// How many of `wanted` replicas can be placed at most by each rule alone, and which rule says so.
    #[must_use]
    pub fn ceiling(&self, parties: &[Party<'_>], wanted: i64) -> (i64, Option<Unsatisfied>) {
        let mut lowest = (wanted, None);
        for rule in &self.rules {
            let mut room = vec![0; rule.groups];
            for (party, &group) in parties.iter().zip(&rule.group_of) {
                if party.pinned || party.most >= self.least {
                    room[group] += party.most.min(wanted);
                }
            }
            let (most, why) = rule.ceiling(room, wanted);
            if most < lowest.0 {
                lowest = (most, why);
            }
        }
        lowest
    }

    /// The rules in words: "spread by region and zone and division.minReplicasPerCluster".
    #[must_use]
    pub fn in_words(&self) -> String {
        let by: Vec<&str> = self.rules.iter().map(|rule| rule.by).collect();
        let spread = (!by.is_empty()).then(|| format!("spread by {}", by.join(" and ")));
        let least = (self.least > 1).then(|| "division.minReplicasPerCluster".to_owned());
        spread.into_iter().chain(least).collect::<Vec<_>>().join(" and ")
    }
}

impl<'a> Rule<'a> {
    fn of(entry: &'a Spread, clusters: &[ClusterFacts], parties: &[Party<'_>]) -> Self {
        let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
        let value = |party: &Party<'_>| {
            let cluster = &clusters[party.place];
            let label = label_of(&entry.by).and_then(|key| cluster.labels.get(key));
            label.map_or(cluster.name.as_str(), String::as_str)
        };
        let mut group_of = Vec::with_capacity(parties.len());
        for party in parties {
            let next = groups.len();
            group_of.push(*groups.entry(value(party)).or_insert(next));
        }
        Self {
            by: &entry.by,
            min: entry.min_groups.map_or(1, i64::from),
            max: entry.max_groups.map_or(i64::MAX, i64::from),
            skew: entry.max_skew.map(i64::from),
            groups: groups.len(),
            group_of,
        }
    }

    /// The replicas of each group.
    #[must_use]
    pub fn loads(&self, shares: &[i64]) -> Vec<i64> {
        let mut loads = vec![0; self.groups];
        self.group_of.iter().zip(shares).for_each(|(&group, share)| loads[group] += share);
        loads
    }

    fn excess(&self, loads: &[i64]) -> i64 {
        let mut used: Vec<i64> = loads.iter().copied().filter(|load| *load > 0).collect();
        used.sort_unstable();
        let count = i64::try_from(used.len()).unwrap_or(i64::MAX);
        let missing = (self.min - count).max(0);
        let beyond = usize::try_from((count - self.max).max(0)).unwrap_or(usize::MAX);
        let too_many: i64 = used.iter().take(beyond).sum();
        let lowest = used.first().copied().unwrap_or(0);
        let skewed = self.skew.map_or(0, |skew| used.iter().map(|load| (load - lowest - skew).max(0)).sum());
        missing + too_many + skewed
    }

    fn ceiling(&self, mut room: Vec<i64>, wanted: i64) -> (i64, Option<Unsatisfied>) {
        room.retain(|room| *room > 0);
        room.sort_unstable_by_key(|room| Reverse(*room));
        let by = self.by.to_owned();
        let there = i64::try_from(room.len()).unwrap_or(i64::MAX);
        if there < self.min {
            return (0, Some(Unsatisfied::TooFewGroups { by, needed: self.min, there }));
        }
        if wanted < self.min {
            return (0, Some(Unsatisfied::TooFewReplicas { by, needed: self.min, replicas: wanted }));
        }
        let holds = |groups: usize| {
            let lowest = room[groups - 1];
            let most = |room: &i64| self.skew.map_or(*room, |skew| (*room).min(lowest.saturating_add(skew)));
            room[..groups].iter().map(most).sum::<i64>()
        };
        let bound = |groups: i64| usize::try_from(groups.min(there)).unwrap_or(room.len());
        // Every group more is room for more, unless groups must not differ.
        let fewest = if self.skew.is_some() { bound(self.min) } else { bound(self.max) };
        let most = (fewest.max(1)..=bound(self.max)).map(holds).max().unwrap_or(0);
        let why = (most < wanted).then_some(Unsatisfied::TooTight { by, room: most, replicas: wanted });
        (most.min(wanted), why)
    }
}
