//! Freeze: when much of the fleet falls silent at once, the fault is the hub's network rather than so many clusters', and
//! nothing is placed again for it until most of them are back or an administrator says that they are lost indeed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parallax_crds::{ClusterName, MemberCluster, labels};

use super::settling::replace;
use super::{Fleet, GRACE, Now, Timer};

/// Within what time so many sessions must be lost.
const AT_ONCE: Duration = Duration::from_mins(1);
/// So many at least.
const FEWEST: usize = 2;
/// The reason of `Connected` while its cluster is among them: a hub that starts knows by it that there was a freeze.
pub(super) const FROZEN: &str = "FailoverFrozen";

/// What fell silent.
#[derive(Debug, Default)]
pub(super) struct Freeze {
    /// The clusters whose sessions were lost a short time ago.
    recent: BTreeMap<ClusterName, Duration>,
    /// While there is a freeze, those that are the cause of it.
    silent: BTreeSet<ClusterName>,
    /// After one, until when the others have the time to come back, too.
    thaws: Option<Duration>,
}

impl Fleet {
    /// Whether nothing may be placed again because this cluster is lost.
    pub(super) fn is_frozen(&self, name: &ClusterName) -> bool {
        let frozen = !self.freeze.silent.is_empty() || self.freeze.thaws.is_some();
        frozen && self.clusters.get(name).is_some_and(|cluster| !is_said_lost(&cluster.stored.object))
    }

    /// The session of a cluster has ended, and nobody meant it to.
    pub(super) fn fell_silent(&mut self, name: &ClusterName, now: Now) {
        self.freeze.recent.retain(|_, lost| *lost + AT_ONCE > now.mono);
        self.freeze.recent.insert(name.clone(), now.mono);
        let recent: BTreeSet<ClusterName> = self.freeze.recent.keys().cloned().collect();
        self.freeze_if_many(&recent, now);
    }

    /// The hub has started, and these clusters aren't there: either they have fallen silent with the hub, or they had
    /// before, and the freeze goes on.
    pub(super) fn remember_freeze(&mut self, absent: &[ClusterName], now: Now) {
        let frozen = |cluster: &super::Cluster| {
            cluster.was_connected() || cluster.connection().is_some_and(|c| c.reason == FROZEN)
        };
        let silent = absent.iter().filter(|name| self.clusters.get(*name).is_some_and(frozen));
        self.freeze_if_many(&silent.cloned().collect(), now);
    }

    fn freeze_if_many(&mut self, silent: &BTreeSet<ClusterName>, now: Now) {
        let silent: BTreeSet<_> = silent.union(&self.freeze.silent).cloned().collect();
        let (silent, much) = self.still_silent(silent);
        if !much {
            return;
        }
        for name in &silent {
            self.touch_cluster(name, now);
        }
        self.freeze.silent = silent;
    }

    /// A cluster is back, or is no longer counted: the freeze may be over.
    pub(super) fn look_at_freeze(&mut self, now: Now) {
        if self.freeze.silent.is_empty() {
            return;
        }
        let (silent, much) = self.still_silent(self.freeze.silent.clone());
        if much {
            self.freeze.silent = silent;
            return;
        }
        for name in std::mem::take(&mut self.freeze.silent) {
            self.touch_cluster(&name, now);
        }
        // When a network is well again, members come back one by one. Who isn't there after the grace is lost although
        // the network is well.
        let until = now.mono + GRACE;
        replace(&mut self.timers, &mut self.freeze.thaws, Some(until), || Timer::Thawed);
    }

    /// After a freeze, members have had the time to come back: what has been waited for long enough is placed again.
    pub(super) fn thawed(&mut self, now: Now) {
        self.freeze.thaws = None;
        for name in self.clusters.keys().cloned().collect::<Vec<_>>() {
            self.await_failover(&name, now);
        }
    }

    /// What the administrator of a cluster that is lost should know, while there is a freeze.
    pub(super) fn freeze_notice(&self, name: &ClusterName) -> Option<String> {
        self.freeze.silent.contains(name).then(|| {
            format!(
                "{} of {} clusters fell silent within a minute, so that the fault may be the hub's own network: nothing is \
                 placed again elsewhere until most of them are back. If {name} is lost indeed, annotate its MemberCluster \
                 {}={}, or delete it",
                self.freeze.silent.len(),
                self.freeze.silent.len() + self.connected_clusters(),
                labels::FAILOVER,
                labels::FAILOVER_PROCEED
            )
        })
    }

    /// Those of them that are still silent and whose administrator hasn't given them up; and whether they are much of the
    /// fleet.
    fn still_silent(&self, mut silent: BTreeSet<ClusterName>) -> (BTreeSet<ClusterName>, bool) {
        silent.retain(|name| {
            self.clusters
                .get(name)
                .is_some_and(|c| c.session.is_none() && c.is_accepted() && !is_said_lost(&c.stored.object))
        });
        let much = silent.len() >= FEWEST && silent.len() > self.connected_clusters();
        (silent, much)
    }

    fn connected_clusters(&self) -> usize {
        self.clusters.values().filter(|cluster| cluster.session.is_some()).count()
    }
}

/// Its administrator says that it is lost.
pub(super) fn is_said_lost(cluster: &MemberCluster) -> bool {
    let annotations = cluster.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get(labels::FAILOVER))
        .is_some_and(|value| value == labels::FAILOVER_PROCEED)
}
