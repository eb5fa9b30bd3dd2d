//! What the taints of a cluster mean for an agent, as Kubernetes has it for nodes and pods.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Toleration;
use parallax_crds::cluster::TaintEffect;

use super::{ClusterFacts, Taint};

/// What hinders an agent on a cluster: the strictest of its taints, as they are written ("gpu=only").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// Nothing.
    None,
    /// It keeps what it holds and takes nothing new; with an instant, it loses what it holds then.
    NothingNew(String, Option<Timestamp>),
    /// It loses what it holds.
    Removes(String),
}

/// What the cluster's taints mean for an agent with these tolerations at `now`.
#[must_use]
pub fn hindrance(cluster: &ClusterFacts, tolerations: &[Toleration], now: Timestamp) -> Hindrance {
    let mut strictest = Hindrance::None;
    for taint in &cluster.taints {
        let found = match (taint.effect, tolerated(taint, tolerations)) {
            (TaintEffect::PreferNoSchedule, _) | (_, Tolerated::Always) => continue,
            (TaintEffect::NoSchedule, _) => Hindrance::NothingNew(written(taint), None),
            (TaintEffect::NoExecute, Tolerated::For(seconds)) => {
                let ends = taint.since.checked_add(SignedDuration::from_secs(seconds.max(0)));
                match ends.unwrap_or(Timestamp::MAX) {
                    ends if ends > now => Hindrance::NothingNew(written(taint), Some(ends)),
                    _ => Hindrance::Removes(written(taint)),
                }
            }
            (TaintEffect::NoExecute, Tolerated::Not) => Hindrance::Removes(written(taint)),
        };
        strictest = stricter(strictest, found);
    }
    strictest
}

/// Whether an agent with these tolerations may stay on a cluster with this taint for as long as it likes.
#[must_use]
pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerated(taint, tolerations) == Tolerated::Always
}

/// The taints that the agent would rather avoid, as they are written.
pub fn disfavoured(cluster: &ClusterFacts, tolerations: &[Toleration]) -> impl Iterator<Item = String> {
    let soft = |taint: &&Taint| {
        taint.effect == TaintEffect::PreferNoSchedule && tolerated(taint, tolerations) == Tolerated::Not
    };
    cluster.taints.iter().filter(soft).map(written)
}

/// "gpu=only", or "gpu" where it has no value.
fn written(taint: &Taint) -> String {
    if taint.value.is_empty() { taint.key.clone() } else { format!("{}={}", taint.key, taint.value) }
}

/// Of two that are equally strict, the first; of two that end, the one that ends sooner.
fn stricter(a: Hindrance, b: Hindrance) -> Hindrance {
    let order = |hindrance: &Hindrance| match hindrance {
        Hindrance::Removes(_) => (0, Timestamp::MIN),
        Hindrance::NothingNew(_, ends) => (1, ends.unwrap_or(Timestamp::MAX)),
        Hindrance::None => (2, Timestamp::MAX),
    };
    if order(&b) < order(&a) { b } else { a }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tolerated {
    Not,
    Always,
    /// For so many seconds from when the taint was added.
    For(i64),
}

/// Of several tolerations that match, the shortest time counts, as in Kubernetes. A time is one for NoExecute only.
fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> Tolerated {
    let mut matching = tolerations.iter().filter(|toleration| matches(toleration, taint)).peekable();
    if matching.peek().is_none() {
        return Tolerated::Not;
    }
    let timed = matching.filter_map(|toleration| toleration.toleration_seconds).min();
    match timed {
        Some(seconds) if taint.effect == TaintEffect::NoExecute => Tolerated::For(seconds),
        _ => Tolerated::Always,
    }
}

fn matches(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = match taint.effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    };
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    toleration.effect.as_deref().is_none_or(|tolerated| tolerated.is_empty() || tolerated == effect)
        && (key == taint.key || (key.is_empty() && exists))
        && (exists || toleration.value.as_deref().unwrap_or_default() == taint.value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use parallax_crds::ClusterName;

    fn tolerating(json: serde_json::Value) -> Vec<Toleration> {
        serde_json::from_value(json).unwrap()
    }

    fn tainted(taints: &[(&str, &str, TaintEffect)]) -> ClusterFacts {
        let taint = |(key, value, effect): &(&str, &str, TaintEffect)| Taint {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            effect: *effect,
            since: Timestamp::UNIX_EPOCH,
        };
        let mut facts = ClusterFacts::open(ClusterName::new("a").unwrap());
        facts.taints = taints.iter().map(taint).collect();
        facts
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn each_form_of_toleration_means_what_it_means_in_kubernetes() {
        let cluster = tainted(&[("gpu", "only", TaintEffect::NoSchedule)]);
        for (toleration, tolerates) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "gpu", "operator": "Exists"}), true),
            (json!({"key": "gpu", "value": "only"}), true),
            (json!({"key": "gpu", "operator": "Equal", "value": "only", "effect": "NoSchedule"}), true),
            (json!({"key": "gpu", "value": "some"}), false),
            (json!({"key": "gpu"}), false),
            (json!({"key": "cpu", "operator": "Exists"}), false),
            (json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}), false),
        ] {
            let found = hindrance(&cluster, &tolerating(json!([toleration])), at(0));
            assert_eq!(found == Hindrance::None, tolerates, "{toleration} {found:?}");
        }
    }

    #[test]
    fn the_strictest_taint_is_told_of() {
        let both = tainted(&[("a", "", TaintEffect::NoSchedule), ("b", "x", TaintEffect::NoExecute)]);
        assert_eq!(hindrance(&both, &[], at(0)), Hindrance::Removes("b=x".into()));
        let first = tolerating(json!([{"key": "b", "operator": "Exists"}]));
        assert_eq!(hindrance(&both, &first, at(0)), Hindrance::NothingNew("a".into(), None));
    }

    #[test]
    fn a_timed_toleration_ends_and_until_then_nothing_new_comes() {
        let cluster = tainted(&[("down", "", TaintEffect::NoExecute)]);
        let timed = tolerating(json!([
            {"key": "down", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
            {"operator": "Exists"}
        ]));
        let ends = Some(at(60));
        assert_eq!(hindrance(&cluster, &timed, at(59)), Hindrance::NothingNew("down".into(), ends));
        assert_eq!(hindrance(&cluster, &timed, at(60)), Hindrance::Removes("down".into()));
    }

    #[test]
    fn only_untolerated_soft_taints_are_disfavoured() {
        let cluster =
            tainted(&[("spot", "", TaintEffect::PreferNoSchedule), ("a", "", TaintEffect::NoSchedule)]);
        assert_eq!(disfavoured(&cluster, &[]).collect::<Vec<_>>(), ["spot"]);
        let all = tolerating(json!([{"operator": "Exists"}]));
        assert_eq!(disfavoured(&cluster, &all).count(), 0);
        assert_eq!(
            hindrance(&tainted(&[("spot", "", TaintEffect::PreferNoSchedule)]), &[], at(0)),
            Hindrance::None
        );
    }
}
