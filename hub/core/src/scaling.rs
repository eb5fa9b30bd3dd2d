//! How many replicas an agent begins with where its load may change them, and between which numbers each of its
//! clusters may choose.

use std::collections::BTreeMap;

use parallax_crds::agent::{Bounds, Scaling, Strategy};
use parallax_crds::{ClusterName, Incarnation, ParallaxAgentSpec};

use crate::placement::Ties;
use crate::placement::divide::{Claim, hand_out};

/// Replicas to place, by the strategy a total or a number in each cluster: `spec.replicas`, within the bounds where the
/// agent has any.
#[must_use]
pub fn start(spec: &ParallaxAgentSpec) -> i32 {
    let replicas = spec.replicas.max(0);
    spec.scaling.map_or(replicas, |scaling| replicas.min(scaling.most()).max(scaling.fewest()))
}

/// The bounds of each cluster in which something may be chosen at all. `shares` are its replicas to begin with.
#[must_use]
pub fn bounds(
    spec: &ParallaxAgentSpec,
    incarnation: &Incarnation,
    shares: &BTreeMap<ClusterName, i32>,
) -> BTreeMap<ClusterName, Bounds> {
    let Some(scaling) = spec.scaling.filter(|scaling| !scaling.targets.is_empty()) else {
        return BTreeMap::new();
    };
    let replicate = spec.placement.as_ref().is_some_and(|p| p.strategy == Strategy::Replicate);
    let of_each = if replicate {
        shares.values().map(|_| (scaling.fewest(), scaling.most())).collect()
    } else {
        divided(&scaling, incarnation, shares)
    };
    let start = spec.replicas.max(0);
    let bounded = |((cluster, share), (min, max)): ((&ClusterName, &i32), (i32, i32))| {
        let bounds = Bounds { min, max, start };
        (*share > 0 && max > bounds.floor()).then(|| (cluster.clone(), bounds))
    };
    shares.iter().zip(of_each).filter_map(bounded).collect()
}

/// The bounds with what clusters have lent each other of the maximum; none where they can't have.
#[must_use]
pub fn lent_out(
    bounds: &BTreeMap<ClusterName, Bounds>,
    lent: &BTreeMap<ClusterName, i32>,
) -> Option<BTreeMap<ClusterName, Bounds>> {
    let beyond = |name: &ClusterName| lent.get(name).copied().unwrap_or(0);
    let known = lent.keys().all(|name| bounds.contains_key(name));
    let sum: i64 = lent.values().map(|replicas| i64::from(*replicas)).sum();
    let with = |(name, own): (&ClusterName, &Bounds)| {
        let most = own.max.checked_add(beyond(name)).filter(|most| *most >= own.floor())?;
        Some((name.clone(), Bounds { max: most, ..*own }))
    };
    bounds.iter().map(with).collect::<Option<_>>().filter(|_| known && sum <= 0)
}

