//! What clusters have promised to agents and can't have told yet: it is taken from what they last said to be free.
//!
//! A decision gives an agent a share at once; its pods are on nodes later, and what is free without them is told later
//! still. A [`Reservation`] stands for the replicas in between. Replicas that serve are on nodes, so what their cluster
//! tells after that it has free is without them. Whatever becomes of them, a reservation ends after [`LIFE`]: a pod that
//! finds no node by then keeps nothing from others.
//!
//! They aren't stored: a hub that has just started goes by what clusters tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parallax_crds::{AgentKey, Amounts, ClusterName};

/// How long a reservation lasts at most after the decision that made it or made it larger.
const LIFE: Duration = Duration::from_secs(300);
/// A member tells what is free with its next heartbeat at the latest: when it has said nothing for so long since replicas
/// serve, what it said before is without them.
const TOLD: Duration = Duration::from_secs(30);

/// All reservations, by cluster and agent.
#[derive(Debug, Default)]
pub struct Reservations {
    clusters: BTreeMap<ClusterName, Reserved>,
    /// When which of them are to be looked at.
    due: BTreeSet<(Duration, ClusterName, AgentKey)>,
}

/// What is reserved in a cluster.
#[derive(Debug, Default)]
struct Reserved {
    agents: BTreeMap<AgentKey, Reservation>,
    /// What they come to.
    sum: Amounts,
}

/// What is reserved for an agent in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reservation {
    /// The agent's replicas there, by its decision.
    share: i32,
    /// Of these, those that the cluster has taken into account: fewer than the share.
    counted: i32,
    /// What each replica requests.
    each: Amounts,
    ends: Duration,
    /// So many serve, and from when on they are taken into account even if the cluster tells nothing more.
    serving: Option<(i32, Duration)>,
}

impl Reservation {
    fn outstanding(&self) -> Amounts {
        self.each.times(i64::from(self.share) - i64::from(self.counted))
    }

    fn due(&self) -> Duration {
        self.serving.map_or(self.ends, |(_, at)| at.min(self.ends))
    }
}

impl Reservations {
    /// A decision has changed an agent's share of a cluster, each replica of which requests `each`. Whether that changes
    /// what is reserved.
    pub fn decide(
        &mut self,
        cluster: &ClusterName,
        key: &AgentKey,
        (before, share): (i32, i32),
        each: &Amounts,
        now: Duration,
    ) -> bool {
        let known = self.of(cluster, key);
        if known.is_none() && share <= before {
            return false;
        }
        let reservation = match known {
            Some(known) if share <= known.share => Reservation { share, each: each.clone(), ..known.clone() },
            // What was there before is taken into account, or was given up waiting for.
            _ => Reservation {
                share,
                counted: known.map_or(before, |known| known.counted),
                each: each.clone(),
                ends: now.saturating_add(LIFE),
                serving: known.and_then(|known| known.serving),
            },
        };
        self.set(cluster, key, Some(reservation))
    }

    /// The agent has a smaller share there, or none. Whether that changes what is reserved.
    pub fn lower(&mut self, cluster: &ClusterName, key: &AgentKey, share: i32) -> bool {
        let Some(known) = self.of(cluster, key).filter(|known| share < known.share) else { return false };
        let lower = Reservation { share, ..known.clone() };
        self.set(cluster, key, Some(lower))
    }

    /// The agent has nothing there any longer. Whether that changes what is reserved.
    pub fn end(&mut self, cluster: &ClusterName, key: &AgentKey) -> bool {
        self.set(cluster, key, None)
    }

    /// So many of the agent's replicas serve there: the cluster will soon have taken them into account.
    pub fn serving(&mut self, cluster: &ClusterName, key: &AgentKey, serving: i32, now: Duration) {
        let Some(known) = self.of(cluster, key) else { return };
        let before = known.serving.map_or(known.counted, |(before, _)| before);
        // Those that came first aren't kept waiting by those that come later.
        if serving <= before || known.serving.is_some() {
            return;
        }
        let known = Reservation { serving: Some((serving, now.saturating_add(TOLD))), ..known.clone() };
        self.set(cluster, key, Some(known));
    }

