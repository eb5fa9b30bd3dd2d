//! What placement sees of a cluster: what its administrator says of it, what it says of itself, and how it is connected.

use std::collections::BTreeMap;

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parallax_crds::cluster::{ClusterTaint, SeenTaint};
use parallax_crds::{Amounts, ClusterName, MemberClusterStatus};

use super::cluster::Cluster;
use super::standing::Standings;
use crate::placement::{ClusterFacts, Namespaces, Taint};

/// What a cluster says of itself. It is in the status of its MemberCluster, from where it is known until its member has
/// come back to a hub that was started anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub capacity: Option<Amounts>,
    pub allocatable: Option<Amounts>,
    pub free: Option<Amounts>,
    pub labels: BTreeMap<String, String>,
    pub scores: BTreeMap<String, i32>,
}

impl Said {
    pub fn stored(status: Option<&MemberClusterStatus>) -> Self {
        let Some(status) = status else { return Self::default() };
        Self {
            capacity: status.capacity.as_ref().map(Amounts::of),
            allocatable: status.allocatable.as_ref().map(Amounts::of),
            free: status.free.as_ref().map(Amounts::of),
            labels: status.labels.clone(),
            scores: status.scores.clone(),
        }
    }
}

impl Cluster {
    /// What placement sees of it. `starting`: the hub hasn't given its members the time to come back yet, so those
    /// that an earlier process had connected count as connected. `standings`: who has shares there.
    pub fn facts(&self, name: &ClusterName, starting: bool, standings: &Standings) -> ClusterFacts {
        let spec = &self.stored.object.spec;
        let replicas = standings.replicas(name);
        let free = |free: &Amounts| standings.reserved(name).map_or_else(|| free.clone(), |r| free.less(r));
        let left = |most: i32| i32::try_from((i64::from(most) - replicas).max(0)).unwrap_or(i32::MAX);
        let namespaces = spec.namespaces.clone().unwrap_or_default();
        ClusterFacts {
            name: name.clone(),
            labels: self.labels(),
            accepted: self.is_accepted(),
            suspended: self.is_suspended(),
            connected: self.session.is_some() || (starting && self.lost.is_none() && self.was_connected()),
            taints: self.taints.clone(),
            namespaces: Namespaces { allow: namespaces.allow, deny: namespaces.deny },
            room: spec.max_replicas.map(left),
            free: self.said.free.as_ref().map(free),
            scores: self.said.scores.clone(),
        }
    }

    /// The MemberCluster's labels, and of what the cluster says of itself those that it may say.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let object = &self.stored.object;
        let mut labels = object.metadata.labels.clone().unwrap_or_default();
        for key in &object.spec.copy_labels {
            if let Some(said) = self.said.labels.get(key) {
                labels.entry(key.clone()).or_insert_with(|| said.clone());
            }
        }
        labels
    }

    /// Takes in the taints that its administrator says it has now.
    pub fn note_taints(&mut self, now: Timestamp) {
        self.taints = in_force(&self.stored.object.spec.taints, &self.taints, now);
    }

    /// The taints as they are shown.
    pub fn seen_taints(&self) -> Vec<SeenTaint> {
        let seen = |Taint { key, value, effect, since }: &Taint| SeenTaint {
            key: key.clone(),
            value: value.clone(),
            effect: *effect,
            since: Time(*since),
        };
        self.taints.iter().map(seen).collect()
    }
}

/// The taints of the stored status.
pub(super) fn stored_taints(status: Option<&MemberClusterStatus>) -> Vec<Taint> {
    let taint = |SeenTaint { key, value, effect, since }: &SeenTaint| Taint {
        key: key.clone(),
        value: value.clone(),
        effect: *effect,
        since: since.0,
    };
    status.map(|status| status.taints.iter().map(taint).collect()).unwrap_or_default()
}

