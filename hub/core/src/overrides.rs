//! What of an agent's spec is otherwise in some of its clusters.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parallax_crds::ParallaxAgentSpec;
use parallax_crds::agent::{AgentRuntime, ClusterOverride, ScalingTargets};
use parallax_crds::selector::matches;

/// Which of a spec's overrides apply in a cluster: those of the same set run the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applying(u8);

impl Applying {
    /// The spec as it is.
    pub const NONE: Self = Self(0);

    /// Those that match a cluster with `labels`.
    #[must_use]
    pub fn to(overrides: &[ClusterOverride], labels: &BTreeMap<String, String>) -> Self {
        let applies = |entry: &ClusterOverride| matches(&entry.cluster_selector, labels);
        let bits = overrides.iter().zip(0..u8::BITS).filter(|(entry, _)| applies(entry));
        Self(bits.fold(0, |all, (_, bit)| all | 1 << bit))
    }

    /// Every entry of a list alone.
    pub fn each(overrides: &[ClusterOverride]) -> impl Iterator<Item = Self> {
        (0..u8::BITS).take(overrides.len()).map(|bit| Self(1 << bit))
    }

    /// The places of those in the list, from 0.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |place| self.0 & (1 << place) != 0)
    }
}

/// The overrides of a spec.
#[must_use]
pub fn of(spec: &ParallaxAgentSpec) -> &[ClusterOverride] {
    spec.placement.as_ref().map(|placement| placement.overrides.as_slice()).unwrap_or_default()
}

/// The spec where these of its overrides apply, one after the other.
#[must_use]
pub fn applied(spec: &ParallaxAgentSpec, applying: Applying) -> ParallaxAgentSpec {
    let mut applied = spec.clone();
    for entry in applying.places().filter_map(|place| of(spec).get(place)) {
        apply(entry, &mut applied);
    }
    applied
}

fn apply(entry: &ClusterOverride, spec: &mut ParallaxAgentSpec) {
    // Taken apart without `..`: a new field must be applied here.
    let ClusterOverride {
        cluster_selector: _,
        image,
        env,
        resources,
        node_selector,
        runtime_class_name,
        service_account_name,
        scaling,
    } = entry;
    replace(&mut spec.image, image);
    let AgentRuntime { env: own, resources: reserved, .. } = &mut spec.runtime;
    for variable in env {
        match own.iter_mut().find(|known| known.name == variable.name) {
            Some(known) => *known = variable.clone(),
            None => own.push(variable.clone()),
        }
    }
    if let Some(resources) = resources {
        let reserved = reserved.get_or_insert_default();
        reserved.requests.extend(resources.requests.clone());
        reserved.limits.extend(resources.limits.clone());
    }
    spec.runtime.node_selector.extend(node_selector.clone());
    replace(&mut spec.runtime.runtime_class_name, runtime_class_name);
    replace(&mut spec.runtime.service_account_name, service_account_name);
    if let (Some(ScalingTargets { target_cpu_utilization, target_memory_utilization }), Some(own)) =
        (scaling, &mut spec.scaling)
    {
        own.targets = ScalingTargets {
            target_cpu_utilization: *target_cpu_utilization,
            target_memory_utilization: *target_memory_utilization,
        };
    }
}

fn replace<T: Clone>(own: &mut Option<T>, other: &Option<T>) {
    if other.is_some() {
        own.clone_from(other);
    }
}

/// A resource of which more is requested than its limit: its name, the request and the limit.
#[must_use]
pub fn beyond_limit(runtime: &AgentRuntime) -> Option<(&String, &Quantity, &Quantity)> {
    let resources = runtime.resources.as_ref()?;
    let amount = |quantity: &Quantity| parallax_crds::quantity::nanos(&quantity.0);
    resources.requests.iter().find_map(|(name, request)| {
        let limit = resources.limits.get(name)?;
        (amount(request)? > amount(limit)?).then_some((name, request, limit))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn spec(overrides: &Value) -> ParallaxAgentSpec {
        serde_json::from_value(json!({
            "type": "claude",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}},
            "nodeSelector": {"disk": "fast"},
            "scaling": {"maxReplicas": 4, "targetCPUUtilization": 70},
            "placement": {"overrides": overrides},
        }))
        .unwrap()
    }

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn all_of(spec: &ParallaxAgentSpec) -> ParallaxAgentSpec {
        applied(spec, Applying(u8::MAX))
    }

    #[test]
    fn each_that_matches_applies_and_nothing_else() {
        let eu = json!({"clusterSelector": {"matchLabels": {"region": "eu"}}, "image": "example.org/eu:1"});
        let gpu = json!({"clusterSelector": {"matchLabels": {"gpu": "yes"}}, "image": "example.org/gpu:1"});
        let spec = spec(&json!([eu, gpu]));
        let image = |at: &[(&str, &str)]| applied(&spec, Applying::to(of(&spec), &labels(at))).image;
        assert_eq!(image(&[]), None);
        assert_eq!(image(&[("region", "eu")]).unwrap(), "example.org/eu:1");
        assert_eq!(image(&[("region", "eu"), ("gpu", "yes")]).unwrap(), "example.org/gpu:1", "the last wins");
        let places = Applying::to(of(&spec), &labels(&[("gpu", "yes")])).places();
        assert_eq!(places.collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_has_a_name_is_added_or_replaced_and_the_rest_stays() {
        let other = all_of(&spec(&json!([{
            "clusterSelector": {},
            "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
            "resources": {"requests": {"memory": "1Gi"}, "limits": {"cpu": "4"}},
            "nodeSelector": {"disk": "slow", "zone": "a"},
            "runtimeClassName": "gvisor",
            "serviceAccountName": "eu",
            "scaling": {"targetMemoryUtilization": 60},
        }])));
        assert_eq!(
            json!(other.runtime.env),
            json!([{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}])
        );
        assert_eq!(
            json!(other.runtime.resources),
            json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "4", "memory": "1Gi"}})
        );
        assert_eq!(json!(other.runtime.node_selector), json!({"disk": "slow", "zone": "a"}));
        assert_eq!(other.runtime.runtime_class_name.unwrap(), "gvisor");
        assert_eq!(other.runtime.service_account_name.unwrap(), "eu");
        assert_eq!(
            json!(other.scaling),
            json!({
                "minReplicas": 1, "maxReplicas": 4, "targetMemoryUtilization": 60,
            })
        );
    }

    #[test]
    fn a_request_beyond_a_limit_that_stays_is_found() {
        let of = |cpu: &str| {
            let entry = json!({"clusterSelector": {}, "resources": {"requests": {"cpu": cpu}}});
            let other = all_of(&spec(&json!([entry])));
            beyond_limit(&other.runtime)
                .map(|(name, request, limit)| format!("{name}: {}>{}", request.0, limit.0))
        };
        assert_eq!(of("2000m"), None);
        assert_eq!(of("2001m").unwrap(), "cpu: 2001m>2");
    }
}