    /// The cluster has told what is free: it has taken those into account that `serving` says to serve. Whether that
    /// changes what is reserved.
    pub fn told(&mut self, cluster: &ClusterName, serving: impl Fn(&AgentKey) -> Option<i32>) -> bool {
        let Some(reserved) = self.clusters.get(cluster) else { return false };
        let counted: Vec<_> = reserved
            .agents
            .iter()
            .filter_map(|(key, known)| {
                let counted = serving(key).filter(|serving| *serving > known.counted)?;
                Some((key.clone(), Reservation { counted, serving: None, ..known.clone() }))
            })
            .collect();
        counted
            .into_iter()
            .fold(false, |changed, (key, known)| self.set(cluster, &key, Some(known)) || changed)
    }

    /// Ends what is over. The clusters where that changes what is reserved.
    pub fn pass(&mut self, now: Duration) -> BTreeSet<ClusterName> {
        let mut changed = BTreeSet::new();
        while let Some((_, cluster, key)) = self.due.first().filter(|(at, ..)| *at <= now).cloned() {
            let Some(known) = self.of(&cluster, &key) else { break };
            let counted = known.serving.map_or(known.counted, |(serving, _)| serving.max(known.counted));
            let left = Reservation { counted, serving: None, ..known.clone() };
            if self.set(&cluster, &key, Some(left).filter(|left| left.ends > now)) {
                changed.insert(cluster);
            }
        }
        changed
    }

    /// When [`Self::pass`] has something to do.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// What is reserved in a cluster; none: nothing.
    #[must_use]
    pub fn sum(&self, cluster: &ClusterName) -> Option<&Amounts> {
        self.clusters.get(cluster).map(|reserved| &reserved.sum)
    }

    fn of(&self, cluster: &ClusterName, key: &AgentKey) -> Option<&Reservation> {
        self.clusters.get(cluster)?.agents.get(key)
    }

    /// Puts one in the place of what was there, as long as it stands for anything. Whether the sum changes.
    fn set(&mut self, cluster: &ClusterName, key: &AgentKey, new: Option<Reservation>) -> bool {
        let new = new.filter(|new| new.counted < new.share);
        let before = self.clusters.get_mut(cluster).and_then(|reserved| reserved.agents.remove(key));
        if let Some(before) = &before {
            self.due.remove(&(before.due(), cluster.clone(), key.clone()));
        }
        let outstanding =
            |of: &Option<Reservation>| of.as_ref().map(Reservation::outstanding).unwrap_or_default();
        let (was, is) = (outstanding(&before), outstanding(&new));
        if let Some(new) = new {
            self.due.insert((new.due(), cluster.clone(), key.clone()));
            let reserved = self.clusters.entry(cluster.clone()).or_default();
            reserved.agents.insert(key.clone(), new);
        }
        if let Some(reserved) = self.clusters.get_mut(cluster) {
            reserved.sum = reserved.sum.less(&was).plus(&is);
            if reserved.agents.is_empty() {
                self.clusters.remove(cluster);
            }
        }
        was != is
    }

    /// The shares that something is reserved of, for tests to compare with the decisions.
    #[cfg(test)]
    pub fn shares(&self) -> BTreeMap<(ClusterName, AgentKey), i32> {
        let mut all = BTreeMap::new();
        for (cluster, reserved) in &self.clusters {
            let mut sum = Amounts::default();
            for (key, reservation) in &reserved.agents {
                assert!(reservation.counted < reservation.share, "{reservation:?} stands for nothing");
                assert!(
                    self.due.contains(&(reservation.due(), cluster.clone(), key.clone())),
                    "it never ends"
                );
                sum.add(&reservation.outstanding());
                all.insert((cluster.clone(), key.clone()), reservation.share);
            }
            assert!(!sum.exceed(&reserved.sum) && !reserved.sum.exceed(&sum), "{sum:?} {:?}", reserved.sum);
        }
        assert_eq!(self.due.len(), all.len());
        all
    }
}

#[cfg(test)]
mod tests;