/// The taints of the spec with the moment from which they count: the one that is given, or the one at which they were
/// seen first. With another value a taint is another one.
pub(super) fn in_force(spec: &[ClusterTaint], known: &[Taint], now: Timestamp) -> Vec<Taint> {
    // As Kubernetes writes times, so that the same is read back.
    let now = now.round(Unit::Second).unwrap_or(now);
    let since = |taint: &ClusterTaint| {
        let same = |k: &&Taint| k.key == taint.key && k.value == taint.value && k.effect == taint.effect;
        let given = taint.time_added.as_ref().map(|time| time.0);
        given.or_else(|| known.iter().find(same).map(|known| known.since)).unwrap_or(now)
    };
    spec.iter()
        .map(|taint| Taint {
            key: taint.key.clone(),
            value: taint.value.clone(),
            effect: taint.effect,
            since: since(taint),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::time::Duration;

    use parallax_crds::cluster::{ClusterNamespaces, TaintEffect};
    use parallax_crds::{AgentKey, MemberCluster, MemberClusterSpec, fixtures};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn taint(value: &str, time_added: Option<i64>) -> ClusterTaint {
        ClusterTaint {
            key: "example.com/maintenance".to_owned(),
            value: value.to_owned(),
            effect: TaintEffect::NoExecute,
            time_added: time_added.map(|second| Time(at(second))),
        }
    }

    fn cluster(spec: MemberClusterSpec, status: Option<MemberClusterStatus>, now: Timestamp) -> Cluster {
        let mut object = MemberCluster::new("a", spec);
        object.metadata.labels = Some([("tier".to_owned(), "gold".to_owned())].into());
        object.status = status;
        Cluster::new(Arc::new(object), "u".to_owned(), now)
    }

    #[test]
    fn a_taint_counts_from_when_it_is_said_to_or_was_seen_first() {
        let since = |taints: &[Taint]| taints.iter().map(|t| t.since).collect::<Vec<_>>();
        let first = in_force(&[taint("", None)], &[], at(10));
        assert_eq!(since(&first), [at(10)]);
        assert_eq!(since(&in_force(&[taint("", None)], &first, at(20))), [at(10)], "it is there already");
        assert_eq!(since(&in_force(&[taint("", Some(5))], &first, at(20))), [at(5)]);
        assert_eq!(since(&in_force(&[taint("other", None)], &first, at(20))), [at(20)]);
        assert_eq!(since(&in_force(&[], &first, at(20))), []);
    }

    #[test]
    fn a_taint_outlives_the_hub() {
        let spec = MemberClusterSpec { taints: vec![taint("x", None)], ..MemberClusterSpec::default() };
        let before = cluster(spec.clone(), None, at(10));
        let status = MemberClusterStatus { taints: before.seen_taints(), ..MemberClusterStatus::default() };
        let stored = serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
        assert_eq!(cluster(spec, Some(stored), at(500)).taints, before.taints);
    }

    #[test]
    fn a_cluster_says_only_what_it_may_and_nothing_against_its_administrator() {
        let pairs = |of: &[(&str, &str)]| -> BTreeMap<String, String> {
            of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let said = pairs(&[("tier", "platinum"), ("zone", "eu-1"), ("secret", "yes")]);
        let copy_labels = ["tier", "zone", "unsaid"].map(str::to_owned).to_vec();
        let spec = MemberClusterSpec { copy_labels, ..MemberClusterSpec::default() };
        let status = MemberClusterStatus { labels: said, ..MemberClusterStatus::default() };
        let facts =
            cluster(spec, Some(status), at(0)).facts(&fixtures::cluster("a"), false, &Standings::default());
        assert_eq!(facts.labels, pairs(&[("tier", "gold"), ("zone", "eu-1")]));
    }

    /// An agent has so many replicas there.
    fn having(replicas: i32) -> Standings {
        let mut standings = Standings::default();
        standings.assign(&fixtures::cluster("a"), &AgentKey::new("team", "x"), replicas, true);
        standings
    }

    #[test]
    fn what_is_reserved_is_not_free_any_more() {
        let amounts = |cpu| Amounts { cpu, ..Amounts::default() };
        let status =
            MemberClusterStatus { free: Some(amounts(4000).quantities()), ..MemberClusterStatus::default() };
        let one = cluster(MemberClusterSpec::default(), Some(status), at(0));
        let mut standings = having(3);
        let (name, key) = (fixtures::cluster("a"), AgentKey::new("team", "x"));
        standings.reserve(&name, &key, (1, 3), &amounts(1500), Duration::ZERO);
        assert_eq!(one.facts(&name, false, &standings).free, Some(amounts(1000)));
        standings.reserve(&name, &key, (1, 3), &amounts(9000), Duration::ZERO);
        assert_eq!(one.facts(&name, false, &standings).free, Some(amounts(0)));
        let silent = cluster(MemberClusterSpec::default(), None, at(0));
        assert_eq!(silent.facts(&name, false, &standings).free, None);
    }

    #[test]
    fn room_is_what_the_shares_leave_of_the_bound() {
        let spec = MemberClusterSpec { max_replicas: Some(5), ..MemberClusterSpec::default() };
        let one = cluster(spec, None, at(0));
        let room = |replicas| one.facts(&fixtures::cluster("a"), false, &having(replicas)).room;
        assert_eq!([room(0), room(5), room(9)], [Some(5), Some(0), Some(0)]);
        let unbounded = cluster(MemberClusterSpec::default(), None, at(0));
        assert_eq!(unbounded.facts(&fixtures::cluster("a"), false, &having(9)).room, None);
    }

    #[test]
    fn what_is_stored_is_known_until_the_member_tells() {
        let free = Amounts { cpu: 1500, memory: 1 << 30, pods: 10, extended: BTreeMap::new() };
        let namespaces = ClusterNamespaces { allow: vec!["team".to_owned()], deny: vec![] };
        let spec = MemberClusterSpec { namespaces: Some(namespaces), ..MemberClusterSpec::default() };
        let status = MemberClusterStatus {
            free: Some(free.quantities()),
            scores: [("cost".to_owned(), 40)].into(),
            ..MemberClusterStatus::default()
        };
        let facts =
            cluster(spec, Some(status), at(0)).facts(&fixtures::cluster("a"), false, &Standings::default());
        assert_eq!((facts.free, facts.scores), (Some(free), [("cost".to_owned(), 40)].into()));
        assert_eq!(facts.namespaces.allow, ["team"]);
    }
}