/// Both bounds in proportion to what each cluster begins with, so that this lies between them: least and most are
/// divided whole, however the replicas were.
fn divided(
    scaling: &Scaling,
    incarnation: &Incarnation,
    shares: &BTreeMap<ClusterName, i32>,
) -> Vec<(i32, i32)> {
    let held: i64 = shares.values().map(|share| i64::from(*share)).sum();
    let (ties, names) = (Ties::of(incarnation), shares.keys().collect::<Vec<_>>());
    let divide = |total: i64| {
        let claim = |share: &i32| Claim {
            due: i128::from(total) * i128::from(*share),
            limit: total * i64::from(*share > 0),
        };
        let claims: Vec<Claim> = shares.values().map(claim).collect();
        hand_out(total, held.into(), &claims, |i| ties.of_cluster(names[i]))
    };
    // A fleet that can't place all that it should begin with has no cluster to owe the rest.
    let min = divide(i64::from(scaling.fewest()).min(held));
    let max = divide(i64::from(scaling.most()).max(held));
    let narrow = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
    min.into_iter().zip(max).map(|(min, max)| (narrow(min), narrow(max))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn spec(replicas: i32, scaling: &serde_json::Value) -> ParallaxAgentSpec {
        serde_json::from_value(json!({ "type": "claude", "replicas": replicas, "scaling": scaling })).unwrap()
    }

    fn shares(of: &[i32]) -> BTreeMap<ClusterName, i32> {
        of.iter()
            .enumerate()
            .map(|(i, share)| (ClusterName::new(&format!("m-{i:03}")).unwrap(), *share))
            .collect()
    }

    fn agent() -> Incarnation {
        Incarnation::new("u-1")
    }

    #[test]
    fn the_count_starts_within_the_bounds() {
        let from = |replicas| start(&spec(replicas, &json!({ "minReplicas": 2, "maxReplicas": 5 })));
        assert_eq!([0, 1, 2, 4, 5, 6].map(from), [2, 2, 2, 4, 5, 5]);
        assert_eq!(start(&spec(7, &json!({ "minReplicas": 3 }))), 3, "the effective maximum is the minimum");
        assert_eq!(start(&spec(7, &json!(null))), 7);
    }

    #[test]
    fn without_a_target_nobody_chooses() {
        let spec = spec(2, &json!({ "minReplicas": 1, "maxReplicas": 5 }));
        assert!(bounds(&spec, &agent(), &shares(&[1, 1])).is_empty());
    }

    #[test]
    fn a_cluster_without_room_has_no_autoscaler() {
        let spec = spec(3, &json!({ "minReplicas": 3, "maxReplicas": 4, "targetCPUUtilization": 70 }));
        let of = bounds(&spec, &agent(), &shares(&[1, 1, 1]));
        assert_eq!(of.values().copied().collect::<Vec<_>>(), [Bounds { min: 1, max: 2, start: 3 }]);
    }

    #[test]
    fn replicated_bounds_hold_in_each_cluster() {
        let mut spec = spec(2, &json!({ "minReplicas": 1, "maxReplicas": 4, "targetMemoryUtilization": 70 }));
        spec.placement = serde_json::from_value(json!({ "strategy": "Replicate" })).unwrap();
        let of = bounds(&spec, &agent(), &shares(&[2, 2]));
        assert_eq!(of.values().copied().collect::<Vec<_>>(), [Bounds { min: 1, max: 4, start: 2 }; 2]);
    }

    #[test]
    fn what_is_lent_is_the_maximums_only_and_never_more_than_all_of_it() {
        let spec = spec(4, &json!({ "minReplicas": 2, "maxReplicas": 8, "targetCPUUtilization": 70 }));
        let own = bounds(&spec, &agent(), &shares(&[2, 2]));
        let most = |lent: &[i32]| {
            let lent = own.keys().cloned().zip(lent.iter().copied()).collect();
            lent_out(&own, &lent).map(|of| of.values().map(|bounds| bounds.max).collect::<Vec<_>>())
        };
        assert_eq!(most(&[]), Some(vec![4, 4]));
        assert_eq!(most(&[2, -3]), Some(vec![6, 1]));
        assert_eq!(most(&[2, -4]), None, "a cluster keeps its share of the least");
        assert_eq!(most(&[2, -1]), None, "that would be more than there is");
        let elsewhere = BTreeMap::from([(ClusterName::new("elsewhere").unwrap(), -1)]);
        assert_eq!(lent_out(&own, &elsewhere), None);
    }

    proptest! {
        #[test]
        fn bounds_are_divided_whole_and_every_cluster_starts_within_its_own(
            of in proptest::collection::vec(1i32..200, 1..40),
            fewer in 0i32..200,
            more in 0i32..2000,
        ) {
            let shares = shares(&of);
            let total: i32 = of.iter().sum();
            let (least, most) = ((total - fewer).max(0), total + more);
            let scaling: Scaling =
                serde_json::from_value(json!({ "minReplicas": least, "maxReplicas": most })).unwrap();
            let divided = divided(&scaling, &agent(), &shares);
            prop_assert_eq!(divided.iter().map(|(min, _)| min).sum::<i32>(), least);
            prop_assert_eq!(divided.iter().map(|(_, max)| max).sum::<i32>(), most);
            for ((min, max), share) in divided.iter().zip(&of) {
                prop_assert!(min <= share && share <= max, "{min} {share} {max}");
                prop_assert!(*max >= (*min).max(1));
            }
        }

        #[test]
        fn whatever_is_held_the_bounds_are_in_order_and_nothing_overflows(
            of in proptest::collection::vec(0i32..10_000, 0..40),
            least in 0i32..10_000,
            most in proptest::option::of(0i32..10_000),
        ) {
            let spec = spec(3, &json!({ "minReplicas": least, "maxReplicas": most, "targetCPUUtilization": 1 }));
            for bounds in bounds(&spec, &agent(), &shares(&of)).values() {
                prop_assert!(0 <= bounds.min && bounds.min <= bounds.max && bounds.floor() < bounds.max);
            }
        }
    }
}
