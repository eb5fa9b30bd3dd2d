//! The way back: a spec with what an earlier revision made pods of.

use serde_json::{Map, Value, json};

/// What is not of a revision: it stays as it is.
const STAYS: [&str; 3] = ["replicas", "suspend", "rollout"];
/// What is of a revision in `scaling`; the bounds are not.
const SCALING: [&str; 4] =
    ["targetCPUUtilization", "targetMemoryUtilization", "scaleDownDelay", "activation"];

/// `now`, a spec as it is written, with what `then` made pods of. Replicas, bounds of scaling, suspension and placement
/// stay, with two exceptions: overrides go back, and whether the agent may go to zero does, since that is of its pods.
#[must_use]
pub fn back_to(now: &Value, then: &Value) -> Value {
    let field = |of: &Value, name: &str| of.get(name).filter(|value| !value.is_null()).cloned();
    let mut spec: Map<String, Value> = then.as_object().cloned().unwrap_or_default();
    for name in STAYS {
        spec.remove(name);
        spec.extend(field(now, name).map(|value| (name.to_owned(), value)));
    }
    let overrides = field(then, "placement").and_then(|placement| field(&placement, "overrides"));
    let replicas = now.get("replicas").and_then(Value::as_i64).unwrap_or(1);
    for (name, value) in [
        ("placement", placement(field(now, "placement"), overrides)),
        ("scaling", scaling(field(now, "scaling"), field(then, "scaling").as_ref(), replicas)),
    ] {
        spec.remove(name);
        spec.extend(value.map(|value| (name.to_owned(), value)));
    }
    Value::Object(spec)
}

fn placement(now: Option<Value>, overrides: Option<Value>) -> Option<Value> {
    let had = now.is_some();
    let mut placement = now.and_then(|now| now.as_object().cloned()).unwrap_or_default();
    placement.remove("overrides");
    placement.extend(overrides.map(|overrides| ("overrides".to_owned(), overrides)));
    (had || !placement.is_empty()).then_some(Value::Object(placement))
}

/// Where nothing is scaled now and something was, the bounds are the number of replicas: no load changes it unasked.
fn scaling(now: Option<Value>, then: Option<&Value>, replicas: i64) -> Option<Value> {
    let bounds = || json!({"minReplicas": replicas, "maxReplicas": replicas.max(1)});
    let now = now.or_else(|| then.map(|_| bounds()))?;
    let mut scaling = now.as_object().cloned().unwrap_or_default();
    for name in SCALING {
        scaling.remove(name);
        let value = then.and_then(|then| then.get(name));
        scaling.extend(value.map(|value| (name.to_owned(), value.clone())));
    }
    let fewest = |of: &Value| of.get("minReplicas").and_then(Value::as_i64).unwrap_or(1);
    let to_zero = then.is_some_and(|then| fewest(then) == 0);
    let fewest = if to_zero { 0 } else { fewest(&now).max(1) };
    scaling.insert("minReplicas".to_owned(), json!(fewest));
    Some(Value::Object(scaling))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use parallax_crds::ParallaxAgentSpec;
    use proptest::prelude::*;

    use super::*;
    use crate::revisions::part_of;

    fn scaling_strategy() -> impl Strategy<Value = Value> {
        let none = Just(Value::Null);
        let some = (0..3_i64, prop::option::of(3..6_i64), prop::option::of(50..80_i64), any::<bool>());
        prop_oneof![
            none,
            some.prop_map(|(min, max, target, delay)| {
                let mut scaling = json!({"minReplicas": min});
                scaling["maxReplicas"] = json!(max);
                scaling["targetCPUUtilization"] = json!(target);
                scaling["scaleDownDelay"] = json!((min == 0 && delay).then_some(60));
                scaling.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                scaling
            })
        ]
    }

    fn placement_strategy() -> impl Strategy<Value = Value> {
        let overrides = json!([{"clusterSelector": {}, "image": "example.org/eu:1"}]);
        prop_oneof![
            Just(Value::Null),
            Just(json!({"regions": ["eu"]})),
            Just(json!({"overrides": overrides})),
            Just(json!({"regions": ["us"], "overrides": overrides})),
        ]
    }

    fn spec() -> impl Strategy<Value = Value> {
        let fields = (0..3_u8, 0..4_i64, any::<bool>(), scaling_strategy(), placement_strategy());
        fields.prop_map(|(tag, replicas, suspend, scaling, placement)| {
            let mut spec = json!({
                "type": "claude", "image": format!("example.org/mine:{tag}"), "replicas": replicas,
                "suspend": suspend, "scaling": scaling, "placement": placement,
            });
            if tag == 0 {
                spec["image"] = Value::Null;
            }
            spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            spec
        })
    }

    fn typed(spec: &Value) -> ParallaxAgentSpec {
        serde_json::from_value(spec.clone()).unwrap()
    }

    proptest! {
        #[test]
        fn pods_go_back_and_the_rest_stays(now in spec(), earlier in spec()) {
            let kept = part_of(&typed(&earlier));
            let back = typed(&back_to(&now, &serde_json::to_value(&kept).unwrap()));
            prop_assert_eq!(part_of(&back), kept);
            let now = typed(&now);
            prop_assert_eq!((back.replicas, back.suspend), (now.replicas, now.suspend));
            let regions = |spec: &ParallaxAgentSpec| spec.placement.clone().unwrap_or_default().regions;
            prop_assert_eq!(regions(&back), regions(&now));
            if let (Some(back), Some(now)) = (back.scaling, now.scaling) {
                prop_assert_eq!(back.max_replicas, now.max_replicas);
                prop_assert!(back.min_replicas == now.min_replicas || back.min_replicas.min(now.min_replicas) == 0);
            }
        }
    }

    #[test]
    fn what_scales_again_keeps_the_number_of_replicas_that_it_has() {
        let now = json!({"type": "claude", "replicas": 5});
        let then = json!({"type": "claude", "scaling": {"minReplicas": 1, "targetCPUUtilization": 70}});
        let scaling = json!({"minReplicas": 5, "maxReplicas": 5, "targetCPUUtilization": 70});
        assert_eq!(back_to(&now, &then)["scaling"], scaling);
        assert_eq!(back_to(&now, &now), now);
    }
}
